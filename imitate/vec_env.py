"""A Gymnasium vector environment as stable-baselines3 wants it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from stable_baselines3.common.vec_env import VecEnv

from imitate.finite import check_finite


class SB3VecEnv(VecEnv):
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
        """Keep the actions for ``step_wait``.

        Raises:
            UserError: There is NaN or infinity in them.
        """
        check_finite("an action of the policy", np.asarray(actions), "lower learner.learning-rate")
        self._actions = actions

    def step_wait(self) -> Any:
        """Step all environments."""
        observation, rewards, terminated, truncated, infos = self.env.step(self._actions)
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

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Not possible: the environments are in other processes."""
        raise AttributeError(f"{attr_name} can't be set on environments in other processes")

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        """Not possible: the environments are in other processes."""
        raise AttributeError(f"{method_name} can't be called on environments in other processes")

    def env_is_wrapped(self, wrapper_class: type, indices: Any = None) -> list[bool]:
        """Nothing is."""
        return [False for _ in self._get_indices(indices)]
