"""What became of learning one demonstration: figures, films, and the poses that were believed."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3 import PPO

from imitate.data.demonstration import Demonstration
from imitate.envs.kuka import CONTROL_HZ
from imitate.envs.tcn_imitate import TCNImitateEnv
from imitate.keeping.runs import Stage, write_json
from imitate.measuring.figures import followed_figure, save_figure

from .belief import write_belief
from .policy import acting, warn_if_lost
from .rollout import (
    baselines,
    beside,
    poses_taken,
    roll_out,
    write_videos,
)

WAYS = {"direct": "direct: poses as they were read or guessed", "practised": "practised: poses that practice found"}


def outcome(
    stage: Stage,
    env: TCNImitateEnv,
    model: PPO,
    demonstration: Demonstration,
    guessed: NDArray[np.float64] | None,
    seed: int,
) -> dict[str, Any]:
    """The figures of what was learned; the steps and films of it stand in the stage's folder."""
    rollout = roll_out(env, acting(model), seed, film=True)
    taken = poses_taken(env, seed, guessed=guessed)
    metrics: dict[str, Any] = rollout.metrics() | baselines(env, seed, taken=taken)
    series = {WAYS[way]: one.series() for way, one in taken.items()} | {"policy": rollout.series()}
    save_figure(stage.path("followed.png"), followed_figure(series, 1 / CONTROL_HZ))
    if demonstration.believed is not None:
        metrics |= write_belief(stage, demonstration, guessed, env)
        warn_if_lost(demonstration, metrics)
        if metrics.get("practised_embedding_distance", 0) > metrics["direct_embedding_distance"]:
            print("practice found no better poses than were guessed: try --practice 0, or more steps", file=sys.stderr)
    write_json(stage.path("rollout.json"), {"fps": CONTROL_HZ, **rollout.series()})
    write_videos(stage.folder, "side_by_side", beside(demonstration, env.kuka_env, rollout), CONTROL_HZ)
    return metrics
