"""What a thread draws on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .kernel import CUT, GRID, Body, Scratch


def scratch_of(body: Body, backdrop: NDArray[np.float32]) -> Scratch:
    """What one thread draws a body on, before a backdrop (side, side), 1 over the distance of each sample, per m."""
    side = len(backdrop)
    return Scratch(
        links=np.empty((len(body.parents), 3, 4)),
        seen=np.empty((len(body.vertices) + CUT, 6)),
        cells=np.empty((len(body.vertices) + CUT, 3), np.int32),
        kept=np.empty((len(body.triangles), 5), np.int32),
        depth=backdrop.copy(),
        nearest=np.full((side, side), len(body.triangles), np.int32),
        spans=np.tile(np.array([side, 0], np.int32), (side, 1)),
        lamp=np.empty((len(body.parents), 3)),
        shades=np.empty((len(body.triangles), 3), np.int32),
        shadow=np.zeros((GRID, GRID), np.float32),
        under=np.zeros((GRID, GRID), np.int32),
        rows=np.zeros((GRID, 2), np.int32),
        line=np.empty(GRID, np.float32),
    )
