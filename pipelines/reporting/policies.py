"""What a run has learned: its policies, read back from their stages."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imitate.errors import UserError, first_line
from imitate.keeping.manifest import verified
from imitate.keeping.runs import Stage, read_json
from imitate.measuring.metrics import success

_NO_DIFFERENCE = ("demo", "seed", "name", "resize", "device")  # settings that make it no other way of learning


@dataclass(frozen=True)
class Learned:
    """A policy, and how it came to be.

    Attributes:
        stage: Where it is.
        demo: What it learned from, as its config.json names it.
        seed: Of the learner.
        how: The settings in which it differs from the run's first policy; empty if in none.
        figures: Those of metrics.json.
        curve: (rollouts,) of each figure of curve.json.
        steps: (steps,) of each figure of rollout.json, or of an evaluation; empty where there is neither.
        fps: Steps a second.
        success: Whether it followed; None where the truth is unknown.
    """

    stage: Stage
    demo: str
    seed: int
    how: str
    figures: Mapping[str, Any]
    curve: Mapping[str, NDArray[np.float64]]
    steps: Mapping[str, NDArray[np.float64]]
    fps: float
    success: bool | None

    @property
    def label(self) -> str:
        """The demonstration's name: of a file, without where it lies."""
        return Path(self.demo).name


def read_policies(stages: Iterable[Stage], evaluations: Sequence[Stage] = ()) -> list[Learned]:
    """The policies of finished ``imitate`` stages, demonstration by demonstration.

    Args:
        stages: Theirs.
        evaluations: Finished ``evaluate`` stages of the same run, which know the steps of policies whose stage is
            older than rollout.json.

    Raises:
        UserError: A file is damaged.
    """
    ordered = sorted(stages, key=lambda stage: (stage.folder.name != "imitate", natural(stage.folder.name)))
    policies: list[Learned] = []
    for stage in ordered:
        try:
            policies.append(_read(stage, ordered[0].settings, evaluations))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            if isinstance(error, UserError):
                raise
            wrong = f"{type(error).__name__}: {first_line(error)}"
            raise UserError(f"{stage.folder}: not what 'imitate' writes ({wrong}): delete it, learn again") from None
    return sorted(policies, key=_place)  # stable: else in the order above


def _place(one: Learned) -> tuple[Any, ...]:
    """Demonstration by demonstration, bare videos last, and of each the run's first way of learning first."""
    return one.success is None, natural(one.demo), bool(one.how), one.how.count(","), one.how, one.seed


def _read(stage: Stage, first: Mapping[str, Any], evaluations: Sequence[Stage]) -> Learned:
    settings, figures, rows = stage.settings, stage.metrics, read_json(stage.path("curve.json"))
    rollout = _rollout(stage, settings["demo"], evaluations)
    fps = float(rollout.pop("fps", 1))
    if not fps > 0:
        raise ValueError(f"{fps} steps a second")
    curve = {key: numbers(row.get(key) for row in rows) for key in ("steps", "ee_error_m", "env_reward", "reward")}
    if np.isnan(curve["steps"]).any():
        raise ValueError("a curve whose steps are unknown")
    return Learned(
        stage,
        str(settings["demo"]),
        int(settings["seed"]),
        _differences(settings, first),
        figures,
        curve,
        {key: numbers(values) for key, values in rollout.items()},
        fps,
        success(figures),
    )


def _rollout(stage: Stage, demo: str, evaluations: Sequence[Stage]) -> dict[str, Any]:
    path = verified(stage.path("rollout.json"))
    for one in evaluations if not path.is_file() else ():
        asked = one.settings
        if (
            asked["policy"] == stage.folder.name
            and demo in asked["demos"]
            and not asked["start_noise"]
            and asked.get("clock", True)
        ):
            path = one.path(f"demonstration-{asked['demos'].index(demo)}.json")
    return dict(read_json(path)) if path.is_file() else {}


def numbers(values: Iterable[Any]) -> NDArray[np.float64]:
    """(n,) numbers of a JSON file; NaN where they are null or not finite."""
    array = np.array([np.nan if value is None else float(value) for value in values], np.float64)
    array[~np.isfinite(array)] = np.nan
    return array


def natural(text: str) -> list[tuple[int, str]]:
    """A key to sort by that puts ``test:10`` after ``test:2``."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"([0-9]+)", text)]


def flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Settings and the settings within them, as the command line names them: ``learner.gamma``."""
    for key, value in sorted(settings.items()):
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _differences(settings: Mapping[str, Any], first: Mapping[str, Any]) -> str:
    before = dict(flat(first))
    changed = {k: v for k, v in flat(settings) if k not in _NO_DIFFERENCE and v != before.get(k)}
    return ", ".join(_say(key, value) for key, value in sorted(changed.items()))


def _say(key: str, value: Any) -> str:
    if isinstance(value, bool):
        return key if value else f"no {key}"
    if key == "encoder":  # the stage that made it says more than the whole path
        return f"encoder {Path(value).parent.name or value}" if value else "the run's own encoder"
    return f"{key} {value}"
