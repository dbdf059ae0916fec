"""Where a camera stands, and where it looks."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from imitate.data.camera import Camera

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
    return replace(camera, name=f"near {camera.name}", target=vector_of(target))


def vector_of(values: NDArray[np.floating]) -> tuple[float, float, float]:
    """Three numbers, as a camera has them."""
    x, y, z = map(float, values)
    return x, y, z
