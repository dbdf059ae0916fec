import multiprocessing
import os
import pickle
import signal
import sys
from contextlib import closing
from functools import partial
from time import perf_counter, sleep

import pytest

from imitate.errors import UserError
from imitate.keeping.workers import SDL_LEAVES, Crew, WorkerDied, end_with_parent, is_worker, start_method, worked_off


def square(number):
    return number**2


def fail():
    raise UserError("no such thing")


def die(how):
    if how:
        os.kill(os.getpid(), how)
    os._exit(3)


class Told:
    """Says what a worker knows of itself."""

    def __call__(self):
        return is_worker(), signal.SIGINT in mask()

    def close(self):
        pass


@pytest.fixture(autouse=True, params=["spawn", "forkserver"])
def method(request):
    before = multiprocessing.get_start_method(allow_none=True)
    multiprocessing.set_start_method(request.param, force=True)
    yield
    multiprocessing.set_start_method(before, force=True)


def mask():
    return signal.pthread_sigmask(signal.SIG_BLOCK, ())


@pytest.mark.parametrize(
    ("said", "how"), [(None, "spawn"), ("fork", "spawn"), ("spawn", "spawn"), ("forkserver", "forkserver")]
)
def test_processes_are_started_as_was_said_but_never_forked(monkeypatch, said, how):
    monkeypatch.setattr(multiprocessing, "get_start_method", lambda allow_none: said)
    assert start_method().get_start_method() == how


def test_jobs_are_done_by_processes():
    with closing(worked_off([partial(square, n) for n in range(7)], 2)) as done:
        assert sorted(done) == [n**2 for n in range(7)]
    with closing(worked_off([], 1)) as done:
        assert not list(done)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "words"),
    [
        (signal.SIGKILL, "was killed by SIGKILL"),
        (signal.SIGSEGV, "was killed by SIGSEGV"),
        (0, "ended with exit code 3"),
    ],
)
def test_one_that_dies_is_named(how, words):
    start = perf_counter()
    with (
        pytest.raises(WorkerDied, match=rf"worker process [12] of 2 {words}: if memory was short, take fewer workers$"),
        closing(worked_off([partial(sleep, 60), partial(die, how)], 2)) as done,
    ):
        list(done)
    assert perf_counter() - start < 30


def test_what_fails_or_is_closed_ends_the_rest():
    start = perf_counter()
    with (
        pytest.raises(UserError, match="no such thing"),
        closing(worked_off([partial(sleep, 60), fail], 2)) as done,
    ):
        list(done)
    with closing(worked_off([partial(sleep, 60), partial(square, 3)], 2)) as done:
        assert next(done) == 9
    assert perf_counter() - start < 30


def test_what_pygame_draws_with_leaves_workers_the_signal_that_ends_them(method):
    with closing(worked_off([partial(os.getenv, SDL_LEAVES)], 1)) as found:
        assert list(found) == ["1"]


def test_ctrl_c_is_not_for_workers():
    with closing(worked_off([mask] * 3, 3, end_with_parent)) as done:
        assert all(signal.SIGINT in blocked for blocked in done)
    assert signal.SIGINT not in mask()


def test_workers_know_that_they_are_and_others_started_alike_do_not():
    assert not is_worker()
    with closing(Crew("tests", Told, [(), ()])) as crew:
        assert crew.ask([(), ()]) == [(True, True)] * 2
    with multiprocessing.Pool(1) as others:  # of the same fork server, where there is one
        assert not others.apply(is_worker)
        assert signal.SIGINT not in others.apply(mask)


def test_a_script_without_a_guard_is_told_of_it():
    process = multiprocessing.get_context("spawn").Process(target=sys.exit, args=(1,))
    process.start()
    assert str(WorkerDied.of("worker", process)).endswith('a script starts them below if __name__ == "__main__"')


def test_what_a_process_died_of_comes_out_of_another_process_whole():
    process = multiprocessing.get_context("spawn").Process(target=sleep, args=(60,))
    process.start()
    process.kill()
    died = WorkerDied.of("worker process 1 of 2", process)
    assert "worker process 1 of 2 was killed by SIGKILL" in str(died)
    again = pickle.loads(pickle.dumps(died))
    assert (type(again), str(again)) == (WorkerDied, str(died))
