"""A Gymnasium vector environment as stable-baselines3 wants it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import VectorEnv, VectorWrapper
from gymnasium.wrappers.vector import DictInfoToList
from numpy.typing import NDArray
from stable_baselines3.common.env_util import is_wrapped
from stable_baselines3.common.vec_env import VecEnv

from imitate.calls import check_same_step, checked_actions, checked_seed
from imitate.errors import UserError
from imitate.finite import check_finite


class NotPossible(UserError, AttributeError):
    """What an environment alone can do, and one among others can't."""


class SB3VecEnv(VecEnv):
    """Any Gymnasium vector environment that resets in the same step, for stable-baselines3.

    Behaves as a ``DummyVecEnv`` of the same environments. What PPO needs to bootstrap at the end of a video reaches it:
    ``terminal_observation`` and ``TimeLimit.truncated``.

    Attributes and methods of the single environments are reached as far as the vector environment reaches them, by
    Gymnasium's ``call``: as ``SyncVectorEnv``, ``AsyncVectorEnv`` and ``KukaVectorEnv`` do.

    Args:
        env: The vector environment. Closing this closes it.

    Raises:
        UserError: It resets at another time.
    """

    def __init__(self, env: VectorEnv) -> None:
        check_same_step(env)
        self.env = env
        self._listed = DictInfoToList(env)
        self._actions: Any = None
        self._begun = False
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)
        self.metadata = self.get_attr("metadata")[0]

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        """Seed the next reset: environment i takes ``seed + i``.

        Raises:
            UserError: It is no seed.
        """
        return super().seed(checked_seed(seed))

    def set_options(self, options: list[dict] | dict | None = None) -> None:
        """Hand options to the next reset: the same to all environments, or one dict each.

        Raises:
            UserError: There are more or fewer of them than environments.
        """
        if isinstance(options, (list, tuple)) and len(options) != self.num_envs:
            raise UserError(f"{len(options)} options, expected a dict for each of the {self.num_envs} environments")
        super().set_options(options)

    def reset(self) -> Any:
        """Reset all environments, with the seed and the options that were set for it."""
        seed, groups = self._seeds[0], list(self._groups())
        if len(groups) > 1 and not self._begun:  # a vector environment can't begin with some of its environments
            self.env.reset(seed=seed)
        for options, rows in groups:
            mask = {} if rows.all() else {"reset_mask": rows}
            observation, infos = self._listed.reset(seed=seed, options={**options, **mask} or None)
            for i in np.flatnonzero(rows):
                self.reset_infos[i] = infos[i]
        self._begun = True
        self._reset_seeds()
        self._reset_options()
        return observation

    def _groups(self) -> Iterator[tuple[dict[str, Any], NDArray[np.bool_]]]:
        """Options of the next reset, and the environments (num_envs,) that share them, being one object or empty."""
        shared = np.array([id(options) if options else 0 for options in self._options])
        for one in dict.fromkeys(shared.tolist()):
            rows = shared == one
            yield self._options[int(rows.argmax())], rows

    def step_async(self, actions: Any) -> None:
        """Keep the actions for ``step_wait``.

        Raises:
            UserError: There is not one for each environment, or NaN or infinity in them.
        """
        shape = (self.num_envs, *(self.action_space.shape or ()))
        actions = checked_actions("actions of the policy", actions, shape)
        check_finite("an action of the policy", actions, "lower learner.learning-rate")
        self._actions = actions

    def step_wait(self) -> Any:
        """Step all environments."""
        observation, rewards, terminated, truncated, infos = self._listed.step(self._actions)
        dones = terminated | truncated
        for i, cut in enumerate((truncated & ~terminated).tolist()):
            if dones[i]:  # the info of the step that was taken; the rest is of the reset
                last, final = infos[i].pop("final_obs"), infos[i].pop("final_info")
                self.reset_infos[i], infos[i] = infos[i], final | {"terminal_observation": last}
            infos[i]["TimeLimit.truncated"] = cut
        return observation, rewards.astype(np.float32), dones, infos

    def state(self) -> Any:
        """For ``restore``, of a vector environment that has both."""
        return self.env.state()  # type: ignore[attr-defined]

    def restore(self, state: Any) -> None:
        """Go on from a state. The next call is to be a step."""
        self.env.restore(state)  # type: ignore[attr-defined]
        self._begun = True

    def close(self) -> None:
        """Close the vector environment."""
        self.env.close()

    def get_images(self) -> Sequence[NDArray[np.uint8] | None]:
        """A picture of each environment; None of each, with a warning, if they were made for none."""
        if self.render_mode != "rgb_array":
            warnings.warn(f'the render mode is {self.render_mode}: make it with render_mode="rgb_array"', stacklevel=2)
            return [None] * self.num_envs
        return list(self.env.render())  # type: ignore[arg-type]

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """An attribute of each environment; a copy, where it is in a process.

        Raises:
            NotPossible: They have none.
        """
        values = self._shared(attr_name)
        if values is None:
            self._check_attr(attr_name)
            values = self._call(f"get_attr of {attr_name}", None, "get_wrapper_attr", attr_name)
        return [values[i] for i in self._get_indices(indices)]

    def has_attr(self, attr_name: str) -> bool:
        """Whether all environments have an attribute, which itself need not leave its process."""
        return self._shared(attr_name) is not None or all(
            self._call(f"has_attr of {attr_name}", None, "has_wrapper_attr", attr_name)
        )

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Set an attribute of all environments.

        Raises:
            NotPossible: Of some of them only, or it is one that they share.
        """
        if self._shared(attr_name) is not None:
            raise NotPossible(f"set_attr: {attr_name} is shared by all environments: hand it over when they are made")
        self._call(f"set_attr of {attr_name}", indices, "set_wrapper_attr", attr_name, value)

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        """Call a method of all environments, or let some of them ``render``.

        Raises:
            NotPossible: Of some of them only, they have none, or it is one of those that Gymnasium calls them by.
        """
        if method_name == "render":
            images = self.get_images()
            return [images[i] for i in self._get_indices(indices)]
        if hasattr(gym.Env, method_name):
            raise NotPossible(f"env_method: {method_name} is of all environments at once: call that of this object")
        self._check_attr(method_name)
        return self._call(f"env_method {method_name}", indices, method_name, *args, **kwargs)

    def _shared(self, name: str) -> list[Any] | None:
        """What all environments have alike, once for each: their spaces, and what a wrapper of all adds."""
        layer: VectorEnv = self.env
        if hasattr(layer, f"single_{name}"):
            return [getattr(layer, f"single_{name}")] * self.num_envs
        while isinstance(layer, VectorWrapper):
            if name in vars(layer) and name != "env":
                return [vars(layer)[name]] * self.num_envs
            layer = layer.env
        alike = name in ("metadata", "render_mode") and not hasattr(layer, "call")
        return [getattr(layer, name)] * self.num_envs if alike else None

    def _check_attr(self, name: str) -> None:
        if not self.has_attr(name):
            raise NotPossible(f"an environment of {self.env} has no attribute {name!r}")

    def _call(self, asked: str, indices: Any, name: str, *args: Any, **kwargs: Any) -> list[Any]:
        """Call a method of each environment, as Gymnasium's vector environments do: of all of them."""
        if not hasattr(self.env.unwrapped, "call"):
            raise NotPossible(f"{asked}: {self.env.unwrapped} does not reach its environments, expected call")
        if sorted(set(self._get_indices(indices))) != list(range(self.num_envs)):
            raise NotPossible(f"{asked} for some of the environments: leave out indices, for all of them")
        return list(self.env.unwrapped.call(name, *args, **kwargs))

    def env_is_wrapped(self, wrapper_class: type, indices: Any = None) -> list[bool]:
        """Whether each environment is. One in a process counts as bare: there is no way to ask."""
        envs = getattr(self.env.unwrapped, "envs", [None] * self.num_envs)
        return [envs[i] is not None and is_wrapped(envs[i], wrapper_class) for i in self._get_indices(indices)]
