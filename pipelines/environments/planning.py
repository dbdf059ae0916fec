"""A policy that has learned nothing, and looks ahead: in a copy of MuJoCo's state, by the cross-entropy method."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from .episodes import Policy

Floats = NDArray[np.float64]
Cost = Callable[[Any, Floats], float]  # of MuJoCo's data after a step, and of the action

AHEAD, HELD = 8, 4  # actions that are planned, each for so many steps
TRIED, KEPT, ROUNDS = 40, 6, 3  # plans of a round, and those of them that the next is drawn about
WIDE, NARROW = 0.6, 0.03  # standard deviations of the first round, and at least


def planned(env: gym.Env, cost: Cost) -> Policy:
    """Act by what costs least in the next steps (Rubinstein, 1999; Chua et al., 2018, section 5).

    Args:
        env: One of MuJoCo's.
        cost: Of a step.
    """
    import mujoco  # type: ignore[import-untyped]  # an extra

    core: Any = env.unwrapped
    model, aside, rng = core.model, mujoco.MjData(core.model), np.random.default_rng(0)
    low, high = model.actuator_ctrlrange.T
    plan = np.zeros((AHEAD, model.nu))

    def costs(actions: Floats) -> float:
        mujoco.mj_copyData(aside, model, core.data)
        total = 0.0
        for action in actions:
            aside.ctrl[:] = action
            for _ in range(HELD):
                mujoco.mj_step(model, aside, core.frame_skip)
                total += cost(aside, action)
        return total

    def act(_: Any) -> NDArray[np.float32]:
        nonlocal plan
        mean, deviation = plan, np.full(plan.shape, WIDE)
        for _ in range(ROUNDS):
            noise = deviation * rng.normal(size=(TRIED, *plan.shape))
            noise[0] = 0.0
            tried = np.clip(mean + noise, low, high)
            best = tried[np.argsort([costs(one) for one in tried], kind="stable")[:KEPT]]
            mean, deviation = best.mean(axis=0), best.std(axis=0) + NARROW
        # A step on, a part of the first action is over, and a part of one more follows the last.
        following = np.concatenate([mean[1:], mean[-1:]])
        plan = mean + (following - mean) / HELD
        return mean[0].astype(np.float32)

    return act
