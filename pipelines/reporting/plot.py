"""Line plots for a page: SVG paths, and where the numbers beside the axes go.

Text is not drawn here. The page sets it in its own type and colours, at any width, light or dark.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

SIDE = 1000  # units of the drawing, both ways; the page stretches it


@dataclass(frozen=True)
class Line:
    """A line to draw.

    Attributes:
        label: What it shows.
        x: (n,) where, from 0.
        y: (n,) how high; NaN where that is unknown: the line is interrupted there.
        colour: The number of one of the page's colours.
    """

    label: str
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    colour: int = 0


@dataclass(frozen=True)
class Tick:
    """A number beside an axis.

    Attributes:
        at: Where, in per cent of the axis.
        text: The number.
    """

    at: float
    text: str


@dataclass(frozen=True)
class Plot:
    """What a page needs to show lines.

    Attributes:
        title: What is drawn, with its unit.
        x_label: What the horizontal axis is.
        x_ticks: Numbers below.
        y_ticks: Numbers at the left.
        paths: Of each line that has a value, the line and its SVG path data.
        says: The plot in words, for those who do not see it.
    """

    title: str
    x_label: str
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    paths: list[tuple[Line, str]]
    says: str


def plot(title: str, x_label: str, lines: Sequence[Line], log: bool = False) -> Plot | None:
    """Lay out ``lines``; None if no value is known.

    Args:
        title: What is drawn, with its unit.
        x_label: What the horizontal axis is.
        lines: What to draw.
        log: On a logarithmic axis, without what is not positive; else the axis has 0 on it.
    """
    if log:
        lines = [replace(line, y=np.where(line.y > 0, line.y, np.nan)) for line in lines]
    shown = [line for line in lines if np.isfinite(line.y).any()]
    if not shown:
        return None
    least, most = (float(f([f(line.y) for line in shown])) for f in (np.nanmin, np.nanmax))
    scale = np.log10 if log else np.asarray
    heights = _decades(least, most) if log else MaxNLocator(4).tick_values(min(0.0, least), max(0.0, most))
    low, high = scale(heights[0]), scale(heights[-1])
    end = max(float(line.x.max()) for line in shown) or 1.0
    places = [x for x in MaxNLocator(5).tick_values(0, end) if 0 <= x <= end]
    return Plot(
        title,
        x_label,
        [Tick(100 * x / end, f"{x:,.6g}") for x in places],
        [Tick(float(100 * (scale(y) - low) / (high - low)), f"{y:.6g}") for y in heights],
        [(line, _path(SIDE * line.x / end, SIDE * (high - scale(line.y)) / (high - low))) for line in shown],
        f"{title}, over {x_label}: from {least:.3g} to {most:.3g}",
    )


def _decades(least: float, most: float) -> NDArray[np.float64]:
    """1, 2, 5, 10, 20 and so on, or 1, 10, 100 if that would be many, from just below to just above."""
    powers = 10.0 ** np.arange(np.floor(np.log10(least)) - 1, np.ceil(np.log10(most)) + 2)
    ticks = np.outer(powers, (1, 2, 5) if most < 100 * least else (1,)).ravel()
    return ticks[np.searchsorted(ticks, least, "right") - 1 : np.searchsorted(ticks, most, "right") + 1]


def _path(x: NDArray[np.float64], y: NDArray[np.float64]) -> str:
    """SVG path data: a new piece, at first no more than a dot, wherever the value before was unknown."""
    points = [None, *((a, b) if np.isfinite(b) else None for a, b in zip(x, y, strict=True))]
    pieces = []
    for before, point in pairwise(points):
        if point is not None:
            a, b = point
            pieces.append(f"L{a:.1f} {b:.1f}" if before else f"M{a:.1f} {b:.1f}h0")
    return "".join(pieces)
