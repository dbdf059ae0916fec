"""The compiled code: from poses to pictures, without a call of Python in between.

A sample is drawn where it lies in a triangle and no triangle is nearer to the camera; a pixel is the mean of its
samples. Compiled once for each processor, and kept beside this file, or where Numba keeps what can't be written there.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int32]


def compiled(function: Any) -> Any:
    """Compile a function when it is first called, and keep that for other processes, if there is a folder for it.

    No fastmath: equal poses are to give equal pictures. Numba keeps the processor's name and features with what it
    compiled, and writes it aside: another machine, or another process at the same time, compiles its own.
    """
    try:
        return njit(cache=True, nogil=True, error_model="numpy")(function)
    except RuntimeError:  # neither this folder nor the user's own for such things can be written to
        return njit(nogil=True, error_model="numpy")(function)


# What compiled code takes as one value stands here: what was compiled is kept until this file changes.
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


class Light(NamedTuple):
    """What light falls on the arm.

    Attributes:
        direction: (3,) of length 1, to the light.
        ambient: (3,) share of each colour that comes from everywhere.
        direct: (3,) share that comes from there.
        background: (3,) 0 to 255.
    """

    direction: Floats
    ambient: Floats
    direct: Floats
    background: Floats


class Scratch(NamedTuple):
    """What one thread draws on, and wipes after each frame.

    Attributes:
        links: (links, 3, 4) where each stands in the world.
        seen: (vertices, 6) right, up, forward, m, then across and down the picture, in samples, and 1 over forward.
        depth: (side, side) 1 over the distance of what is nearest, per m; 0: nothing is there.
        nearest: (side, side) the triangle that is; as many as there are: none.
        spans: (side, 2) the columns in which something was drawn, of each row: from, to.
        shades: (triangles + 1, 3) 0 to 255: what colour each has; the last one is the background.
    """

    links: Floats
    seen: Floats
    depth: NDArray[np.float32]
    nearest: Integers
    spans: Integers
    shades: Integers


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
def _project(body: Body, view: View, half: float, scratch: Scratch) -> None:
    """See each vertex from the camera."""
    world, links, seen, starts, vertices = view.world, scratch.links, scratch.seen, body.starts, body.vertices
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
            if c >= view.near:
                scale = half * view.focal / c
                seen[v, 3], seen[v, 4], seen[v, 5] = half + scale * a, half - scale * b, 1.0 / c


@compiled
def _fill(
    t: int, ax: float, ay: float, az: float, bx: float, by: float, bz: float, cx: float, cy: float, cz: float,
    across: float, down: float, depth: NDArray[np.float32], nearest: Integers, spans: Integers,
) -> None:  # fmt: skip
    """Draw a triangle, of which across, down and 1 over the distance are known at each corner (Pineda, 1988)."""
    area = (cx - ax) * (by - ay) - (bx - ax) * (cy - ay)
    if not area > 0.0:  # seen from behind: down is positive, so that what is counterclockwise turns the other way
        return
    side = len(depth)
    left = max(0, math.ceil(min(ax, bx, cx) - across))
    right = min(side, math.ceil(max(ax, bx, cx) - across))
    top = max(0, math.ceil(min(ay, by, cy) - down))
    bottom = min(side, math.ceil(max(ay, by, cy) - down))
    if left >= right or top >= bottom:  # it lies between samples, as most triangles of a small picture do
        return
    # What lies on a common edge must not be lost between two triangles: their numbers differ by what is rounded.
    slack = 1e-10 * (right - left + bottom - top) ** 2
    share = 1.0 / area
    x, y = left + across, top + down
    # Twice the areas opposite to a and to b, at the first sample, and how they grow to the right and downwards.
    at_a, at_b = (cx - x) * (by - y) - (bx - x) * (cy - y), (ax - x) * (cy - y) - (cx - x) * (ay - y)
    a_right, a_down = cy - by, bx - cx
    b_right, b_down = ay - cy, cx - ax
    a_nearer, b_nearer = share * (az - cz), share * (bz - cz)
    closer = cz + at_a * a_nearer + at_b * b_nearer
    z_right, z_down = a_right * a_nearer + b_right * b_nearer, a_down * a_nearer + b_down * b_nearer
    for row in range(top, bottom):
        spans[row, 0], spans[row, 1] = min(spans[row, 0], left), max(spans[row, 1], right)
        in_a, in_b, closeness = at_a, at_b, closer
        for column in range(left, right):
            if in_a >= -slack and in_b >= -slack and in_a + in_b <= area + slack and closeness > depth[row, column]:
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
    cut = np.empty((4, 3))
    count = 0
    for k in range(3):
        here, there = scratch.seen[corners[k]], scratch.seen[corners[(k + 1) % 3]]
        if here[2] >= view.near:
            cut[count] = here[:3]
            count += 1
        if (here[2] >= view.near) != (there[2] >= view.near):
            share = (view.near - here[2]) / (there[2] - here[2])
            cut[count] = here[:3] + share * (there[:3] - here[:3])
            cut[count, 2] = view.near
            count += 1
    for k in range(count):
        scale = half * view.focal / cut[k, 2]
        cut[k, 0], cut[k, 1], cut[k, 2] = half + scale * cut[k, 0], half - scale * cut[k, 1], 1.0 / cut[k, 2]
    for k in range(2, count):
        _fill(
            t, cut[0, 0], cut[0, 1], cut[0, 2], cut[k - 1, 0], cut[k - 1, 1], cut[k - 1, 2],
            cut[k, 0], cut[k, 1], cut[k, 2], view.across, view.down, scratch.depth, scratch.nearest, scratch.spans,
        )  # fmt: skip


@compiled
def _draw_one(body: Body, pose: Floats, view: View, scratch: Scratch) -> None:
    """Find what is nearest at each sample. To be wiped."""
    # Taken out of their values once: doing so counts references, which takes longer than a triangle.
    seen, depth, nearest, spans = scratch.seen, scratch.depth, scratch.nearest, scratch.spans
    triangles, near, across, down = body.triangles, view.near, view.across, view.down
    half = 0.5 * len(depth)
    place(body, pose, scratch.links)
    _project(body, view, half, scratch)
    for t in range(len(triangles)):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        beyond = (seen[a, 2] >= near) + (seen[b, 2] >= near) + (seen[c, 2] >= near)
        if beyond == 3:
            _fill(
                t, seen[a, 3], seen[a, 4], seen[a, 5], seen[b, 3], seen[b, 4], seen[b, 5],
                seen[c, 3], seen[c, 4], seen[c, 5], across, down, depth, nearest, spans,
            )  # fmt: skip
        elif beyond:
            _fill_clipped(t, triangles[t], view, half, scratch)


@compiled
def _wipe(row: int, depth: NDArray[np.float32], nearest: Integers, spans: Integers, nothing: int) -> None:
    """Leave a row of samples as the next frame wants it."""
    for column in range(spans[row, 0], spans[row, 1]):
        depth[row, column] = 0.0
        nearest[row, column] = nothing
    spans[row, 0], spans[row, 1] = len(depth), 0


@compiled
def _shade(body: Body, light: Light, scratch: Scratch) -> None:
    """Find the colour of each triangle, flat (Lambert)."""
    links, shades, owners, normals, colours = scratch.links, scratch.shades, body.owners, body.normals, body.colours
    to_light, ambient, direct = light.direction, light.ambient, light.direct
    own = np.empty((len(links), 3))  # the light's direction, in the frame of each link
    for i in range(len(links)):
        for b in range(3):
            own[i, b] = to_light[0] * links[i, 0, b] + to_light[1] * links[i, 1, b] + to_light[2] * links[i, 2, b]
    for t in range(len(owners)):
        i = owners[t]
        facing = max(0.0, own[i, 0] * normals[t, 0] + own[i, 1] * normals[t, 1] + own[i, 2] * normals[t, 2])
        for k in range(3):
            shades[t, k] = min(255.0, colours[t, k] * (ambient[k] + direct[k] * facing) + 0.5)
    for k in range(3):
        shades[len(owners), k] = light.background[k]


@compiled
def draw(
    body: Body, poses: Floats, view: View, light: Light, samples: int, scratch: Scratch, frames: NDArray[np.uint8]
) -> None:
    """Draw a picture (size, size, 3) into ``frames`` for each of ``poses`` (n, joints), rad."""
    depth, nearest, spans, shades = scratch.depth, scratch.nearest, scratch.spans, scratch.shades
    nothing = len(body.triangles)
    share = 1.0 / samples**2
    for n in range(len(poses)):
        _draw_one(body, poses[n], view, scratch)
        _shade(body, light, scratch)
        for y in range(frames.shape[1]):
            first, last = len(depth), 0
            for v in range(y * samples, (y + 1) * samples):
                first, last = min(first, spans[v, 0]), max(last, spans[v, 1])
            for x in range(frames.shape[2]):
                if x * samples >= last or (x + 1) * samples <= first:
                    for k in range(3):
                        frames[n, y, x, k] = shades[nothing, k]
                    continue
                red = green = blue = 0
                for v in range(y * samples, (y + 1) * samples):
                    for u in range(x * samples, (x + 1) * samples):
                        t = nearest[v, u]
                        red += shades[t, 0]
                        green += shades[t, 1]
                        blue += shades[t, 2]
                frames[n, y, x, 0] = int(share * red + 0.5)
                frames[n, y, x, 1] = int(share * green + 0.5)
                frames[n, y, x, 2] = int(share * blue + 0.5)
            for v in range(y * samples, (y + 1) * samples):
                _wipe(v, depth, nearest, spans, nothing)


@compiled
def identify(body: Body, poses: Floats, view: View, scratch: Scratch, ids: NDArray[np.int16]) -> None:
    """Write the link that is seen at each pixel (size, size) into ``ids`` for each of ``poses``; -1: none is."""
    depth, nearest, spans, owners = scratch.depth, scratch.nearest, scratch.spans, body.owners
    nothing = len(owners)
    for n in range(len(poses)):
        _draw_one(body, poses[n], view, scratch)
        for y in range(ids.shape[1]):
            for x in range(ids.shape[2]):
                t = nearest[y, x]
                ids[n, y, x] = owners[t] if t < nothing else -1
            _wipe(y, depth, nearest, spans, nothing)
