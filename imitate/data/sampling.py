"""Which frames make a batch: vectorised, without a loop over samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from imitate.errors import UserError

Indices = NDArray[np.int64]


class Triplets(NamedTuple):
    """Indices of frames, (batch,) each."""

    anchor: Indices
    positive: Indices
    negative: Indices


@dataclass(frozen=True)
class Videos:
    """Where videos stand in an array of frames.

    Attributes:
        starts: (videos,) index of each video's first frame.
        lengths: (videos,) frames of each.
    """

    starts: Indices
    lengths: Indices

    def __len__(self) -> int:
        return len(self.starts)


def sample_triplets(
    videos: Videos, per_video: int, positive: int, negative: int, rng: np.random.Generator
) -> Triplets:
    """Draw single-view triplets (section II.A and III.A of the paper).

    The anchor is a random frame that has a negative, the positive another one at most ``positive`` frames
    away, the negative one more than ``negative`` frames away, in the same video.

    Args:
        videos: To draw from, each ``per_video`` times.
        per_video: Triplets a video.
        positive: Positive margin, frames.
        negative: Negative margin, frames.
        rng: All randomness.

    Returns:
        Triplets of (videos * per_video,) indices.

    Raises:
        UserError: A video is too short to have a negative.
    """
    lengths = np.repeat(videos.lengths, per_video)
    shortest = int(videos.lengths.min())
    if shortest < negative + 2:
        raise UserError(
            f"a video of {shortest} frames has no frame more than {negative} away from another, expected at "
            f"least {negative + 2} frames: record longer episodes, or lower the negative margin"
        )
    # Frames that have a negative before them: t > negative; behind them: t < length - 1 - negative.
    before = lengths - 1 - negative  # number of each kind
    distinct = np.where(before <= negative + 1, 2 * before, lengths)
    pick = rng.integers(0, distinct)
    anchor = np.where((before <= negative + 1) & (pick >= before), pick - before + negative + 1, pick)

    low, high = np.maximum(anchor - positive, 0), np.minimum(anchor + positive, lengths - 1)
    other = rng.integers(low, high)  # one fewer than there are: the anchor itself is left out
    positives = np.where(other >= anchor, other + 1, other)

    left = np.maximum(anchor - negative, 0)  # frames far enough on the left: 0 .. left - 1
    right = np.maximum(lengths - 1 - negative - anchor, 0)
    choice = rng.integers(0, left + right)
    negatives = np.where(choice < left, choice, anchor + negative + 1 + choice - left)

    starts = np.repeat(videos.starts, per_video)
    return Triplets(starts + anchor, starts + positives, starts + negatives)


def sample_pairs(
    videos: Videos, batch: int, positive: int, rng: np.random.Generator
) -> tuple[Indices, Indices]:
    """Draw anchors and positives, one pair a video while there are videos enough.

    In-batch objectives take the other videos' positives as negatives. Many videos in a batch, one frame of
    each, is what teaches the plain time-contrastive network most.

    Returns:
        Two (batch,) arrays of indices: anchors, and positives at most ``positive`` frames away.
    """
    chosen = np.concatenate([rng.permutation(len(videos)) for _ in range(-(-batch // len(videos)))])[:batch]
    lengths = videos.lengths[chosen]
    anchor = rng.integers(0, lengths)
    low, high = np.maximum(anchor - positive, 0), np.minimum(anchor + positive, lengths - 1)
    other = rng.integers(low, high)
    partner = np.where(other >= anchor, other + 1, other)
    return videos.starts[chosen] + anchor, videos.starts[chosen] + partner
