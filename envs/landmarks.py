"""Where in its picture the parts of an arm are: what it knows of itself, as it knows its joints and its camera."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from imitate.data.camera import Camera

from .kuka import Arm
from .rendering.kernel import Body
from .rendering.view import view_of

Floats = NDArray[np.float64]


def number_of(arm: Arm, body: Body) -> int:
    """How many landmarks an arm has: where each link begins, and the marks of its last one."""
    return len(body.parents) + len(arm.marks)


def placed(arm: Arm, body: Body, poses: Floats) -> Floats:
    """Where the landmarks of an arm are in the world, (n, landmarks, 3), m, at poses (n, joints), rad."""
    rotations = np.empty((len(poses), len(body.parents), 3, 3))
    origins = np.empty((len(poses), len(body.parents), 3))
    for i, (parent, joint) in enumerate(zip(body.parents, body.joints, strict=True)):
        turned, moved = np.broadcast_to(body.frames[i, :, :3], (len(poses), 3, 3)), body.frames[i, :, 3]
        if joint >= 0:
            turned = turned @ _turns(body.axes[i], poses[:, joint])
        if parent < 0:
            rotations[:, i], origins[:, i] = turned, moved
        else:
            rotations[:, i] = rotations[:, parent] @ turned
            origins[:, i] = origins[:, parent] + rotations[:, parent] @ moved
    marks = origins[:, -1:] + np.array(arm.marks).reshape(-1, 3) @ rotations[:, -1].transpose(0, 2, 1)
    return np.concatenate([origins, marks], axis=1)


def pictured(points: Floats, camera: Camera) -> Floats:
    """Where points (..., 3), m, are in a camera's picture (..., 2): from -1, its left and upper edge, to 1."""
    view = view_of(camera)
    seen = points @ view.world[:, :3].T + view.world[:, 3]
    depth = np.maximum(seen[..., 2:], view.near)
    return view.focal * seen[..., :2] * (1.0, -1.0) / depth


def _turns(axis: Floats, angles: Floats) -> Floats:
    """Rotations (n, 3, 3) about an axis of length 1 by angles (n,), rad (Rodrigues)."""
    x, y, z = axis
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    sines, cosines = np.sin(angles)[:, None, None], np.cos(angles)[:, None, None]
    return np.eye(3) + sines * cross + (1.0 - cosines) * (cross @ cross)
