"""The camera contract: what a frame must have been taken with to mean the same to an encoder."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from imitate.errors import UserError

Vector = tuple[float, float, float]

MOST_SAMPLES = 4  # a side of a pixel


def check_pixels(size: int) -> None:
    """Refuse a picture that is none.

    Raises:
        UserError: It has no pixels, or a number a side that is no whole one.
    """
    if not isinstance(size, int | np.integer) or size < 1:
        raise UserError(f"a picture of {size}x{size} pixels, expected 1 or more a side")


@dataclass(frozen=True)
class Camera:
    """A pinhole camera with a square picture.

    An encoder only means something on frames like those that it was trained on, so that a checkpoint and a
    dataset both carry the camera that took their frames, and an environment refuses any other.

    Attributes:
        name: What it is called.
        eye: Position of the camera in the world, m.
        target: The point that it looks at, m.
        up: The direction that is up in the picture.
        fov: Vertical field of view, degrees.
        samples: A pixel is the mean of as many drawn ones a side. With one, an edge jumps from pixel to pixel, and the
            picture is no smooth function of the pose: neither is what is learned from it.
        renderer: What draws the picture; pictures of the same scene differ from one renderer to another. Empty where
            nothing is known of the camera but its name.
    """

    name: str
    eye: Vector
    target: Vector
    up: Vector = (0.0, 0.0, 1.0)
    fov: float = 50.0
    samples: int = 1
    renderer: str = "raster"

    def __post_init__(self) -> None:
        if type(self.samples) is not int or not 1 <= self.samples <= MOST_SAMPLES:
            raise UserError(f"camera {self.name!r} has {self.samples!r} samples, expected 1 to {MOST_SAMPLES}")
        for name in ("eye", "target", "up"):
            vector = getattr(self, name)
            if len(vector) != 3 or not all(map(_is_finite, vector)):
                raise UserError(f"camera {self.name!r}: {name} is {vector!r}, expected three numbers")
            object.__setattr__(self, name, tuple(map(float, vector)))  # of a list too
        if not _is_finite(self.fov) or not 0 < self.fov < 180:
            raise UserError(
                f"camera {self.name!r}: fov is {self.fov!r}, expected more than 0 and less than 180 degrees"
            )
        if not isinstance(self.name, str) or not isinstance(self.renderer, str):
            raise UserError(f"camera {self.name!r} of renderer {self.renderer!r}: expected names")

    @classmethod
    def unknown(cls, name: str) -> Camera:
        """A camera of which nothing but the name is known: that of a dataset of other origin."""
        return cls(name, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), renderer="")

    @property
    def known(self) -> bool:
        """Whether pictures like this camera's can be taken."""
        return bool(self.renderer)

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @classmethod
    def from_json(cls, data: Any) -> Camera:
        """Read what ``to_json`` wrote.

        Raises:
            UserError: ``data`` lacks a field, or has one that no camera has.
        """
        try:
            values: dict[str, Any] = {
                k: tuple(map(float, v)) if isinstance(v, list) else v for k, v in dict(data).items()
            }
            return cls(**values)
        except (TypeError, ValueError, OverflowError) as error:
            raise UserError(f"not a camera: {data!r} ({error})") from None

    def differences(self, other: Camera) -> list[str]:
        """Name the fields, apart from the name, in which two cameras differ: ``"fov 50.0 != 60.0"``."""
        pairs = [(f.name, getattr(self, f.name), getattr(other, f.name)) for f in fields(self) if f.name != "name"]
        return [f"{name} {mine} != {theirs}" for name, mine, theirs in pairs if mine != theirs]


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
