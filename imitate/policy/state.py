"""What a learner goes on with after it was interrupted between an update and the next rollout."""

from __future__ import annotations

from collections import deque
from typing import Any

from numpy.typing import NDArray
from stable_baselines3 import PPO, SAC
from stable_baselines3.common.buffers import ReplayBuffer

COUNTED = (
    "num_timesteps",
    "_n_updates",
    "_episode_num",
    "_current_progress_remaining",
)  # what a learner keeps between updates
SEEN = ("_last_obs", "_last_episode_starts")
TOLD = ("ep_info_buffer", "ep_success_buffer")
STORED = ("actions", "rewards", "dones", "timeouts")  # in what is remembered of steps
OBSERVED = ("observations", "next_observations")


def learner_state(model: PPO | SAC) -> dict[str, Any]:
    """What it goes on learning with after an update, for ``restore_learner``.

    Besides environments, generators, and what it remembers of the steps that it saw: see ``memory_of``.
    """
    plain = {name: getattr(model, name) for name in COUNTED + SEEN}
    plain |= {name: list(getattr(model, name)) for name in TOLD} | {"parameters": model.get_parameters()}
    return plain if isinstance(model, PPO) else plain | {"log_ent_coef": model.log_ent_coef}


def restore_learner(model: PPO | SAC, state: dict[str, Any]) -> None:
    """Bring a freshly built model to a state. It goes on with ``learn(missing, reset_num_timesteps=False)``."""
    for name in COUNTED + SEEN:
        setattr(model, name, state[name])
    for name in TOLD:
        setattr(model, name, deque(state[name], model._stats_window_size))
    model.set_parameters(state["parameters"], device=model.device)
    if not isinstance(model, PPO):
        assert model.log_ent_coef is not None  # it is learned
        model.log_ent_coef.data.copy_(state["log_ent_coef"])
        model.action_space.seed(model.num_timesteps)  # other random actions than those of the first start


def memory_of(model: PPO | SAC) -> dict[str, Any] | None:
    """What a model remembers of the steps that it saw, for ``restore_memory``; None: it remembers none.

    Not copied, as it may be large: what was remembered stays as it is while more comes.
    """
    if isinstance(model, PPO):
        return None
    memory = _memory(model)
    seen = slice(memory.buffer_size if memory.full else memory.pos)
    kept = {name: getattr(memory, name)[seen] for name in STORED}
    kept |= {name: {key: of[seen] for key, of in _parts(memory, name).items()} for name in OBSERVED}
    return kept | {"pos": memory.pos, "full": memory.full}


def restore_memory(model: PPO | SAC, state: dict[str, Any]) -> None:
    """Let a freshly built model that remembers as much hold that."""
    assert isinstance(model, SAC)
    memory = _memory(model)
    for name in STORED:
        getattr(memory, name)[: len(state[name])] = state[name]
    for name in OBSERVED:
        for key, of in _parts(memory, name).items():
            of[: len(state[name][key])] = state[name][key]
    memory.pos, memory.full = state["pos"], state["full"]


def _memory(model: SAC) -> ReplayBuffer:
    assert model.replay_buffer is not None  # of a model that was built to learn
    return model.replay_buffer


def _parts(memory: ReplayBuffer, name: str) -> dict[str, NDArray[Any]]:
    """What was observed, by key where that is a dict."""
    of = getattr(memory, name)
    return of if isinstance(of, dict) else {"": of}
