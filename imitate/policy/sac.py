"""Soft actor-critic from stable-baselines3: a learner that learns from each step many times over.

Where a step is dear, as in an environment that has to draw itself, it is what counts how few are needed (Haarnoja et
al., "Soft actor-critic", ICML 2018).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from gymnasium import spaces
from stable_baselines3 import SAC
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.vec_env import VecEnv

from imitate.errors import UserError, check_bounds
from imitate.policy.ppo import falling


@dataclass(frozen=True)
class SACLearner:
    """Settings of soft actor-critic."""

    n_envs: int = 8
    """Environments that act at the same time."""
    n_steps: int = 8
    """Steps of each between two updates."""
    updates: float = 1.0
    """Gradient steps for each step of one environment."""
    batch_size: int = 256
    """Steps that a gradient step is of."""
    gamma: float = 0.9
    """Discount factor."""
    learning_rate: float = 1e-3
    """Of policy, value functions and entropy coefficient, at the start. It falls linearly to 0."""
    entropy: float = 0.05
    """Weight of the actions' entropy at the start; it is learned from there. With 1, as stable-baselines3 has it, what
    a reward of at most 1 says of near and far drowns at first."""
    random_steps: int = 500
    """Steps of all environments at the start, in which it acts at random."""
    width: int = 128
    """Units of each of the two hidden layers, of policy and value functions."""

    def __post_init__(self) -> None:
        bounds = {
            "n_envs": (1, 4096), "n_steps": (1, 10**6), "updates": (1e-3, 100), "batch_size": (2, 10**6),
            "gamma": (0, 1), "learning_rate": (1e-9, 10), "entropy": (1e-6, 10), "random_steps": (0, 10**9),
            "width": (1, 10**4),
        }  # fmt: skip
        check_bounds(self, "sac.", **bounds)

    def check_steps(self, steps: int) -> None:
        """Refuse so few steps, of all environments together, that nothing would be learned from them.

        Raises:
            UserError: There is no update.
        """
        rollout = self.n_envs * self.n_steps
        least = (self.random_steps // rollout + 1) * rollout
        if steps < least:
            raise UserError(
                f"steps is {steps}, expected {least} or more for sac: its first {self.random_steps} are at random, and "
                f"{rollout} lie between two updates: lower sac.random-steps, sac.n-steps or sac.n-envs for fewer"
            )


def suits(space: spaces.Space) -> bool:
    """Whether it can learn actions of a space: numbers within bounds."""
    return isinstance(space, spaces.Box) and space.is_bounded()


def check_actions(space: spaces.Space) -> None:
    """Refuse actions that it can't learn.

    Raises:
        UserError: They are no numbers within bounds.
    """
    if not suits(space):
        raise UserError(f"actions of {space}, expected a Box with bounds for sac: take ppo")


def build_sac(
    learner: SACLearner, env: VecEnv, steps: int, seed: int, device: torch.device, tensorboard: Path | None = None
) -> SAC:
    """Make a model that has learned nothing yet.

    Args:
        learner: Its settings.
        env: That it will learn in.
        steps: That it will see, all of which it remembers.
        seed: Of everything random.
        device: Of its networks.
        tensorboard: Folder of its logs.

    Raises:
        UserError: Actions are no numbers within bounds.
    """
    check_actions(env.action_space)
    env.observation_space.seed(seed)  # nobody samples it, but its generator is saved with the policy
    model = SAC(
        "MultiInputPolicy" if isinstance(env.observation_space, spaces.Dict) else "MlpPolicy",
        env,
        learning_rate=partial(falling, learner.learning_rate),
        buffer_size=steps + env.num_envs,
        learning_starts=learner.random_steps,
        batch_size=learner.batch_size,
        gamma=learner.gamma,
        ent_coef=f"auto_{learner.entropy}",
        train_freq=learner.n_steps,
        gradient_steps=max(1, round(learner.updates * learner.n_steps * env.num_envs)),
        policy_kwargs={"net_arch": [learner.width, learner.width]},
        seed=seed,
        device=device,
        tensorboard_log=str(tensorboard) if tensorboard else None,
    )
    if tensorboard is None:
        model.set_logger(Logger(folder=None, output_formats=[]))  # its own would leave a folder in /tmp
    return model
