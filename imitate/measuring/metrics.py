"""How good an embedding is, and how well a robot imitated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr, trim_mean

from imitate.measuring.ranking import over_pairs

Floats = NDArray[np.floating]
RESAMPLES = 2000  # of the bootstrap
SUCCESS_M = 0.05  # mean and final flange error of an imitation that counts as one


class Poses(NamedTuple):
    """The truth behind frames, to measure by.

    Attributes:
        joints: (frames, joints) rad; None where they are unknown.
        flange: (frames, 3) m; None where it is unknown.
        episode: (frames,) the episode of each frame.
    """

    joints: Floats | None
    flange: Floats | None
    episode: NDArray[np.int64]

    def at(self, frames: NDArray[np.int64]) -> Poses:
        """The poses of some frames."""
        joints, flange = (None if part is None else part[frames] for part in (self.joints, self.flange))
        return Poses(joints, flange, self.episode[frames])


def triplet_accuracy(anchor: Floats, positive: Floats, negative: Floats, margin: float = 0.0) -> float:
    """Share of triplets of (n, dim) embeddings with ``|a - p|^2 + margin < |a - n|^2``.

    The paper's measure (section IV). An untrained network orders most triplets already, so that it says
    little: see ``pose_correlation`` and ``retrieval_error``.
    """
    near = np.square(anchor - positive).sum(axis=-1)
    far = np.square(anchor - negative).sum(axis=-1)
    return float(np.mean(near + margin < far))


def pose_correlation(embeddings: Floats, truth: Floats, rng: np.random.Generator, pairs: int = 20_000) -> float:
    """Spearman's rank correlation of embedding distance with true distance, over random pairs of frames.

    Args:
        embeddings: (frames, dim).
        truth: (frames, k): joints or flange positions.
        rng: Draws the pairs.
        pairs: Number of pairs.
    """
    a, b = rng.integers(0, len(embeddings), (2, pairs))
    a, b = a[a != b], b[a != b]
    seen = over_pairs(lambda one, other: np.linalg.norm(one.astype(np.float32) - other, axis=-1), embeddings, a, b)
    true = np.linalg.norm(truth[a] - truth[b], axis=-1)
    return float(spearmanr(seen, true).statistic)


def nearest_elsewhere(embeddings: Floats, episode: NDArray[np.int64]) -> NDArray[np.int64]:
    """(frames,) index of the nearest embedding among the frames of other episodes."""
    squares = np.square(embeddings).sum(axis=1)
    nearest = np.empty(len(embeddings), np.int64)
    for number in np.unique(episode):
        own = np.flatnonzero(episode == number)
        others = np.flatnonzero(episode != number)
        distances = squares[others] - 2.0 * embeddings[own] @ embeddings[others].T
        nearest[own] = others[distances.argmin(axis=1)]
    return nearest


def embedding_metrics(embeddings: Floats, poses: Poses, seed: int = 0) -> dict[str, float]:
    """Rank correlation with, and retrieval of, the true pose as far as it is known, under the names of metrics.json."""
    embeddings = np.asarray(embeddings, np.float32)
    nearest = nearest_elsewhere(embeddings, poses.episode)
    figures = {}
    if poses.flange is not None:
        missed = np.linalg.norm(poses.flange - poses.flange[nearest], axis=1)
        figures["pose_spearman_ee"] = pose_correlation(embeddings, poses.flange, np.random.default_rng(seed))
        figures["retrieval_ee_error_m"] = float(missed.mean())
    if poses.joints is not None:
        missed = np.abs(poses.joints - poses.joints[nearest])
        figures["pose_spearman_joint"] = pose_correlation(embeddings, poses.joints, np.random.default_rng(seed))
        figures["retrieval_joint_error_rad"] = float(missed.mean())
    return figures


def success(figures: Mapping[str, Any]) -> bool | None:
    """Whether a robot followed: its flange nearer than ``SUCCESS_M``, on average and at the end.

    Args:
        figures: A metrics.json of ``imitate``.

    Returns:
        None where the demonstration's poses are unknown.
    """
    mean, final = figures.get("ee_error_m"), figures.get("final_ee_error_m")
    return None if mean is None or final is None else max(mean, final) < SUCCESS_M


class Spread(NamedTuple):
    """What runs have in common.

    Attributes:
        median: Of the runs.
        iqm: Interquartile mean: of the runs between the quartiles (Agarwal et al., Deep RL at the edge of the
            statistical precipice, 2021).
        low: Lower end of the 95 % bootstrap interval of the median; of runs of a single thing, the lowest.
        high: Upper end.
    """

    median: float
    iqm: float
    low: float
    high: float


def spread(values: Sequence[float], of: Sequence[str] | None = None, seed: int = 0) -> Spread:
    """Summarise runs.

    Args:
        values: One figure a run, at least one.
        of: What each run is of, such as a demonstration: runs of one thing differ less than those of different ones.
            Things are drawn, and all runs of each (cluster bootstrap; Field and Welsh, 2007). None: of one thing each.
        seed: Of the resampling.
    """
    median, iqm = float(np.median(values)), float(trim_mean(values, 0.25))
    names = list(range(len(values))) if of is None else of
    parts = [np.array([v for v, n in zip(values, names, strict=True) if n == name]) for name in dict.fromkeys(names)]
    if len(parts) < 2:
        return Spread(median, iqm, float(np.min(values)), float(np.max(values)))
    drawn = np.random.default_rng(seed).integers(len(parts), size=(RESAMPLES, len(parts)))
    medians = [np.median(np.concatenate([parts[k] for k in row])) for row in drawn]
    low, high = np.percentile(medians, [2.5, 97.5])
    return Spread(median, iqm, float(low), float(high))
