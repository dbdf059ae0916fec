"""From the command line to settings, and from a user's mistake to one line and exit code 2."""

from __future__ import annotations

import errno
import io
import re
import shlex
import sys
import warnings
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import tyro

from imitate.errors import UserError, choose
from imitate.keeping.runs import read_json
from imitate.keeping.workers import WorkerDied

from .signals import Interrupted, raised

COLOUR = r"\x1b\[[0-9;]*m"  # of a terminal
CONFIG = "--config"
DEFAULT = "default"
DEMO = "demo"  # the setting that may stand by itself: follow my.mp4
FACTS = (
    "filmed_by",
    "rendering",
    "demo_sha256",
    "encoder_sha256",
    "policy_sha256",
    "frames_sha256",
    "labels_sha256",
)  # that stand beside the settings in a config.json, to be compared with
MENDABLE = frozenset(  # what a user can mend: disk, a place on it, the right to it, memory; any other OSError is a bug
    {
        errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ESTALE,
        errno.EROFS, errno.EACCES, errno.EPERM,
        errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EBUSY, errno.ETIMEDOUT,
        errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.ELOOP,
    }
)  # fmt: skip
NOISE = "|".join(  # of the parser's messages: their titles, its own names, and help that is not of ours
    (
        r"^(?:Value error|Unrecognized options|Missing argument|Missing required \w+|Parsing error) (?!:)",
        r"Error parsing \S*__tyro-dummy-inner__\S*: ",
        r" Argument helptext: .*",
        r" in imitate \S+ --help",
        r" ?For full helptext, .*",
    )
)
GOES_ON = "the same command goes on"
STARTS_OVER = "the same command starts over"


def command(
    name: str,
    presets: Mapping[str, tuple[str, Any]],
    run: Callable[[Any], object],
    again: str = GOES_ON,
    alone: str = DEMO,
) -> None:
    """Read settings from the command line and run a command with them.

    Args:
        name: Of the command.
        presets: By name, a description and the settings to start from, of one kind or of several. The first argument
            may name one; ``default`` if it does not. Or it is ``--config``, and the second a config.json to take the
            settings from. Before other settings may stand a demonstration, where the command takes one:
            ``follow my.mp4``.
        run: The command.
        again: What it does when it is run again after it was stopped.
        alone: The setting that may stand before all others, without its name.
    """
    try:
        with raised(), warnings.catch_warnings():
            warnings.showwarning = _warned(name)
            run(_settings(name, presets, sys.argv[1:], alone))
    except UserError as error:
        advice = f"; {again}" if isinstance(error, WorkerDied) else ""
        print(one_line(f"imitate {name}: {error}{advice}"), file=sys.stderr)
        raise SystemExit(2) from None
    except OSError as error:
        if error.errno not in MENDABLE:
            raise
        what = f"{error.filename or 'a file'}: {error.strerror}"
        print(one_line(f"imitate {name}: {what}: when that is mended, {again}"), file=sys.stderr)
        raise SystemExit(2) from None
    except MemoryError as error:
        print(one_line(f"imitate {name}: not enough memory ({error}): with more of it, {again}"), file=sys.stderr)
        raise SystemExit(2) from None
    except Interrupted as stop:
        print(f"imitate {name}: stopped by {stop.name}: {again}", file=sys.stderr)
        raise SystemExit(stop.exit_code) from None


def _warned(name: str) -> Callable[..., None]:
    """What shows a warning as a command says things: in one line, once, and not where in the code it arose."""
    said: set[str] = set()

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        line = one_line(re.sub(COLOUR, "", f"imitate {name}: {message}"))
        if line not in said:
            said.add(line)
            print(line, file=sys.stderr)

    return show


def _settings(name: str, presets: Mapping[str, tuple[str, Any]], args: list[str], alone: str = DEMO) -> Any:
    if CONFIG in args:
        return _from_config(name, presets, args)
    first, shown = args[0] if args else DEFAULT, hasattr(presets[DEFAULT][1], alone)
    if first in ("-h", "--help"):
        print(_overview(name, presets, alone if shown else ""))
        first, args = DEFAULT, ["--help"]
    elif first in presets:
        args = args[1:]
    elif first.startswith("-") or (shown and (alone != DEMO or _may_be_path(first))):
        first = DEFAULT
    else:
        choose(presets, first, "preset")
    if shown and args and not args[0].startswith("-"):
        if any(word == f"--{alone}" or word.startswith(f"--{alone}=") for word in args):
            raise UserError(f"{args[0]!r} and --{alone}: expected one of the two")
        args = [f"--{alone}", *args]
    return _parse(name, presets, [first, *args])


