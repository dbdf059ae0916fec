"""Reward from a video, for any environment that renders: one, or many at once."""

from __future__ import annotations

from collections.abc import Sequence

import gymnasium as gym
from gymnasium.vector import VectorEnv

from imitate.errors import UserError
from imitate.reward.filmed import Filmed, FilmedVector
from imitate.reward.following import Following
from imitate.reward.frames import Frames
from imitate.reward.shown import Embedding, Video, shown_to
from imitate.reward.vector_wrapper import EmbeddingRewardVector
from imitate.reward.wrapper import EmbeddingReward


class VideoReward(EmbeddingReward):
    """Any Gymnasium environment that renders, rewarded for looking like a video.

    Its own reward stays in the info as ``env_reward``. An episode is truncated at the last frame of the demonstration,
    and where the environment terminates it, which the info has as ``env_terminated``: see ``Following.ends``.

    Args:
        env: The environment, made with ``render_mode="rgb_array"``; or one that observes its pictures.
        demonstrations: A video file, or a ``Demonstration`` of frames; or several, one of which is drawn at each reset,
            or asked for with ``options["demonstration"]``.
        encoder: A trained encoder, the folder of one, or any function from (n, size, size, 3) uint8 to (n, dim).
        following: How a demonstration is followed.
        frames: Where the pictures come from, and what of them is seen.
        observe: One of ``FORMS``: flat, the environment's observation and the embeddings in one vector; dict, beside
            each other; env, the environment's observation alone.
        fps: Steps of the environment a second: how much of a video file goes by in a step. None: what it says itself,
            its ``render_fps``. Of a ``Demonstration``, a frame goes by in a step.

    Attributes:
        demonstrations: As the encoder sees them, at the environment's steps.

    Raises:
        UserError: One of these can't be, or does not fit another.
    """

    def __init__(
        self,
        env: gym.Env,
        demonstrations: Video | Sequence[Video],
        encoder: Embedding,
        following: Following = Following(),
        frames: Frames | None = None,
        observe: str = "flat",
        fps: float | None = None,
    ) -> None:
        frames = _checked(following, frames)
        shown, sight, samples = shown_to(env, demonstrations, encoder, frames, fps)
        self.demonstrations = shown
        filmed = Filmed(env, [len(one) for one in shown], sight.image_size, frames, samples)
        super().__init__(filmed, sight, shown, following, observe, frames)


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
        demonstrations: Video | Sequence[Video],
        encoder: Embedding,
        following: Following = Following(),
        frames: Frames | None = None,
        observe: str = "flat",
        fps: float | None = None,
    ) -> None:
        frames = _checked(following, frames)
        shown, sight, samples = shown_to(env, demonstrations, encoder, frames, fps)
        filmed = FilmedVector(env, [len(one) for one in shown], sight.image_size, frames, samples)
        super().__init__(filmed, sight, shown, following, observe, frames)


def _checked(following: Following, frames: Frames | None) -> Frames:
    """Where the pictures come from."""
    if not isinstance(following, Following):
        raise UserError(f"following of type {type(following).__name__}, expected imitate.Following")
    return Frames() if frames is None else frames
