"""Scenes, as a camera sees them while the arm is not there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from imitate.data.camera import Camera
from imitate.errors import UserError

from ..scenes.light import Light
from ..scenes.scene import Scene
from . import kernel
from .body import body_of
from .furniture import FLOOR, REST, TOP, Piece, furniture_of
from .kernel import GRID, REACH, Scenery, View
from .link import Floats
from .scratch import scratch_of
from .view import view_of

BYTES_A_SAMPLE, MOST_BYTES = 30, 2**28  # that are kept of each sample of a scene, at most, and of all scenes
ANYWHERE = -1e9  # m; lower than what casts a shadow
NOTHING = np.zeros(0)  # the pose of what has no joints


class Lit(NamedTuple):
    """What is seen of one scene; the samples' side is that of the picture times the camera's samples.

    Attributes:
        depth: (side, side) 1 over the distance, per m; 0: the background.
        colours: (side, side, 3) 0 to 255, in the light of the scene.
        shadowed: The same, where the arm's shadow falls on all that takes one.
        ground: (side, side, 2) as a ``Scenery`` has it.
    """

    depth: NDArray[np.float32]
    colours: Floats
    shadowed: Floats
    ground: Floats


class Seen(NamedTuple):
    """What is kept of it: as a ``Scenery`` has it, of one scene."""

    depth: NDArray[np.float32]
    colours: NDArray[np.uint8]
    pictures: NDArray[np.uint8]
    ground: NDArray[np.float32]
    dim: NDArray[np.float32]


def scenery_of(scenes: Sequence[Scene], camera: Camera, size: int, links: int) -> Scenery:
    """Set scenes up before a camera whose pictures have ``size`` pixels a side, for an arm of so many links.

    Raises:
        UserError: There are none, or more than memory should hold.
    """
    side = size * camera.samples
    needed = len(scenes) * BYTES_A_SAMPLE * side**2
    if not 0 < needed <= MOST_BYTES:
        raise UserError(
            f"{len(scenes)} scenes of {side}x{side} samples, expected 1 to {MOST_BYTES // (BYTES_A_SAMPLE * side**2)}"
        )
    seen = [_seen(scene, view_of(camera), side, camera.samples) for scene in scenes]
    lights = [scene.light for scene in scenes]
    return Scenery(
        direction=np.stack([_direction(light) for light in lights]),
        ambient=np.stack([light.ambient_strength * np.array(light.ambient) for light in lights]),
        direct=np.stack([light.strength * np.array(light.colour) for light in lights]),
        paint=np.stack([_paint(scene, links) for scene in scenes]),
        smooth=np.array([scene.smooth for scene in scenes], np.bool_),
        blur=np.array([_blur(scene) for scene in scenes], np.int32),
        # What hangs beside a table casts no shadow upwards on it.
        lowest=np.array([0.0 if scene.table else ANYWHERE for scene in scenes]),
        **{name: np.stack([getattr(one, name) for one in seen]) for name in Seen._fields},
    )


def _seen(scene: Scene, view: View, side: int, samples: int) -> Seen:
    lit = _lit(scene, view, side)
    pictures = _means(lit.colours, samples)
    dim = 1 - _means(lit.shadowed, samples) / np.maximum(pictures, 1e-6)
    # Where a pixel's light comes through the ground is asked at its middle, which lies where samples do.
    down, across = (slice(first, None, samples) for first in ((samples - 1) // 2, samples // 2))
    return Seen(
        lit.depth,
        np.round(lit.colours).astype(np.uint8),
        np.round(pictures).astype(np.uint8),
        lit.ground[down, across].astype(np.float32),
        dim.clip(0.0).astype(np.float32),
    )


def _means(colours: Floats, samples: int) -> Floats:
    """Of (side, side, 3) samples, those of the pixels."""
    size = len(colours) // samples
    return colours.reshape(size, samples, size, samples, 3).mean(axis=(1, 3))


def _direction(light: Light) -> Floats:
    return np.array(light.direction) / np.linalg.norm(light.direction)


def _paint(scene: Scene, links: int) -> Floats:
    """Colours of the links, 0 to 255; -1: their own."""
    if not scene.links:
        return np.full((links, 3), -1.0)
    return 255.0 * np.resize(np.array(scene.links), (links, 3))


def _blur(scene: Scene) -> int:
    """Cells that the edge of the arm's shadow is wide, to either side; -1: it has none that anybody sees."""
    if not scene.light.shadow or not furniture_of(scene):
        return -1
    return round(scene.light.softness / 2 * GRID / (2 * REACH))


