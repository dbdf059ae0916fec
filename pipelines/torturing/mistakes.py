"""Bad inputs, generated: settings, command lines, manifests, datasets, encoders, demonstrations.

Strategies of Hypothesis, so that a test finds the smallest input that goes wrong. Each ends in exit code 2 and one
line.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, fields, is_dataclass
from functools import partial
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from .. import (
    align,
    bench,
    benchmark_follow,
    benchmark_imitation,
    check_reward,
    compression,
    embed,
    evaluate,
    follow,
    imitate,
    label,
    promote,
    record,
    report,
    retarget,
    retrieve,
    torture,
)
from ..shared.cli import CONFIG
from .damage import BYTES, written
from .files import as_parquet, below
from .said import Said, said, untouched
from .subject import Subject

MODULES = (
    record, embed, imitate, evaluate, follow, check_reward,
    bench, benchmark_follow, benchmark_imitation, align, compression, label, promote, report, retarget, retrieve,
    torture,
)  # fmt: skip
COMMANDS: Mapping[str, type] = {  # and presets that take other settings than the rest of their command
    " ".join((module.__name__.rsplit(".", 1)[-1], *preset)): kind
    for module in MODULES
    for preset, kind in (
        ((), module.Settings),
        *(((name,), type(of)) for name, (_, of) in getattr(module, "ELSEWHERE", {}).items()),
    )
}
PENDULUM = ("--env", "Pendulum-v1")  # of Gymnasium's own, and quickly made
NEGATIVE = ("learner.log_std", "reward.bonus")  # numbers that may be below 0
NAMES = ("name", "policy")  # of stages, which may be called as one likes, within the run
COLUMNS = ("progress", "reward")  # which may be called as one likes, but for a slash
FREE = ("run", "out", "cache")  # where anything that can be written will do
NEW = "new"  # a run that is not there before, nor behind a mistake

Mistake = tuple[str, ...]  # a command line


@dataclass(frozen=True)
class Spoilt:
    """A file that is something else than it should be.

    Attributes:
        name: Of the file, below the subject's folder.
        content: Instead of its own.
        args: The command that reads it.
    """

    name: str
    content: bytes
    args: Mistake


def options(kind: type, prefix: str = "") -> dict[str, Any]:
    """The settings of a command, by their names on the command line, with their types."""
    found: dict[str, Any] = {}
    hints = get_type_hints(kind)
    for field in fields(kind):
        if is_dataclass(hints[field.name]):
            found |= options(hints[field.name], f"{prefix}{field.name}.")
        else:
            found[prefix + field.name] = hints[field.name]
    return found


def words() -> SearchStrategy[str]:
    """Text that names nothing that is known; null bytes can't stand in a command line."""
    letters = st.characters(exclude_characters="\0", exclude_categories=())
    return st.text(letters, min_size=1, max_size=30).map(lambda text: f"~{text}")


def values(name: str, kind: Any) -> SearchStrategy[list[str]]:
    """What is wrong for an option of some type, as words of the command line."""
    parts = [part for part in get_args(kind) if part not in (type(None), Ellipsis)]
    kind = parts[0] if parts and not isinstance(parts[0], str) else kind
    below, beyond = st.integers(-(10**12), -1).map(str), st.integers(10**15, 10**30).map(str)
    if kind is bool:
        return words().map(lambda word: [word])
    if kind is int:
        return (words() | below | beyond | st.floats(allow_nan=True).map(lambda x: f"{x:.3f}") | st.just("")).map(
            lambda w: [w]
        )
    if kind is float:
        numbers = st.sampled_from(["nan", "-inf", "inf"])
        bad = words() | st.sampled_from(["nan", "-inf", ""]) | (st.nothing() if name in NEGATIVE else below | numbers)
        return bad.map(lambda word: [word])
    if name in COLUMNS:
        return words().map(lambda word: [f"{word}/"]) | st.just([""])
    if name in NAMES:
        return (words() | st.just("")).map(lambda word: [f"{word}/.."]) | st.sampled_from([["."], [".."], ["x" * 300]])
    return words().map(lambda word: [word])


def option(command: str) -> SearchStrategy[Mistake]:
    """A command with one setting that is wrong."""
    known = {name: kind for name, kind in options(COMMANDS[command]).items() if name not in FREE}
    return st.sampled_from(sorted(known)).flatmap(
        lambda name: values(name, known[name]).map(
            lambda wrong: (*command.split(), *_place(command), f"--{name.replace('_', '-')}", *wrong)
        )
    )


