"""``imitate.check_reward``: what a reward from a video is worth in an environment, before anything learns from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray

from imitate.embedding.any_encoder import Function
from imitate.embedding.encoders import build_encoder
from imitate.embedding.trained_encoder import TrainedEncoder
from imitate.envs.play import RENDER, REWARD, Playing, play
from imitate.measuring.clips import shown_beside
from imitate.measuring.ranking import l2_distance, mean_rank_correlation, rank_correlation
from imitate.reward.frames import Frames
from imitate.reward.targets import Encoder
from imitate.reward.video_reward import Shown, made_out

GRADES = (1, 2, 4, 8)  # frames apart, of the demonstration
LEAST = {"before_play": 0.9, "grades_in_order": 0.8, "clips_spearman": 0.5}
SAYS = {
    "before_play": "the next frame looks more alike than one of random play: share",
    "grades_in_order": "of two frames, the one nearer in time looks more alike: share",
    "clips_spearman": "late, fast, slow, frozen, reversed clips: Spearman with their delay",
    "env_spearman": "random play: Spearman with the environment's own reward",
}
WIDTH = max(map(len, SAYS.values())) + 2
Embed = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class RewardReport:
    """What a reward from a video is worth.

    Attributes:
        figures: By what embeds, ``encoder``, ``pixels`` and, beside a trained one, ``untrained``: the figures of
            ``SAYS``. NaN where nothing can be said: of an environment without a reward of its own.
        weakness: What speaks against it, in words; empty: nothing.
    """

    figures: dict[str, dict[str, float]]
    weakness: str

    def __str__(self) -> str:
        lines = [f"{'':{WIDTH}}" + "".join(f"{of:>11}" for of in self.figures)]
        for name, says in SAYS.items():
            lines.append(f"{says:{WIDTH}}" + "".join(f"{one[name]:11.3f}" for one in self.figures.values()))
        lines.append(f"it may mislead: {self.weakness}" if self.weakness else "nothing speaks against it")
        return "\n".join(lines)


def check_reward(
    env: gym.Env,
    demonstration: Shown,
    encoder: TrainedEncoder | Function | str | Path,
    frames: Frames | None = None,
    steps: int = 1_000,
    seed: int = 0,
    fps: float | None = None,
) -> RewardReport:
    """Look at a reward from a video before anything learns from it.

    The environment plays at random, as for ``imitate.fit``. What its pictures and the demonstration's look like to the
    encoder is compared with where they are in time, and with the environment's own reward.

    Args:
        env: As of ``VideoReward``.
        demonstration: See there.
        encoder: See there.
        frames: See there.
        steps: That the environment plays.
        seed: Of everything random.
        fps: As of ``VideoReward``.

    Raises:
        UserError: As of ``VideoReward``.
    """
    frames = frames or Frames()
    (shown,), sight = made_out(env, demonstration, encoder, frames, fps)
    rate = max(int(fps or env.metadata.get("render_fps") or 1), 1)
    playing = Playing(steps, max(len(shown) - 1, 1), sight.image_size, seed, rate)
    played = list(play(env, frames, playing))
    pictures = np.concatenate([episode.frames[RENDER][1:] for episode in played])
    rewards = np.concatenate([episode.columns[REWARD][:-1, 0] for episode in played])
    at = np.concatenate([np.arange(1, len(episode)) for episode in played])
    figures = {
        name: _figures(embed(shown.frames), embed(pictures), at, rewards) for name, embed in _embeds(sight).items()
    }
    return RewardReport(figures, _weakness(figures))


def _embeds(sight: Encoder) -> dict[str, Embed]:
    """The encoder, and what it is compared with."""
    embeds: dict[str, Embed] = {"encoder": sight.embed}
    if isinstance(sight, TrainedEncoder):
        torch.manual_seed(0)
        module = build_encoder(sight.name, sight.image_size, sight.dim)
        untrained = TrainedEncoder(sight.name, module, sight.image_size, sight.dim, sight.camera).to(sight.device)
        embeds["untrained"] = untrained.embed
    return embeds | {"pixels": lambda frames: frames.reshape(len(frames), -1) / np.float32(255)}


def _figures(shown: NDArray, played: NDArray, at: NDArray[np.int64], rewards: NDArray) -> dict[str, float]:
    """Of one embedding.

    Args:
        shown: (length, dim) of the demonstration.
        played: (n, dim) of random play.
        at: (n,) steps after which they were taken.
        rewards: (n,) of the environment.
    """
    length = len(shown)
    apart = {
        lag: l2_distance(shown[lag:], shown[:-lag]) for lag in GRADES if lag < length
    }  # (length - lag,) from frame t to frame t + lag
    far = np.stack([l2_distance(np.broadcast_to(one, played.shape), played) for one in shown[:-1]])  # (length - 1, n)
    near = apart[1][:, None]
    before = float(((near < far) + 0.5 * (near == far)).mean())
    grades = [
        (closer[: len(farther)] < farther).mean() + 0.5 * (closer[: len(farther)] == farther).mean()
        for closer, farther in zip(list(apart.values())[:-1], list(apart.values())[1:], strict=True)
    ]
    clips = shown_beside(length)
    earned = np.array([-l2_distance(shown[frames], shown).mean() for frames in clips.values()])
    away = np.array([np.abs(frames - np.arange(length)).mean() for frames in clips.values()])
    matched = -l2_distance(played, shown[np.minimum(at, length - 1)])
    own = np.nan if np.ptp(rewards) == 0 else mean_rank_correlation(matched, -rewards.astype(np.float64), at)
    return {
        "before_play": before,
        "grades_in_order": float(np.mean(grades)) if grades else float("nan"),
        "clips_spearman": rank_correlation(earned, away),
        "env_spearman": float(own),
    }


def _weakness(figures: dict[str, dict[str, float]]) -> str:
    """What speaks against a reward, in words."""
    own, pixels = figures["encoder"], figures["pixels"]
    wrong = [f"{name} is {own[name]:.2f}, {least} expected" for name, least in LEAST.items() if own[name] < least]
    wrong += [
        f"by {name}, raw pixels do better ({pixels[name]:.2f} to {own[name]:.2f})"
        for name in SAYS
        if pixels[name] > own[name] + 0.05
    ]
    if own["env_spearman"] < 0:
        wrong.append("in random play it falls where the environment's own reward rises")
    return "; ".join(wrong)
