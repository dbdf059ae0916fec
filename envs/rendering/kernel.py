"""The compiled code: from poses to pictures, without a call of Python in between.

A sample is drawn where it lies in a triangle and no triangle is nearer to the camera; a pixel is the mean of its
samples. Compiled once for each processor, and kept beside this file, or where Numba keeps what can't be written there.
All of it stands here, with the values that it takes: what was compiled is kept until this file changes.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int32]

CUT = 4  # corners of what is left of a triangle, at most
GRID, REACH = 64, 1.6  # cells a side of a shadow on the ground, and how far that reaches from the arm's base, m


def compiled(function: Any) -> Any:
    """Compile a function when it is first called, and keep that for other processes, if there is a folder for it.

    No fastmath: equal poses are to give equal pictures. Numba keeps the processor's name and features with what it
    compiled, and writes it aside: another machine, or another process at the same time, compiles its own.
    """
    try:
        return njit(cache=True, nogil=True, error_model="numpy")(function)
    except RuntimeError:  # neither this folder nor the user's own for such things can be written to
        return njit(nogil=True, error_model="numpy")(function)


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


class Scenery(NamedTuple):
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
        lowest: (scenes,) height of what casts a shadow, at least, m.
        ground: (scenes, size, size, 2) where the light that falls on a pixel has come through the plane of the arm's
            base, across and down in cells of a shadow.
        dim: (scenes, size, size, 3) share of a pixel's colour that the arm's shadow takes.
    """

    direction: Floats
    ambient: Floats
    direct: Floats
    paint: Floats
    smooth: NDArray[np.bool]
    depth: NDArray[np.float32]
    colours: NDArray[np.uint8]
    pictures: NDArray[np.uint8]
    blur: Integers
    lowest: Floats
    ground: NDArray[np.float32]
    dim: NDArray[np.float32]


class Scratch(NamedTuple):
    """What one thread draws on, and wipes after each frame. Before each call it shows the first of a scenery's scenes.

    Attributes:
        links: (links, 3, 4) where each stands in the world.
        seen: (vertices + CUT, 6) right, up, forward, m, then across and down the picture, in samples, and 1 over
            forward. The last few are of what is left of a triangle that is cut.
        cells: (vertices + CUT, 3) the first column and row of samples that do not lie before it, from 0 to their
            number; and whether it is beyond the near plane, or for a shadow above the lowest plane that casts one.
        kept: (triangles, 5) those that may be seen: number, columns from and to, rows from and to.
        depth: (side, side) 1 over the distance of what is nearest, per m; 0: nothing is there.
        nearest: (side, side) the triangle that is; as many as there are: none of the arm's.
        spans: (side, 2) the columns in which something was drawn, of each row: from, to.
        lamp: (links, 3) the direction to the lamp, in the frame of each link.
        shades: (triangles, 3) 0 to 255: what colour each has; below 0: not yet known.
        shadow: (GRID, GRID) share of the lamp's light that the arm takes from the ground.
        under: (GRID, GRID) what casts it: drawn like what is nearest, and read by none.
        rows: (GRID, 2) the same, like ``spans``.
        line: (GRID,) of the shadow.
    """

    links: Floats
    seen: Floats
    cells: Integers
    kept: Integers
    depth: NDArray[np.float32]
    nearest: Integers
    spans: Integers
    lamp: Floats
    shades: Integers
    shadow: NDArray[np.float32]
    under: Integers
    rows: Integers
    line: NDArray[np.float32]


