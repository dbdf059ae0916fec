"""Episodes of any environment that is rewarded by a video: what a policy earns, by the video and in truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from PIL import Image

from imitate.reward.video_reward import VideoReward

from ..shared.rollout import PEOPLE

Policy = Callable[[Any], Any]  # from what is observed to an action
SUCCESSES = ("is_success", "success")  # what an environment's info may say
FIGURES = ("env_return", "reward", "embedding_distance", "success")


@dataclass(frozen=True)
class Episode:
    """One episode.

    Attributes:
        rewards: (steps,) by the video.
        env_rewards: (steps,) the environment's own.
        distances: (steps,) L2 distances of the embeddings.
        shown: (steps,) the demonstration's frame that each step was compared with.
        success: Whether the environment says so at the end; NaN: it says nothing.
        frames: (steps + 1, PEOPLE, PEOPLE, 3) uint8, if it was filmed.
    """

    rewards: NDArray[np.float64]
    env_rewards: NDArray[np.float64]
    distances: NDArray[np.float64]
    shown: NDArray[np.int64]
    success: float
    frames: NDArray[np.uint8] | None = None

    def figures(self) -> dict[str, float]:
        """Of the whole episode, by the names of ``FIGURES``."""
        earned = self.env_rewards.sum(), self.rewards.sum(), self.distances.mean(), self.success
        return dict(zip(FIGURES, map(float, earned), strict=True))

    def series(self) -> dict[str, list[float]]:
        """Of each step, rounded to what can be seen."""
        named = {"embedding_distance": self.distances, "env_reward": self.env_rewards, "reward": self.rewards}
        return {name: np.round(values, 5).tolist() for name, values in named.items()}


def roll_out(
    env: VideoReward, policy: Policy, seed: int, film: bool = False, look: Callable[[], None] = lambda: None
) -> Episode:
    """Let a policy act for one episode.

    Args:
        env: Where.
        policy: That acts.
        seed: Of the reset.
        film: Keep pictures, as large as people like them.
        look: Called after the reset and after each step.
    """
    observation, _ = env.reset(seed=seed)
    look()
    rows, shown, seen = [], [], [_picture(env)] if film else []
    info: dict[str, Any] = {}
    done = False
    while not done:
        observation, reward, terminated, truncated, info = env.step(policy(observation))
        look()
        done = terminated or truncated
        rows.append((reward, info["env_reward"], info["embedding_distance"]))
        shown.append(info["step"])
        if film:
            seen.append(_picture(env))
    said = [float(info[name]) for name in SUCCESSES if name in info]
    rewards, own, distances = np.array(rows, np.float64).T
    frames = np.stack(seen) if film else None
    return Episode(rewards, own, distances, np.array(shown), said[0] if said else float("nan"), frames)


def measured(env: VideoReward, policy: Policy, seeds: range, prefix: str = "") -> dict[str, float]:
    """Means over episodes, one a seed. Of success, if any says something of it: who says nothing had none."""
    each = [roll_out(env, policy, seed).figures() for seed in seeds]
    known = {name: [one[name] for one in each] for name in FIGURES}
    known = {name: values for name, values in known.items() if np.isfinite(values).any()}
    return {f"{prefix}{name}": float(np.nan_to_num(values).mean()) for name, values in known.items()}


def at_rest(env: gym.Env) -> Policy | None:
    """Doing nothing: actions of 0. None, where an action is one of a few, of which none may be nothing."""
    space = env.action_space
    if not isinstance(space, spaces.Box):
        return None
    nothing = np.clip(np.zeros(space.shape, space.dtype), space.low, space.high)
    return lambda _: nothing


def at_random(env: gym.Env, seed: int) -> Policy:
    """Actions drawn from all that there are."""
    env.action_space.seed(seed)
    return lambda _: env.action_space.sample()


def enlarged(frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(n, PEOPLE, PEOPLE, 3) of (n, size, size, 3), uint8."""
    return np.stack([np.asarray(Image.fromarray(frame).resize((PEOPLE, PEOPLE))) for frame in frames])


def _picture(env: VideoReward) -> NDArray[np.uint8]:
    """What it looks like now, as the encoder sees it."""
    return enlarged(env.frame[None])[0]
