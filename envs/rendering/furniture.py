"""From a scene to what stands in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..scenes.scene import Scene
from ..scenes.table import Table
from ..scenes.texture import Texture
from ..scenes.thing import Thing
from .link import Floats, Link, Shape

FLOOR, TOP, REST = range(3)  # shadows fall on the floor, and on the top of a table; legs and things take none
FLOOR_SIDE, THICKNESS, LEG = 400.0, 0.04, 0.06  # m
SHADE = 0.6  # of a table's legs, as a share of the colour of its top


@dataclass(frozen=True)
class Piece:
    """Something that stands still.

    Attributes:
        link: What is seen of it.
        level: ``FLOOR``, ``TOP`` or ``REST``.
        texture: What it looks like.
        above: Whether it stands higher than the top of a table.
    """

    link: Link
    level: int
    texture: Texture
    above: bool


def furniture_of(scene: Scene) -> list[Piece]:
    """Everything that stands in a scene but the arm."""
    pieces = []
    if scene.floor is not None:
        height = -scene.table.size[2] if scene.table else 0.0
        size = (FLOOR_SIDE, FLOOR_SIDE, THICKNESS)
        pieces.append(_piece("box", (0.0, 0.0, height - THICKNESS / 2), size, FLOOR, scene.floor))
    if scene.table is not None:
        pieces += _pieces_of(scene.table)
    return pieces + [_lying(thing) for thing in scene.clutter]


def _pieces_of(table: Table) -> list[Piece]:
    (deep, wide, height), (x, y) = table.size, table.middle
    legs = Texture("plain", tuple(SHADE * share for share in table.texture.first))  # type: ignore[arg-type]
    top = _piece("box", (x, y, -THICKNESS / 2), (deep, wide, THICKNESS), TOP, table.texture)
    return [top] + [
        _piece(
            "box",
            (x + front * (deep - LEG) / 2, y + left * (wide - LEG) / 2, -(height + THICKNESS) / 2),
            (LEG, LEG, height - THICKNESS),
            REST,
            legs,
        )
        for front in (-1, 1)
        for left in (-1, 1)
    ]


def _lying(thing: Thing) -> Piece:
    painted = Texture("plain", thing.colour)
    if thing.kind == "ball":
        return _piece("sphere", thing.position, (thing.size[0] / 2, 0.0, 0.0), REST, painted)
    return _piece("box", thing.position, thing.size, REST, painted, thing.turned)


def _piece(
    kind: str,
    position: tuple[float, float, float],
    size: tuple[float, float, float],
    level: int,
    texture: Texture,
    turned: float = 0.0,
) -> Piece:
    shape = Shape(kind, None, size, _frame(position, turned), texture.first)
    link = Link(kind, -1, -1, np.eye(4)[:3], np.zeros(3), (shape,))
    return Piece(link, level, texture, above=position[2] > 0)


def _frame(position: tuple[float, float, float], turned: float) -> Floats:
    c, s = np.cos(turned), np.sin(turned)
    return np.column_stack([[[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]], position])
