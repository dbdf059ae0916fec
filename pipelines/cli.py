"""From the command line to settings, and from a user's mistake to one line and exit code 2."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr, redirect_stdout
from typing import TypeVar

import tyro

from imitate.errors import UserError, choose

Settings = TypeVar("Settings")


def command(name: str, presets: Mapping[str, tuple[str, Settings]], run: Callable[[Settings], object]) -> None:
    """Read settings from the command line and run a command with them.

    Args:
        name: Of the command.
        presets: By name, a description and the settings to start from. The first argument may name one;
            ``default`` if it does not.
        run: The command.
    """
    args = sys.argv[1:]
    if not args or (args[0].startswith("-") and args[0] not in ("-h", "--help")):
        args = ["default", *args]
    try:
        if not args[0].startswith("-"):
            choose(presets, args[0], "preset")
        run(_parse(name, presets, args))
    except UserError as error:
        print(one_line(f"imitate {name}: {error}"), file=sys.stderr)
        raise SystemExit(2) from None
    except OSError as error:  # a full disk, a folder that can't be written
        print(one_line(f"imitate {name}: {error.filename or 'a file'}: {error.strerror or error}"), file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print(f"imitate {name}: interrupted; the same command goes on or starts this stage again", file=sys.stderr)
        raise SystemExit(130) from None


def one_line(text: str) -> str:
    """The text without its breaks: what a user names a file may have some."""
    return " ".join(text.splitlines())


def _parse(name: str, presets: Mapping[str, tuple[str, Settings]], args: list[str]) -> Settings:
    printed = io.StringIO()
    try:
        with redirect_stderr(printed), redirect_stdout(printed):
            return tyro.extras.overridable_config_cli(dict(presets), prog=f"python -m pipelines {name}", args=args)
    except SystemExit as stop:
        if not stop.code:
            print(printed.getvalue())
            raise
        words = re.sub(r"\x1b\[[0-9;]*m|[│╭╮╰╯─]|-{4,}", " ", printed.getvalue())
        raise UserError(" ".join(words.split())) from None
