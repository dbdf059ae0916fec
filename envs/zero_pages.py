"""Memory that a library has filled with zeros and does not use, given back to the system."""

from __future__ import annotations

import ctypes
import mmap
import multiprocessing
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

MAPS = Path("/proc/self/maps")
Ranges = list[tuple[int, int]]  # addresses: the first, and the one after the last


@contextmanager
def zero_pages_returned() -> Iterator[None]:
    """Give back what is allocated meanwhile, as far as it is pages of zeros.

    Whoever reads such a page later reads zeros, as before, and whoever writes to it gets one then: nothing changes but
    the memory that is taken. On Linux only, and only in a worker process with no other thread of Python: elsewhere one
    might write between look and return.
    """
    alone = sys.platform == "linux" and multiprocessing.parent_process() is not None and threading.active_count() == 1
    before = _private() if alone else []
    yield
    if alone:
        for start, end in _beyond(before, _private()):
            _return(start, end)


def _private() -> Ranges:
    """What this process may write to, and has neither from a file nor for a stack."""
    found = []
    for line in MAPS.read_text().splitlines():
        addresses, rights, _, _, inode, *name = line.split(maxsplit=5)
        if rights == "rw-p" and inode == "0" and not name:
            start, end = (int(address, 16) for address in addresses.split("-"))
            found.append((start, end))
    return found


def _beyond(before: Ranges, after: Ranges) -> Iterator[tuple[int, int]]:
    """What of the one is not in the other: neighbours are listed as one, so that what is new may be a part."""
    for start, end in after:
        for known, known_end in before:
            if known < end and known_end > start:
                if known > start:
                    yield start, known
                start = known_end
        if start < end:
            yield start, end


def _return(start: int, end: int) -> None:
    page = mmap.PAGESIZE
    memory = np.frombuffer(memoryview((ctypes.c_char * (end - start)).from_address(start)), np.uint64)
    empty = ~memory.reshape(-1, page // memory.itemsize).any(axis=1)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], empty, [False]]).astype(np.int8)))
    libc = ctypes.CDLL(None)
    for first, last in edges.reshape(-1, 2).tolist():
        libc.madvise(ctypes.c_void_p(start + first * page), ctypes.c_size_t((last - first) * page), mmap.MADV_DONTNEED)
