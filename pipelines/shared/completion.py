"""What a shell needs to complete command lines."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout, suppress
from importlib import import_module
from typing import Any

import tyro

from imitate.errors import choose

SHELLS = ("bash", "zsh", "tcsh")


def completion(shell: str, modules: Mapping[str, str]) -> str:
    """The script that completes commands, presets and settings, as the parser of them writes it.

    Args:
        shell: One of ``SHELLS``.
        modules: Of each command, the module's full name.

    Raises:
        UserError: Another shell.
    """
    choose(dict.fromkeys(SHELLS), shell, "shell")
    commands = {name: _parsed_as(import_module(module).PRESETS) for name, module in modules.items()}
    printed = io.StringIO()
    with suppress(SystemExit), redirect_stdout(printed), redirect_stderr(printed):
        _print(commands, ["--tyro-print-completion", shell])
    return printed.getvalue()


def _parsed_as(presets: Mapping[str, tuple[str, Any]]) -> Callable[..., None]:
    """What takes one of the presets, as a command does."""
    kind: Any = tyro.extras.subcommand_type_from_defaults(
        {name: settings for name, (_, settings) in presets.items()},
        {name: said for name, (said, _) in presets.items()},
    )

    def takes(settings: Any) -> None:
        pass

    takes.__annotations__["settings"] = kind
    return takes


def _print(commands: Mapping[str, Callable[..., None]], args: Sequence[str]) -> None:
    bare = (tyro.conf.OmitArgPrefixes, tyro.conf.OmitSubcommandPrefixes)
    tyro.extras.subcommand_cli_from_dict(dict(commands), prog="imitate", args=args, config=bare)
