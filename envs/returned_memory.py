"""Memory that a library has filled with zeros and does not use, given back to the system."""

from __future__ import annotations

import ctypes
import mmap
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

MAPS = Path("/proc/self/maps")
LEAST = 4 * 2**20  # bytes of zeros on end: more than Python has at once for its own objects, an arena of 1 MiB
Ranges = list[tuple[int, int]]  # addresses: the first, and the one after the last


@contextmanager
def zero_pages_returned() -> Iterator[None]:
    """Give back what is allocated meanwhile, as far as it is long stretches of zeros.

    Whoever reads there later reads zeros, as before, and whoever writes there gets memory then: nothing changes but how
    much is taken. Only for a process that does nothing else meanwhile: another thread might write between look and
    return. On Linux; elsewhere nothing is given back.
    """
    linux = sys.platform == "linux"
    before = _private() if linux else []
    yield
    if linux:
        for start, end in beyond(before, _private()):
            _return(start, end)


def _private() -> Ranges:
    """What this process may write to, and has neither from a file nor for its stack."""
    found = []
    for line in MAPS.read_bytes().split(b"\n"):
        addresses, rights, _, _, inode, *name = line.split(maxsplit=5) if line else [b""] * 5
        if rights == b"rw-p" and inode == b"0" and name in ([], [b"[heap]"]):
            start, end = (int(address, 16) for address in addresses.split(b"-"))
            found.append((start, end))
    return found


def beyond(before: Ranges, after: Ranges) -> Iterator[tuple[int, int]]:
    """What of the one, in rising order, is not in the other: neighbours are listed as one, so it may be a part."""
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
    if end - start < LEAST:
        return
    memory = np.frombuffer(memoryview((ctypes.c_char * (end - start)).from_address(start)), np.uint64)
    empty = ~memory.reshape(-1, page // memory.itemsize).any(axis=1)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], empty, [False]]).astype(np.int8)))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    for first, last in edges.reshape(-1, 2).tolist():
        length = (last - first) * page
        if length >= LEAST and libc.madvise(start + first * page, length, mmap.MADV_DONTNEED):
            raise OSError(ctypes.get_errno(), "madvise")
