"""What comes to harm at a certain moment. In processes forked from one that has imported the commands already."""

import importlib
import multiprocessing
import os
import resource
import signal
import sys
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from tempfile import TemporaryDirectory

from imitate.pipelines.timing.peak import processes

FORKED = multiprocessing.get_context("forkserver")


@dataclass(frozen=True)
class Harm:
    """Done at the Nth call of a function, before it does anything.

    Attributes:
        kind: ``SIGKILL``, which this process alone gets; the name of another signal, which its whole group gets, as
            from a terminal; or ``worker``: one that it started is killed.
        function: As in ``os:replace``.
        call: Which one.
    """

    kind: str
    function: str
    call: int

    def befalls(self):
        """Patch the function."""
        name, path = self.function.split(":")
        *owners, attribute = path.split(".")
        owner = reduce(getattr, owners, importlib.import_module(name))
        function = getattr(owner, attribute)
        calls = 0

        def harmed(*args, **kwargs):
            nonlocal calls
            calls += 1
            if calls == self.call:
                self._strike()
            return function(*args, **kwargs)

        setattr(owner, attribute, harmed)

    def _strike(self):
        if self.kind == "worker":
            os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)
        elif self.kind == "SIGKILL":
            os.kill(os.getpid(), signal.SIGKILL)
        else:
            os.killpg(0, signal.Signals[self.kind])


@dataclass(frozen=True)
class Ended:
    """How a command ended: its number, the exit code, or minus the signal that killed it, and what it said."""

    pid: int
    code: int
    out: str
    err: str


def command(words, harm=None, file_bytes=None, prepare=None):
    """Run a command, with snapshots as often as can be.

    Args:
        words: The command and its arguments.
        harm: That befalls it.
        file_bytes: A limit of the size of files.
        prepare: Called before, in the same process.
    """
    with TemporaryDirectory() as folder:
        process = FORKED.Process(
            target=_command, args=([str(word) for word in words], harm, file_bytes, prepare, folder)
        )
        process.start()
        process.join()
        return Ended(process.pid, process.exitcode, *((Path(folder) / name).read_text() for name in ("out", "err")))


def left_of(ended):
    """The processes that a command started and that still run: all are of the session that it began."""
    return [
        pid for pid, (state, _, _, session, *_) in processes().items() if int(session) == ended.pid and state != "Z"
    ]


def _command(words, harm, file_bytes, prepare, folder):
    os.setsid()
    multiprocessing.set_start_method("spawn", force=True)  # as where a command is the whole program
    for descriptor, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(f"{folder}/{name}", os.O_WRONLY | os.O_CREAT), descriptor)
    importlib.import_module("imitate.keeping.snapshot").SHARE = float("inf")
    if file_bytes:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
    if prepare:
        prepare()
    if harm:
        harm.befalls()
    sys.argv = ["imitate", *words]
    importlib.import_module("imitate.pipelines.__main__").main()
