"""Which process works on a folder: only one does."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from imitate.errors import UserError

LOCK = ".lock"  # the file's name
# As long as this process lives, which the system releases however it ends; with the file that it is a lock of.
_held: dict[str, tuple[FileLock, os.stat_result]] = {}


def hold(folder: Path) -> None:
    """Make a folder if it is missing, and keep other processes from working on it. To do so twice is fine.

    Raises:
        UserError: Another process works on it.
        OSError: It can't be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    name = os.path.realpath(folder / LOCK)
    if name in _held:
        lock, file = _held[name]
        if os.path.exists(name) and os.path.samestat(os.stat(name), file):
            return
        del _held[name]
        lock.release(force=True)  # the folder was deleted, and the lock with it
    lock = FileLock(name, thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if not os.path.exists(name):
            Path(name).touch()  # if it can't be written, that says why
        raise UserError(
            f"{folder}: another process is working on it: wait until it has ended, or choose another run"
        ) from None
    _held[name] = lock, os.stat(name)


def let_go(folder: Path) -> None:
    """Let other processes work on a folder again, if this one holds it."""
    name = os.path.realpath(folder / LOCK)
    Path(name).unlink(missing_ok=True)  # before: whoever waits for it then finds out that it is gone
    if name in _held:
        _held.pop(name)[0].release(force=True)


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a folder for a while.

    Raises:
        UserError: Another process works on it.
        OSError: It can't be written.
    """
    hold(folder)
    try:
        yield
    finally:
        let_go(folder)


def waited_for(folder: Path) -> FileLock:
    """A lock of a folder that is there, to be waited for with ``with``."""
    return FileLock(folder / LOCK)