@compiled
def place(body: Body, pose: Floats, links: Floats) -> None:
    """Where each link stands in the world (links, 3, 4), with the joints at a pose (joints,), rad."""
    parents, joints, frames, axes = body.parents, body.joints, body.frames, body.axes
    turn = np.empty((3, 3))
    for i in range(len(parents)):
        parent, joint = parents[i], joints[i]
        turn[:] = 0.0
        turn[0, 0] = turn[1, 1] = turn[2, 2] = 1.0
        if joint >= 0:  # Rodrigues
            x, y, z = axes[i, 0], axes[i, 1], axes[i, 2]
            c, s = math.cos(pose[joint]), math.sin(pose[joint])
            t = 1.0 - c
            turn[0, 0], turn[0, 1], turn[0, 2] = t * x * x + c, t * x * y - s * z, t * x * z + s * y
            turn[1, 0], turn[1, 1], turn[1, 2] = t * x * y + s * z, t * y * y + c, t * y * z - s * x
            turn[2, 0], turn[2, 1], turn[2, 2] = t * x * z - s * y, t * y * z + s * x, t * z * z + c
        for a in range(3):
            for b in range(4):
                links[i, a, b] = frames[i, a, b]
                if parent >= 0:
                    links[i, a, b] = links[parent, a, 3] if b == 3 else 0.0
                    for k in range(3):
                        links[i, a, b] += links[parent, a, k] * frames[i, k, b]
            x, y, z = links[i, a, 0], links[i, a, 1], links[i, a, 2]
            for b in range(3):
                links[i, a, b] = x * turn[0, b] + y * turn[1, b] + z * turn[2, b]


@compiled
def _cell(x: float, offset: float, side: int) -> int:
    """The first sample that is not before x, of a row or a column of so many."""
    return int(max(0.0, min(float(side), np.ceil(x - offset))))


@compiled
def _picture(v: int, view: View, half: float, side: int, seen: Floats, cells: Integers) -> None:
    """Find where in the picture a vertex is."""
    scale = half * view.focal / seen[v, 2]
    seen[v, 3], seen[v, 4], seen[v, 5] = half + scale * seen[v, 0], half - scale * seen[v, 1], 1.0 / seen[v, 2]
    cells[v, 0], cells[v, 1] = _cell(seen[v, 3], view.across, side), _cell(seen[v, 4], view.down, side)


@compiled
def _project(body: Body, view: View, half: float, scratch: Scratch) -> None:
    """See each vertex from the camera."""
    world, links, seen, starts, vertices = view.world, scratch.links, scratch.seen, body.starts, body.vertices
    cells, side = scratch.cells, len(scratch.depth)
    matrix = np.empty((3, 4))
    for i in range(len(body.parents)):
        for a in range(3):
            for b in range(4):
                matrix[a, b] = world[a, 3] if b == 3 else 0.0
                for k in range(3):
                    matrix[a, b] += world[a, k] * links[i, k, b]
        for v in range(starts[i], starts[i + 1]):
            x, y, z = vertices[v, 0], vertices[v, 1], vertices[v, 2]
            a = matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2] * z + matrix[0, 3]
            b = matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2] * z + matrix[1, 3]
            c = matrix[2, 0] * x + matrix[2, 1] * y + matrix[2, 2] * z + matrix[2, 3]
            seen[v, 0], seen[v, 1], seen[v, 2] = a, b, c
            cells[v, 2] = c >= view.near
            if c >= view.near:
                _picture(v, view, half, side, seen, cells)


@compiled
def _fill(
    t: int, a: int, b: int, c: int, left: int, right: int, top: int, bottom: int, seen: Floats,
    across: float, down: float, depth: NDArray[np.float32], nearest: Integers, spans: Integers,
) -> None:  # fmt: skip
    """Draw a triangle with corners a, b and c in a part of the rows and columns (Pineda, 1988)."""
    ax, ay, az = seen[a, 3], seen[a, 4], seen[a, 5]
    bx, by, bz = seen[b, 3], seen[b, 4], seen[b, 5]
    cx, cy, cz = seen[c, 3], seen[c, 4], seen[c, 5]
    area = (cx - ax) * (by - ay) - (bx - ax) * (cy - ay)
    if not area > 0.0:  # seen from behind: down is positive, so that what is counterclockwise turns the other way
        return
    share = 1.0 / area
    x, y = left + across, top + down
    # Twice the areas opposite to a and to b, at the first sample, and how they grow to the right and downwards.
    at_a, at_b = (cx - x) * (by - y) - (bx - x) * (cy - y), (ax - x) * (cy - y) - (cx - x) * (ay - y)
    a_right, a_down = cy - by, bx - cx
    b_right, b_down = ay - cy, cx - ax
    # What lies on a common edge must not be lost between two triangles: their numbers differ by what is rounded, which
    # grows with the sides, however little of them is in the picture.
    longest = max(abs(a_right), abs(a_down), abs(b_right), abs(b_down))
    slack = max(1e-10 * (right - left + bottom - top) ** 2, 1e-14 * longest**2)
    most = area + slack
    a_nearer, b_nearer = share * (az - cz), share * (bz - cz)
    closer = cz + at_a * a_nearer + at_b * b_nearer
    z_right, z_down = a_right * a_nearer + b_right * b_nearer, a_down * a_nearer + b_down * b_nearer
    for row in range(top, bottom):
        spans[row, 0], spans[row, 1] = min(spans[row, 0], left), max(spans[row, 1], right)
        in_a, in_b, closeness = at_a, at_b, closer
        for column in range(left, right):
            if min(in_a, in_b) >= -slack and in_a + in_b <= most and closeness > depth[row, column]:
                depth[row, column] = closeness
                nearest[row, column] = t
            in_a += a_right
            in_b += b_right
            closeness += z_right
        at_a += a_down
        at_b += b_down
        closer += z_down


