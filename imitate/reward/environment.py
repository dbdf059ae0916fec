"""What is asked of an environment of anybody's, before anything else is."""

from __future__ import annotations

import math
import warnings
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import VectorEnv

from imitate.data.rendering import one_of
from imitate.errors import UserError


def check_environment(env: Any) -> None:
    """Refuse what is no environment, such as the name of one; warn of a camera that stands nowhere for certain.

    Raises:
        UserError: It is none.
    """
    if not isinstance(env, gym.Env | VectorEnv):
        raise UserError(f"an environment of type {type(env).__name__}, expected one that is made: gymnasium.make(...)")
    if _adrift(env):
        with one_of(env) as one:
            name = one.spec.id if one.spec else type(one.unwrapped).__name__
        warnings.warn(
            f"{name}: MuJoCo's free camera looks at the middle of what is there when it is first rendered, so that no "
            "two environments are seen alike: make it, and film the demonstration, with such as "
            'default_camera_config={"lookat": [0, 0, 0], "trackbodyid": -1}, or with a camera_id',
            stacklevel=4,
        )


def _adrift(env: Any) -> bool:
    """Whether where an environment's camera stands depends on the moment when it is first rendered.

    So it is in Gymnasium's MuJoCo environments (``MujocoRenderer``), unless they are told where to look.
    """
    with one_of(env) as one:
        renderer, mode = getattr(one.unwrapped, "mujoco_renderer", None), one.render_mode
    free = getattr(renderer, "camera_id", None) == -1 and mode == "rgb_array"
    return free and "lookat" not in (getattr(renderer, "default_cam_config", None) or {})


def rate_of(env: Any, fps: float | None) -> float:
    """Steps of an environment a second: those that are given, or its ``render_fps``.

    Raises:
        UserError: Neither is a number above 0.
    """
    rate = env.metadata.get("render_fps") if fps is None else fps
    if not isinstance(rate, int | float | np.integer | np.floating) or not 0 < rate < math.inf:
        said = f"fps is {fps!r}" if fps is not None else f"{env}: its render_fps is {rate!r}"
        raise UserError(f"{said}, expected steps of the environment a second, more than 0: say fps (--fps)")
    return float(rate)
