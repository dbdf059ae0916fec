"""What the wrappers ask of the environment below, and of the demonstrations that it is to follow."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from imitate.errors import UserError
from imitate.reward.following import Following
from imitate.reward.targets import Targets

IMAGE = "image"  # of an observation
FOLLOWED = ("demonstration", "step")  # of an info


def checked_space(env: Any, space: spaces.Space, size: int) -> spaces.Dict:
    """What an environment observes, if an encoder of so many pixels a side can see by it."""
    if not isinstance(space, spaces.Dict) or IMAGE not in space.spaces:
        raise UserError(
            f"{env} observes a {type(space).__name__}, expected a Dict with {IMAGE!r}: `imitate.VideoReward` goes "
            "around any environment that renders"
        )
    image = space[IMAGE]
    if (image.shape, image.dtype) != ((size, size, 3), np.uint8):
        shape = f"({size}, {size}, 3) uint8"
        raise UserError(f"{env} observes an {IMAGE!r} of {image.shape} {image.dtype}, expected the encoder's {shape}")
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
        if "joints" not in below.spaces:
            raise UserError(f"{env} does not observe 'joints', expected these where poses are observed")
        joints, read = below["joints"].shape, targets.poses.shape[1:]
        if read != joints:
            raise UserError(f"believed poses of {read[0]} joints, expected {joints}")
    if not following.clock and not hasattr(keeper(env), "aim_at"):
        raise UserError(f"{env.unwrapped}: expected aim_at, for it to be told the frame that a robot has reached")


def keeper(env: Any) -> Any:
    """Who keeps the time of an environment: itself at its core, or the wrapper that was put around it for that."""
    return env if hasattr(env, "aim_at") else env.unwrapped
