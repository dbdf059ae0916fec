"""A Gymnasium vector environment as stable-baselines3 wants it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv, VectorWrapper
from gymnasium.wrappers.vector import DictInfoToList
from numpy.typing import NDArray
from stable_baselines3.common.env_util import is_wrapped
from stable_baselines3.common.vec_env import VecEnv

from imitate.errors import UserError
from imitate.keeping.call_checks import ALTOGETHER, called, check_same_step, checked_actions, checked_seed
from imitate.keeping.finite import check_finite

READING = ("get_wrapper_attr", "has_wrapper_attr")  # these change nothing


class NotPossible(UserError, AttributeError):
    """What an environment alone can do, and one among others can't."""


class SB3VecEnv(VecEnv):
    """Any Gymnasium vector environment that resets in the same step, for stable-baselines3.

    Behaves as a ``DummyVecEnv`` of the same environments. What PPO needs to bootstrap at the end of a video reaches it:
    ``terminal_observation`` and ``TimeLimit.truncated``.

    Attributes and methods of the single environments are reached as far as the vector environment reaches them: of any
    of them in ``SyncVectorEnv``, by ``envs``, and in ``KukaVectorEnv``, by ``call_rows``; in others, as
    ``AsyncVectorEnv``, by ``call``: attributes of any are read, all else is of all at once. ``reset``, ``step``,
    ``restore`` and ``close`` of one would leave the others behind, and are refused.

    Args:
        env: The vector environment. Closing this closes it.

    Raises:
        UserError: It is a single environment, or resets at another time.
    """

    def __init__(self, env: VectorEnv) -> None:
        if not isinstance(env, VectorEnv):
            raise UserError(f"{env}: expected a vector environment; stable-baselines3 takes a single one as it is")
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
        check_finite("an action of the policy", actions, "lower the learning rate")
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
        """For ``restore``, of a vector environment that has both; None of any other."""
        keeper = self.env.unwrapped
        return self.env.state() if hasattr(keeper, "state") and hasattr(keeper, "restore") else None  # type: ignore[attr-defined]

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
            NotPossible: One has none.
        """
        return self.env_method("get_wrapper_attr", attr_name, indices=indices)

    def has_attr(self, attr_name: str) -> bool:
        """Whether all environments have an attribute, which itself need not leave its process."""
        return all(self.env_method("has_wrapper_attr", attr_name))

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Set an attribute of each environment.

        Raises:
            NotPossible: It is one that they share, or they are reached only all at once.
        """
        self.env_method("set_wrapper_attr", attr_name, value, indices=indices)

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        """Call a method of each environment.

        Raises:
            NotPossible: One has none, it would leave the others behind, or they are reached only all at once.
        """
        if method_name in ALTOGETHER:
            raise NotPossible(f"env_method: {method_name} is of all environments at once: call that of this object")
        rows = [range(self.num_envs)[i] for i in self._get_indices(indices)]
        if method_name == "render":
            images = self.get_images()
            return [images[row] for row in rows]
        if method_name in (*READING, "set_wrapper_attr"):
            return self._attribute(rows, method_name, *args, **kwargs)
        self._check_attr(rows, method_name)
        return self._call(rows, method_name, *args, **kwargs)

    def _attribute(self, rows: list[int], method: str, /, name: str, *args: Any, **kwargs: Any) -> list[Any]:
        """What all environments share is that of the vector environment, anything else is each one's own."""
        shared = self._shared(name)
        if shared is None:
            if method == "get_wrapper_attr":
                self._check_attr(rows, name)
            return self._call(rows, method, name, *args, **kwargs)
        if method == "set_wrapper_attr":
            raise NotPossible(f"set_attr: {name} is shared by all environments: hand it over when they are made")
        return [True if method == "has_wrapper_attr" else shared[row] for row in rows]

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

    def _check_attr(self, rows: list[int], name: str) -> None:
        if not all(self._call(rows, "has_wrapper_attr", name)):
            raise NotPossible(f"an environment of {self.env} has no attribute {name!r}")

    def _call(self, rows: list[int], name: str, /, *args: Any, **kwargs: Any) -> list[Any]:
        """Call a method of the environments in these rows, as far as the vector environment reaches them."""
        env = self.env.unwrapped
        if hasattr(env, "call_rows"):
            return list(env.call_rows(rows, name, *args, **kwargs))
        if hasattr(env, "envs"):
            return called([env.envs[row] for row in rows], name, args, kwargs)
        if not hasattr(env, "call"):
            raise NotPossible(f"{name}: {env} does not reach its environments, expected call")
        if name not in READING and sorted(rows) != list(range(self.num_envs)):
            raise NotPossible(f"{name} of some environments: {env} reaches them only all at once: leave out indices")
        answers = env.call(name, *args, **kwargs)
        return [answers[row] for row in rows]

    def env_is_wrapped(self, wrapper_class: type, indices: Any = None) -> list[bool]:
        """Whether each environment is. One in a process counts as bare: there is no way to ask."""
        envs = getattr(self.env.unwrapped, "envs", [None] * self.num_envs)
        return [envs[i] is not None and is_wrapped(envs[i], wrapper_class) for i in self._get_indices(indices)]
