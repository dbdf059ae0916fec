"""PPO by the reward alone, in another room than the demonstration's: no pose is observed."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

import torch

from imitate.data.demonstration import Demonstration
from imitate.embedding.trained_encoder import TrainedEncoder
from imitate.policy.ppo import build_ppo

from ..imitate import following_of, learning_env, robot_of
from ..shared.learning import whole_rollouts
from ..shared.policy import acting, single_env
from ..shared.rollout import Rollout, roll_out
from .methods import REWARD_ALONE


def learned_alone(encoder: TrainedEncoder, demonstration: Demonstration, seed: int) -> Rollout:
    """What PPO comes to that does not observe the poses that were read, and stands in a room that is drawn.

    Its reward compares it with what the demonstration would look like there. Half of its episodes start at a pose that
    was read.

    Args:
        encoder: For the open world.
        demonstration: With its poses, and those that were read.
        seed: Of the room, and of everything else random.
    """
    settings = replace(REWARD_ALONE, scene="random", translate=True, seed=seed, workers=1)
    with closing(learning_env(settings, encoder, [demonstration])) as envs:
        model = build_ppo(settings.learner, envs, seed, torch.device("cpu"), dim=encoder.dim)
        model.learn(whole_rollouts(model, settings.steps))
    with closing(single_env(encoder, demonstration, robot_of(settings), following_of(settings))) as env:
        return roll_out(env, acting(model), seed)
