"""Scenes as nobody has arranged them."""

from __future__ import annotations

import numpy as np

from .light import Light
from .scene import Scene
from .table import Table
from .texture import Colour, Texture
from .thing import KINDS, Thing

PATTERNS = ("plain", "gradient", "noise", "stripes", "checker", "wood")
MOST_LYING, MOST_HELD = 6, 2
ROOM = 0.35  # m about the base, where nothing lies


def random_scene(rng: np.random.Generator, name: str = "random", bare: bool = False) -> Scene:
    """Draw a scene: its light, its colours, a table that shows which way is front, and what lies around.

    Args:
        rng: Draws it.
        name: What it is called.
        bare: Nothing stands in it: there is what is behind all, and the light. It is set up sooner.
    """
    ambient = rng.uniform(0.25, 0.7)
    upwards = np.array([*rng.uniform(-1, 1, 2), rng.uniform(0.6, 1.5)])
    light = Light(
        direction=_tuple(upwards),
        colour=_tint(rng),
        strength=float(rng.uniform(0.9, 1.3) - ambient),
        ambient=_tint(rng),
        ambient_strength=float(ambient),
        shadow=float(rng.uniform(0.3, 1.0)),
        softness=float(rng.uniform(0.05, 0.4)),
    )
    table = Table(
        texture=_texture(rng, 0.1, 0.6),
        size=_tuple(rng.uniform((0.9, 1.0, 0.5), (1.5, 2.0, 1.0))),
        middle=_tuple(rng.uniform((0.25, -0.15), (0.45, 0.15))),  # more of it in front of the arm than behind
    )
    clutter = [_lying(rng, table) for _ in range(rng.integers(MOST_LYING + 1))]
    clutter += [_held(rng) for _ in range(rng.integers(MOST_HELD + 1))]
    own = rng.random() < 0.5
    background = _texture(rng, 0.2, 1.0)
    floor = _texture(rng, 0.3, 2.0) if rng.random() < 0.8 else None
    return Scene(
        name=name,
        light=light,
        background=background,
        floor=None if bare else floor,
        table=None if bare else table,
        clutter=() if bare else tuple(clutter),
        links=() if own else tuple(_colour(rng) for _ in range(rng.integers(1, 4))),
        smooth=bool(rng.random() < 0.5),
    )


def _tuple(values: np.ndarray) -> tuple:
    return tuple(round(float(value), 4) for value in values)


def _colour(rng: np.random.Generator) -> Colour:
    return _tuple(rng.uniform(0.05, 1.0, 3))


def _tint(rng: np.random.Generator) -> Colour:
    """Nearly white."""
    return _tuple(rng.uniform(0.8, 1.0, 3))


def _texture(rng: np.random.Generator, least: float, most: float) -> Texture:
    """A pattern that repeats itself after ``least`` to ``most`` m, of two colours that are not far apart."""
    first = np.array(_colour(rng))
    return Texture(
        kind=str(rng.choice(PATTERNS)),
        first=_tuple(first),
        second=_tuple(np.clip(first + rng.normal(0.0, 0.2, 3), 0.0, 1.0)),
        period=float(rng.uniform(least, most)),
        turned=float(rng.uniform(0.0, np.pi)),
        seed=int(rng.integers(2**31)),
    )


def _lying(rng: np.random.Generator, table: Table) -> Thing:
    """On the table, but not where the arm stands."""
    size = rng.uniform(0.04, 0.2, 3)
    kind = str(rng.choice(KINDS))
    reach = np.array(table.size[:2]) / 2
    place = np.zeros(2)
    while np.linalg.norm(place) < ROOM:
        place = np.array(table.middle) + rng.uniform(-reach, reach)
    height = size[0] if kind == "ball" else size[2]
    return Thing(kind, _tuple(np.array([*place, height / 2])), _tuple(size), float(rng.uniform(0, np.pi)), _colour(rng))


def _held(rng: np.random.Generator) -> Thing:
    """In the air, on any side of the arm: also before a camera."""
    angle, distance = rng.uniform(-np.pi, np.pi), rng.uniform(0.7, 1.1)
    place = [distance * np.cos(angle), distance * np.sin(angle), rng.uniform(0.2, 1.0)]
    size = rng.uniform(0.04, 0.15, 3)
    return Thing(
        str(rng.choice(KINDS)), _tuple(np.array(place)), _tuple(size), float(rng.uniform(0, np.pi)), _colour(rng)
    )
