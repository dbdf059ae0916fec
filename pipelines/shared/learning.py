"""Learning that can be killed: it goes on from the last moment between an update and the next rollout."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from stable_baselines3 import PPO, SAC
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.type_aliases import TrainFreq
from tqdm import tqdm

from imitate.keeping.snapshot import Snapshot, Snapshots, random_states, restore_random_states
from imitate.policy.ppo import TRUE_ERRORS, Curve, as_it_began
from imitate.policy.state import learner_state, memory_of, restore_learner, restore_memory
from imitate.policy.vec_env import SB3VecEnv

from .signals import held_back


class Boundaries(BaseCallback):
    """Keeps a snapshot of each moment between an update and the next rollout, when there is least to keep.

    The last one is in memory. It goes to disk now and then, and when learning ends, however it does: as long as this
    process lives, no more is lost than the rollout and the update that it is in.

    Args:
        snapshots: Where it goes.
        env: That is learned in.
        curve: Of the same training.
        told_to_stop: Whether the process was.
    """

    def __init__(self, snapshots: Snapshots, env: SB3VecEnv, curve: Curve, told_to_stop: Callable[[], bool]) -> None:
        super().__init__()
        self._snapshots, self._env, self._curve, self._told_to_stop = snapshots, env, curve, told_to_stop
        self._unwritten: tuple[Snapshot, dict[str, Any] | None] | None = None  # and what the learner remembers
        self._stopped = False

    def _on_rollout_start(self) -> None:
        model: Any = self.model
        state = {
            "learner": learner_state(model),
            "env": self._env.state(),
            "curve": self._curve.state(),
            "random": random_states(),
        }
        self._unwritten = Snapshot.of(state), memory_of(model)
        if self._snapshots.due:
            self.write()

    def _on_step(self) -> bool:
        self._stopped = self._told_to_stop()
        return not self._stopped

    def _on_training_end(self) -> None:
        if not self._stopped:
            self._on_rollout_start()

    def write(self) -> None:
        """Write the last one, if it is not on disk yet."""
        if self._unwritten is not None:
            (last, memory), self._unwritten = self._unwritten, None
            self._snapshots.write(lambda: last if memory is None else Snapshot.of(last.unpacked() | {"memory": memory}))


def learn(
    model: PPO | SAC, env: SB3VecEnv, steps: int, snapshots: Snapshots, told: Sequence[str] = TRUE_ERRORS
) -> tuple[list[dict[str, float]], float]:
    """Learn, from the last snapshot on, if there is one.

    Args:
        model: That learns.
        env: To learn in.
        steps: At most so many, of all environments together: whole rollouts, and one at least.
        snapshots: Of the same training.
        told: What the curve keeps of the infos.

    Returns:
        The learning curve, a row a rollout; and how long it took, s.
    """
    rollout, steps = rollout_of(model), whole_rollouts(model, steps)
    model.lr_schedule = partial(as_it_began, model.lr_schedule, rollout / steps)
    kept = snapshots.read()
    with held_back() as told_to_stop, tqdm(total=steps, unit="step", desc="imitate") as bar:

        def tell(row: dict[str, float]) -> None:
            bar.update(int(row["steps"]) - bar.n)
            bar.set_postfix(reward=f"{row['reward']:.3f}", **_truth(row))

        curve = Curve(tell, told)
        boundaries = Boundaries(snapshots, env, curve, told_to_stop)
        if kept is not None:
            curve.restore(kept["curve"])
            restore_learner(model, kept["learner"])
            if "memory" in kept:
                restore_memory(model, kept["memory"])
            if kept["env"] is None:  # it can't be put back to where it was: its episodes begin anew
                env.seed(((model.seed or 0) + model.num_timesteps) % 2**32)  # others than those of the first start
                model._last_obs, model._last_episode_starts = env.reset(), np.ones(env.num_envs, np.bool_)
            else:
                env.restore(kept["env"])
            restore_random_states(kept["random"])
            bar.update(model.num_timesteps)
        try:
            model.learn(steps - model.num_timesteps, [curve, boundaries], reset_num_timesteps=kept is None)
        finally:
            boundaries.write()
        return curve.rows, curve.seconds


def whole_rollouts(model: PPO | SAC, steps: int) -> int:
    """At most so many steps, but one rollout at least: a last one that is begun would be filled up, and go beyond."""
    rollout = rollout_of(model)
    return max(steps // rollout, 1) * rollout


def rollout_of(model: PPO | SAC) -> int:
    """Steps of all environments between two updates."""
    if isinstance(model, PPO):
        return model.n_envs * model.n_steps
    assert isinstance(model.train_freq, TrainFreq)  # whatever it was built with
    return model.n_envs * model.train_freq.frequency


def _truth(row: dict[str, float]) -> dict[str, str]:
    """What a bar says of the truth, as far as it is known."""
    if np.isfinite(row.get("ee_error_m", np.nan)):
        return {"true_error": f"{100 * row['ee_error_m']:.1f} cm"}
    return {"own_reward": f"{row['env_reward']:.3f}"} if "env_reward" in row else {"true_error": "unknown"}


def keep_the_better(model: PPO, begun: dict[str, Any], earned: Callable[[PPO], float]) -> bool:
    """Let a policy be again what it was before it learned, unless it earns more now.

    Args:
        model: That has learned.
        begun: The parameters of its policy before, as of ``state_dict``.
        earned: What it earns.

    Returns:
        Whether what it learned is kept.
    """
    learned, now = {name: value.clone() for name, value in model.policy.state_dict().items()}, earned(model)
    model.policy.load_state_dict(begun)
    before = earned(model)
    if now > before:
        model.policy.load_state_dict(learned)
        return True
    print(f"it earns {now:.3f} as it learned to act, {before:.3f} as it began, which it goes back to", file=sys.stderr)
    return False
