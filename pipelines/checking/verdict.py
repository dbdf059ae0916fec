"""What the figures of a reward check say: a table, and where the reward is weakest."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from imitate.keeping.runs import Stage

# What a reward should reach before an agent learns from it.
LEAST = {"near_spearman_joint": 0.9, "near_spearman_ee": 0.9, "kendall_tau": 0.98}
MOST = {"alignment_error": 0.02}
SPOILT = 0.05  # so much better does an untrained network where training has made a figure worse
HARDLY_SEEN = 0.02  # visibility of a joint turned by 10 degrees; the true joints, as an embedding, have 0.05

ROWS = [f"{name}_spearman_{truth}" for name in ("near", "demo", "random_poses", "policy") for truth in ("joint", "ee")]
ROWS += ["policy_regret_joint", "policy_regret_ee", "kendall_tau", "alignment_error"]
ROWS += ["voc", "clips_spearman_joint"]


def report(figures: Mapping[str, Any]) -> None:
    """Print the encoder beside an untrained one, raw pixels and the true joints."""
    print(f"{'reward check':28}{'encoder':>10}{'untrained':>11}{'pixels':>9}{'true joints':>13}")
    for row in ROWS:
        values = [figures.get(prefix + row) for prefix in ("", "untrained_", "pixels_", "true_")]
        if values[0] is None:
            continue
        cells = [f"{value:.3f}" for value in values]
        print(f"{row:28}{cells[0]:>10}{cells[1]:>11}{cells[2]:>9}{cells[3]:>13}")
    seen = [f"{value:.2f}" for value in figures["visibility"]["10"]]
    print(f"visibility of each joint at 10 degrees: {' '.join(seen)}")


def weakness(figures: Mapping[str, Any]) -> str | None:
    """What is poor of a reward, and where it is weakest, in one line; None if nothing is, or nothing is known.

    An untrained network that does as well says something only of a figure that is poor: where both reach what is
    expected, there is no room for a difference. One that does clearly better says that training has spoilt it.
    """
    wrong = []
    for k, least in LEAST.items():
        value, untrained = _known(figures, k), _known(figures, f"untrained_{k}")
        if value < least:
            than = f", and no better than an untrained network's {untrained:.2f}" if value <= untrained else ""
            wrong.append(f"{k} is {_apart(value, least, 2)}, expected {least} or more{than}")
        elif value < untrained - SPOILT:
            wrong.append(f"{k} is {value:.2f}, expected no less than an untrained network's {untrained:.2f}")
    for k, most in MOST.items():
        if _known(figures, k) > most:
            wrong.append(f"{k} is {_apart(figures[k], most, 3)}, expected {most} or less")
    seen = _measured(
        {f"joint {k}": value for k, value in enumerate((figures.get("visibility") or {}).get("10", []), 1)}
    )
    wrong += [f"{joint} is hardly seen" for joint, value in seen.items() if value < HARDLY_SEEN]
    if not wrong:
        return None
    weakest = [min(seen, key=seen.__getitem__)] if seen else []
    for truth, unit in (("joint", "degrees a joint"), ("ee", "cm of the flange")):
        order = _measured(figures.get(f"near_order_{truth}") or {})
        if order and _known(figures, f"near_spearman_{truth}") < LEAST[f"near_spearman_{truth}"]:
            weakest.append(f"{min(order, key=order.__getitem__).replace('-', ' to ')} {unit}")
    return "; ".join(wrong) + (f"; weakest: {', '.join(weakest)}" if weakest else "")


def _apart(value: float, limit: float, digits: int) -> str:
    """A figure with as many digits as tell it from the limit that it misses."""
    while round(value, digits) == limit:
        digits += 1
    return f"{value:.{digits}f}"


def _measured(figures: Mapping[str, float | None]) -> dict[str, float]:
    """Those that are numbers: NaN becomes null in metrics.json."""
    return {name: value for name, value in figures.items() if value is not None and not np.isnan(value)}


def _known(figures: Mapping[str, Any], name: str) -> float:
    """A figure; NaN, which is neither too low nor too high, if it was not measured."""
    value = figures.get(name)
    return float("nan") if value is None else float(value)


def warn(encoder: Path) -> None:
    """Say so if the reward check that ``embed`` made found the reward of the encoder in this folder poor."""
    trained = Stage(encoder.parent)
    poor = weakness(trained.metrics) if trained.finished else None
    if poor:
        print(f"imitate: the reward of {encoder} may mislead: {poor} (see 'imitate check-reward')", file=sys.stderr)
