"""What compiled code takes as one value."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int32]


class Body(NamedTuple):
    """An arm, as compiled code takes it. Lengths in m; triangles of one link stand together.

    Attributes:
        parents: (links,) each link's parent, which stands before it; -1 is the world.
        joints: (links,) which joint turns the link against its parent; -1: none does.
        frames: (links, 3, 4) where the link stands in its parent's frame, with its joint at 0.
        axes: (links, 3) of its joint, in its own frame.
        starts: (links + 1,) a link's vertices are those from its own number to the next.
        vertices: (vertices, 3) in their link's frame.
        triangles: (triangles, 3) vertices, counterclockwise seen from outside.
        owners: (triangles,) the link of each.
        normals: (triangles, 3) outward, in their link's frame.
        bent: (triangles, 3, 3) the same at each corner, of what it is an edge of, if that were round.
        colours: (triangles, 3) 0 to 255.
    """

    parents: Integers
    joints: Integers
    frames: Floats
    axes: Floats
    starts: Integers
    vertices: Floats
    triangles: Integers
    owners: Integers
    normals: Floats
    bent: Floats
    colours: Floats


class View(NamedTuple):
    """A camera, as compiled code takes it.

    Attributes:
        world: (3, 4) from the world's frame to the camera's: right, up, forward, m.
        focal: Of a picture whose half side is 1.
        near: m; what is nearer is not seen.
        across: Where in its cell a sample is taken, from the left, in shares of the cell's side.
        down: The same, from above.
    """

    world: Floats
    focal: float
    near: float
    across: float
    down: float


class Stage(NamedTuple):
    """Scenes, as one camera sees them while the arm is not there, and as compiled code takes them.

    Attributes:
        direction: (scenes, 3) of length 1, to the lamp.
        ambient: (scenes, 3) share of each colour that comes from everywhere.
        direct: (scenes, 3) share that comes from the lamp.
        paint: (scenes, links, 3) colours of the links, 0 to 255; below 0: their own.
        smooth: (scenes,) whether the arm is shaded as if it were round.
        depth: (scenes, side, side) 1 over the distance of each sample, per m; 0: the background.
        colours: (scenes, side, side, 3) of each sample.
        pictures: (scenes, size, size, 3) of each pixel: the mean of its samples.
        blur: (scenes,) cells that a shadow's edge is wide, to either side; below 0: the arm casts none.
        ground: (scenes, size, size, 2) where the light that falls on a pixel has come through the plane of the arm's
            base, across and down in cells of a shadow.
        dim: (scenes, size, size, 3) share of a pixel's colour that the arm's shadow takes.
    """

    direction: Floats
    ambient: Floats
    direct: Floats
    paint: Floats
    smooth: NDArray[np.bool_]
    depth: NDArray[np.float32]
    colours: NDArray[np.uint8]
    pictures: NDArray[np.uint8]
    blur: Integers
    ground: NDArray[np.float32]
    dim: NDArray[np.float32]


class Scratch(NamedTuple):
    """What one thread draws on, and wipes after each frame. Before each call it shows the first of a stage's scenes.

    Attributes:
        links: (links, 3, 4) where each stands in the world.
        seen: (vertices, 6) right, up, forward, m, then across and down the picture, in samples, and 1 over forward.
        depth: (side, side) 1 over the distance of what is nearest, per m; 0: nothing is there.
        nearest: (side, side) the triangle that is; as many as there are: none of the arm's.
        spans: (side, 2) the columns in which something was drawn, of each row: from, to.
        lamp: (links, 3) the direction to the lamp, in the frame of each link.
        shades: (triangles, 3) 0 to 255: what colour each has; below 0: not yet known.
        shadow: (GRID, GRID) share of the lamp's light that the arm takes from the ground.
        under: (GRID, GRID) what casts it.
        rows: (GRID, 2) as ``spans``.
        line: (GRID,) of the shadow.
    """

    links: Floats
    seen: Floats
    depth: NDArray[np.float32]
    nearest: Integers
    spans: Integers
    lamp: Floats
    shades: Integers
    shadow: NDArray[np.float32]
    under: Integers
    rows: Integers
    line: NDArray[np.float32]