def _place(command: str) -> list[str]:
    """What makes a command read the run that is there, or begin a new one."""
    makes = command.split()[0] in ("record", "embed")
    of = ["--dataset", "given/dataset"] if command == "embed" else PENDULUM if command == "record environment" else []
    return ["--run", NEW if makes else "whole", *of]


def lines() -> SearchStrategy[Mistake]:
    """Command lines that are none: unknown commands, presets, options, and words that stand where none does."""
    commands = st.sampled_from(sorted(COMMANDS))
    unknown = words().map(lambda word: (word,))
    preset = st.builds(lambda c, word: (c.split()[0], word), commands, words())
    flag = st.builds(lambda c, word: (*c.split(), "--run", NEW, f"--{word}"), commands, words())
    lone = st.builds(lambda c, word: (c.split()[0], "default", "--run", NEW, word), commands, words())
    cut = commands.flatmap(
        lambda c: (
            st.sampled_from(sorted(n for n, kind in options(COMMANDS[c]).items() if kind in (int, float))).map(
                lambda name: (*c.split(), "--run", NEW, f"--{name.replace('_', '-')}")
            )
            if any(kind in (int, float) for kind in options(COMMANDS[c]).values())
            else st.just((*c.split(), "--run"))
        )
    )
    return unknown | preset | flag | lone | cut


def command_lines() -> SearchStrategy[Mistake]:
    """All of the above."""
    return lines() | st.sampled_from(sorted(COMMANDS)).flatmap(option)


READERS: Mapping[str, Mistake] = {  # which command reads a file, of a stranger's or of a finished stage
    "given/dataset": ("embed", "--run", NEW, "--dataset", "given/dataset", "--positive", "2", "--device", "cpu"),
    "given/encoder": ("imitate", "--run", "whole", "--name", NEW, "--encoder", "given/encoder"),
    "given/config.json": ("imitate", CONFIG, "given/config.json", "--run", "whole", "--name", NEW),
    "given/demonstration.mp4": ("imitate", "--run", "whole", "--name", NEW, "--demo", "given/demonstration.mp4"),
    "whole/record/manifest.json": ("embed", "--run", "whole", "--name", NEW, "--positive", "2"),
    "whole/embed/manifest.json": ("imitate", "--run", "whole", "--name", NEW),
    "whole/imitate/manifest.json": ("evaluate", "--run", "whole", "--name", NEW),
    "whole/imitate/config.json": ("report", "--run", "whole"),
    "whole/follow-test-0": ("follow", "--run", "whole", "--demo", "test:0"),
    "whole/benchmark-follow/rows": ("benchmark_follow", "--run", "whole", "--demos", "1", "--conditions", "plain"),
}
ODD: SearchStrategy[Any] = st.sampled_from(
    [
        None, True, -1, 0, 3, 10**15, 10**30, 1e308, float("nan"), "", "x", "../../x", "{", "0:1", [], {}, [[]], [None],
        {"a": 1},
    ]
)  # fmt: skip


def files(folder: Path) -> SearchStrategy[Spoilt]:
    """A file in a subject's folder that is damaged, or, of JSON and tables, has something else in one place."""
    found = {}
    for start, args in READERS.items():
        place = folder / start
        for path in below(place) or [place]:
            found[path.relative_to(folder).as_posix()] = args
    return st.sampled_from(sorted(found)).flatmap(
        lambda name: contents((folder / name).read_bytes(), Path(name).suffix).map(
            lambda content: Spoilt(name, content, found[name])
        )
    )


def contents(whole: bytes, suffix: str) -> SearchStrategy[bytes]:
    """What may stand in a file's place."""
    numbers = st.integers(0, 2**32 - 1)
    spoilt = st.builds(
        lambda damage, number: damage(whole, np.random.default_rng(number)), st.sampled_from(BYTES), numbers
    )
    other = st.binary(max_size=200) | spoilt
    if suffix in ODDLY:
        other |= st.builds(partial(ODDLY[suffix], whole), st.integers(0, 10**6), ODD)
    return other


def _replaced(whole: bytes, place: int, odd: Any) -> bytes:
    """JSON with something else in one of its places."""
    data = json.loads(whole)
    places = _places(data)
    holder, key = places[place % len(places)]
    if holder is None:
        data = odd
    else:
        holder[key] = odd
    return json.dumps(data).encode()