def _may_be_path(word: str) -> bool:
    return ":" in word or "/" in word or Path(word).suffix != "" or Path(word).exists()


def _overview(name: str, presets: Mapping[str, tuple[str, Any]], alone: str) -> str:
    shown = {"": "", DEMO: "[VIDEO] "}.get(alone, f"[{alone.upper()}] ")
    usage = f"imitate {name} [PRESET] {shown}[--SETTING VALUE ...]"
    width = max(map(len, presets))
    listed = [f"  {preset:{width}}  {said}" for preset, (said, _) in presets.items()]
    return "\n".join(
        [usage, "", "presets", *listed, "", f"settings of {DEFAULT}, which is taken where no preset is named"]
    )


def _from_config(name: str, presets: Mapping[str, tuple[str, Any]], args: list[str]) -> Any:
    """The settings that a config.json was written with, but for what the rest of the command line says."""
    at = args.index(CONFIG)
    before, path, rest = args[:at], Path(*args[at + 1 : at + 2]), args[at + 2 :]
    if before[:1] == ["default"]:
        before = before[1:]
    if at + 1 == len(args) or (before and before[0] in presets):
        raise UserError(f"{CONFIG}: expected a config.json after it, and no preset, whose settings it has already")
    made = _kept(name, presets, path)
    asked = _parse(name, {"default": ("As the file says.", made)}, ["default", *before, *rest])
    of_the_file = [f.name for f in fields(made) if f.name != "run" and isinstance(getattr(made, f.name), Path)]
    into_run = {key: asked.run / getattr(made, key) for key in of_the_file if getattr(asked, key) == getattr(made, key)}
    return replace(asked, **into_run)


def _kept(name: str, presets: Mapping[str, tuple[str, Any]], path: Path) -> Any:
    config = read_json(path)
    kept = config.get("settings") if isinstance(config, dict) else None
    if not isinstance(kept, dict):
        raise UserError(f"{path}: no settings in it, expected the config.json of a stage that {name} made")
    unknown = {preset: _unknown(kept, known) for preset, (_, known) in presets.items()}
    preset = min(unknown, key=lambda one: (len(unknown[one]), one != DEFAULT))
    if unknown[preset]:
        raise UserError(f"{path}: not the settings of {name}, which has none called {unknown[DEFAULT][0]!r}")
    said = words({key: value for key, value in kept.items() if key not in FACTS})
    try:
        return _parse(name, presets, [preset, *said])
    except UserError as error:
        raise UserError(f"{path}: not the settings of {name} ({error})") from None


def _unknown(kept: Mapping[str, Any], known: Any) -> list[str]:
    """Those of settings that a command of others does not have."""
    return sorted({*kept} - {*FACTS, *(field.name for field in fields(known))})


def words(settings: Mapping[str, Any], prefix: str = "--") -> list[str]:
    """Settings as a command line says them: the parser judges both alike."""
    said = []
    for key, value in settings.items():
        if isinstance(value, Mapping):
            said += words(value, f"{prefix}{key}.")
        elif isinstance(value, bool):
            said.append(f"{prefix}{key}" if value else f"{prefix}no-{key}")
        elif isinstance(value, list | tuple):
            said += [f"{prefix}{key}", *map(str, value)]
        else:
            said.append(f"{prefix}{key}={value}")
    return said


def command_line(name: str, settings: Any) -> str:
    """The command that these settings are of: it makes the same again."""
    return shlex.join(["imitate", name, *words(changed(settings))])


def changed(settings: Any) -> dict[str, Any]:
    """The settings that are not as by default."""
    found = {}
    for field in fields(settings):
        value = getattr(settings, field.name)
        if is_dataclass(value):
            found[field.name] = changed(value)
        elif value != field.default:
            found[field.name] = value
    return found


def one_line(text: str) -> str:
    """The text without its breaks: what a user names a file may have some."""
    return " ".join(text.splitlines())


def _parse(name: str, presets: Mapping[str, tuple[str, Any]], args: list[str]) -> Any:
    printed = io.StringIO()
    try:
        with redirect_stderr(printed), redirect_stdout(printed):
            return tyro.extras.overridable_config_cli(dict(presets), prog=f"imitate {name}", args=args)
    except SystemExit as stop:
        if not stop.code:
            print(printed.getvalue())
            raise
        said = re.sub(rf"{COLOUR}|[│╭╮╰╯─]|-{{4,}}", " ", printed.getvalue())
        said = re.sub(r" Perhaps you meant: (--\S+).*", r", did you mean \1?", " ".join(said.split()))
        said = re.sub(NOISE, "", said).strip()
        raise UserError(f"{said} (imitate {name} {args[0]} --help lists all settings)") from None
