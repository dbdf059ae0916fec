"""Environments of any kind, with what a reward from a video asks for: a picture, and where in the video they are."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv, VectorEnv, VectorWrapper
from gymnasium.vector.utils import batch_space, iterate
from numpy.typing import NDArray

from imitate.errors import UserError
from imitate.keeping.call_checks import checked_seed, checked_seeds
from imitate.reward.batches import Rows, merged, put, reset_at_once, told
from imitate.reward.contract import FOLLOWED, IMAGE
from imitate.reward.filming import Filming, Sample
from imitate.reward.frames import Frames
from imitate.reward.observation import STATE
from imitate.reward.playback import Playback


class Filmed(gym.Wrapper):
    """An environment of any kind, filmed, and told at which frame of a demonstration it is.

    Observation: a Dict of ``image`` (size, size, 3) uint8 and ``state``, what the environment observes. Info:
    ``demonstration`` and ``step``; what the environment itself tells under these names goes by ``env_step`` and the
    like. An episode is truncated at the demonstration's last frame.

    Args:
        env: To film.
        lengths: Frames of each demonstration.
        size: Pixels a side of what an encoder sees.
        frames: Where the pictures come from.
        samples: Other pictures, which are to show the same part of the world.

    Raises:
        UserError: There are no pictures; or, in a step, they change their size.
    """

    def __init__(
        self,
        env: gym.Env,
        lengths: Sequence[int],
        size: int,
        frames: Frames,
        samples: tuple[Sample, ...] = (),
    ) -> None:
        super().__init__(env)
        self._filming = Filming(env, env.observation_space, frames, size, samples)
        self._playback = Playback(lengths, 1)
        self.observation_space = space_of(env.observation_space, size)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Reset the environment; ``options["demonstration"]`` is the index of the one to follow. Else it is drawn."""
        seed, options = checked_seed(seed), dict(options or {})
        self._playback.seed([seed])
        self._playback.begin(np.ones(1, np.bool_), options.pop("demonstration", None))
        observation, info = self.env.reset(seed=seed, options=options or None)
        return self._seen(observation), self._told(info)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Step the environment."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._playback.advance()
        ended = bool(self._playback.ended[0])
        return self._seen(observation), float(reward), terminated, truncated or ended, self._told(info)

    def aim_at(self, frame: int) -> None:
        """Compare the next step with this frame of the demonstration, instead of the one after the last step's."""
        self._playback.aim_at(np.array([frame]))

    def _seen(self, observation: Any) -> dict[str, Any]:
        return {IMAGE: self._filming.one(observation), STATE: observation}

    def _told(self, info: dict[str, Any]) -> dict[str, Any]:
        return _renamed(info) | {key: int(value[0]) for key, value in self._playback.infos().items()}


