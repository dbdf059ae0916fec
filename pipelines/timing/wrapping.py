"""Rows of the reward from a video around anybody's environment: what it costs beside drawing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Any

import numpy as np
import torch
from gymnasium.vector import SyncVectorEnv

from imitate.data.camera import Camera
from imitate.data.demonstration import Demonstration
from imitate.embedding.encoders import build_encoder
from imitate.embedding.trained_encoder import TrainedEncoder
from imitate.reward.video_reward import VideoReward, VideoRewardVector

from ..environments.made import Made
from .rows import Row, compare
from .subject import EMBED, RECORD, Subject

MADE = Made("Pendulum-v1")  # of Gymnasium's own, as it comes: pictures of 500 pixels a side
STEPS, SHOWN = 400, 100  # that are timed, and that a demonstration has
MANY = 8  # environments


def wrap_vs_render(subject: Subject) -> Iterator[Row]:
    """Steps of an environment that is rewarded by a video: against its own steps, rendered."""
    demonstration, encoder = _shown(), _untrained(subject)

    def wrapped() -> float:
        return _rate(VideoReward(MADE.make(), demonstration, encoder))

    def rendered() -> float:
        env = MADE.make()
        return _rate(env, env.render)

    wrapped()
    yield compare("wrap_vs_render", "steps/s", wrapped, rendered, subject.repeats)


def wrap_many_vs_render(subject: Subject) -> Iterator[Row]:
    """The same of several in one process, with one call of the encoder a step."""
    demonstration, encoder = _shown(), _untrained(subject)

    def wrapped() -> float:
        return _rate(VideoRewardVector(SyncVectorEnv([MADE.make] * MANY), demonstration, encoder))

    def rendered() -> float:
        envs = SyncVectorEnv([MADE.make] * MANY)
        return _rate(envs, envs.render)

    wrapped()
    yield compare("wrap_many_vs_render", "steps/s", wrapped, rendered, subject.repeats)


def _rate(env: Any, draw: Callable[[], object] = lambda: None) -> float:
    """Steps a second of all its environments, each drawn."""
    env.reset(seed=0)
    env.action_space.seed(0)
    actions = [env.action_space.sample() for _ in range(STEPS)]
    seconds = perf_counter()
    for action in actions:
        _, _, terminated, truncated, _ = env.step(action)
        draw()
        if np.ndim(terminated) == 0 and (terminated or truncated):  # many reset themselves
            env.reset()
    seconds = perf_counter() - seconds
    env.close()
    return STEPS * getattr(env, "num_envs", 1) / seconds


def _shown() -> Demonstration:
    """A film of it, of random actions."""
    env = MADE.make()
    env.reset(seed=0)
    env.action_space.seed(0)
    frames: list[Any] = []
    for _ in range(SHOWN):
        frames.append(env.render())
        env.step(env.action_space.sample())
    env.close()
    return Demonstration("random", np.stack(frames), None)


def _untrained(subject: Subject) -> TrainedEncoder:
    """An encoder, no slower than one that has learned."""
    torch.manual_seed(0)
    module = build_encoder(EMBED.encoder, RECORD.image_size, EMBED.dim)
    camera = Camera.unknown("render")
    return TrainedEncoder(EMBED.encoder, module, RECORD.image_size, EMBED.dim, camera).to(subject.device)
