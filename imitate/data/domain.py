"""The domain of an encoder: in what pictures may differ and yet mean the same to it."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np

from imitate.data.camera import Camera
from imitate.data.viewpoint import STEEPEST, from_polar, polar, vector_of
from imitate.errors import UserError

Range = tuple[float, float]

NOMINAL = {"light": 1.0, "tint": 1.0, "distance": 1.0, "zoom": 1.0, "build": 1.0}  # of the others it is 0
FACTORS = tuple(NOMINAL)
WIDEST = {  # what each may be within
    "light": (0.05, 20.0), "tint": (0.05, 20.0), "noise": (0.0, 255.0), "covered": (0.0, 1.0),
    "azimuth": (-180.0, 180.0), "elevation": (-90.0, 90.0), "distance": (0.1, 10.0), "aim": (-10.0, 10.0),
    "zoom": (0.1, 3.0), "build": (0.5, 2.0),
}  # fmt: skip
ROUNDED = 1e-6  # of what a camera's angles are told by


@dataclass(frozen=True)
class Domain:
    """Ranges of what is filmed, and of what films it, that an encoder has been made blind to.

    It was trained on frames from all over them (domain randomization; Tobin et al., 2017). What is outside them it has
    never seen: another camera it refuses, and scenes, if there were none. What a frame's light is, and what covers it,
    is not known beforehand. Each range holds what is usual: 1 of a factor, else 0.

    Attributes:
        scenes: Whether the robot stands in any scene, and not in the plain one only.
        light: Brightness, a factor, whatever the light of the scene.
        tint: Brightness of each colour by itself, a factor.
        noise: Standard deviation of what pixels are off by, of 255.
        covered: Sides of what covers a part of the picture, as shares of its side.
        azimuth: Of where the camera stands, about the point that it looks at, degrees counterclockwise, from above.
        elevation: The same upwards.
        distance: From that point, a factor.
        aim: What that point is off by along each axis, m.
        zoom: The field of view, a factor.
        build: Length and thickness of the arm's links, a factor.

    Raises:
        UserError: A range that is none, is the wrong way round, or holds nothing that is usual.
    """

    scenes: bool = True
    light: Range = (0.4, 1.5)
    tint: Range = (0.8, 1.2)
    noise: Range = (0.0, 25.0)
    covered: Range = (0.0, 0.35)
    azimuth: Range = (-60.0, 60.0)
    elevation: Range = (-12.0, 12.0)
    distance: Range = (0.85, 1.18)
    aim: Range = (-0.12, 0.12)
    zoom: Range = (0.95, 1.05)
    build: Range = (0.8, 1.2)

    def __post_init__(self) -> None:
        if type(self.scenes) is not bool:
            raise UserError(f"domain: scenes is {self.scenes!r}, expected True or False")
        for name, (least, most) in WIDEST.items():
            own = getattr(self, name)
            if not isinstance(own, tuple | list) or len(own) != 2 or not all(map(_is_number, own)):
                raise UserError(f"domain: {name} is {own!r}, expected two numbers, its least and its most")
            low, high = map(float, own)
            if low > high:
                raise UserError(
                    f"domain: {name} is from {low:g} to {high:g}, which is empty: expected its least, then its most"
                )
            if not (least <= low and high <= most):
                raise UserError(f"domain: {name} is from {low:g} to {high:g}, expected within {least:g} to {most:g}")
            usual = NOMINAL.get(name, 0.0)
            if not low <= usual <= high:
                raise UserError(f"domain: {name} is from {low:g} to {high:g}, expected to hold {usual:g}, the usual")
            object.__setattr__(self, name, (low, high))

    @property
    def camera_varies(self) -> bool:
        """Whether the camera may stand or look elsewhere."""
        ranges = (self.azimuth, self.elevation, self.distance, self.aim, self.zoom)
        return any(low < high for low, high in ranges)

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, data: Any) -> Domain:
        """Read what ``to_json`` wrote.

        Raises:
            UserError: It has other fields, or is out of its bounds.
        """
        names = {field.name for field in fields(cls)}
        if not isinstance(data, dict) or set(data) != names:
            raise UserError(f"not a domain: {data!r}, expected {', '.join(sorted(names))}")
        values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in data.items()}
        return cls(**values)

    def draw(self, name: str, rng: np.random.Generator, shape: tuple[int, ...] = ()) -> Any:
        """Numbers of a range: of a factor, as likely so much more as so much less."""
        low, high = getattr(self, name)
        if name in FACTORS:
            return np.exp(rng.uniform(math.log(low), math.log(high), shape))
        return rng.uniform(low, high, shape)

    def draw_camera(self, camera: Camera, rng: np.random.Generator) -> Camera:
        """A camera that stands elsewhere than ``camera``, looks elsewhere, or has another field of view."""
        turned, raised, distance = polar(camera)
        turned += math.radians(self.draw("azimuth", rng))
        raised += math.radians(self.draw("elevation", rng))
        distance *= self.draw("distance", rng)
        target = np.array(camera.target) + self.draw("aim", rng, (3,))
        away = from_polar(turned, raised, distance)
        return replace(
            camera,
            name=f"near {camera.name}",
            eye=vector_of(target + away),
            target=vector_of(target),
            fov=float(camera.fov * self.draw("zoom", rng)),
        )

    def differences(self, camera: Camera, other: Camera) -> list[str]:
        """Name what of another camera is outside the domain of one: ``"azimuth 72, expected -60 to 60"``."""
        alike = replace(camera, eye=other.eye, target=other.target, fov=other.fov)
        if exact := alike.differences(other):
            return exact
        (turned, raised, distance), (turned_too, raised_too, distance_too) = polar(camera), polar(other)
        azimuth = math.degrees(turned_too - turned)
        off = np.array(other.target) - np.array(camera.target)
        found = {
            "azimuth": [(azimuth + 180.0) % 360.0 - 180.0],
            "elevation": [math.degrees(raised_too - raised)],
            "distance": [distance_too / distance],
            "aim": [float(value) for value in off],
            "zoom": [other.fov / camera.fov],
        }
        steep = abs(math.degrees(raised_too)) > STEEPEST + ROUNDED
        outside = [f"looks more than {STEEPEST:g} degrees down or up"] if steep else []
        for name, values in found.items():
            low, high = getattr(self, name)
            outside += [
                f"{name} {value:.4g}, expected {low:g} to {high:g}"
                for value in values
                if not low - ROUNDED <= value <= high + ROUNDED
            ]
        return outside


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
