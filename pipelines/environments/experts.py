"""Environments with a policy that is known to be good, and a truth to measure by: what a benchmark learns from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from .episodes import Policy
from .made import Made

Truth = NDArray[np.float64]
LINKS = (0.1, 0.11)  # of Reacher's arm, m


@dataclass(frozen=True)
class Expert:
    """An environment, whoever does well in it by its own reward, and how it truly stands.

    Attributes:
        made: The environment.
        act: What makes, of an environment that was reset, the policy that does well from there.
        truth: (entries,) how an environment truly stands.
        apart: From two of these to how far they are apart.
        unit: Of that.
        steps: That are learned.
        proprioception: That its play keeps; empty: none, and its encoder learns from pictures and time alone.
    """

    made: Made
    act: Callable[[gym.Env], Policy]
    truth: Callable[[gym.Env], Truth]
    apart: Callable[[Truth, Truth], float]
    unit: str
    steps: int
    proprioception: str = ""


def _turned(one: Truth, other: Truth) -> float:
    """Mean difference of angles, rad, by the shorter way."""
    return float(np.abs((one - other + np.pi) % (2 * np.pi) - np.pi).mean())


def _reacher(env: gym.Env) -> Policy:
    """Turns the joints to where the tip is at the target, by the nearer of the two ways."""
    core: Any = env.unwrapped
    goals = [_bent(core.data.qpos[2:4], side) for side in (1, -1)]
    goal = min(goals, key=lambda one: _turned(one, core.data.qpos[:2]))

    def act(_: Any) -> NDArray[np.float32]:
        away = (goal - core.data.qpos[:2] + np.pi) % (2 * np.pi) - np.pi
        return np.clip(0.6 * away - 0.12 * core.data.qvel[:2], -0.3, 0.3).astype(np.float32)

    return act


def _bent(target: NDArray[np.float64], side: int) -> Truth:
    """The joints of a two-link arm whose tip is at a target: (2,) rad."""
    first, second = LINKS
    cosine = (target @ target - first**2 - second**2) / (2 * first * second)
    elbow = side * np.arccos(np.clip(cosine, -1, 1))
    shoulder = np.arctan2(target[1], target[0]) - np.arctan2(second * np.sin(elbow), first + second * np.cos(elbow))
    return np.array([shoulder, elbow])


def _joints(number: int) -> Callable[[gym.Env], Truth]:
    return lambda env: np.array(env.unwrapped.data.qpos[:number])  # type: ignore[attr-defined]


EXPERTS = {
    "reacher": Expert(
        Made(
            "Reacher-v5",
            (
                "width=128",
                "height=128",
                'default_camera_config={"trackbodyid": -1, "lookat": [0, 0, 0], "distance": 0.65, "elevation": -90}',
            ),
        ),
        _reacher,
        _joints(2),
        _turned,
        "rad",
        20_480,
    ),
}
