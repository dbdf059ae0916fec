"""What an environment is shown, and by what it is compared: demonstrations and encoder, of whatever form they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from imitate.data.demonstration import Demonstration, demonstration_from_video
from imitate.data.rendering import Rendering
from imitate.embedding.any_encoder import AnyEncoder, Function
from imitate.embedding.trained_encoder import TrainedEncoder, load_encoder
from imitate.errors import UserError
from imitate.reward.environment import check_environment, rate_of
from imitate.reward.filming import Sample
from imitate.reward.frames import Frames, check_frames
from imitate.reward.targets import Encoder

Video = Demonstration | str | Path
Embedding = TrainedEncoder | Function | str | Path
FEW = 9  # frames of a demonstration, evenly spaced


class Shown(NamedTuple):
    """What an environment is shown, and by what it is compared.

    Attributes:
        demonstrations: As the encoder sees them, at the environment's steps.
        encoder: That embeds them, and what the environment looks like.
        samples: The pictures of both, as they were: those of the environment are to show the same part of the world.
    """

    demonstrations: list[Demonstration]
    encoder: Encoder
    samples: tuple[Sample, ...]


def shown_to(
    env: Any, demonstrations: Video | Sequence[Video], encoder: Embedding, frames: Frames, fps: float | None
) -> Shown:
    """Bring together what an environment is shown.

    Args:
        env: The environment, or a vector environment.
        demonstrations: As of ``VideoReward``; the others too.
        encoder: See there.
        frames: See there.
        fps: See there.

    Raises:
        UserError: One of these can't be, or does not fit another.
    """
    check_environment(env)
    check_frames(frames)
    one = isinstance(demonstrations, Demonstration | str | Path)
    several: Sequence[Video] = [demonstrations] if one else demonstrations  # type: ignore[list-item, assignment]
    if not isinstance(several, list | tuple) or not all(
        isinstance(video, Demonstration | str | Path) for video in several
    ):
        raise UserError("demonstrations: expected a video file or an imitate.Demonstration, or a list of them")
    if not several:
        raise UserError("no demonstration to follow, expected at least one")
    if isinstance(encoder, str | Path):
        encoder = load_encoder(encoder)
    if isinstance(encoder, TrainedEncoder):
        encoder.check_rendering(Rendering.of(env, frames.key, frames.crop))
    elif not callable(encoder):
        raise UserError(f"an encoder of type {type(encoder).__name__}, expected a trained one, or a function")
    read = [_read(env, video, fps) for video in several]
    size = encoder.image_size if isinstance(encoder, TrainedEncoder) else frames.size or _side(read[0], frames)
    seen = [replace(one, frames=frames.seen(one.frames, size, f"demonstration {one.name}")) for one in read]
    sized = isinstance(encoder, TrainedEncoder) or frames.size is not None
    samples = [Sample(f"demonstration {one.name}", *_sides(one), seen=sized) for one in read]
    if not isinstance(encoder, TrainedEncoder):
        return Shown(seen, AnyEncoder(encoder, _unlike(seen[0].frames)), tuple(samples))
    if encoder.rendering is not None and encoder.rendering.height:
        fitted = "those that the encoder was fitted to"
        samples.append(Sample(fitted, encoder.rendering.height, encoder.rendering.width, exact=True))
    return Shown(seen, encoder, tuple(samples))


def _read(env: Any, video: Video, fps: float | None) -> Demonstration:
    """A demonstration with a frame for each step of the environment."""
    if not isinstance(video, Demonstration):
        return demonstration_from_video(video, rate_of(env, fps))
    if not isinstance(video.frames, np.ndarray):
        said = type(video.frames).__name__
        raise UserError(f"demonstration {video.name}: frames of type {said}, expected an array: numpy.stack(frames)")
    if fps is not None:
        raise UserError(f"demonstration {video.name}: frames of no rate, which fps means nothing to: leave fps out")
    return video


def _unlike(frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(2, size, size, 3) uint8: the first, and whichever of a few is least like it."""
    few = frames[np.linspace(0, len(frames) - 1, FEW).astype(int)]
    return few[[0, np.abs(few.astype(np.int16) - few[0]).mean(axis=(1, 2, 3)).argmax()]]


def _sides(demonstration: Demonstration) -> tuple[int, int]:
    """Height and width of its frames, pixels."""
    return demonstration.frames.shape[1], demonstration.frames.shape[2]


def _side(demonstration: Demonstration, frames: Frames) -> int:
    """Pixels a side of the square in the middle of what there is to be seen."""
    if frames.crop is None:
        return min(_sides(demonstration))
    left, top, right, bottom = frames.crop
    return min(right - left, bottom - top)
