"""From a camera to what compiled code takes."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from imitate.data.camera import Camera
from imitate.errors import UserError

from .kernel import View

FARTHEST, SHORTEST = 1e6, 1e-9  # m
NEAR = 0.1  # m; what is nearer to a camera is not seen
ACROSS, DOWN = 0.0, 1.0  # where in its cell a sample is taken: its lower left corner, as PyBullet's renderer does


@lru_cache(maxsize=64)
def view_of(camera: Camera) -> View:
    """A camera as compiled code takes it.

    Raises:
        UserError: It looks at where it stands, or along what is up.
    """
    eye, target, up = (np.array(vector, np.float64) for vector in (camera.eye, camera.target, camera.up))
    if max(np.abs(eye).max(), np.abs(target).max()) > FARTHEST:
        raise UserError(f"camera {camera.name!r} stands or looks farther away than {FARTHEST:g} m")
    forward, up = target - eye, up / (np.abs(up).max() or 1.0)
    length = np.linalg.norm(forward)
    right = np.cross(forward / (length or 1.0), up / (np.linalg.norm(up) or 1.0))
    if not (length > SHORTEST and np.linalg.norm(right) > SHORTEST):
        raise UserError(f"camera {camera.name!r} looks along what is up, or at where it stands: it has no direction")
    forward, right = forward / length, right / np.linalg.norm(right)
    rows = np.stack([right, np.cross(right, forward), forward])
    focal = float(1 / np.tan(np.radians(camera.fov) / 2))
    return View(np.column_stack([rows, -rows @ eye]), focal, NEAR, ACROSS, DOWN)
