"""A Gymnasium vector environment as stable-baselines3 wants it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv, VectorWrapper
from stable_baselines3.common.vec_env import VecEnv

from imitate.finite import check_finite


def _layers(env: VectorEnv) -> Iterator[VectorEnv]:
    yield env
    while isinstance(env, VectorWrapper):
        env = env.env
        yield env


class _Remote(VecEnv):
    """What can't be done with environments that are in other processes."""

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Not possible: the environments are in other processes."""
        raise AttributeError(f"{attr_name} can't be set on environments in other processes")

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        """Not possible: the environments are in other processes."""
        raise AttributeError(f"{method_name} can't be called on environments in other processes")

    def env_is_wrapped(self, wrapper_class: type, indices: Any = None) -> list[bool]:
        """Nothing is."""
        return [False for _ in self._get_indices(indices)]


class SB3VecEnv(_Remote):
    """Any Gymnasium vector environment that resets in the same step, for stable-baselines3.

    What PPO needs to bootstrap at the end of a video reaches it: ``terminal_observation`` and
    ``TimeLimit.truncated``.

    Args:
        env: The vector environment. Closing this closes it.
    """

    def __init__(self, env: VectorEnv) -> None:
        assert env.metadata.get("autoreset_mode") == AutoresetMode.SAME_STEP
        self.env = env
        self._actions: Any = None
        self._begins = all(hasattr(layer, "step_async") for layer in _layers(env))
        self._seed: int | None = None
        self.render_mode = env.render_mode
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        """Seed the next reset: environment i takes ``seed + i``."""
        self._seed = seed
        return [None if seed is None else seed + i for i in range(self.num_envs)]

    def reset(self) -> Any:
        """Reset all environments."""
        observation, infos = self.env.reset(seed=self._seed)
        self._seed = None
        self.reset_infos = self._split(infos, np.zeros(self.num_envs, bool))
        return observation

    def step_async(self, actions: Any) -> None:
        """Begin a step, if the vector environment can do that, and else keep the actions for ``step_wait``.

        Raises:
            UserError: There is NaN or infinity in them.
        """
        check_finite("an action of the policy", np.asarray(actions), "lower learner.learning-rate")
        self._actions = actions
        if self._begins:
            self.env.step_async(actions)  # type: ignore[attr-defined]

    def step_wait(self) -> Any:
        """End the step of all environments."""
        stepped = self.env.step_wait() if self._begins else self.env.step(self._actions)  # type: ignore[attr-defined]
        observation, rewards, terminated, truncated, infos = stepped
        dones = terminated | truncated
        each = self._split(infos, dones)
        for i in np.flatnonzero(dones):
            each[i]["terminal_observation"] = infos["final_obs"][i]
            each[i]["TimeLimit.truncated"] = bool(truncated[i] and not terminated[i])
        return observation, rewards.astype(np.float32), dones, each

    def state(self) -> Any:
        """For ``restore``, of a vector environment that has both."""
        return self.env.state()  # type: ignore[attr-defined]

    def restore(self, state: Any) -> None:
        """Go on from a state. The next call is to be a step."""
        self.env.restore(state)  # type: ignore[attr-defined]

    def _split(self, infos: dict[str, Any], dones: Any) -> list[dict[str, Any]]:
        """One info an environment: of the step that was taken, also where an episode ended."""
        columns = {k: v for k, v in infos.items() if isinstance(v, np.ndarray) and k[0] != "_" and k != "final_obs"}
        final = infos.get("final_info", {})
        return [
            {key: (final[key] if dones[i] and key in final else value)[i] for key, value in columns.items()}
            for i in range(self.num_envs)
        ]

    def close(self) -> None:
        """Close the vector environment."""
        self.env.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """The attribute of the vector environment, once for each environment."""
        return [getattr(self.env, attr_name) for _ in self._get_indices(indices)]


class Halves(_Remote):
    """Two vector environments as one, which can also be stepped in turn: while one moves, the other is looked at.

    Args:
        halves: Their environments are numbered one after the other's. Closing this closes both.
    """

    def __init__(self, halves: Sequence[SB3VecEnv]) -> None:
        self.halves = tuple(halves)
        ends = np.cumsum([half.num_envs for half in halves])
        self.rows = tuple(slice(int(end) - half.num_envs, int(end)) for half, end in zip(halves, ends, strict=True))
        self.render_mode = halves[0].render_mode
        super().__init__(int(ends[-1]), halves[0].observation_space, halves[0].action_space)

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        """Seed the next reset: environment i takes ``seed + i``, whichever half it is of."""
        return [
            one
            for half, rows in zip(self.halves, self.rows, strict=True)
            for one in half.seed(None if seed is None else seed + rows.start)
        ]

    def reset(self) -> Any:
        """Reset all environments."""
        observations = [half.reset() for half in self.halves]
        self.reset_infos = [info for half in self.halves for info in half.reset_infos]
        return np.concatenate(observations)

    def step_async(self, actions: Any) -> None:
        """Begin a step of both."""
        for half, rows in zip(self.halves, self.rows, strict=True):
            half.step_async(actions[rows])

    def step_wait(self) -> Any:
        """End the step of both."""
        return joined([half.step_wait() for half in self.halves])

    def state(self) -> Any:
        """For ``restore``."""
        return [half.state() for half in self.halves]

    def restore(self, state: Any) -> None:
        """Go on from a state. The next call is to be a step."""
        for half, part in zip(self.halves, state, strict=True):
            half.restore(part)

    def close(self) -> None:
        """Close both."""
        for half in self.halves:
            half.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """The attribute of the vector environments, once for each environment."""
        each = [value for half in self.halves for value in half.get_attr(attr_name)]
        return [each[index] for index in self._get_indices(indices)]


def joined(steps: Sequence[Any]) -> Any:
    """What several vector environments' ``step_wait`` returned, as if it were one's."""
    observations, rewards, dones, infos = zip(*steps, strict=True)
    return np.concatenate(observations), np.concatenate(rewards), np.concatenate(dones), list(chain(*infos))
