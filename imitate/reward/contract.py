"""What the wrappers ask: of the environment below, of those who make them, and of a reward."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from imitate.errors import UserError
from imitate.keeping.finite import check_finite
from imitate.reward.rewards import HuberReward, Reward
from imitate.reward.targets import Targets

NEVER = float("inf")
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


def readable(observe_pose: bool, targets: Targets, below: spaces.Dict) -> bool:
    """Whether a pose is observed, which must then have been read, of as many joints as the robot has."""
    _check_bool("observe_pose", observe_pose)
    if observe_pose and targets.poses is None:
        raise UserError("expected the poses of each demonstration as the robot reads them: `believed` is missing")
    if observe_pose and targets.poses.shape[1:] != below["joints"].shape:  # type: ignore[union-attr]
        raise UserError(f"believed poses of {targets.poses.shape[1]} joints, expected {below['joints'].shape[0]}")  # type: ignore[union-attr, index]
    return observe_pose


def checked_clock(env: Any, clock: bool) -> bool:
    """Whether there is a clock; without one, an environment must be told the frame that a robot has reached."""
    _check_bool("clock", clock)
    if not clock and not hasattr(env.unwrapped, "aim_at"):
        raise UserError(f"{env.unwrapped}: expected aim_at, for it to be told the frame that a robot has reached")
    return clock


def _check_bool(name: str, value: Any) -> None:
    if not isinstance(value, bool | np.bool_):
        raise UserError(f"{name} is {value!r}, expected True or False")


def rewarding(reward: Reward | None) -> Reward:
    """The reward that was asked for, or the paper's."""
    if reward is not None and not callable(reward):
        raise UserError(f"reward is {reward!r}, expected a function from a Moment to (n,) rewards, or None")
    return reward or HuberReward()


def checked_distance(give_up: float) -> float:
    """The distance beyond which an episode is given up."""
    if not give_up >= 0:
        raise UserError(f"give_up is {give_up}, expected a distance of 0 or more")
    return give_up


def checked_rewards(rewards: NDArray[np.floating], number: int) -> NDArray[np.floating]:
    """Rewards that a reward made, which may be a user's own.

    Raises:
        UserError: They are not one finite number for each robot.
    """
    if np.shape(rewards) != (number,):
        raise UserError(f"rewards of shape {np.shape(rewards)}, expected ({number},): one for each robot")
    check_finite("a reward", rewards, "expected a number: mend the reward")
    return rewards
