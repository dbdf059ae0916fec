"""How well each way follows under each condition: the poses that were read, ``direct``, or a policy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from imitate.measuring.metrics import spread, success

from ..shared.results import Rows
from .summary import columns

FEW = 20  # demonstrations that shorter benchmarks follow: the first of the hundred, which has rows of them too
FIGURES = (
    *("ee_error_m", "final_ee_error_m", "joint_error_rad", "hold_still_ee_error_m", "random_ee_error_m"),
    *("believed_ee_error_m", "believed_joint_error_rad", "believed_embedding_distance"),
    *("embedding_distance", "reward"),
)
PRACTICE = ("practice_steps", "practice_seconds", "practice_apart")  # that the poses took


def summarise(followed: Mapping[str, Rows], ways: tuple[str, ...]) -> Rows:
    """A row a condition and way, of all demonstrations and of the first ``FEW``: medians and 95 % intervals.

    Args:
        followed: The figures of each demonstration, by condition.
        ways: Whose figures to summarise.
    """
    return [
        {"condition": condition, "way": way, **_summary(rows[:number], way)}
        for condition, rows in followed.items()
        for way in ways
        for number in dict.fromkeys((len(rows), min(FEW, len(rows))))
    ]


def _summary(rows: Rows, way: str) -> dict[str, Any]:
    ours = [{key.removeprefix(f"{way}_"): value for key, value in row.items()} for row in rows]
    figures: dict[str, Any] = {"demos": len(rows), "success": float(np.mean([bool(success(row)) for row in ours]))}
    for key in (*FIGURES, *(PRACTICE if way == "practised" else ())):
        figures |= columns(key, spread([row[key] for row in ours]))
    return figures if way == "direct" else figures | _beside_direct(rows, way)


def _beside_direct(rows: Rows, way: str) -> dict[str, float]:
    """On how many demonstrations a way is farther off than the direct one, by how much, and on how many less rewarded.

    Demonstration by demonstration: what separates two ways is less than what separates demonstrations.
    """
    farther = [row[f"{way}_ee_error_m"] - row["direct_ee_error_m"] for row in rows]
    rewarded = [row[f"{way}_reward"] - row["direct_reward"] for row in rows]
    return {
        "farther_than_direct": sum(one > 0 for one in farther),
        "farther_by_m": float(np.median(farther)),
        "less_reward_than_direct": sum(one < 0 for one in rewarded),
    }


def of_all(summary: Rows) -> Rows:
    """The rows of all demonstrations."""
    return [row for row in summary if row["demos"] == max(other["demos"] for other in summary)]


def print_ways(summary: Rows) -> None:
    """The medians over all demonstrations, a line a condition and way."""
    head = f"{'':24}{'flange error, m':>17}{'95 % interval':>17}"
    print(f"{head}{'joint error, rad':>18}{'success':>9}{'still':>8}")
    for row in of_all(summary):
        interval = f"{row['ee_error_m_low']:.3f} to {row['ee_error_m_high']:.3f}"
        cells = f"{row['ee_error_m']:17.3f}{interval:>17}{row['joint_error_rad']:18.3f}"
        print(f"{row['condition']:14}{row['way']:10}{cells}{row['success']:9.2f}{row['hold_still_ee_error_m']:8.3f}")
