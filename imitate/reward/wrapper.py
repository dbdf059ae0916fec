"""Reward by embedding distance, for one environment.

The environment below observes a dict with ``image``, ``joints`` and ``velocities``, and tells in its info
which ``demonstration`` (index) it is at which ``step`` of. Nothing else is asked of it: any robot, real or
simulated, will do. Its own reward stays in the info as ``env_reward``; its true errors, if it knows them,
pass through, and are never in the observation or the reward.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from imitate.data.demonstration import Demonstration
from imitate.embedding.trained_encoder import TrainedEncoder
from imitate.keeping.call_checks import check_order, checked_seed
from imitate.reward.contract import (
    FOLLOWED,
    NEVER,
    checked_clock,
    checked_distance,
    checked_rewards,
    checked_space,
    followed,
    readable,
    rewarding,
)  # fmt: skip
from imitate.reward.observation import policy_observation, policy_space
from imitate.reward.rewards import Floats, Reward
from imitate.reward.targets import Targets


class EmbeddingReward(gym.Wrapper):
    """One environment, rewarded by embedding distance to a demonstration.

    Info: ``embedding_distance``, ``env_reward``, and what the environment tells.

    Args:
        env: See the module.
        encoder: That embeds the frames.
        demonstrations: In the order of the environment's ``demonstration`` indices; or what this encoder made of them.
        reward: From a ``Moment`` to (n,) rewards; None: ``HuberReward()``.
        give_up: An episode terminates where the embeddings are farther apart than this: the robot has lost the
            demonstration, and nothing there is worth learning.
        observe_pose: Observe also the pose that the robot has read off the demonstration's next frame.
        lookahead: How many of the demonstration's next frames are observed.
        clock: The demonstration's next frame is that of the next step. If false, it is as ``Targets.ahead`` says, and
            the environment must have ``aim_at``, as ``KukaEnv`` and ``KukaVectorEnv`` do.

    Raises:
        UserError: The environment does not observe what the module asks, ``give_up`` is no distance, ``lookahead`` no
            number of frames, or a pose is to be observed that has not been read. At a reset or step: the environment's
            info does not tell which frame it is at.
    """

    def __init__(
        self,
        env: gym.Env,
        encoder: TrainedEncoder,
        demonstrations: Sequence[Demonstration] | Targets,
        reward: Reward | None = None,
        give_up: float = NEVER,
        observe_pose: bool = False,
        lookahead: int = 1,
        clock: bool = True,
    ) -> None:
        super().__init__(env)
        self.encoder = encoder
        self.targets = demonstrations if isinstance(demonstrations, Targets) else Targets(encoder, demonstrations)
        self.reward = rewarding(reward)
        self.give_up = checked_distance(give_up)
        below = checked_space(env, env.observation_space, encoder.image_size)
        self._observe_pose, self._lookahead = readable(observe_pose, self.targets, below), lookahead
        self._clock = checked_clock(env, clock)
        self.observation_space = policy_space(below, encoder.dim, observe_pose, lookahead)
        self._own: Floats = np.zeros((1, encoder.dim), np.float32)  # embedding of the robot's last frame
        self._begun = False

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Floats, dict[str, Any]]:
        """Reset the environment below."""
        observation, info = self.env.reset(seed=checked_seed(seed), options=options)
        self._own = self.encoder.embed(observation["image"][None])
        self._begun = True
        return self._observe(observation, info, self._own), info

    def step(self, action: Any) -> tuple[Floats, float, bool, bool, dict[str, Any]]:
        """Step the environment below; the reward is the embeddings'."""
        check_order("step", self._begun)
        observation, env_reward, terminated, truncated, info = self.env.step(action)
        before, self._own = self._own, self.encoder.embed(observation["image"][None])
        moment = self.targets.moment(before, self._own, **self._at(info))
        info["env_reward"] = env_reward
        info["embedding_distance"] = float(np.linalg.norm(moment.own - moment.target))
        reward = float(checked_rewards(self.reward(moment), 1)[0])
        terminated = terminated or info["embedding_distance"] > self.give_up
        return self._observe(observation, info, before), reward, terminated, truncated, info

    def _at(self, info: dict[str, Any]) -> dict[str, NDArray[np.int64]]:
        return followed(self.env, {key: np.array([info[key]]) for key in FOLLOWED if key in info}, self.targets)

    def _observe(self, observation: dict[str, Any], info: dict[str, Any], before: Floats) -> Floats:
        at = self._at(info)
        ahead = self.targets.ahead(before, self._own, **at, clock=self._clock)
        if not self._clock:
            self.env.unwrapped.aim_at(int(ahead[0]))  # type: ignore[attr-defined]
        batch = {key: observation[key][None] for key in ("joints", "velocities")}
        future = self.targets.near_future(at["demonstration"], ahead, self._lookahead, self._observe_pose)
        return policy_observation(batch, self._own, *future)[0]
