import sys

import numpy as np
import pytest

from envs.kuka import Kuka
from envs.zero_pages import zero_pages_returned
from imitate.workers import Crew
from pipelines.benching.peak import held

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
MIB = 2**20


def taken():
    """MiB that this process holds."""
    return held("self") / 1024


class Holder:
    """Answers in a process of its own, as the environments do."""

    def __call__(self, question):
        return getattr(self, question)()

    def arrays(self):
        """What a block of mostly zeros takes, before and after, and whether it is still what it was."""
        with zero_pages_returned():
            block = np.empty(32 * MIB, np.uint8)
            block[:] = 0
            block[:: MIB // 2] = np.arange(64)
            before = taken()
        after = taken()
        kept = not block.reshape(64, -1)[:, 1:].any() and np.array_equal(block[:: MIB // 2], np.arange(64))
        block[:] = 7  # as before, it may be written to
        return before - after, bool(kept), bool((block == 7).all())

    def clients(self):
        """What each client takes, which draws and moves."""
        before, arms = taken(), [Kuka() for _ in range(8)]
        for arm in arms:
            arm.reset(np.zeros(7))
            arm.step(np.ones(7))
        return (taken() - before) / len(arms), [arm.joint_states() for arm in arms]

    def close(self):
        pass


@pytest.fixture
def process():
    crew = Crew("tests", Holder, [()])
    yield crew
    crew.close()


def test_pages_of_zeros_are_given_back_and_nothing_else_changes(process):
    ((given_back, kept, written),) = process.ask([("arrays",)])
    assert given_back == pytest.approx(31.75, abs=1)  # all but a page for each number
    assert kept
    assert written


def test_a_client_takes_a_third_and_moves_the_same(process):
    ((each, states),) = process.ask([("clients",)])
    assert each < 15
    here = Kuka()  # no worker process: nothing is given back
    here.reset(np.zeros(7))
    here.step(np.ones(7))
    for state in states:
        assert np.array_equal(state, here.joint_states())
    here.close()


def test_nothing_is_given_back_where_others_may_write():
    with zero_pages_returned():
        block = np.empty(32 * MIB, np.uint8)
        block[:] = 0
        before = taken()
    assert taken() > before - 1
    assert not block.any()
