"""Rows of memory: the peak of a whole stage with all its processes, see ``peak``. It hardly varies: measured once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from typing import Any

from .. import embed, record
from .peak import import_command, peak, run_command
from .rows import Row, compare
from .subject import Subject


def memory_record(subject: Subject) -> Iterator[Row]:
    """Against a process that has only imported the command, as for the other stages."""
    yield _row("memory_record", _recording(subject, _default(subject)), _imported("record"))


def memory_embed(subject: Subject) -> Iterator[Row]:
    """With the tests of the encoder that the stage ends with."""
    yield _row("memory_embed", _embedding(subject, _default(subject)), _imported("embed"))


def memory_imitate(subject: Subject) -> Iterator[Row]:
    """Two updates of the policy, and the film of it."""
    _embedding(subject, _default(subject))
    sizes, of = subject.sizes.imitate, _embed(subject, _default(subject))
    settings = replace(
        sizes,
        run=of.run,
        name=f"imitate-{subject.device.type}",
        encoder=of.run / of.name / "encoder",
        learner=subject.sizes.learner(),
        steps=2 * sizes.steps,
        workers=subject.workers,
        device=subject.device.type,
    )
    yield _row("memory_imitate", _measured("imitate", settings), _imported("imitate"))


def growth_record_episodes(subject: Subject) -> Iterator[Row]:
    """Against the first number of episodes: about 1 where a stage streams."""
    yield from _growth("growth_record_episodes", subject, _recording)


def growth_embed_episodes(subject: Subject) -> Iterator[Row]:
    """Against the first number of episodes: about 1 where a stage streams."""
    yield from _growth("growth_embed_episodes", subject, _embedding)


def _growth(name: str, subject: Subject, measured: Callable[[Subject, int], float]) -> Iterator[Row]:
    for n in subject.episodes[1:]:
        yield _row(f"{name}_{n}", measured(subject, n), measured(subject, subject.episodes[0]))


def _row(name: str, ours: float, reference: float) -> Row:
    return compare(name, "MB", lambda: ours, lambda: reference, 1)


def _default(subject: Subject) -> int:
    return subject.sizes.recipes["default"].record.train


def _record(subject: Subject, episodes: int) -> record.Settings:
    """As by default, validation and test demonstrations too, but for the number of training episodes."""
    run, default = subject.folder / f"episodes-{episodes}", subject.sizes.recipes["default"].record
    return replace(default, run=run, train=episodes, workers=subject.workers)


def _embed(subject: Subject, episodes: int) -> embed.Settings:
    device = subject.device.type
    return replace(subject.sizes.embed, run=_record(subject, episodes).run, name=f"embed-{device}", device=device)


def _recording(subject: Subject, episodes: int) -> float:
    return _measured("record", _record(subject, episodes))


def _embedding(subject: Subject, episodes: int) -> float:
    _recording(subject, episodes)
    return _measured("embed", _embed(subject, episodes))


@cache  # a stage that is finished does nothing more
def _measured(command: str, settings: Any) -> float:
    return peak(run_command, command, settings)


@cache
def _imported(command: str) -> float:
    return peak(import_command, command)
