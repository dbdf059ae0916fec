"""Scenes that have a name."""

import numpy as np

from imitate.errors import choose

from .light import Light
from .random_scene import random_scene
from .scene import PLAIN, Scene
from .table import Table
from .texture import Texture
from .thing import Thing

SCENES = {
    scene.name: scene
    for scene in (
        PLAIN,
        Scene(
            "table",
            light=Light(direction=(0.5, -0.6, 1.0), strength=0.45, ambient_strength=0.6, shadow=0.7, softness=0.15),
            background=Texture("gradient", (0.85, 0.86, 0.86), (0.94, 0.95, 0.97)),
            floor=Texture("noise", (0.62, 0.61, 0.59), (0.5, 0.49, 0.48), 0.8),
            table=Table(),
            clutter=(
                Thing("box", (0.6, -0.45, 0.05), (0.15, 0.1, 0.1), 0.4, (0.2, 0.35, 0.6)),
                Thing("ball", (0.65, 0.4, 0.06), (0.12, 0.12, 0.12), 0.0, (0.8, 0.25, 0.2)),
            ),
            smooth=True,
        ),
    )
}
RANDOM = "random"  # the name of one that is drawn


def check_scene(name: str) -> None:
    """Refuse what is neither a scene nor ``RANDOM``.

    Raises:
        UserError: It is not; the message has those that there are.
    """
    choose({**SCENES, RANDOM: None}, name, "scene")


def scene_named(name: str, rng: np.random.Generator, drawn: str = RANDOM) -> Scene:
    """A scene of that name.

    Args:
        name: Of one, or ``RANDOM``.
        rng: Draws that one.
        drawn: What it is then called.

    Raises:
        UserError: There is no such scene.
    """
    check_scene(name)
    return random_scene(rng, drawn) if name == RANDOM else SCENES[name]
