"""Processes that work for this one: they end with it, however it ends, and it says which of them died of what."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.process import BaseProcess
from threading import Thread
from typing import TypeVar

from imitate.errors import UserError

T = TypeVar("T")
LOOKED_AFTER = 0.5  # s, between two looks at the processes
TOLD_TO_END = (0, -signal.SIGTERM, 128 + signal.SIGTERM)  # exit codes


class WorkerDied(UserError):
    """A process ended that should not have: somebody killed it, or the system did, for its memory."""

    @classmethod
    def of(cls, which: str, process: BaseProcess) -> WorkerDied:
        """Say which process it was, and what it died of."""
        process.join(timeout=5)  # its pipe may be closed a moment before
        code = process.exitcode
        of = "no longer answers" if code is None else f"ended with exit code {code}"
        if code is not None and code < 0:
            of = f"was killed by {signal.Signals(-code).name}"
        return cls(f"{which} {of}: if memory was short, take fewer workers")


@contextmanager
def starting() -> Iterator[None]:
    """Start processes here, to which Ctrl-C means nothing: a terminal sends it to all, and this one ends the others."""
    resource_tracker.ensure_running()  # it would be started with the first process, and let signals through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # inherited: from their very first moment
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_with_parent() -> None:
    """In a worker: end at once when the process that started it has ended, even if that was killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def end() -> None:
        parent.join()
        os._exit(1)

    Thread(target=end, daemon=True).start()


def worked_off(
    jobs: Sequence[Callable[[], T]], processes: int, prepare: Callable[[], object] = end_with_parent
) -> Generator[T, None, None]:
    """Do jobs in spawned processes, and yield what they return, in the order in which they are done.

    To be closed. What is not done by then, or when a job fails, is dropped: its process is sent SIGTERM.

    Args:
        jobs: That can be pickled.
        processes: How many.
        prepare: Called in each process before it works. It should call ``end_with_parent``.

    Raises:
        WorkerDied: A process did.
    """
    others = set(multiprocessing.active_children())
    executor = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), prepare)
    workers: list[BaseProcess] = []
    try:
        with starting():
            futures = [executor.submit(job) for job in jobs]
        workers = [one for one in multiprocessing.active_children() if one not in others]
        pending = set(futures)
        while pending:
            done, pending = wait(pending, LOOKED_AFTER, FIRST_COMPLETED)
            for future in done:
                yield future.result()
            if pending and not all(one.is_alive() for one in workers):  # the pool may not notice
                raise BrokenProcessPool
    except BrokenProcessPool:
        for one in workers:
            one.terminate()
        executor.shutdown(cancel_futures=True)  # now: what they died of is known once all have ended
        died = [one for one in workers if one.exitcode not in TOLD_TO_END] or workers
        raise WorkerDied.of(f"worker process {workers.index(died[0]) + 1} of {processes}", died[0]) from None
    except BaseException:
        for one in workers:
            one.terminate()
        raise
    finally:
        executor.shutdown(cancel_futures=True)