@compiled
def _fill_clipped(t: int, corners: NDArray[np.int32], view: View, half: float, scratch: Scratch) -> None:
    """Draw what lies beyond the near plane of a triangle that crosses it (Sutherland and Hodgman, 1974)."""
    seen, cells, side, near = scratch.seen, scratch.cells, len(scratch.depth), view.near
    first = last = len(seen) - CUT
    for k in range(3):
        here, there = corners[k], corners[(k + 1) % 3]
        ahead, behind = seen[here, 2], seen[there, 2]
        if ahead >= near:
            for a in range(3):
                seen[last, a] = seen[here, a]
            last += 1
        if (ahead >= near) != (behind >= near):
            share = (near - ahead) / (behind - ahead)
            for a in range(2):
                seen[last, a] = seen[here, a] + share * (seen[there, a] - seen[here, a])
            seen[last, 2] = near
            last += 1
    left, right, top, bottom = side, 0, side, 0
    for v in range(first, last):
        _picture(v, view, half, side, seen, cells)
        left, right = min(left, cells[v, 0]), max(right, cells[v, 0])
        top, bottom = min(top, cells[v, 1]), max(bottom, cells[v, 1])
    depth, nearest, spans = scratch.depth, scratch.nearest, scratch.spans
    for v in range(first + 2, last):
        _fill(t, first, v - 1, v, left, right, top, bottom, seen, view.across, view.down, depth, nearest, spans)


@compiled
def _keep(triangles: Integers, seen: Floats, cells: Integers, kept: Integers) -> int:
    """Find the triangles that may be seen, in order, into ``kept``: how many?

    Most of those of a small picture lie between samples, or show their back. Nothing branches here: which do is so
    uneven that a processor would guess wrong, which takes longer than a triangle.
    """
    count = 0
    for t in range(len(triangles)):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ax, ay, bx, by, cx, cy = seen[a, 3], seen[a, 4], seen[b, 3], seen[b, 4], seen[c, 3], seen[c, 4]
        beyond = cells[a, 2] + cells[b, 2] + cells[c, 2]
        left, right = min(cells[a, 0], cells[b, 0], cells[c, 0]), max(cells[a, 0], cells[b, 0], cells[c, 0])
        top, bottom = min(cells[a, 1], cells[b, 1], cells[c, 1]), max(cells[a, 1], cells[b, 1], cells[c, 1])
        front = (cx - ax) * (by - ay) - (bx - ax) * (cy - ay) > 0.0
        kept[count, 0], kept[count, 1], kept[count, 2], kept[count, 3], kept[count, 4] = t, left, right, top, bottom
        count += ((beyond == 3) & (left < right) & (top < bottom) & front) | ((beyond > 0) & (beyond < 3))
    return count


