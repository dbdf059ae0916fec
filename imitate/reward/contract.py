"""What the wrappers ask of the environment below, and of the demonstrations that it is to follow."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from imitate.errors import UserError
from imitate.reward.following import Following
from imitate.reward.targets import Targets

SEEN, FOLLOWED = ("image", "joints", "velocities"), ("demonstration", "step")  # of an observation, and of an info


def checked_space(env: Any, space: spaces.Space, size: int) -> spaces.Dict:
    """What an environment observes, if an encoder of so many pixels a side can see and a policy feel by it."""
    wanted = "expected a Dict of image, joints and velocities"
    if not isinstance(space, spaces.Dict):
        raise UserError(f"{env} observes a {type(space).__name__}, {wanted}: wrap it to observe these")
    for key in SEEN:
        if key not in space.spaces:
            raise UserError(f"{env} does not observe {key!r}, {wanted}: wrap it to observe {key!r} too")
    image, joints, velocities = (space[key] for key in SEEN)
    if (image.shape, image.dtype) != ((size, size, 3), np.uint8):
        shape = f"({size}, {size}, 3) uint8"
        raise UserError(f"{env} observes an 'image' of {image.shape} {image.dtype}, expected the encoder's {shape}")
    for key, part in (("joints", joints), ("velocities", velocities)):
        if not isinstance(part, spaces.Box) or part.shape != joints.shape or len(part.shape) != 1:
            raise UserError(f"{env} observes {key!r} as {type(part).__name__} {part.shape}, expected a Box (joints,)")
    return space


def followed(
    env: Any, infos: dict[str, Any], targets: Targets, rows: NDArray[np.bool_] | slice = slice(None)
) -> dict[str, NDArray[np.int64]]:
    """Which ``demonstration`` environments follow, and at which ``step`` of it they are: (n,) each, of these rows.

    Raises:
        UserError: An info does not tell, or tells of what there is not.
    """
    at = {}
    for key in FOLLOWED:
        mask = infos.get(f"_{key}")
        if key not in infos or (mask is not None and not mask[rows].all()):
            raise UserError(f"{env}: an info without {key!r}, expected 'demonstration' (index) and 'step': add it")
        at[key] = infos[key][rows]
    shown, step = at["demonstration"], at["step"]
    if shown.dtype.kind not in "iu" or step.dtype.kind not in "iu":
        raise UserError(f"{env}: an info of demonstration {shown.dtype} and step {step.dtype}, expected integers")
    if shown.min() < 0 or shown.max() >= len(targets.lengths) or step.min() < 0:
        raise UserError(
            f"{env}: an info of demonstration {shown.tolist()} at step {step.tolist()}, expected a demonstration of 0 "
            f"to {len(targets.lengths) - 1}, and a step of 0 or more"
        )
    return at


def check_following(env: Any, below: spaces.Dict, targets: Targets, following: Following) -> None:
    """Refuse a way of following that an environment or its demonstrations can't be followed in.

    Args:
        env: That is to follow.
        below: What it observes.
        targets: The demonstrations.
        following: How they are to be followed.

    Raises:
        UserError: A pose is to be observed that has not been read, or is another robot's; or there is to be no clock,
            and no ``aim_at``.
    """
    if following.observe_pose:
        if targets.poses is None:
            raise UserError("expected the poses of each demonstration as the robot reads them: `believed` is missing")
        joints, read = below["joints"].shape or (), targets.poses.shape[1:]
        if read != joints:
            raise UserError(f"believed poses of {read[0]} joints, expected {joints[0]}")
    if not following.clock and not hasattr(env.unwrapped, "aim_at"):
        raise UserError(f"{env.unwrapped}: expected aim_at, for it to be told the frame that a robot has reached")
