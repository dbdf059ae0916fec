"""Environments of any kind, with what a reward from a video asks for: a picture, and where in the video they are."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv, VectorWrapper
from gymnasium.vector.utils import batch_space, iterate
from numpy.typing import NDArray

from imitate.errors import UserError
from imitate.keeping.call_checks import checked_seed, checked_seeds
from imitate.reward.batches import Rows, merged, reset_at_once, told
from imitate.reward.contract import FOLLOWED, IMAGE
from imitate.reward.frames import Frames, Picture
from imitate.reward.observation import STATE


class Playback:
    """Which demonstration each of n environments follows, and at which frame of it it is.

    Args:
        lengths: Frames of each demonstration.
        number: n.

    Attributes:
        demonstration: (n,) indices.
        frame: (n,) that the last step was compared with.
        aim: (n,) that the next one is.
    """

    def __init__(self, lengths: Sequence[int], number: int) -> None:
        self._lengths = np.array(lengths)
        self._rng = np.random.default_rng()
        self.demonstration, self.frame, self.aim = np.zeros((3, number), np.int64)

    def seed(self, seed: Any) -> None:
        """Of the draws to come; the environments' own generators are left alone."""
        self._rng = np.random.default_rng(seed)

    def begin(self, rows: Rows, chosen: Any = None) -> None:
        """Begin a demonstration in these rows (n,): the one that is chosen, or one each of theirs, or drawn.

        Raises:
            UserError: There is none of that index.
        """
        most = len(self._lengths) - 1
        if chosen is not None:
            indices = np.asarray(chosen)
            if indices.dtype.kind not in "iu" or not (indices.min() >= 0 and indices.max() <= most):
                raise UserError(f"no demonstration {chosen}, expected 0 to {most}")
            self.demonstration[rows] = np.broadcast_to(indices, rows.shape)[rows]
        else:
            self.demonstration[rows] = self._rng.integers(most + 1, size=int(rows.sum()))
        self.frame[rows], self.aim[rows] = 0, 1

    def advance(self) -> None:
        """A step of all."""
        self.frame, self.aim = self.aim.copy(), self.aim + 1

    def aim_at(self, frames: NDArray[np.int64]) -> None:
        """Compare the next step with these frames (n,)."""
        self.aim = np.clip(frames, 0, self._lengths[self.demonstration] - 1)

    @property
    def ended(self) -> Rows:
        """(n,) whether that was the last frame."""
        return self.frame >= self._lengths[self.demonstration] - 1

    def infos(self) -> dict[str, NDArray[np.int64]]:
        """What is to be told of it, (n,) each."""
        return dict(zip(FOLLOWED, (self.demonstration.copy(), self.frame.copy()), strict=True))


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

    Raises:
        UserError: There are no pictures; or, in a step, they change their size.
    """

    def __init__(self, env: gym.Env, lengths: Sequence[int], size: int, frames: Frames) -> None:
        super().__init__(env)
        self._filming = Filming(env, env.observation_space, frames, size)
        self._playback = Playback(lengths, 1)
        self.observation_space = space_of(env.observation_space, size)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Reset the environment; ``options["demonstration"]`` is the index of the one to follow. Else it is drawn."""
        seed, options = checked_seed(seed), dict(options or {})
        if seed is not None:
            self._playback.seed(seed)
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
        env: To film. It takes ``options["reset_mask"]``, as Gymnasium's own do.
        lengths: Frames of each demonstration.
        size: Pixels a side of what an encoder sees.
        frames: Where the pictures come from.

    Raises:
        UserError: There are no pictures, or not those of last moments; or, in a step, they change their size.
    """

    def __init__(self, env: VectorEnv, lengths: Sequence[int], size: int, frames: Frames) -> None:
        super().__init__(env)
        self._filming = Filming(env, env.single_observation_space, frames, size)
        mode = env.metadata.get("autoreset_mode")
        if not isinstance(mode, AutoresetMode):
            raise UserError(f"a vector environment of autoreset mode {mode}, expected one of Gymnasium's")
        self._same_step = mode == AutoresetMode.SAME_STEP
        if self._same_step and frames.key is None:
            raise UserError(
                f"a vector environment of {mode} renders no episode's last moment: make it with another autoreset "
                "mode, or wrap each environment in gymnasium.wrappers.AddRenderObservation and name the key of it"
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
            self._playback.seed([one for one in seed if one is not None])
        rows = np.array(options.get("reset_mask", np.ones(self.num_envs, np.bool_)))
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
            seen, _, infos = reset_at_once(self.reset, rows, last, infos)
        return seen, rewards, terminated, truncated, infos

    def aim_at(self, frames: NDArray[np.int64]) -> None:
        """Compare the next step of each with this frame (num_envs,) of its demonstration."""
        self._playback.aim_at(frames)

    def _begun(self, rows: Rows, infos: dict[str, Any]) -> dict[str, Any]:
        """Infos of episodes (num_envs,) that ended below, where the next ones have begun already."""
        final = told(self._playback.infos(), rows)
        infos["final_info"] = merged(rows, _renamed(infos["final_info"]) | final, {})
        last = infos["final_obs"]
        pictures = self._filming.develop([last[i][self._filming.frames.key] for i in np.flatnonzero(rows)])
        seen = np.full(self.num_envs, None, np.object_)
        for picture, i in zip(pictures, np.flatnonzero(rows), strict=True):
            seen[i] = {IMAGE: picture, STATE: last[i]}
        infos["final_obs"] = seen
        self._playback.begin(rows)
        return merged(rows, told(self._playback.infos(), rows), infos)

    def _seen(self, observation: Any) -> dict[str, Any]:
        return {IMAGE: self._filming.all(observation), STATE: observation}


class Filming:
    """Pictures of an environment, or of a vector environment, all of one size.

    Args:
        env: That is filmed.
        space: What one environment observes.
        frames: Where the pictures come from.
        size: Pixels a side of what an encoder sees.

    Raises:
        UserError: It renders none, or observes none.
    """

    def __init__(self, env: Any, space: spaces.Space, frames: Frames, size: int) -> None:
        frames.check(env, space)
        self.frames = frames
        self._env, self._size = env, size
        self._shape: tuple[int, ...] = ()

    def one(self, observation: Any) -> Picture:
        """(size, size, 3) uint8 of what is observed now, or as it looks now."""
        return self.develop([self._taken(observation)])[0]

    def all(self, observation: Any) -> Picture:
        """(num_envs, size, size, 3) uint8 of a batch, or as all look now."""
        return self.develop(self._taken(observation))

    def develop(self, pictures: Any) -> Picture:
        """(n, size, size, 3) uint8 of n pictures.

        Raises:
            UserError: They are none, or of another size than the first.
        """
        if pictures is None:
            raise UserError(f"{self._env} renders nothing, expected pictures (height, width, 3) uint8")
        shapes = {np.shape(picture) for picture in pictures}
        self._shape = self._shape or next(iter(shapes))
        if wrong := shapes - {self._shape}:
            raise UserError(f"{self._env}: a picture of {wrong.pop()}, expected {self._shape}, as they were before")
        return self.frames.seen(pictures, self._size, self._env)

    def _taken(self, observation: Any) -> Any:
        return self._env.render() if self.frames.key is None else observation[self.frames.key]


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