@compiled
def find_nearest(body: Body, view: View, scratch: Scratch) -> None:
    """Find what of a body that has been placed is nearest at each sample. To be wiped."""
    # Taken out of their values once: doing so counts references, which takes longer than a triangle.
    seen, cells, depth, nearest, spans = scratch.seen, scratch.cells, scratch.depth, scratch.nearest, scratch.spans
    triangles, kept, across, down = body.triangles, scratch.kept, view.across, view.down
    half = 0.5 * len(depth)
    _project(body, view, half, scratch)
    for k in range(_keep(triangles, seen, cells, kept)):
        t, left, right, top, bottom = kept[k, 0], kept[k, 1], kept[k, 2], kept[k, 3], kept[k, 4]
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        if cells[a, 2] + cells[b, 2] + cells[c, 2] == 3:
            _fill(t, a, b, c, left, right, top, bottom, seen, across, down, depth, nearest, spans)
        else:
            _fill_clipped(t, triangles[t], view, half, scratch)


@compiled
def _wipe(row: int, scratch: Scratch, backdrop: NDArray[np.float32], nothing: int) -> None:
    """Leave a row of samples as the next frame wants it."""
    depth, nearest, spans = scratch.depth, scratch.nearest, scratch.spans
    for column in range(spans[row, 0], spans[row, 1]):
        depth[row, column] = backdrop[row, column]
        nearest[row, column] = nothing
    spans[row, 0], spans[row, 1] = len(depth), 0


@compiled
def cast(body: Body, direction: Floats, blur: int, lowest: float, scratch: Scratch) -> None:
    """Find the shadow of what is placed on the plane of the arm's base, with light from a direction above it.

    Each point is moved along the light to that plane (Blinn, Me and My (Fake) Shadow, 1988), and drawn there. What is
    lower than ``lowest``, m, casts none.
    """
    links, shadow, line = scratch.links, scratch.shadow, scratch.line
    starts, vertices, triangles = body.starts, body.vertices, body.triangles
    seen, cells, kept = scratch.seen, scratch.cells, scratch.kept
    scale = 0.5 * GRID / REACH
    aslant_x, aslant_y = direction[0] / direction[2], direction[1] / direction[2]
    for i in range(len(links)):
        for v in range(starts[i], starts[i + 1]):
            for a in range(3):
                seen[v, a] = links[i, a, 3]
                for b in range(3):
                    seen[v, a] += links[i, a, b] * vertices[v, b]
            height = max(seen[v, 2], lowest)
            seen[v, 3] = 0.5 * GRID + scale * (seen[v, 0] - aslant_x * height)
            seen[v, 4] = 0.5 * GRID - scale * (seen[v, 1] - aslant_y * height)
            seen[v, 5] = 1.0
            cells[v, 0], cells[v, 1] = _cell(seen[v, 3], 0.5, GRID), _cell(seen[v, 4], 0.5, GRID)
            cells[v, 2] = seen[v, 2] >= lowest
    for y in range(GRID):
        for x in range(GRID):
            shadow[y, x] = 0.0
    for k in range(_keep(triangles, seen, cells, kept)):
        t, left, right, top, bottom = kept[k, 0], kept[k, 1], kept[k, 2], kept[k, 3], kept[k, 4]
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        _fill(t, a, b, c, left, right, top, bottom, seen, 0.5, 0.5, shadow, scratch.under, scratch.rows)
    if blur > 0:
        for _ in range(2):  # along rows, and then, turned, along columns
            _blur(shadow, blur, line)
            for y in range(GRID):
                for x in range(y):
                    shadow[x, y], shadow[y, x] = shadow[y, x], shadow[x, y]


@compiled
def _blur(shadow: NDArray[np.float32], reach: int, line: NDArray[np.float32]) -> None:
    """Make each of a row the mean of those around it, as far as they reach to either side."""
    share = np.float32(1.0 / (2 * reach + 1))
    for y in range(GRID):
        for x in range(GRID):
            line[x] = shadow[y, x]
        total = np.float32(0.0)
        for x in range(min(reach, GRID)):
            total += line[x]
        for x in range(GRID):
            if x + reach < GRID:
                total += line[x + reach]
            if x > reach:
                total -= line[x - reach - 1]
            shadow[y, x] = share * total


@compiled
def _copy_rows(values: NDArray[np.float32], into: NDArray[np.float32]) -> None:
    for y in range(len(values)):
        for x in range(values.shape[1]):
            into[y, x] = values[y, x]


