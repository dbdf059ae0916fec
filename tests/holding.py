"""What processes do whose memory is measured, or that are only looked at. Imports little, which would count."""

import mmap
import signal
import sys
from multiprocessing import get_context
from time import sleep

import numpy as np

MB = 10**6


def hold(megabytes, below):
    """Hold memory, here and in processes below this one."""
    held = np.ones(megabytes * MB, np.uint8)
    if below:
        process = get_context("spawn").Process(target=hold, args=(megabytes, below - 1))
        process.start()
        process.join()
    sleep(0.3)
    assert held[-1]


def map_file(path):
    """Read all of a file through a memory map."""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped:
        assert np.frombuffer(mapped, np.uint8).sum() == 0
        sleep(0.3)


def tell_mask(pipe, folder, seed, first, end):
    """In the place of the fuzzer's process: tell whether Ctrl-C reaches it."""
    blocked = signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    pipe.send(("at", end, "its end"))
    pipe.send(("counts", {"Ctrl-C": {"read": not blocked, "refused": blocked}}))


def fail():
    """End as a stage does that has failed."""
    sys.exit(3)
