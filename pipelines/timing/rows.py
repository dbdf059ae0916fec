"""A row of the table: two rates or sizes that were measured in turn, and their ratio."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

Measure = Callable[[], float]


@dataclass(frozen=True)
class Row:
    """What a stage does beside what it is compared with.

    Attributes:
        name: Of the comparison.
        unit: Of ``ours`` and ``reference``.
        ours: Median over the repeats.
        reference: Median over the repeats.
        ratio: Median over the repeats of ours / reference, each of two measurements that followed each other.
        spread: The lowest and the highest of these ratios.
    """

    name: str
    unit: str
    ours: float
    reference: float
    ratio: float
    spread: tuple[float, float]

    def cells(self) -> dict[str, Any]:
        """By the columns of the table."""
        low, high = self.spread
        sizes = {"ours": self.ours, "reference": self.reference, "unit": self.unit}
        return {"name": self.name, **sizes, "ratio": self.ratio, "ratio_low": low, "ratio_high": high}


def compare(name: str, unit: str, ours: Measure, reference: Measure, repeats: int) -> Row:
    """Measure both in turn, ``repeats`` times.

    Which of them is first alternates, so that a machine which slows down, or heats up, does it to both alike.
    """
    pairs = []
    for k in range(repeats):
        if k % 2:
            second = reference()
            pairs.append((ours(), second))
        else:
            pairs.append((ours(), reference()))
    ratios = [mine / theirs for mine, theirs in pairs]
    mine, theirs = (median(values) for values in zip(*pairs, strict=True))
    return Row(name, unit, mine, theirs, median(ratios), (min(ratios), max(ratios)))
