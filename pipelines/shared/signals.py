"""SIGINT (Ctrl-C) and SIGTERM: a command is told to stop. Imports nothing, to be there before anything else is."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(BaseException):
    """The command was told to stop.

    Args:
        number: Of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.name = signal.Signals(number).name
        self.exit_code = 128 + number  # as shells have it


@contextmanager
def _handled(handler: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # where Python allows no handlers, and calls none
        yield
        return
    before = {number: signal.signal(number, handler) for number in SIGNALS}
    try:
        yield
    finally:
        for number, other in before.items():
            signal.signal(number, other)


@contextmanager
def raised() -> Iterator[None]:
    """Raise ``Interrupted`` wherever the command is when the signal comes."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Interrupted(number)

    with _handled(stop):
        yield


@contextmanager
def held_back() -> Iterator[Callable[[], bool]]:
    """Let what must not be torn apart come to a good end.

    Yields:
        Whether a signal has come. ``Interrupted`` is raised on the way out, instead of what was raised because of it:
        a signal to a group of processes also ends those that this one waits for.
    """
    came: list[int] = []
    try:
        with _handled(lambda number, frame: came.append(number)):
            yield lambda: bool(came)
    finally:
        if came:
            raise Interrupted(came[0]) from None
