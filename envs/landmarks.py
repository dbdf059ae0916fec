"""Where in its picture the parts of an arm are: what it knows of itself, as it knows its joints and its camera."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from imitate.data.camera import Camera

from .kuka import Arm
from .rendering import kernel
from .rendering.kernel import Body
from .rendering.view import view_of

Floats = NDArray[np.float64]


def number_of(arm: Arm, body: Body) -> int:
    """How many landmarks an arm has: where each link begins, and the marks of its last one."""
    return len(body.parents) + len(arm.marks)


def placed(arm: Arm, body: Body, poses: Floats) -> Floats:
    """Where the landmarks of an arm are in the world, (n, landmarks, 3), m, at poses (n, joints), rad."""
    frames = np.empty((len(poses), len(body.parents), 3, 4))
    for pose, links in zip(np.ascontiguousarray(poses, np.float64), frames, strict=True):
        kernel.place(body, pose, links)
    last = frames[:, -1]
    marks = last[:, None, :, 3] + np.array(arm.marks).reshape(-1, 3) @ last[:, :, :3].transpose(0, 2, 1)
    return np.concatenate([frames[..., 3], marks], axis=1)


def pictured(points: Floats, camera: Camera) -> Floats:
    """Where points (..., 3), m, are in a camera's picture (..., 2): from -1, its left and upper edge, to 1."""
    view = view_of(camera)
    seen = points @ view.world[:, :3].T + view.world[:, 3]
    depth = np.maximum(seen[..., 2:], view.near)
    return view.focal * seen[..., :2] * (1.0, -1.0) / depth