def _retyped(whole: bytes, place: int, odd: Any) -> bytes:
    """A table with something else in one of its columns; without that column, if no column can hold it."""
    table = pq.read_table(pa.BufferReader(whole))
    column = place % table.num_columns
    name = table.column_names[column]
    try:
        return as_parquet(table.set_column(column, name, pa.array([odd] * len(table))))
    except (pa.ArrowException, OverflowError):
        return as_parquet(table.drop_columns([name]))


ODDLY = {".json": _replaced, ".parquet": _retyped}


def _places(data: Any) -> list[tuple[Any, Any]]:
    """Each place in JSON: what holds it, and under which key; first the whole."""
    found: list[tuple[Any, Any]] = [(None, None)]
    waiting = [data]
    while waiting:
        holder = waiting.pop()
        keys = holder.keys() if isinstance(holder, dict) else range(len(holder)) if isinstance(holder, list) else ()
        found += [(holder, key) for key in keys]
        waiting += [holder[key] for key in keys]
    return found


def answer(folder: Path, args: Mistake) -> tuple[Said, list[str]]:
    """What a command says where the subject's files lie, and what it changed there."""
    absolute = [str(folder / word) if word.split("/")[0] in ("given", "whole", NEW) else word for word in args]
    at = absolute.index("--name") + 1 if "--name" in absolute else None
    if at is not None and absolute[at] == str(folder / NEW):
        absolute[at] = NEW
    with untouched(folder) as changed:
        told = said(absolute)
    return told, changed


def wrong(folder: Path, args: Mistake, harmless: bool = False) -> tuple[bool, str]:
    """Whether a command refused what it was given, and what was wrong with how it ended; empty if nothing.

    Args:
        folder: The subject's.
        args: The command line.
        harmless: Whether the command may also take it.
    """
    told, changed = answer(folder, args)
    if told.code is None:
        _tidy(folder)
        return False, "" if harmless else "accepted"
    return True, told.wrong or (f"left {', '.join(changed)}" if changed else "")


def _tidy(folder: Path) -> None:
    """Take away what a command began that took what it was given."""
    for begun in (folder / NEW, folder / "whole" / NEW):
        shutil.rmtree(begun, ignore_errors=True)


def spoil(folder: Path, spoilt: Spoilt) -> tuple[bool, str]:
    """As ``wrong``, of a spoilt file."""
    with ExitStack() as stack:
        stack.enter_context(written(folder / spoilt.name, spoilt.content))
        return wrong(folder, spoilt.args, harmless=True)


def mistakes(subject: Subject) -> dict[str, Any]:
    """Let Hypothesis make mistakes, until as many as are wanted were refused, and count how the commands take them."""
    subject.run, subject.given  # noqa: B018 (made before the first mistake)
    counts = {"bad_inputs": 0, "tracebacks": 0, "harmless_inputs": 0}
    faults: list[str] = []

    def count(refused: bool, fault: str, what: str) -> None:
        counts["bad_inputs"] += refused or bool(fault)
        counts["harmless_inputs"] += not refused and not fault
        counts["tracebacks"] += bool(fault)
        faults.extend([f"{what}: {fault}"] if fault else [])

    def line(args: Mistake) -> None:
        count(*wrong(subject.folder, args), " ".join(args))

    def file(spoilt: Spoilt) -> None:
        count(*spoil(subject.folder, spoilt), f"{spoilt.name} ({' '.join(spoilt.args[:1])})")

    kinds: list[tuple[SearchStrategy[Any], Callable[[Any], None]]] = [
        (command_lines(), line),
        (files(subject.folder), file),
    ]
    rounds = 0
    while counts["bad_inputs"] < subject.mistakes:
        strategy, tried = kinds[rounds % len(kinds)]
        left = subject.mistakes - counts["bad_inputs"]
        _generate(strategy, tried, max(1, left // 2 if rounds % len(kinds) == 0 else left), subject.seed + rounds)
        rounds += 1
    return {**counts, "faults": faults}


def _generate(strategy: SearchStrategy[Any], tried: Callable[[Any], None], number: int, start: int) -> None:
    """Try so many examples, the same for the same start."""

    @seed(start)
    @settings(
        max_examples=number,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def example(value: Any) -> None:
        tried(value)

    example()
