"""Which process works on a folder: only one does."""

from __future__ import annotations

import os
from pathlib import Path

from filelock import FileLock, Timeout

from imitate.errors import UserError

LOCK = ".lock"  # the file's name
_held: dict[str, FileLock] = {}  # as long as this process lives, which the system releases however it ends


def hold(folder: Path) -> None:
    """Make a folder if it is missing, and keep other processes from working on it. To do so twice is fine.

    Raises:
        UserError: Another process works on it.
        OSError: It can't be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    name = os.path.realpath(folder / LOCK)
    lock = _held.get(name) or FileLock(name, thread_local=False)
    if lock.is_locked and os.path.exists(name) and os.path.samestat(os.stat(name), os.fstat(_descriptor(lock))):
        return
    lock.release(force=True)  # the folder was deleted, and the lock with it
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UserError(
            f"{folder}: another process is working on it: wait until it has ended, or choose another run"
        ) from None
    _held[name] = lock


def _descriptor(lock: FileLock) -> int:
    descriptor = lock._context.lock_file_fd
    assert descriptor is not None
    return descriptor


def let_go(folder: Path) -> None:
    """Let other processes work on a folder again, if this one holds it."""
    name = os.path.realpath(folder / LOCK)
    Path(name).unlink(missing_ok=True)  # before: whoever waits for it then finds out that it is gone
    lock = _held.pop(name, None)
    if lock is not None:
        lock.release(force=True)


def waited_for(folder: Path) -> FileLock:
    """A lock of a folder that is there, to be waited for with ``with``."""
    return FileLock(folder / LOCK)
