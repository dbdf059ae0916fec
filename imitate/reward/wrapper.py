"""Reward by embedding distance, for one environment.

The environment below observes a dict with an ``image``, and tells in its info which ``demonstration`` (index) it is at
which ``step`` of. Nothing else is asked of it: any robot, real or simulated, will do; and ``VideoReward`` makes such a
one of any environment that renders. Its own reward stays in the info as ``env_reward``; its true errors, if it knows
them, pass through, and are never in the observation or the reward.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector.utils import batch_space, concatenate, create_empty_array, iterate
from numpy.typing import NDArray

from imitate.data.demonstration import Demonstration
from imitate.keeping.call_checks import check_order, checked_seed
from imitate.reward.contract import FOLLOWED, IMAGE, check_following, checked_space, followed, keeper
from imitate.reward.following import Following
from imitate.reward.frames import Frames
from imitate.reward.observation import PolicyObservation
from imitate.reward.rewards import Floats
from imitate.reward.targets import Encoder, Targets


class EmbeddingReward(gym.Wrapper):
    """One environment, rewarded by embedding distance to a demonstration.

    Info: ``embedding_distance``, ``env_reward``, and what the environment tells.

    Args:
        env: See the module.
        encoder: That embeds the frames.
        demonstrations: In the order of the environment's ``demonstration`` indices; or what this encoder made of them.
        following: How a demonstration is followed. Without a clock, the environment needs ``aim_at``, as ``KukaEnv``
            and ``KukaVectorEnv`` do.
        observe: One of ``FORMS`` of observations: flat, dict or env.
        filmed: Where the pictures of the environment come from, if ``Filmed`` is what makes it observe them.

    Attributes:
        frame: (size, size, 3) uint8, what the encoder saw last.

    Raises:
        UserError: The environment does not observe what the module asks, or a pose is to be observed that has not been
            read. At a reset or step: the environment's info does not tell which frame it is at.
    """

    def __init__(
        self,
        env: gym.Env,
        encoder: Encoder,
        demonstrations: Sequence[Demonstration] | Targets,
        following: Following = Following(),
        observe: str = "flat",
        filmed: Frames | None = None,
    ) -> None:
        super().__init__(env)
        self.encoder = encoder
        self.targets = demonstrations if isinstance(demonstrations, Targets) else Targets(encoder, demonstrations)
        self.following = following
        self._below = checked_space(env, env.observation_space, encoder.image_size)
        check_following(env, self._below, self.targets, following)
        self._observed = PolicyObservation(self._below, encoder.dim, encoder.norm, following, observe, filmed)
        self.observation_space = self._observed.space
        self.frame = np.zeros((encoder.image_size, encoder.image_size, 3), np.uint8)
        self._own: Floats = np.zeros((1, encoder.dim), np.float32)  # embedding of the robot's last frame
        self._begun = False

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Reset the environment below."""
        observation, info = self.env.reset(seed=checked_seed(seed), options=options)
        self._own = self._embedded(observation)
        self._begun = True
        return self._observe(observation, info, self._own), info

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Step the environment below; the reward is the embeddings'."""
        check_order("step", self._begun)
        observation, env_reward, terminated, truncated, info = self.env.step(action)
        before, self._own = self._own, self._embedded(observation)
        moment = self.targets.moment(before, self._own, **self._at(info))
        info["env_reward"] = env_reward
        info["embedding_distance"] = float(np.linalg.norm(moment.own - moment.target))
        reward = float(self.following.rewards(moment)[0])
        lost = info["embedding_distance"] > self.following.give_up
        info["env_terminated"] = terminated
        own = terminated and self.following.ends
        return (
            self._observe(observation, info, before),
            reward,
            own or lost,
            truncated or (terminated and not own),
            info,
        )

    def _embedded(self, observation: dict[str, Any]) -> Floats:
        """(1, dim) of what is seen now."""
        self.frame = observation[IMAGE]
        return self.encoder.embed(self.frame[None])

    def _at(self, info: dict[str, Any]) -> dict[str, NDArray[np.int64]]:
        return followed(self.env, {key: np.array([info[key]]) for key in FOLLOWED if key in info}, self.targets)

    def _observe(self, observation: dict[str, Any], info: dict[str, Any], before: Floats) -> Any:
        at = self._at(info)
        ahead = self.targets.ahead(before, self._own, **at, clock=self.following.clock)
        if not self.following.clock:
            keeper(self.env).aim_at(int(ahead[0]))
        batch: Any = concatenate(self._below, [observation], create_empty_array(self._below, 1))  # type: ignore[arg-type]
        future = self.targets.near_future(
            at["demonstration"], ahead, self.following.lookahead, self.following.observe_pose
        )
        return next(iter(iterate(batch_space(self.observation_space, 1), self._observed(batch, self._own, *future))))
