"""Rows of the whole pipeline: from nothing to agents that imitate, with the preset ``fast`` and with the default."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from statistics import median
from time import perf_counter

from imitate.runs import Stage

from .. import embed, imitate, record
from .rows import Row, compare
from .subject import Recipe, Subject, quiet

DEMOS = ("test:0", "test:1", "test:2")


def agent_fast(subject: Subject) -> Iterator[Row]:
    """How long it takes, for one demonstration, and how far off the robot then is, median of three."""
    fast, default = (_agent(subject, name) for name in ("fast", "default"))
    yield compare("agent_fast_seconds", "s", lambda: fast.seconds, lambda: default.seconds, 1)
    yield compare("agent_fast_error", "m", lambda: fast.ee_error_m, lambda: default.ee_error_m, 1)


@dataclass(frozen=True)
class Agent:
    """What was learned from nothing.

    Attributes:
        seconds: Of recording, of the encoder's training and of learning to imitate, median over the demonstrations.
        ee_error_m: Of the robot's flange, mean over an episode, median over the demonstrations.
    """

    seconds: float
    ee_error_m: float


def _agent(subject: Subject, name: str) -> Agent:
    recipe: Recipe = subject.sizes.recipes[name]
    run, device = subject.folder / f"agent-{name}-{subject.device.type}", subject.device.type
    learned: list[tuple[float, Stage]] = []
    with quiet():
        start = perf_counter()
        record.run(replace(recipe.record, run=run, workers=subject.workers))
        embed.run(replace(recipe.embed, run=run, device=device))
        before = perf_counter() - start
        for demo in DEMOS:
            start = perf_counter()
            made = imitate.run(replace(recipe.imitate, run=run, demo=demo, workers=subject.workers, device=device))
            learned.append((perf_counter() - start, made))
    return Agent(
        before + median(seconds for seconds, _ in learned),
        median(stage.metrics["ee_error_m"] for _, stage in learned),
    )