def _lit(scene: Scene, view: View, side: int) -> Lit:
    """See a scene."""
    depth, colours = np.zeros((side, side), np.float32), 255.0 * _background(scene, side)
    shadowed, ground = colours.copy(), np.zeros((side, side, 2))
    if not (pieces := furniture_of(scene)):
        return Lit(depth, colours, shadowed, ground)
    body = body_of([piece.link for piece in pieces], smooth=False)
    scratch = scratch_of(body, depth)
    kernel.place(body, NOTHING, scratch.links)
    kernel.find_nearest(body, view, scratch)
    seen = scratch.depth > 0
    triangles = scratch.nearest[seen]
    points = _points(view, scratch.depth, seen)
    owners, normals = body.owners[triangles], body.normals[triangles]
    painted = np.empty((len(points), 3))
    for number, piece in enumerate(pieces):
        own = owners == number
        painted[own] = piece.texture.at(_flat(points[own], normals[own]))
    light, direction = scene.light, _direction(scene.light)
    where = _through(points, direction)
    levels = np.array([piece.level for piece in pieces])[owners]
    taken = light.shadow * _shadows(scene, pieces, where, levels)
    darkest = np.where(levels < REST, light.shadow, taken)  # the arm's shadow falls on what is below the arm
    facing = np.maximum(0.0, normals @ direction)[:, None]
    ambient, direct = light.ambient_strength * np.array(light.ambient), light.strength * np.array(light.colour)
    for shade, left in ((colours, 1.0 - taken), (shadowed, 1.0 - darkest)):
        shade[seen] = (255.0 * painted * (ambient + left[:, None] * facing * direct)).clip(0.0, 255.0)
    ground[seen] = where
    return Lit(scratch.depth, colours, shadowed, ground)


def _background(scene: Scene, side: int) -> Floats:
    """What is behind all, (side, side, 3), 0 to 1."""
    places = (np.arange(side) + 0.5) / side
    across, up = np.meshgrid(places, 1 - places)
    return scene.background.at(np.column_stack([across.ravel(), up.ravel()])).reshape(side, side, 3)


def _points(view: View, depth: NDArray[np.float32], seen: NDArray[np.bool_]) -> Floats:
    """Where in the world the samples are that are seen (n, 3), m."""
    half = len(depth) / 2
    rows, columns = np.nonzero(seen)
    across, down = columns + view.across, rows + view.down
    rays = np.column_stack([(across - half) / view.focal / half, (half - down) / view.focal / half, np.ones(len(rows))])
    own = rays / depth[seen].astype(np.float64)[:, None]
    return (own - view.world[:, 3]) @ view.world[:, :3]


def _flat(points: Floats, normals: Floats) -> Floats:
    """Points of a surface (n, 3) as a texture counts them (n, 2): seen along the axis that it faces most."""
    axis = np.abs(normals).argmax(axis=1)
    others = np.array([[1, 2], [0, 2], [0, 1]])[axis]
    return np.take_along_axis(points, others, axis=1)


def _through(points: Floats, direction: Floats) -> Floats:
    """Where light on its way to points (n, 3) comes through the plane of the arm's base, in cells of a shadow."""
    ground = points[:, :2] - points[:, 2:] * direction[:2] / direction[2]
    return GRID / 2 * (1 + ground * (1, -1) / REACH)


def _shadows(scene: Scene, pieces: Sequence[Piece], where: Floats, levels: NDArray[np.integer]) -> Floats:
    """Share of the lamp's light (n,) that furniture takes from the floor, and things from the top of a table."""
    taken = np.zeros(len(where))
    for level in (FLOOR, TOP):
        own = levels == level
        above = [piece.link for piece in pieces if piece.level > level and (level == FLOOR or piece.above)]
        if scene.light.shadow and above and own.any():
            body = body_of(above, smooth=False)
            scratch = scratch_of(body, np.zeros((1, 1), np.float32))
            kernel.place(body, NOTHING, scratch.links)
            kernel.cast(body, _direction(scene.light), _blur(scene), ANYWHERE, scratch)
            shares = np.empty(int(own.sum()))
            kernel.look_up(scratch.shadow, where[own], shares)
            taken[own] = shares
    return taken
