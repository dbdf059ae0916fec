"""Reward from a video, for any environment that renders: one, or many at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
from gymnasium.vector import VectorEnv

from imitate.data.demonstration import Demonstration, demonstration_from_video
from imitate.data.rendering import Rendering
from imitate.data.video.reader import shown_size
from imitate.embedding.any_encoder import AnyEncoder, Function
from imitate.embedding.trained_encoder import TrainedEncoder, load_encoder
from imitate.errors import UserError
from imitate.reward.filmed import Filmed, FilmedVector
from imitate.reward.following import Following
from imitate.reward.frames import Frames
from imitate.reward.targets import Encoder
from imitate.reward.vector_wrapper import EmbeddingRewardVector
from imitate.reward.wrapper import EmbeddingReward

Shown = Demonstration | str | Path


class VideoReward(EmbeddingReward):
    """Any Gymnasium environment that renders, rewarded for looking like a video.

    Its own reward stays in the info as ``env_reward``. An episode is truncated at the last frame of the demonstration.

    Args:
        env: The environment, made with ``render_mode="rgb_array"``; or one that observes its pictures.
        demonstrations: A video file, or frames; or several, one of which is drawn at each reset, or asked for with
            ``options["demonstration"]``.
        encoder: A trained encoder, the folder of one, or any function from (n, height, width, 3) uint8 to (n, dim).
        following: How a demonstration is followed.
        frames: Where the pictures come from, and what of them is seen.
        observe: One of ``FORMS``: flat, the environment's observation and the embeddings in one vector; dict, beside
            each other; env, the environment's observation alone.
        fps: Steps of the environment a second: how much of a video goes by in a step. None: what it says itself, its
            ``render_fps``.

    Raises:
        UserError: One of these can't be, or does not fit another.
    """

    def __init__(
        self,
        env: gym.Env,
        demonstrations: Shown | Sequence[Shown],
        encoder: TrainedEncoder | Function | str | Path,
        following: Following = Following(),
        frames: Frames | None = None,
        observe: str = "flat",
        fps: float | None = None,
    ) -> None:
        frames = frames or Frames()
        shown, sight = made_out(env, demonstrations, encoder, frames, fps)
        filmed = Filmed(env, [len(one) for one in shown], sight.image_size, frames)
        super().__init__(filmed, sight, shown, following, observe, frames.key)


class VideoRewardVector(EmbeddingRewardVector):
    """Any Gymnasium vector environment that renders, rewarded for looking like a video: one call of the encoder a step.

    Works with each of Gymnasium's autoreset modes, and itself resets in the same step. Where the environment does so
    too, its pictures must be in its observations: it renders no last moments.

    Args:
        env: The vector environment. It takes ``options["reset_mask"]``, as Gymnasium's do.
        demonstrations: As of ``VideoReward``; the following too.
        encoder: See there.
        following: See there.
        frames: See there.
        observe: See there.
        fps: See there.

    Raises:
        UserError: One of these can't be, or does not fit another.
    """

    def __init__(
        self,
        env: VectorEnv,
        demonstrations: Shown | Sequence[Shown],
        encoder: TrainedEncoder | Function | str | Path,
        following: Following = Following(),
        frames: Frames | None = None,
        observe: str = "flat",
        fps: float | None = None,
    ) -> None:
        frames = frames or Frames()
        shown, sight = made_out(env, demonstrations, encoder, frames, fps)
        filmed = FilmedVector(env, [len(one) for one in shown], sight.image_size, frames)
        super().__init__(filmed, sight, shown, following, observe, frames.key)


def made_out(
    env: Any,
    demonstrations: Shown | Sequence[Shown],
    encoder: TrainedEncoder | Function | str | Path,
    frames: Frames,
    fps: float | None,
) -> tuple[list[Demonstration], Encoder]:
    """The demonstrations, as the encoder sees them at the environment's steps; and the encoder.

    Args:
        env: The environment, or a vector environment.
        demonstrations: As of ``VideoReward``; the others too.
        encoder: See there.
        frames: See there.
        fps: See there.

    Raises:
        UserError: One of these can't be, or does not fit another.
    """
    several: Sequence[Shown] = (
        [demonstrations] if isinstance(demonstrations, Demonstration | str | Path) else demonstrations
    )
    if not several:
        raise UserError("no demonstration to follow, expected at least one")
    if isinstance(encoder, str | Path):
        encoder = load_encoder(encoder)
    if not isinstance(encoder, TrainedEncoder) and not callable(encoder):
        raise UserError(f"an encoder of type {type(encoder).__name__}, expected a trained one, or a function")
    sight: Encoder = (
        encoder if isinstance(encoder, TrainedEncoder) else AnyEncoder(encoder, _side_of(several[0], frames))
    )
    if isinstance(sight, TrainedEncoder):
        sight.check_rendering(Rendering.of(env, frames.key, frames.crop))
    return [_seen(env, one, sight.image_size, frames, fps) for one in several], sight


def _side_of(shown: Shown, frames: Frames) -> int:
    """Pixels a side of what there is to be seen: of the square in the middle."""
    if frames.crop is not None:
        left, top, right, bottom = frames.crop
        return min(right - left, bottom - top)
    size = shown.frames.shape[1:3] if isinstance(shown, Demonstration) else shown_size(Path(shown))
    return min(size)


def _seen(env: Any, shown: Shown, size: int, frames: Frames, fps: float | None) -> Demonstration:
    """A demonstration as an encoder sees it."""
    if not isinstance(shown, Demonstration):
        rate = fps or env.metadata.get("render_fps")
        if not rate:
            raise UserError(f"{env}: no render_fps in its metadata, expected fps: its steps a second")
        shown = demonstration_from_video(shown, rate)
    return replace(shown, frames=frames.seen(shown.frames, size, f"demonstration {shown.name}"))
