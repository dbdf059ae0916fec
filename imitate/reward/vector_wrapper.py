"""Reward by embedding distance, for many environments at once: as for one, with one call of the encoder a step."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector import VectorEnv, VectorWrapper
from gymnasium.vector.utils import batch_space, concatenate, create_empty_array, iterate
from numpy.typing import NDArray

from imitate.data.demonstration import Demonstration
from imitate.keeping.call_checks import check_order, check_same_step, checked_seeds
from imitate.reward.batches import mixed, put, reset_at_once, rows_of, told
from imitate.reward.contract import FOLLOWED, IMAGE, check_following, checked_space, followed, keeper
from imitate.reward.following import Following
from imitate.reward.frames import Frames
from imitate.reward.observation import PolicyObservation
from imitate.reward.rewards import Floats
from imitate.reward.targets import Encoder, Targets


class EmbeddingRewardVector(VectorWrapper):
    """Many environments, rewarded by embedding distance, with one call of the encoder a step.

    The vector environment must reset in the same step (``AutoresetMode.SAME_STEP``), as Gymnasium's ``SyncVectorEnv``
    and ``AsyncVectorEnv`` do on request, with the last observations and infos of the episodes that ended under
    ``final_obs`` and ``final_info`` in its infos. To give up, it must also take ``options["reset_mask"]``, as they do;
    so does this.

    Args:
        env: Its environments are as the module asks.
        encoder: That embeds the frames of all of them.
        demonstrations: In the order of the environments' ``demonstration`` indices; or what this encoder made of them.
        following: How a demonstration is followed. Without a clock, the environment needs ``aim_at``, as ``KukaEnv``
            and ``KukaVectorEnv`` do.
        observe: One of ``FORMS`` of observations: flat, dict or env.
        filmed: Where the pictures of the environment come from, if ``Filmed`` is what makes it observe them.

    Raises:
        UserError: The vector environment resets at another time or does not observe what the module asks, or a pose is
            to be observed that has not been read. At a reset or step: an environment's info does not tell which frame
            it is at.
    """

    def __init__(
        self,
        env: VectorEnv,
        encoder: Encoder,
        demonstrations: Sequence[Demonstration] | Targets,
        following: Following = Following(),
        observe: str = "flat",
        filmed: Frames | None = None,
    ) -> None:
        check_same_step(env)
        super().__init__(env)
        self.encoder = encoder
        self.targets = demonstrations if isinstance(demonstrations, Targets) else Targets(encoder, demonstrations)
        self.following = following
        self._below = checked_space(env, env.single_observation_space, encoder.image_size)
        check_following(env, self._below, self.targets, following)
        self._observed = PolicyObservation(self._below, encoder.dim, encoder.norm, following, observe, filmed)
        self.single_observation_space = self._observed.space
        self.observation_space = batch_space(self.single_observation_space, env.num_envs)
        # Of each environment: its frame's embedding, the frame it is compared with next, and what it observes.
        self._own: Floats = np.zeros((env.num_envs, encoder.dim), np.float32)
        self._ahead: NDArray[np.int64] = np.zeros(env.num_envs, np.int64)
        self._shown: Any = create_empty_array(self.single_observation_space, env.num_envs)
        self._begun = False

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Reset all environments, or those of ``options["reset_mask"]``."""
        if seed is not None:
            seeds = checked_seeds(seed, self.num_envs)
            seed = seeds if np.ndim(seed) else seeds[0]  # type: ignore[arg-type]
        rows = np.array((options or {}).get("reset_mask", np.ones(self.num_envs, np.bool_)))
        check_order("reset of some of the environments", self._begun or bool(rows.all()))
        # A copy: Gymnasium's own take the mask out of what they are given.
        observation, infos = self.env.reset(seed=seed, options=options and dict(options))  # type: ignore[arg-type]
        self._begin(rows, observation, infos)
        self._aim()
        self._begun = True
        return deepcopy(self._shown), infos

    def step(self, actions: Any) -> tuple[Any, NDArray, NDArray, NDArray, dict[str, Any]]:
        """Step all environments, and reset those whose episode ends."""
        check_order("step", self._begun)
        observation, env_rewards, terminated, truncated, infos = self.env.step(actions)
        ended = terminated | truncated
        images = observation[IMAGE]
        if ended.any():  # the last frames of their episodes are embedded in the same call
            last = _batched(self._below, infos["final_obs"], observation, self.num_envs)
            images = np.concatenate([images, last[IMAGE][ended]])
        embedded = self.encoder.embed(images)
        before, self._own = self._own, embedded[: self.num_envs]
        scored = self._own.copy()
        scored[ended] = embedded[self.num_envs :]

        at = stepped = self._at(infos)
        if ended.any():  # before the resets
            final = followed(self.env, infos["final_info"], self.targets, ended)
            stepped = {key: at[key].copy() for key in FOLLOWED}
            for key in FOLLOWED:
                stepped[key][ended] = final[key]
        moment = self.targets.moment(before, scored, **stepped)
        distance = np.linalg.norm(scored - moment.target, axis=-1)
        measured = {"env_reward": env_rewards, "embedding_distance": distance, "env_terminated": terminated}
        infos.update(told(measured, ~ended))
        if ended.any():
            infos["final_info"].update(told(measured, ended))
            ahead = self.targets.ahead(before, scored, **stepped, clock=self.following.clock)
            infos["final_obs"] = self._observe(last, scored, stepped, ahead)
        self._ahead = self.targets.ahead(mixed(ended, self._own, before), self._own, **at, clock=self.following.clock)
        self._shown = self._observe(observation, self._own, at, self._ahead)
        lost = (distance > self.following.give_up) & ~ended
        if lost.any():
            infos = self._give_up(lost, infos)
        self._aim()
        own = terminated & self.following.ends
        return (
            deepcopy(self._shown),
            self.following.rewards(moment),
            own | (distance > self.following.give_up),
            truncated | (terminated & ~own),
            infos,
        )

    def state(self) -> dict[str, Any]:
        """For ``restore``, of environments that have both."""
        return {"own": self._own.copy(), "env": self.env.state()}  # type: ignore[attr-defined]

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state. The next call is to be ``step``."""
        self._own, self._begun = state["own"], True
        self.env.restore(state["env"])  # type: ignore[attr-defined]

    def _give_up(self, lost: NDArray[np.bool_], infos: dict[str, Any]) -> dict[str, Any]:
        """Reset the environments that have lost their demonstration; their last facts become the final ones."""
        observation, fresh, infos = reset_at_once(self.env.reset, lost, deepcopy(self._shown), infos)
        self._begin(lost, observation, fresh)
        return infos

    def _begin(self, rows: NDArray[np.bool_], observation: dict[str, Any], infos: dict[str, Any]) -> None:
        """Take in how the episodes of these rows (num_envs,) begin."""
        first = rows_of(observation, rows)
        at, own = followed(self.env, infos, self.targets, rows), self.encoder.embed(first[IMAGE])
        ahead = self.targets.ahead(own, own, **at, clock=self.following.clock)
        self._own[rows], self._ahead[rows] = own, ahead
        put(self._shown, rows, self._observe(first, own, at, ahead))

    def _at(self, infos: dict[str, Any]) -> dict[str, NDArray[np.int64]]:
        return followed(self.env, infos, self.targets)

    def _aim(self) -> None:
        """Tell the environments what they are going to be compared with, if that is not the next frame."""
        if not self.following.clock:
            keeper(self.env).aim_at(self._ahead)

    def _observe(
        self, observation: dict[str, Any], own: Floats, at: dict[str, NDArray[np.int64]], ahead: NDArray[np.int64]
    ) -> Any:
        future = self.targets.near_future(
            at["demonstration"], ahead, self.following.lookahead, self.following.observe_pose
        )
        return self._observed(observation, own, *future)


def _batched(space: spaces.Space, final: Any, observation: Any, number: int) -> Any:
    """The last observations as one batch, like ``observation``, which fills the rows of episodes that go on.

    Vector environments give an array of them, None where an episode goes on.
    """
    own = iterate(batch_space(space, number), observation)
    rows = [row if last is None else last for row, last in zip(own, final, strict=True)]
    return concatenate(space, rows, create_empty_array(space, number))  # type: ignore[arg-type]
