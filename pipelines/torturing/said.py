"""What a command says to a user's mistake."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn
from unittest.mock import patch

from ..__main__ import main
from .files import below

WORK = (  # where each command's work begins, behind all that it checks
    "imitate.pipelines.record.worked_off",
    "imitate.pipelines.embed.baselines_of",
    "imitate.pipelines.imitate.learning_env",
    "imitate.pipelines.evaluate.roll_out",
    "imitate.pipelines.follow.Mind",
    "imitate.pipelines.check_reward.measure",
    "imitate.pipelines.report.fill_in",
    "imitate.pipelines.promote.TemporaryDirectory",
    "imitate.pipelines.bench._subjects",
    "imitate.pipelines.compression.Kuka",
    "imitate.pipelines.torture._subject",
)


class Begun(BaseException):
    """The command took what it was given, and set to work."""


def _begin(*args: object, **kwargs: object) -> NoReturn:
    raise Begun


@dataclass(frozen=True)
class Said:
    """How a command ended.

    Attributes:
        code: Its exit code; None where it set to work.
        lines: What it said on standard error.
        wrong: What is wrong with that; empty if nothing.
    """

    code: int | None
    lines: tuple[str, ...]
    wrong: str


def said(args: Sequence[str]) -> Said:
    """Run a command up to its work, in this process."""
    out, err = io.StringIO(), io.StringIO()
    code: int | None = None
    with ExitStack() as stack:
        stack.enter_context(redirect_stdout(out))
        stack.enter_context(redirect_stderr(err))
        stack.enter_context(patch.object(sys, "argv", ["imitate", *args]))
        for name in WORK:
            stack.enter_context(patch(name, _begin))
        try:
            main()
            return Said(None, (), "")
        except Begun:
            return Said(None, (), "")
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 1
        except Exception as error:  # a traceback, as the user would see it: what this is about
            return Said(1, (), f"{type(error).__name__}: {error}")
    lines = tuple(filter(None, map(_shown, err.getvalue().split("\n"))))
    wrong = "" if code == 2 else f"exit code {code}"
    clear = len(lines) == 1 and lines[0].startswith("imitate") and "Traceback" not in lines[0]
    wrong = wrong or ("" if clear else f"{len(lines)} lines: {lines}")
    return Said(code, lines, wrong)


def _shown(line: str) -> str:
    """What a terminal shows of a line that was written over, as progress bars do."""
    return line.rsplit("\r", 1)[-1].rstrip()


@contextmanager
def untouched(*folders: Path) -> Iterator[list[str]]:
    """Tell which files below folders came, went or changed meanwhile, caches left out."""
    changed: list[str] = []
    before = [_contents(folder) for folder in folders]
    yield changed
    after = [_contents(folder) for folder in folders]
    changed += [str(name) for old, new in zip(before, after, strict=True) for name, _ in sorted(old ^ new)]


def _contents(folder: Path) -> set[tuple[Path, tuple[int, int]]]:
    return {(path, (path.stat().st_size, path.stat().st_mtime_ns)) for path in below(folder)}
