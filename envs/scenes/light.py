"""What light falls on a scene."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from imitate.data.camera import Vector
from imitate.errors import UserError, check_bounds

from .texture import Colour, check_colours, check_vector

LOWEST = np.sin(np.radians(5.0))  # of how high a lamp stands at least


@dataclass(frozen=True)
class Light:
    """One lamp, far away, and what comes from everywhere.

    What is seen of a surface is its colour, times the ambient light, and the lamp's times the cosine of the angle at
    which it falls on it (Lambert).

    Attributes:
        direction: To the lamp, which is above the ground; of any length.
        colour: Of the lamp, red, green and blue, 0 to 1.
        strength: Of the lamp.
        ambient: Colour of what comes from everywhere.
        ambient_strength: Of that.
        shadow: Share of the lamp's light that a shadow takes, 0 to 1; 0: there are none. Shadows fall on the floor and
            on the top of the table, as far as 1.6 m from where the arm stands, measured along the light; not on what
            stands there, nor on the arm.
        softness: Width of a shadow's edge, m, to 0.05.

    Raises:
        UserError: What is no colour, or out of its range.
    """

    # Fitted to the pictures of PyBullet's TinyRenderer, which are then hardly to be told apart.
    direction: Vector = (-0.436, 0.251, 0.864)
    colour: Colour = (1.0, 1.0, 1.0)
    strength: float = 0.36
    ambient: Colour = (1.0, 1.0, 1.0)
    ambient_strength: float = 0.6
    shadow: float = 0.0
    softness: float = 0.1

    def __post_init__(self) -> None:
        check_colours(colour=self.colour, ambient=self.ambient)
        check_bounds(self, "light's ", strength=(0.0, 10.0), ambient_strength=(0.0, 10.0))
        check_bounds(self, "light's ", shadow=(0.0, 1.0), softness=(0.0, 1.0))
        check_vector("light's direction", self.direction, 3)
        length = np.linalg.norm(self.direction)
        if not 0 < length < np.inf or not self.direction[2] >= LOWEST * length:
            raise UserError(f"light's direction is {self.direction}, expected x, y, z, at least 5 degrees above ground")
