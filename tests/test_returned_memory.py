import sys

import numpy as np
import pytest

from imitate.envs.returned_memory import beyond, zero_pages_returned
from imitate.envs.vector import KukaVectorEnv
from imitate.keeping.workers import Crew
from imitate.pipelines.timing.peak import held

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
MIB = 2**20


class Blocks:
    """Answers in a process of its own, as the environments do."""

    def __call__(self, apart):
        """Of 32 MiB of zeros but for a number in each so many bytes: what was given back, MiB, and if all is there."""
        count = 32 * MIB // apart
        with zero_pages_returned():
            block = np.empty(32 * MIB, np.uint8)
            block[:] = 0
            block[::apart] = np.arange(1, count + 1)
            before = held("self")
        given_back = (before - held("self")) / 1024
        kept = not block.reshape(count, -1)[:, 1:].any() and np.array_equal(block[::apart], np.arange(1, count + 1))
        block[:] = 7  # as before, it may be written to
        return given_back, kept and bool((block == 7).all())

    def close(self):
        pass


@pytest.mark.slow
@LINUX
@pytest.mark.parametrize(("apart", "given_back"), [(8 * MIB, 32), (2 * MIB, 0)])
def test_long_stretches_of_zeros_are_given_back_and_nothing_else_changes(apart, given_back):
    crew = Crew("tests", Blocks, [()])
    ((found, kept),) = crew.ask([(apart,)])
    crew.close()
    assert found == pytest.approx(given_back, abs=1)
    assert kept


@LINUX
def test_an_environment_in_a_worker_takes_half_as_much():
    def taken(envs):
        vector = KukaVectorEnv(envs, workers=1)
        vector.reset(seed=0)
        vector.step(np.ones((envs, 7)))
        (process,) = vector._crew.processes
        kib = held(process.pid)
        vector.close()
        return kib / 1024

    assert (taken(10) - taken(2)) / 8 < 14


@pytest.mark.parametrize(
    ("before", "after", "new"),
    [
        ([], [(1, 3)], [(1, 3)]),
        ([(1, 3)], [(1, 3)], []),
        ([(1, 3)], [(1, 5)], [(3, 5)]),
        ([(3, 5)], [(1, 5)], [(1, 3)]),
        ([(2, 3), (4, 5)], [(1, 6)], [(1, 2), (3, 4), (5, 6)]),
        ([(1, 3), (3, 6)], [(2, 4), (7, 9)], [(7, 9)]),
        ([(1, 3), (8, 9)], [(3, 8)], [(3, 8)]),
    ],
)
def test_only_what_is_new_is_looked_at(before, after, new):
    assert list(beyond(before, after)) == new
