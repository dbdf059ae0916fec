"""Rows of what a user waits for: an agent that imitates, made from nothing, and the film of a robot that follows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count
from time import perf_counter
from typing import Any

from imitate.data.lerobot.dataset import LeRobotDataset
from imitate.envs.kuka import CONTROL_HZ
from imitate.keeping.workers import start_method

from ..follow import SHIPPED_DEMO
from ..follow import Settings as Follow
from ..imitate import stage_of
from .peak import run_command
from .rows import Row, compare
from .subject import Recipe, Subject

DEMOS = ("test:0", "test:1", "test:2")


def agent(subject: Subject) -> Iterator[Row]:
    """How long the default takes beside the preset thorough, and how far off the robot then is.

    A demonstration each time, from nothing each time; but for what is thorough, which takes long: its recording and its
    encoder are made once.
    """
    demos = DEMOS[: subject.repeats]
    default = [_agents(subject, "default", (demo,))[0] for demo in demos]
    thorough = _agents(subject, "thorough", demos)
    names = {f"{stage}_seconds": "s" for stage in ("record", "embed", "imitate")} | {"seconds": "s", "ee_error_m": "m"}
    for figure, unit in names.items():
        ours, theirs = (iter([getattr(made, figure) for made in agents]) for agents in (default, thorough))
        name = "error" if figure == "ee_error_m" else figure
        yield compare(f"agent_{name}", unit, ours.__next__, theirs.__next__, len(demos))


def follow_seconds(subject: Subject) -> Iterator[Row]:
    """From the command to the film of the demonstration that comes with the package, beside how long that lasts."""
    (length,) = LeRobotDataset(SHIPPED_DEMO).lengths
    run, device, workers = subject.folder / "follow", subject.device.type, subject.workers
    names = map(f"follow-{device}-{{}}".format, count())

    def follow() -> float:
        return _seconds("follow", Follow(run=run, name=next(names), device=device, workers=workers))

    yield compare("follow_seconds", "s", follow, lambda: length / CONTROL_HZ, subject.repeats)


@dataclass(frozen=True)
class Agent:
    """What was learned from nothing, each stage in a command of its own.

    Attributes:
        record_seconds: Of recording.
        embed_seconds: Of the encoder's training.
        imitate_seconds: Of learning to imitate.
        ee_error_m: Of the robot's flange, mean over an episode.
    """

    record_seconds: float
    embed_seconds: float
    imitate_seconds: float
    ee_error_m: float

    @property
    def seconds(self) -> float:
        """Of all of it."""
        return self.record_seconds + self.embed_seconds + self.imitate_seconds


def _agents(subject: Subject, name: str, demos: tuple[str, ...]) -> list[Agent]:
    recipe: Recipe = subject.sizes.recipes[name]
    device, workers = subject.device.type, subject.workers
    run = subject.folder / "-".join(["agent", name, device, *demos]).replace(":", "-")
    recording = _seconds("record", replace(recipe.record, run=run, workers=workers))
    training = _seconds("embed", replace(recipe.embed, run=run, device=device))
    agents = []
    for demo in demos:
        settings = replace(recipe.imitate, run=run, demo=demo, workers=workers, device=device)
        learning = _seconds("imitate", settings)
        agents.append(Agent(recording, training, learning, stage_of(settings).metrics["ee_error_m"]))
    return agents


def _seconds(command: str, settings: Any) -> float:
    """Of a command in a process of its own, which first has to start and to import it."""
    start = perf_counter()
    process = start_method().Process(target=run_command, args=(command, settings))
    process.start()
    process.join()
    if process.exitcode:
        raise RuntimeError(f"{command} ended with exit code {process.exitcode}")
    return perf_counter() - start
