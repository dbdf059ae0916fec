"""What the runs of a method have in common."""

from __future__ import annotations

from typing import Any

from imitate.measuring.metrics import Spread, spread, success

from ..shared.results import Rows
from .methods import METHODS

ERRORS = ("ee_error_m", "final_ee_error_m", "joint_error_rad", "embedding_distance")
BASELINES = ("hold_still_ee_error_m", "random_ee_error_m")
BEFORE = ("direct", "practised")  # it learned: the poses taken as they were read, and as practice found them
FIGURES = (*ERRORS, "gap_closed", *[f"{way}_{name}" for way in BEFORE for name in ERRORS], *BASELINES)
NOTHING_LEARNED = (*BEFORE, "hold_still", "random")


def columns(name: str, of: Spread) -> dict[str, float]:
    """The columns of a figure: its median, and the ends of the interval."""
    return {name: of.median, f"{name}_low": of.low, f"{name}_high": of.high}


def summarise(runs: Rows) -> Rows:
    """By method, the median of each figure over its runs, its interquartile mean and its 95 % bootstrap interval.

    Demonstrations are drawn for the interval, with all their runs: seeds of one differ less than demonstrations do.

    Taking the poses that were read, holding still and acting at random stand beside the methods, as measured where the
    first method was.
    """
    names = dict.fromkeys(row["method"] for row in runs)
    of = {name: [row for row in runs if row["method"] == name] for name in names}
    first = of[runs[0]["method"]]
    others = [name for name in NOTHING_LEARNED if first[0].get(f"{name}_ee_error_m") is not None]
    return [
        *({"method": name, **_summary(rows, "")} for name, rows in of.items()),
        *({"method": name, **_summary(first, f"{name}_")} for name in others),
    ]


def _summary(rows: Rows, prefix: str) -> dict[str, Any]:
    ours = [{key: row.get(prefix + key) for key in FIGURES} for row in rows]
    figures: dict[str, Any] = {"runs": len(rows), "success": sum(map(bool, map(success, ours))) / len(rows)}
    for key in FIGURES:
        known = {k: value for k, one in enumerate(ours) if (value := one[key]) is not None}
        if known:
            found = spread(list(known.values()), [rows[k]["demo"] for k in known])
            figures |= columns(key, found) | {f"{key}_iqm": found.iqm}
    return figures


def close_gaps(runs: Rows) -> None:
    """Add ``gap_closed`` to the runs that an oracle stands beside, of the same ``_conditions``."""
    oracles = {_conditions(row): row["ee_error_m"] for row in runs if METHODS[row["method"]].imitate.oracle}
    for row in runs:
        oracle = oracles.get(_conditions(row))
        if oracle is not None and not METHODS[row["method"]].imitate.oracle:
            still = row["hold_still_ee_error_m"]
            row["gap_closed"] = (still - row["ee_error_m"]) / (still - oracle)


def _conditions(row: dict[str, Any]) -> tuple[str, int, str, str, bool, str]:
    """What else a run is learned under: demonstration, seed, arm, control, whether poses are observed, and whose."""
    learner = METHODS[row["method"]].imitate
    return row["demo"], row["seed"], learner.arm, learner.control, learner.observe_pose, learner.guess


def print_summary(summary: Rows) -> None:
    """The medians, a line a method."""
    print(f"{'median':12}{'flange error, m':>17}{'95 % interval':>17}{'joint error, rad':>18}{'success':>9}")
    for row in summary:
        interval = f"{row['ee_error_m_low']:.3f} to {row['ee_error_m_high']:.3f}"
        cells = f"{row['ee_error_m']:17.3f}{interval:>17}{row['joint_error_rad']:18.3f}"
        print(f"{row['method']:12}{cells}{row['success']:9.2f}")
