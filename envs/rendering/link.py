"""What an arm is made of, as its description says: links, and what is seen of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Link:
    """One link of an arm, and how it hangs on its parent.

    Attributes:
        name: Of the link.
        parent: Number of its parent; -1: the world.
        joint: Number of the joint that turns it; -1: none does.
        frame: (3, 4) where it stands in its parent's frame, with its joint at 0.
        axis: (3,) of its joint, in its own frame.
        shapes: What is seen of it.
    """

    name: str
    parent: int
    joint: int
    frame: Floats
    axis: Floats
    shapes: tuple[Shape, ...]


@dataclass(frozen=True)
class Shape:
    """Something that is seen of a link.

    Attributes:
        kind: ``mesh``, ``box``, ``cylinder``, ``sphere`` or ``capsule``.
        file: Of a mesh.
        size: (3,) scale of a mesh; sides of a box; length and radius of a cylinder or capsule, or radius of a sphere.
        frame: (3, 4) where it stands in its link's frame.
        colour: (3,) 0 to 1.
    """

    kind: str
    file: Path | None
    size: tuple[float, float, float]
    frame: Floats
    colour: tuple[float, float, float]
