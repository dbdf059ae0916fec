"""Any environment plays: smooth random actions, and films of what comes of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from colorednoise import powerlaw_psd_gaussian
from gymnasium import spaces
from numpy.typing import NDArray
from scipy.stats import norm

from imitate.data.lerobot.dataset import STATE
from imitate.data.lerobot.writer import Episode
from imitate.errors import MANY, SEED, UserError, check_bounds
from imitate.reward.filming import Filming

from .proprioception import Proprioception

RENDER = "render"  # what the pictures are called in a dataset
REWARD = "next.reward"  # and the environment's own reward, as LeRobot has it
PINK = 1  # exponent of its power spectrum: half way between white noise and a random walk
HELD = 0.9  # share of steps at which an action that is one of a few stays what it was
PLAYS = 0x91A  # what its actions are told apart by from the draws of an environment of the same seed


@dataclass(frozen=True)
class Playing:
    """How long an environment plays.

    Attributes:
        steps: In all.
        length: Steps of an episode, at most; it may end before.
        seed: Of everything random.

    Raises:
        UserError: One of these can't be.
    """

    steps: int
    length: int
    seed: int

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not isinstance(value, int | np.integer):
                raise UserError(f"{name} is {value!r}, expected a whole number")
        check_bounds(self, steps=(1, MANY), length=(1, MANY), seed=SEED)


def play(env: gym.Env, filming: Filming, playing: Playing, felt: Proprioception | None = None) -> Iterator[Episode]:
    """Let an environment play.

    Continuous actions are pink noise: white noise hardly moves what has mass, and what a random walk has left it comes
    back to late (Eberhard et al., "Pink noise is all you need", ICLR 2023). They are uniform over the range of each.
    Actions that are one of a few are held for ten steps in the mean.

    Args:
        env: The environment.
        filming: Of it.
        playing: How long it plays.
        felt: What of its observations is kept as its state; None: nothing.

    Raises:
        UserError: Its actions are of another kind, or there are no pictures.
    """
    rng = np.random.default_rng([playing.seed, PLAYS])
    missing: int = playing.steps
    seed: int | None = playing.seed
    while missing > 0:
        actions = actions_of(env.action_space, min(playing.length, missing), rng)
        episode = _episode(env, filming, actions, seed, felt)
        missing, seed = missing - len(episode) + 1, None
        yield episode


def actions_of(space: spaces.Space, number: int, rng: np.random.Generator) -> NDArray[Any]:
    """Smooth random actions, (number, ...).

    Raises:
        UserError: Of another kind than a Box or Discrete.
    """
    if isinstance(space, spaces.Box):
        count = int(np.prod(space.shape))
        noise = np.stack([powerlaw_psd_gaussian(PINK, max(number, 2), random_state=rng)[:number] for _ in range(count)])
        low, high = (np.clip(edge, -1e6, 1e6).ravel() for edge in (space.low, space.high))
        finite = space.bounded_below.ravel() & space.bounded_above.ravel()
        uniform = low + (high - low) * norm.cdf(noise.T)
        return np.where(finite, uniform, noise.T).reshape(number, *space.shape).astype(space.dtype)
    if isinstance(space, spaces.Discrete):
        fresh = rng.integers(space.n, size=number)
        kept = np.where(rng.random(number) < HELD, -1, np.arange(number))
        kept[:1] = 0
        return space.start + fresh[np.maximum.accumulate(kept)]
    raise UserError(f"actions of {space}, expected a Box or Discrete: wrap the environment to have such")


def _episode(
    env: gym.Env, filming: Filming, actions: NDArray[Any], seed: int | None, felt: Proprioception | None
) -> Episode:
    """One, with a picture before each action and after the last; action and reward stand beside the picture before."""
    observation, _ = env.reset(seed=seed)
    seen, states, rewards = [filming.one(observation)], [_felt(felt, observation)], []
    for action in actions:
        observation, reward, terminated, truncated, _ = env.step(action)
        seen.append(filming.one(observation))
        states.append(_felt(felt, observation))
        rewards.append(reward)
        if terminated or truncated:
            break
    done = np.zeros((len(seen), max(int(np.prod(np.shape(actions)[1:])), 1)), np.float32)
    done[:-1] = actions[: len(seen) - 1].reshape(len(seen) - 1, -1)
    columns = {"action": done, REWARD: np.array([*rewards, 0.0], np.float32)[:, None]}
    if felt is not None:
        columns[STATE] = np.stack(states)
    return Episode({RENDER: np.stack(seen)}, columns)


def _felt(felt: Proprioception | None, observation: Any) -> NDArray[np.float32]:
    """(entries,): at once, as an observation may be written over."""
    return np.empty(0, np.float32) if felt is None else felt.of(observation).copy()