@compiled
def _copy_pixels(values: NDArray[np.uint8], into: NDArray[np.uint8]) -> None:
    for y in range(len(values)):
        for x in range(values.shape[1]):
            for k in range(3):
                into[y, x, k] = values[y, x, k]


@compiled
def _shaded(shadow: NDArray[np.float32], across: float, down: float) -> float:
    """The shadow at a place between cells, bilinear. None beyond what it reaches."""
    x, y = across - 0.5, down - 0.5
    if not (0.0 <= x < GRID - 1 and 0.0 <= y < GRID - 1):
        return 0.0
    column, row = int(x), int(y)
    right, below = x - column, y - row
    above = (1.0 - right) * shadow[row, column] + right * shadow[row, column + 1]
    beneath = (1.0 - right) * shadow[row + 1, column] + right * shadow[row + 1, column + 1]
    return (1.0 - below) * above + below * beneath


@compiled
def look_up(shadow: NDArray[np.float32], where: Floats, taken: Floats) -> None:
    """Write the shadow at each of many places (n, 2), across and down, into ``taken`` (n,)."""
    for n in range(len(where)):
        taken[n] = _shaded(shadow, where[n, 0], where[n, 1])


@compiled
def _turn_lamp(links: Floats, direction: Floats, lamp: Floats) -> None:
    """See the direction to the lamp from the frame of each link."""
    for i in range(len(links)):
        for b in range(3):
            lamp[i, b] = direction[0] * links[i, 0, b] + direction[1] * links[i, 1, b] + direction[2] * links[i, 2, b]


@compiled
def _shade(body: Body, scenery: Scenery, s: int, t: int, facing: float, shade: Integers) -> None:
    """Find the colour of a triangle of which so much faces the lamp (Lambert)."""
    i = body.owners[t]
    facing = max(0.0, facing)
    for k in range(3):
        colour = scenery.paint[s, i, k]
        if colour < 0.0:
            colour = body.colours[t, k]
        shade[k] = int(min(255.0, colour * (scenery.ambient[s, k] + scenery.direct[s, k] * facing) + 0.5))


@compiled
def _facing(body: Body, view: View, smooth: bool, t: int, column: int, row: int, scratch: Scratch) -> float:
    """How much of a triangle faces the lamp at a sample; smooth: with the normal of a round body (Phong, 1975)."""
    seen, i = scratch.seen, body.owners[t]
    a, b, c = body.triangles[t, 0], body.triangles[t, 1], body.triangles[t, 2]
    lamp, flat, near = scratch.lamp, body.normals, view.near
    # Where a corner lies before the near plane, it is nowhere in the picture.
    if not smooth or min(seen[a, 2], seen[b, 2], seen[c, 2]) < near:
        return lamp[i, 0] * flat[t, 0] + lamp[i, 1] * flat[t, 1] + lamp[i, 2] * flat[t, 2]
    x, y = column + view.across, row + view.down
    in_a = (seen[c, 3] - x) * (seen[b, 4] - y) - (seen[b, 3] - x) * (seen[c, 4] - y)
    in_b = (seen[a, 3] - x) * (seen[c, 4] - y) - (seen[c, 3] - x) * (seen[a, 4] - y)
    in_c = (seen[b, 3] - x) * (seen[a, 4] - y) - (seen[a, 3] - x) * (seen[b, 4] - y)
    bent = body.bent[t]
    facing = square = 0.0
    for k in range(3):
        normal = in_a * bent[0, k] + in_b * bent[1, k] + in_c * bent[2, k]
        facing += normal * lamp[i, k]
        square += normal * normal
    return facing / math.sqrt(square) if square > 0.0 else 0.0


@compiled
def _darken(ground: NDArray[np.float32], dim: NDArray[np.float32], shadow: NDArray, frame: NDArray[np.uint8]) -> None:
    """Lay the arm's shadow over a picture."""
    for y in range(len(frame)):
        for x in range(len(frame)):
            if dim[y, x, 0] + dim[y, x, 1] + dim[y, x, 2] > 0.0:
                taken = _shaded(shadow, ground[y, x, 0], ground[y, x, 1])
                for k in range(3):
                    frame[y, x, k] = int(frame[y, x, k] * (1.0 - taken * dim[y, x, k]) + 0.5)


