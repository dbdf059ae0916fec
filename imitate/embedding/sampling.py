"""Which frames make a batch: vectorised, without a loop over samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imitate.errors import UserError

Indices = NDArray[np.int64]


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


@dataclass(frozen=True)
class Margins:
    """How far apart in time frames are, frames.

    Attributes:
        positive: A positive is at most this far from its anchor.
        negative: A negative in the same video is farther than this.
    """

    positive: int = 10
    negative: int = 30


def pairs(videos: Videos, per_video: int, margins: Margins, rng: np.random.Generator) -> Indices:
    """Draw ``per_video`` anchors of each video, each with a positive.

    Returns:
        (2, videos * per_video) indices: anchors; positives, other frames than their anchors.

    Raises:
        UserError: A video has a single frame.
    """
    lengths = np.repeat(videos.lengths, per_video)
    if lengths.min() < 2:
        raise UserError("a video of 1 frame has no positive, expected at least 2 frames: record longer episodes")
    starts = np.repeat(videos.starts, per_video)
    anchor = rng.integers(0, lengths)
    return np.stack([starts + anchor, starts + _positive(anchor, lengths, margins.positive, rng)])


def video_pairs(videos: Videos, per_video: int, margins: Margins, rng: np.random.Generator) -> Indices:
    """As ``pairs``, but with the frames of a video in one column.

    Returns:
        (2 * per_video, videos) indices: the anchors of each video, then their positives.

    Raises:
        UserError: A video has a single frame.
    """
    drawn = pairs(videos, per_video, margins, rng)
    return np.concatenate([one.reshape(len(videos), per_video).T for one in drawn])


def triplets(videos: Videos, per_video: int, margins: Margins, rng: np.random.Generator) -> Indices:
    """Draw ``per_video`` single-view triplets of each video (sections II.A and III.A of the paper).

    The anchor is a random frame that has a negative in its video.

    Returns:
        (3, videos * per_video) indices: anchors, positives, negatives.

    Raises:
        UserError: A video is too short to have a negative.
    """
    lengths = np.repeat(videos.lengths, per_video)
    shortest, gap = int(videos.lengths.min()), margins.negative + 1
    if shortest <= gap:
        raise UserError(
            f"a video of {shortest} frames has none more than {margins.negative} frames from another, expected "
            f"at least {gap + 1} frames: record longer episodes, or lower the negative margin"
        )
    # An anchor has a negative behind it if it is among the first `ends` frames, before it if among the last.
    ends = lengths - gap
    apart = ends < gap  # the two kinds leave a gap in the middle
    pick = rng.integers(0, np.where(apart, 2 * ends, lengths))
    anchor = np.where(apart & (pick >= ends), pick - ends + gap, pick)

    before = np.maximum(anchor - margins.negative, 0)  # number of frames far enough on either side
    behind = np.maximum(ends - anchor, 0)
    choice = rng.integers(0, before + behind)
    negative = np.where(choice < before, choice, anchor + gap + choice - before)

    starts = np.repeat(videos.starts, per_video)
    positive = _positive(anchor, lengths, margins.positive, rng)
    return np.stack([starts + anchor, starts + positive, starts + negative])


def _positive(anchor: Indices, lengths: Indices, margin: int, rng: np.random.Generator) -> Indices:
    low, high = np.maximum(anchor - margin, 0), np.minimum(anchor + margin, lengths - 1)
    other = rng.integers(low, high)  # one fewer than there are: the anchor itself is left out
    return np.where(other >= anchor, other + 1, other)


Sampler = Callable[[Videos, int, Margins, np.random.Generator], Indices]


@dataclass(frozen=True)
class Epoch:
    """What is drawn anew each epoch, and how often it is passed over.

    The paper: 5 videos, 200 triplets of each, 5 passes in batches of 64. Or, with as many videos as a batch
    has samples and one sample of each, every batch is fresh and all its samples are of different videos,
    which teaches the time-contrastive network much more.

    Attributes:
        videos: Drawn without repetition while there are enough.
        per_video: Samples of each.
        passes: Over the samples, each in another order.
        batch: Samples a batch, at most.
        whole: All samples of a video are in one column, and so in one batch.
    """

    videos: int
    per_video: int
    passes: int
    batch: int
    whole: bool = False

    @property
    def steps(self) -> int:
        """Batches an epoch."""
        samples = self.videos if self.whole else self.videos * self.per_video
        return self.passes * -(-samples // self._columns)

    @property
    def _columns(self) -> int:
        """Of a batch."""
        return max(self.batch // self.per_video, 1) if self.whole else self.batch

    def batches(self, videos: Videos, sample: Sampler, margins: Margins, rng: np.random.Generator) -> Iterator[Indices]:
        """Yield (groups, batch) indices of frames."""
        rounds = -(-self.videos // len(videos))
        chosen = np.concatenate([rng.permutation(len(videos)) for _ in range(rounds)])[: self.videos]
        samples = sample(Videos(videos.starts[chosen], videos.lengths[chosen]), self.per_video, margins, rng)
        for _ in range(self.passes):
            shuffled = samples[:, rng.permutation(samples.shape[1])]
            for first in range(0, samples.shape[1], self._columns):
                yield shuffled[:, first : first + self._columns]
