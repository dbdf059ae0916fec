"""The robot practises a demonstration: it takes the poses that it guesses, and learns from what it sees."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imitate.data.demonstration import Demonstration
from imitate.embedding.trained_encoder import TrainedEncoder
from imitate.errors import UserError
from imitate.reading.practice import Experience
from imitate.reward.following import Following
from imitate.reward.vector_wrapper import EmbeddingRewardVector

from .control import VELOCITY_SCALE
from .imagination import within_reach
from .kuka import CONTROL_HZ
from .robot import Robot
from .tcn_imitate import tcn_imitate_vector

REACH = VELOCITY_SCALE / CONTROL_HZ  # rad that a full action turns a joint in a step
ENVS, STEPS = 64, 32  # environments, and steps of each between two readings
ROUND = ENVS * STEPS
ASTRAY, LEAST_ASTRAY = 0.3, 0.02  # rad, standard deviation of how far it goes from the poses that it believes
PER_DISTANCE = 0.1  # rad, of an embedding, of norm 10, that is 1 apart from what it should be
LASTING = 0.8  # share of that which stays from a step to the next: what changes faster moves the arm little
MIDWAY = 0.5  # share of the episodes that start at a random frame

Floats = NDArray[np.float64]


def towards(poses: NDArray[np.floating], joints: NDArray[np.floating]) -> NDArray[np.float32]:
    """The actions that take (..., joints) poses, rad, from where the joints are within a step, as far as it goes."""
    return np.clip((poses - joints) / REACH, -1, 1).astype(np.float32)


def rounds_of(steps: int) -> int:
    """Whole rounds of so many steps; one at least."""
    return max(steps // ROUND, 1)


def practise(
    demonstration: Demonstration,
    encoder: TrainedEncoder,
    robot: Robot,
    steps: int,
    workers: int = 0,
    seed: int = 0,
    tell: Callable[[int], Any] = lambda steps: None,
) -> Demonstration:
    """Find out which poses a demonstration shows, by taking those that are believed and going a little astray.

    Nothing is imagined: what is seen is what the environment shows, at the steps that it is given. Half of the episodes
    start at a random frame, and half at the first, at the pose that is believed to be there: of the demonstration, only
    its frames are looked at.

    Args:
        demonstration: With the poses that are believed at first.
        encoder: That embeds it, and what the robot sees.
        robot: That practises.
        steps: Of all environments together: whole rounds of 2,048, one at least.
        workers: Processes that simulate. What is found does not depend on their number.
        seed: Of everything random.
        tell: Called with the number of steps after each round.

    Returns:
        The demonstration with the poses that were found.

    Raises:
        UserError: No poses are believed, or there are no steps.
    """
    if demonstration.believed is None:
        raise UserError(f"demonstration {demonstration.name}: no poses to begin with, expected guesses: `believed`")
    if steps < 1:
        raise UserError(f"{steps} steps of practice, expected 1 or more")
    bare = replace(demonstration, joints=None)
    believed = np.asarray(demonstration.believed, np.float64)
    experience = Experience(encoder.embed(demonstration.frames), believed.shape[1])
    env = tcn_imitate_vector(ENVS, encoder, [bare], Following(), replace(robot, midway=MIDWAY), workers)
    astray = np.full(len(believed), ASTRAY)
    try:
        walk = _Walk(env, seed)
        for _ in range(rounds_of(steps)):
            experience.add(*walk.round(believed, astray))
            astray = np.clip(PER_DISTANCE * experience.nearness(), LEAST_ASTRAY, ASTRAY)
            believed = within_reach(experience.poses(), robot.arm)
            env.unwrapped.believe([believed])  # type: ignore[attr-defined]
            tell(ROUND)
    finally:
        env.close()
    return replace(demonstration, believed=believed)


class _Walk:
    """Robots that follow poses, and go astray.

    Args:
        env: Their environments.
        seed: Of everything random.
    """

    def __init__(self, env: EmbeddingRewardVector, seed: int) -> None:
        self._env, self._rng = env, np.random.default_rng(seed)
        self._observed, infos = env.reset(seed=seed)
        self._step: NDArray[np.int64] = infos["step"]
        self._joints = env.single_action_space.shape[0]  # type: ignore[index]
        self._away = np.zeros((env.num_envs, self._joints))  # standard normal
        self._met: list[NDArray[np.float32]] = [self._observed]

    def round(self, poses: Floats, astray: Floats) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Some steps of all: (n, dim) embeddings of what they saw, and (n, joints) where their joints were, rad."""
        for _ in range(STEPS):
            fresh = self._rng.normal(size=self._away.shape)
            self._away = LASTING * self._away + np.sqrt(1 - LASTING**2) * fresh
            ahead = np.minimum(self._step + 1, len(poses) - 1)
            actions = towards(poses[ahead] + astray[ahead, None] * self._away, self._observed[:, : self._joints])
            self._observed, _, _, ended, infos = self._env.step(actions)
            self._step = infos["step"]
            self._met.append(self._observed)
            if ended.any():
                self._met.append(infos["final_obs"][ended])
        states, self._met = np.concatenate(self._met), []
        dim = self._env.encoder.dim
        return states[:, 2 * self._joints : 2 * self._joints + dim], states[:, : self._joints]
