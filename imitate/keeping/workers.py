"""Processes that work for this one: they end with it, however it ends, and it says which of them died of what."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess
from threading import Thread
from typing import Any, Protocol, TypeVar

from imitate.errors import UserError

T = TypeVar("T")
LOOKED_AFTER = 0.5  # s, between two looks at the processes
SDL_LEAVES = "SDL_NO_SIGNAL_HANDLERS"
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
        unguarded = '; a script starts them below if __name__ == "__main__"' if code == 1 else ""
        return cls(f"{which} {of}: if memory was short, take fewer workers{unguarded}")


def start_method() -> SpawnContext | ForkServerContext:
    """How processes are started: spawned, or by the fork server, where ``multiprocessing.set_start_method`` said so.

    Never forked from this one: a fork has the locks of threads that it lacks, and simulations that it would share.
    """
    if multiprocessing.get_start_method(allow_none=True) == "forkserver":
        return multiprocessing.get_context("forkserver")
    return multiprocessing.get_context("spawn")


@contextmanager
def starting() -> Iterator[None]:
    """Start processes here, to which Ctrl-C means nothing: a terminal sends it to all, and this one ends the others.

    Nor does SDL, with which pygame draws, take for itself in them the signal that ends them.
    """
    resource_tracker.ensure_running()  # it would be started with the first process, and let signals through again
    if start_method().get_start_method() == "forkserver":
        forkserver.ensure_running()  # to which others' processes come too: it is not to block them anything
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # inherited: from their very first moment
    said = os.environ.get(SDL_LEAVES)
    os.environ[SDL_LEAVES] = "1"
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if said is None:
            del os.environ[SDL_LEAVES]
        else:
            os.environ[SDL_LEAVES] = said


_working = False


def is_worker() -> bool:
    """Whether this process is one of those that share another one's work."""
    return _working


def _begin() -> None:
    """In a worker: know that it is one, and leave Ctrl-C to the process that started it."""
    global _working
    _working = True
    os.environ[SDL_LEAVES] = "1"  # where a server forks it, nothing was inherited
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})


def end_with_parent() -> None:
    """In a worker: end at once when the process that started it has ended, even if that was killed."""
    _begin()
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
    executor = ProcessPoolExecutor(processes, start_method(), prepare)
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


class Member(Protocol):
    """What answers questions in a process."""

    def __call__(self, *question: Any) -> Any:
        """Answer a question."""

    def close(self) -> None:
        """Free what it holds."""


class Crew:
    """Processes that answer questions, each its own, at the same time. To be closed; they end with this one too.

    Args:
        whose: Of what they are the processes, for messages.
        member: Called in each process with its own arguments: makes what answers there.
        arguments: One tuple a process, of what can be pickled, or inherited.

    Attributes:
        processes: In their order.
    """

    def __init__(self, whose: str, member: Callable[..., Member], arguments: Sequence[tuple]) -> None:
        self.processes: list[BaseProcess] = []
        self._whose = whose
        self._pipes: list[Connection] = []
        context = start_method()
        for own in arguments:
            pipe, far = context.Pipe()
            process = context.Process(target=_answer, args=(far, member, own), daemon=True)
            with starting():
                process.start()
            far.close()
            self._pipes.append(pipe)
            self.processes.append(process)

    def ask(self, questions: Sequence[tuple]) -> list[Any]:
        """The answers to one question for each process.

        Raises:
            WorkerDied: A process did, whatever was asked of it.
            Exception: What one raised.
        """
        answers, number = [], 0
        try:
            for number, (pipe, question) in enumerate(zip(self._pipes, questions, strict=True)):  # noqa: B007
                pipe.send(question)
            for number, pipe in enumerate(self._pipes):  # noqa: B007
                answers.append(pipe.recv())
        except (EOFError, OSError):  # the latter in the midst of an answer
            which = f"worker process {number + 1} of {len(self._pipes)} of the {self._whose}"
            raise WorkerDied.of(which, self.processes[number]) from None
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        return answers

    def __len__(self) -> int:
        return len(self._pipes)

    def close(self) -> None:
        """End the processes. Doing so twice is fine."""
        for pipe in self._pipes:
            pipe.close()
        for process in self.processes:
            process.join(timeout=5)
            if process.is_alive():
                process.terminate()


class Alone:
    """A crew of one, in this process: it needs no ``if __name__ == "__main__"``.

    Args:
        member: As of ``Crew``.
        arguments: One tuple.
    """

    def __init__(self, member: Callable[..., Member], arguments: Sequence[tuple]) -> None:
        (own,) = arguments
        self._member = member(*own)

    def __len__(self) -> int:
        return 1

    def ask(self, questions: Sequence[tuple]) -> list[Any]:
        """The answer to the only question."""
        (question,) = questions
        return [self._member(*question)]

    def close(self) -> None:
        """Free what the member holds."""
        self._member.close()


def _answer(pipe: Connection, member: Callable[..., Member], arguments: tuple) -> None:
    """The loop of a process, until its pipe is closed: by the other end, or by the system when that has died."""
    _begin()
    answering = member(*arguments)
    try:
        while True:
            question = pipe.recv()
            try:
                pipe.send(answering(*question))
            except Exception as error:  # raised again where the user sees it
                pipe.send(error)
    except (EOFError, ConnectionError, KeyboardInterrupt):
        pass  # nobody asks any more
    finally:
        answering.close()