@compiled
def _resolve(
    body: Body, view: View, scenery: Scenery, s: int, samples: int, scratch: Scratch, frame: NDArray[np.uint8]
) -> None:
    """Lay the arm over a picture: a pixel is the mean of its samples, of which some may be of what is behind."""
    nearest, spans, shades = scratch.nearest, scratch.spans, scratch.shades
    colours, depth, smooth, nothing = scenery.colours[s], scenery.depth[s], scenery.smooth[s], len(body.triangles)
    _turn_lamp(scratch.links, scenery.direction[s], scratch.lamp)
    for t in range(nothing):
        shades[t, 0] = -1
    share = 1.0 / samples**2
    for y in range(len(frame)):
        first, last = len(nearest), 0
        for v in range(y * samples, (y + 1) * samples):
            first, last = min(first, spans[v, 0]), max(last, spans[v, 1])
        for x in range(first // samples, (last + samples - 1) // samples):
            red = green = blue = behind = 0
            back_red = back_green = back_blue = 0
            for v in range(y * samples, (y + 1) * samples):
                for u in range(x * samples, (x + 1) * samples):
                    t = nearest[v, u]
                    if t == nothing:
                        behind += 1
                        back_red += colours[v, u, 0]
                        back_green += colours[v, u, 1]
                        back_blue += colours[v, u, 2]
                        continue
                    if smooth or shades[t, 0] < 0:
                        _shade(body, scenery, s, t, _facing(body, view, smooth, t, u, v, scratch), shades[t])
                    red += shades[t, 0]
                    green += shades[t, 1]
                    blue += shades[t, 2]
            if behind == samples**2:
                continue
            if behind:
                taken = 0.0
                if scenery.blur[s] >= 0:
                    taken = _shaded(scratch.shadow, scenery.ground[s, y, x, 0], scenery.ground[s, y, x, 1])
                red += back_red * (1.0 - taken * scenery.dim[s, y, x, 0])
                green += back_green * (1.0 - taken * scenery.dim[s, y, x, 1])
                blue += back_blue * (1.0 - taken * scenery.dim[s, y, x, 2])
            frame[y, x, 0] = int(share * red + 0.5)
            frame[y, x, 1] = int(share * green + 0.5)
            frame[y, x, 2] = int(share * blue + 0.5)
        for v in range(y * samples, (y + 1) * samples):
            _wipe(v, scratch, depth, nothing)


@compiled
def draw(
    body: Body, poses: Floats, view: View, scenery: Scenery, scenes: Integers, samples: int, scratch: Scratch,
    frames: NDArray[np.uint8],
) -> None:  # fmt: skip
    """Draw a picture (size, size, 3) into ``frames`` for each of ``poses`` (n, joints), rad, in ``scenes`` (n,)."""
    shown = 0
    for n in range(len(poses)):
        s = scenes[n]
        if s != shown:
            _copy_rows(scenery.depth[s], scratch.depth)
            shown = s
        place(body, poses[n], scratch.links)
        _copy_pixels(scenery.pictures[s], frames[n])
        if scenery.blur[s] >= 0:
            cast(body, scenery.direction[s], scenery.blur[s], scenery.lowest[s], scratch)
            _darken(scenery.ground[s], scenery.dim[s], scratch.shadow, frames[n])
        find_nearest(body, view, scratch)
        _resolve(body, view, scenery, s, samples, scratch, frames[n])
    if shown:
        _copy_rows(scenery.depth[0], scratch.depth)


@compiled
def identify(
    body: Body, poses: Floats, view: View, backdrop: NDArray[np.float32], scratch: Scratch, ids: NDArray[np.int16]
) -> None:
    """Write the link that is seen at each pixel (size, size) into ``ids`` for each of ``poses``; -1: none is."""
    nearest, owners = scratch.nearest, body.owners
    nothing = len(owners)
    for n in range(len(poses)):
        place(body, poses[n], scratch.links)
        find_nearest(body, view, scratch)
        for y in range(ids.shape[1]):
            for x in range(ids.shape[2]):
                t = nearest[y, x]
                ids[n, y, x] = owners[t] if t < nothing else -1
            _wipe(y, scratch, backdrop, nothing)