class FilmedVector(VectorWrapper):
    """A vector environment of any kind, filmed: as ``Filmed`` for one.

    It resets in the same step, whatever the autoreset mode of the one below. Of one that resets in the same step
    itself, the pictures must stand in the observation: when it could be asked to render, the last moment of an episode
    is over.

    Args:
        env: To film: Gymnasium's ``SyncVectorEnv`` or ``AsyncVectorEnv``, wrapped or not.
        lengths: Frames of each demonstration.
        size: Pixels a side of what an encoder sees.
        frames: Where the pictures come from.
        samples: Other pictures, which are to show the same part of the world.

    Raises:
        UserError: There are no pictures, or not those of last moments; or, in a step, they change their size.
    """

    def __init__(
        self,
        env: VectorEnv,
        lengths: Sequence[int],
        size: int,
        frames: Frames,
        samples: tuple[Sample, ...] = (),
    ) -> None:
        super().__init__(env)
        self._filming = Filming(env, env.single_observation_space, frames, size, samples)
        mode = _checked_mode(env)
        self._same_step = mode == AutoresetMode.SAME_STEP
        if self._same_step and frames.key is None:
            raise UserError(
                f"a vector environment of {mode} renders no episode's last moment: make it with another autoreset "
                "mode, or wrap each environment in AddRenderObservation(env, render_only=False) and name the key of it"
            )
        self._playback = Playback(lengths, env.num_envs)
        self.metadata = env.metadata | {"autoreset_mode": AutoresetMode.SAME_STEP}
        self.single_observation_space = space_of(env.single_observation_space, size)
        self.observation_space = batch_space(self.single_observation_space, env.num_envs)

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Reset all, or those of ``options["reset_mask"]``; ``options["demonstration"]`` is one index, or one each."""
        options = dict(options or {})
        if seed is not None:
            seed = checked_seeds(seed, self.num_envs)
            self._playback.seed(seed)
        rows = np.array(options.get("reset_mask", np.ones(self.num_envs, np.bool_)))
        if rows.shape != (self.num_envs,) or rows.dtype != np.bool_:
            raise UserError(f"reset_mask of shape {rows.shape} {rows.dtype}, expected ({self.num_envs},) bool")
        self._playback.begin(rows, options.pop("demonstration", None))
        observation, infos = self.env.reset(seed=seed, options=options or None)
        return self._seen(observation), _renamed(infos) | told(self._playback.infos(), rows)

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Step all, and reset those whose episode or demonstration ends."""
        observation, rewards, terminated, truncated, infos = self.env.step(actions)
        infos = _renamed(infos)
        self._playback.advance()
        reset = (terminated | truncated) if self._same_step else np.zeros(self.num_envs, np.bool_)
        truncated = truncated | self._playback.ended
        infos |= told(self._playback.infos(), ~reset)
        if reset.any():
            infos = self._begun(reset, infos)
        seen = self._seen(observation)
        rows = (terminated | truncated) & ~reset
        if rows.any():
            each = iterate(batch_space(self.single_observation_space, self.num_envs), seen)
            last = _objects(deepcopy(list(each)))  # what it observed may be written over
            seen[STATE], _, infos = reset_at_once(self._reset, rows, last, infos)
            put(seen[IMAGE], rows, self._filming.some(seen[STATE], rows))
        return seen, rewards, terminated, truncated, infos

    def aim_at(self, frames: NDArray[np.int64]) -> None:
        """Compare the next step of each with this frame (num_envs,) of its demonstration."""
        self._playback.aim_at(frames)

    def _reset(self, options: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Reset those of ``options["reset_mask"]``, without taking pictures."""
        rows = options["reset_mask"].copy()
        self._playback.begin(rows)
        observation, infos = self.env.reset(options=options)
        return observation, _renamed(infos) | told(self._playback.infos(), rows)

    def _begun(self, rows: Rows, infos: dict[str, Any]) -> dict[str, Any]:
        """Infos of episodes (num_envs,) that ended below, where the next ones have begun already."""
        final = told(self._playback.infos(), rows)
        infos["final_info"] = merged(rows, _renamed(infos["final_info"]) | final, {})
        last = infos["final_obs"]
        pictures = self._filming.develop([last[i][self._filming.frames.key] for i in np.flatnonzero(rows)], rows)
        seen = np.full(self.num_envs, None, np.object_)
        for picture, i in zip(pictures, np.flatnonzero(rows), strict=True):
            seen[i] = {IMAGE: picture, STATE: last[i]}
        infos["final_obs"] = seen
        self._playback.begin(rows)
        return infos | told(self._playback.infos(), np.ones_like(rows))

    def _seen(self, observation: Any) -> dict[str, Any]:
        return {IMAGE: self._filming.all(observation), STATE: observation}


def _checked_mode(env: VectorEnv) -> AutoresetMode:
    """The autoreset mode of a vector environment whose environments can be reset one by one."""
    core = env.unwrapped
    if not isinstance(core, SyncVectorEnv | AsyncVectorEnv):
        raise UserError(
            f"{env}: expected a SyncVectorEnv or an AsyncVectorEnv, which can reset some of their environments: "
            'make it with vectorization_mode="sync" or "async"'
        )
    mode = env.metadata["autoreset_mode"]
    if mode == AutoresetMode.NEXT_STEP and isinstance(core, AsyncVectorEnv) and not core.shared_memory:
        raise UserError(
            f"{env}: without shared memory, one of {mode} resets an episode once more in its first step: expected "
            f"shared memory, or {AutoresetMode.DISABLED}"
        )
    return mode


def space_of(own: spaces.Space, size: int) -> spaces.Dict:
    """What is observed of an environment that is filmed, itself observing ``own``."""
    return spaces.Dict({IMAGE: spaces.Box(0, 255, (size, size, 3), np.uint8), STATE: own})


def _renamed(infos: dict[str, Any]) -> dict[str, Any]:
    """Infos, in which what is told of a demonstration has no namesake."""
    namesakes = {name for key in FOLLOWED for name in (key, f"_{key}")}
    return {
        (f"_env{key}" if key.startswith("_") else f"env_{key}") if key in namesakes else key: value
        for key, value in infos.items()
    }


def _objects(rows: list[Any]) -> NDArray[np.object_]:
    """An array of objects, one a row."""
    array = np.empty(len(rows), np.object_)
    array[:] = rows
    return array
