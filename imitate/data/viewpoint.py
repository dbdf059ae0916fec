"""Where a camera stands, and where it looks."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from imitate.data.camera import Camera

# Of a camera: rad to the right, up, upwards about what it looks at; logarithms of factors; rad about the origin.
OFFSETS = ("pan", "tilt", "raised", "farther", "wider", "aside")
WIDEST_VIEW = 170.0  # degrees
STEEPEST = 85.0  # degrees that a camera may look down or up: further on, it knows no up


def polar(camera: Camera) -> tuple[float, float, float]:
    """Azimuth and elevation, rad, and distance, m, of a camera from what it looks at."""
    x, y, z = (eye - target for eye, target in zip(camera.eye, camera.target, strict=True))
    distance = math.hypot(x, y, z)
    return math.atan2(y, x), math.asin(z / distance) if distance else 0.0, distance


def from_polar(azimuth: float, elevation: float, distance: float) -> NDArray[np.float64]:
    """(3,) from what a camera looks at to where it stands, m. It is no steeper than ``STEEPEST``."""
    most = math.radians(STEEPEST)
    raised = min(most, max(-most, elevation))
    flat = math.cos(raised)
    return distance * np.array([flat * math.cos(azimuth), flat * math.sin(azimuth), math.sin(raised)])


def bearing(camera: Camera) -> float:
    """Azimuth of where a camera stands, rad, from the origin of the world, where arms have their bases."""
    return math.atan2(camera.eye[1], camera.eye[0])


def turned(camera: Camera, pan: float, tilt: float) -> Camera:
    """A camera that has turned where it stands, to the right and up in its picture, rad."""
    if not pan and not tilt:
        return camera
    eye = np.array(camera.eye)
    forward = np.array(camera.target) - eye
    right = np.cross(forward, camera.up)
    up = np.cross(right, forward)
    distance, right, up = np.linalg.norm(forward), right / np.linalg.norm(right), up / np.linalg.norm(up)
    direction = forward / distance + math.tan(pan) * right + math.tan(tilt) * up
    target = eye + distance * direction / np.linalg.norm(direction)
    return replace(camera, name=_near(camera), target=vector_of(target))


def moved(camera: Camera, by: NDArray[np.floating]) -> Camera:
    """A camera that stands elsewhere and looks elsewhere, by how much of each of ``OFFSETS``, (6,)."""
    pan, tilt, raised, farther, wider, aside = map(float, by)
    if raised or farther or wider:
        azimuth, elevation, distance = polar(camera)
        away = from_polar(azimuth, elevation + raised, distance * math.exp(farther))
        eye, fov = vector_of(np.array(camera.target) + away), min(camera.fov * math.exp(wider), WIDEST_VIEW)
        camera = replace(camera, name=_near(camera), eye=eye, fov=fov)
    return around_base(turned(camera, pan, tilt), aside)


def around_base(camera: Camera, turn: float) -> Camera:
    """A camera that was carried about the vertical through the origin, counterclockwise from above, rad."""
    if not turn:
        return camera
    cos, sin = math.cos(turn), math.sin(turn)
    carried = [(cos * x - sin * y, sin * x + cos * y, z) for x, y, z in (camera.eye, camera.target, camera.up)]
    eye, target, up = carried
    return replace(camera, name=_near(camera), eye=eye, target=target, up=up)


def _near(camera: Camera) -> str:
    return camera.name if camera.name.startswith("near ") else f"near {camera.name}"


def vector_of(values: NDArray[np.floating]) -> tuple[float, float, float]:
    """Three numbers, as a camera has them."""
    x, y, z = map(float, values)
    return x, y, z
