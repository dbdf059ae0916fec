"""``completion``: print what a shell needs to complete command lines: ``source <(imitate completion bash)``."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from importlib import import_module
from typing import Annotated, Any

import tyro

from imitate.errors import choose

from .__main__ import COMMANDS, module_of
from .shared.cli import STARTS_OVER, command

SHELLS = ("bash", "zsh", "tcsh")


@dataclass(frozen=True)
class Settings:
    """Whose."""

    shell: str = "bash"
    """bash, zsh or tcsh."""


PRESETS = {
    "default": ("For bash.", Settings()),
    **{shell: (f"For {shell}.", Settings(shell)) for shell in SHELLS},
}


def run(settings: Settings) -> None:
    """Print the script that completes commands, presets and settings, as the parser of them writes it."""
    choose(dict.fromkeys(SHELLS), settings.shell, "shell")
    commands = {name: _parsed_as(import_module(module_of(name)).PRESETS) for name in COMMANDS}
    printed = io.StringIO()
    with redirect_stdout(printed):
        try:
            tyro.extras.subcommand_cli_from_dict(
                commands,
                prog="imitate",
                args=["--tyro-print-completion", settings.shell],
                config=(tyro.conf.OmitSubcommandPrefixes,),
            )
        except SystemExit as stop:
            if stop.code:
                raise
    print(printed.getvalue().replace("complete -F", "complete -o default -F"))  # else bash completes no file's name


def _parsed_as(presets: Mapping[str, tuple[str, Any]]) -> Callable[..., None]:
    """What takes one of the presets, as a command does."""
    kind: Any = tyro.extras.subcommand_type_from_defaults(
        {name: settings for name, (_, settings) in presets.items()},
        {name: said for name, (said, _) in presets.items()},
    )

    def takes(settings: Any) -> None:
        pass

    takes.__annotations__["settings"] = Annotated[kind, tyro.conf.arg(name="")]  # its fields have no prefix
    return takes


def main() -> None:
    """Run from the command line."""
    command("completion", PRESETS, run, STARTS_OVER)


if __name__ == "__main__":
    main()
