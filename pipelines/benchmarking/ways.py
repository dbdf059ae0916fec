"""How well each way follows under each condition: the poses that were read, ``direct``, or a policy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from imitate.measuring.metrics import spread, success

from ..shared.results import Rows
from .summary import columns

FEW = 20  # demonstrations that shorter benchmarks follow: the first of the hundred, which has rows of them too
LEARNED = "learned"  # the way of who learns by the reward alone
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
        ways: Whose figures to summarise. Each goes on with what the one before it has found out.
    """
    return [
        {"condition": condition, "way": way, **_summary(rows[:number], ways[: k + 1])}
        for condition, rows in followed.items()
        for k, way in enumerate(ways)
        for number in dict.fromkeys((len(rows), min(FEW, len(rows))))
    ]


def _summary(rows: Rows, ways: tuple[str, ...]) -> dict[str, Any]:
    """The figures of the last of the ways."""
    ours = [_with(row, ways) for row in rows]
    figures: dict[str, Any] = {"demos": len(rows), "success": float(np.mean([bool(success(row)) for row in ours]))}
    # An older version did not keep in a row what practice took.
    for key in (*FIGURES, *(PRACTICE if ways[-1] == "practised" and PRACTICE[0] in rows[0] else ())):
        figures |= columns(key, spread([row[key] for row in ours]))
    return figures if len(ways) == 1 else figures | _beside(rows, *ways[-2:])


def _with(row: dict[str, Any], ways: tuple[str, ...]) -> dict[str, Any]:
    """A row as the last of the ways has it; what it does not change is that of the one before."""
    row = dict(row)
    for way in ways:
        row |= {key.removeprefix(f"{way}_"): value for key, value in row.items() if key.startswith(f"{way}_")}
    return row


def _beside(rows: Rows, before: str, way: str) -> dict[str, float]:
    """On how many demonstrations a way is farther off than the one before, by how much, and on how many less rewarded.

    Demonstration by demonstration: what separates two ways is less than what separates demonstrations.
    """
    farther = [row[f"{way}_ee_error_m"] - row[f"{before}_ee_error_m"] for row in rows]
    figures = {f"farther_than_{before}": sum(one > 0 for one in farther), "farther_by_m": float(np.median(farther))}
    if way == LEARNED:  # it is rewarded in another room
        return figures
    rewarded = [row[f"{way}_reward"] - row[f"{before}_reward"] for row in rows]
    return figures | {f"less_reward_than_{before}": sum(one < 0 for one in rewarded)}


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
