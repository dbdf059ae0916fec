"""``imitate.check_reward``: what a reward from a video is worth in an environment, before anything learns from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice, pairwise

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray

from imitate.embedding.encoders import build_encoder
from imitate.embedding.trained_encoder import TrainedEncoder
from imitate.envs.play import RENDER, REWARD, Playing, play
from imitate.errors import UserError
from imitate.measuring.clips import shown_beside
from imitate.measuring.ranking import l2_distance, mean_rank_correlation, rank_correlation
from imitate.reward.filming import Filming
from imitate.reward.frames import Frames
from imitate.reward.shown import Embedding, Video, shown_to
from imitate.reward.targets import Encoder

GRADES = (1, 2, 4, 8)  # frames apart, of the demonstration
EPISODES = 20  # of random play
ENOUGH = 10  # episodes that are ranked at a step
STILL = 0.1  # of the distance of its farthest two frames, by pixels: nearer, nothing moves between them
COARSE = 64  # pixels a side, at most, of what raw pixels are compared by
LEAST = {"before_play": 0.8, "grades_in_order": 0.8, "clips_spearman": 0.5}
FAR = 1.0  # of `nearest_play`: play nowhere looks as much like the demonstration as its own frames like each other
SAYS = {
    "nearest_play": "how far the nearest frame of play is, in distances of two of its own",
    "before_play": "the next frame looks more alike than one of random play: share",
    "grades_in_order": "where it moves, of two frames the one nearer in time looks more alike: share",
    "clips_spearman": "late, fast, slow, frozen, reversed clips: Spearman with their delay",
    "env_spearman": "random play: Spearman with the environment's own reward",
}
WIDTH = max(map(len, SAYS.values())) + 2
Embed = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


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

    def metrics(self) -> dict[str, float | str]:
        """By one name each, as ``nearest_play`` and ``pixels_nearest_play``; and the weakness, in words."""
        prefixes = {of: "" if of == "encoder" else f"{of}_" for of in self.figures}
        figures = {f"{prefixes[of]}{name}": value for of, one in self.figures.items() for name, value in one.items()}
        return {**figures, "weakness": self.weakness}

    def __str__(self) -> str:
        lines = [f"{'':{WIDTH}}" + "".join(f"{of:>11}" for of in self.figures)]
        for name, says in SAYS.items():
            lines.append(f"{says:{WIDTH}}" + "".join(f"{one[name]:11.3f}" for one in self.figures.values()))
        lines.append(f"it may mislead: {self.weakness}" if self.weakness else "nothing speaks against it")
        return "\n".join(lines)


def check_reward(
    env: gym.Env,
    demonstration: Video,
    encoder: Embedding,
    frames: Frames | None = None,
    episodes: int = EPISODES,
    seed: int = 1,
    fps: float | None = None,
) -> RewardReport:
    """Look at a reward from a video before anything learns from it.

    The environment plays at random, as for ``imitate.fit``. What its pictures and the demonstration's look like to the
    encoder is compared with where they are in time, and with the environment's own reward.

    Args:
        env: As of ``VideoReward``.
        demonstration: See there; one.
        encoder: See there.
        frames: See there.
        episodes: Of random play, as long as the demonstration, or shorter.
        seed: Of everything random: another than that of the play that the encoder learned from.
        fps: As of ``VideoReward``.

    Raises:
        UserError: As of ``VideoReward``; or there are several demonstrations.
    """
    frames = frames or Frames()
    demonstrations, sight, samples = shown_to(env, demonstration, encoder, frames, fps)
    if len(demonstrations) != 1:
        raise UserError(f"{len(demonstrations)} demonstrations, expected one: check one after the other")
    if not isinstance(episodes, int) or episodes < 1:
        raise UserError(f"episodes is {episodes!r}, expected 1 or more")
    filming = Filming(env, env.observation_space, frames, sight.image_size, samples)
    frames_shown = demonstrations[0].frames
    length = len(frames_shown) - 1
    played = list(islice(play(env, filming, Playing(episodes * length, length, seed)), episodes))
    pictures = np.concatenate([episode.frames[RENDER][1:] for episode in played])
    rewards = np.concatenate([episode.columns[REWARD][:-1, 0] for episode in played])
    at = np.concatenate([np.arange(1, len(episode)) for episode in played])
    moves = _moves(_coarse(frames_shown))
    figures = {
        name: _figures(embed(frames_shown), embed(pictures), at, rewards, moves)
        for name, embed in embeds(sight).items()
    }
    return RewardReport(figures, _weakness(figures))


def embeds(sight: Encoder) -> dict[str, Embed]:
    """The encoder, and what it is compared with."""
    embeds: dict[str, Embed] = {"encoder": sight.embed}
    if isinstance(sight, TrainedEncoder):
        torch.manual_seed(0)
        module = build_encoder(sight.name, sight.image_size, sight.dim)
        untrained = TrainedEncoder(sight.name, module, sight.image_size, sight.dim, sight.camera).to(sight.device)
        embeds["untrained"] = untrained.embed
    return embeds | {"pixels": _coarse}


def _coarse(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Raw pixels, of every so manyth row and column."""
    every = -(-frames.shape[1] // COARSE)
    few = frames[:, ::every, ::every]
    return (few.reshape(len(few), -1) / 255).astype(np.float32)


def _moves(pixels: NDArray[np.float32]) -> list[NDArray[np.bool_]]:
    """Whether a demonstration moves between the two frames of a grade and the next, of (length, dim) its pixels.

    Where it stands still, noise says which of the two is nearer. Where it is slow throughout, all of it moves.

    Returns:
        A (length - farther,) for each pair of neighbouring ``GRADES`` that it is long enough for.
    """
    length = len(pixels)
    least = STILL * max(l2_distance(pixels[lag:], pixels[:-lag]).max() for lag in range(1, length))
    apart = [
        l2_distance(pixels[farther:], pixels[nearer : length - farther + nearer])
        for nearer, farther in pairwise(GRADES)
        if farther < length
    ]
    slow = not any((one > least).any() for one in apart)
    return [(one > least) | slow for one in apart]


def _figures(
    shown: NDArray, played: NDArray, at: NDArray[np.int64], rewards: NDArray, moves: list[NDArray[np.bool_]]
) -> dict[str, float]:
    """Of one embedding.

    Args:
        shown: (length, dim) of the demonstration.
        played: (n, dim) of random play.
        at: (n,) steps after which they were taken.
        rewards: (n,) of the environment.
        moves: As of ``_moves``.
    """
    length = len(shown)
    apart = [l2_distance(shown[lag:], shown[:-lag]) for lag in GRADES if lag < length]  # each (length - lag,)
    far = np.stack([l2_distance(np.broadcast_to(one, played.shape), played) for one in shown])  # (length, n)
    own = np.concatenate([l2_distance(shown[lag:], shown[:-lag]) for lag in range(1, length)])
    before = _first(apart[0][:, None], far[:-1])
    grades = [
        _first(nearer[: len(farther)][moved], farther[moved])
        for (nearer, farther), moved in zip(pairwise(apart), moves, strict=True)
        if moved.any()
    ]
    clips = shown_beside(length)
    earned = np.array([-l2_distance(shown[frames], shown).mean() for frames in clips.values()])
    away = np.array([np.abs(frames - np.arange(length)).mean() for frames in clips.values()])
    matched = -l2_distance(played, shown[np.minimum(at, length - 1)])
    ranked = np.bincount(at)[at] >= ENOUGH
    known = ranked.any() and np.ptp(rewards[ranked]) > 0
    return {
        "nearest_play": float(np.median(far.min(axis=1)) / own.mean()) if own.mean() > 0 else float("nan"),
        "before_play": before,
        "grades_in_order": float(np.mean(grades)) if grades else float("nan"),
        "clips_spearman": rank_correlation(earned, away),
        "env_spearman": mean_rank_correlation(matched[ranked], -rewards[ranked].astype(np.float64), at[ranked])
        if known
        else float("nan"),
    }


def _first(nearer: NDArray, farther: NDArray) -> float:
    """Share of pairs in which the one that should be nearer is; ties count half."""
    return float((nearer < farther).mean() + 0.5 * (nearer == farther).mean())


def _weakness(figures: dict[str, dict[str, float]]) -> str:
    """What speaks against a reward, in words."""
    own, pixels = figures["encoder"], figures["pixels"]
    still = np.isnan(pixels["nearest_play"])
    wrong = ["the video stands still: there is nothing in it to tell apart"] if still else []
    wrong += [
        f"{name} is {own[name]:.2f}, {least} expected"
        for name, least in LEAST.items()
        if not (still or own[name] >= least)
    ]
    if not (still or own["nearest_play"] <= FAR):
        wrong.append(
            f"nothing in play looks like the demonstration (nearest_play is {own['nearest_play']:.2f}, {FAR:g} at most "
            "expected): is it of this scene, does that change from episode to episode, and can play come near it?"
        )
    wrong += [
        f"by {name}, raw pixels do better ({pixels[name]:.2f} to {own[name]:.2f})"
        for name in (*LEAST, "env_spearman")
        if pixels[name] > own[name] + 0.05
    ]
    if own["env_spearman"] < 0:
        wrong.append("in random play it falls where the environment's own reward rises")
    return "; ".join(wrong)
