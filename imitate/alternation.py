"""PPO whose rollouts come from two halves of the environments in turn."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3 import PPO
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecEnv

from imitate.vec_env import Halves, joined


class Acted(NamedTuple):
    """What the policy made of the observations of one half.

    Attributes:
        observations: (n, dim).
        actions: (n, joints), as they were drawn.
        values: (n, 1).
        log_probs: (n,).
    """

    observations: NDArray[np.float32]
    actions: NDArray[np.float32]
    values: torch.Tensor
    log_probs: torch.Tensor


class AlternatingPPO(PPO):
    """PPO that never lets the simulation wait: while it looks at one half of the environments, the other moves.

    Both halves act by the same policy for the same number of steps, so that what is learned from is what PPO
    collects, environment by environment. With environments that are no ``Halves`` it is PPO.
    """

    def collect_rollouts(
        self, env: VecEnv, callback: BaseCallback, rollout_buffer: RolloutBuffer, n_rollout_steps: int
    ) -> bool:
        """Fill the buffer. Returns False if the callback stopped it."""
        if not isinstance(env, Halves):
            return super().collect_rollouts(env, callback, rollout_buffer, n_rollout_steps)
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # the simulation has the other cores: threads would wait for each other
        try:
            return self._collect(env, callback, rollout_buffer, n_rollout_steps)
        finally:
            torch.set_num_threads(threads)

    def _collect(
        self, env: Halves, callback: BaseCallback, rollout_buffer: RolloutBuffer, n_rollout_steps: int
    ) -> bool:
        self.policy.set_training_mode(False)
        rollout_buffer.reset()
        callback.on_rollout_start()
        acted = [self._act(env, half, self._last_obs[rows]) for half, rows in enumerate(env.rows)]  # type: ignore[index]
        for n in range(n_rollout_steps):
            stepped, following = [], []
            for number, half in enumerate(env.halves):
                stepped.append(half.step_wait())
                if n + 1 < n_rollout_steps:  # begun before the other half's step ends, and is looked at
                    following.append(self._act(env, number, stepped[-1][0]))
            observations, rewards, dones, infos = joined(stepped)
            self.num_timesteps += env.num_envs
            callback.update_locals(locals())
            if not callback.on_step():
                for half in env.halves[: len(following)]:
                    half.step_wait()  # what was begun is ended
                return False
            self._update_info_buffer(infos, dones)
            self._bootstrap(rewards, dones, infos)
            rollout_buffer.add(
                np.concatenate([one.observations for one in acted]),
                np.concatenate([one.actions for one in acted]),
                rewards,
                self._last_episode_starts,  # type: ignore[arg-type]
                torch.cat([one.values for one in acted]),
                torch.cat([one.log_probs for one in acted]),
            )
            self._last_obs, self._last_episode_starts, acted = observations, dones, following
        with torch.no_grad():
            values = self.policy.predict_values(self._tensor(self._last_obs))
        rollout_buffer.compute_returns_and_advantage(last_values=values, dones=dones)
        callback.update_locals(locals())
        callback.on_rollout_end()
        return True

    def _act(self, env: Halves, half: int, observations: NDArray[np.float32]) -> Acted:
        """Choose the actions of one half, and let it begin them."""
        with torch.no_grad():
            actions, values, log_probs = self.policy(self._tensor(observations))
        drawn = actions.cpu().numpy()
        env.halves[half].step_async(np.clip(drawn, env.action_space.low, env.action_space.high))  # type: ignore[attr-defined]
        return Acted(observations, drawn, values, log_probs)

    def _bootstrap(self, rewards: NDArray[np.float32], dones: NDArray[np.bool_], infos: list[dict[str, Any]]) -> None:
        """Add the value of what would have come to the rewards of episodes that were cut off at the video's end."""
        cut = [k for k in np.flatnonzero(dones) if infos[k].get("TimeLimit.truncated", False)]
        if not cut:
            return
        last = np.stack([infos[k]["terminal_observation"] for k in cut])
        with torch.no_grad():
            values = self.policy.predict_values(self._tensor(last))
        rewards[cut] += self.gamma * values.cpu().numpy()[:, 0]

    def _tensor(self, observations: Any) -> torch.Tensor:
        return torch.as_tensor(observations, device=self.device)
