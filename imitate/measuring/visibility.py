"""Which joints an embedding can see at all."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import pdist

from imitate.measuring.ranking import Indices, l2_distance, over_pairs


def typical_distance(embeddings: NDArray) -> float:
    """Mean L2 distance between (n, dim) embeddings of random poses: the unit in which encoders can be compared."""
    return float(pdist(embeddings).mean())


def visibility(embeddings: NDArray, still: Indices, moved: Indices, unit: float) -> NDArray[np.float64]:
    """How far the embedding moves when one joint alone moves, in units of ``typical_distance``.

    Args:
        embeddings: (frames, dim).
        still: (anchors,) indices of poses.
        moved: (anchors, joints, sizes) indices of the same poses with one joint moved by one of several sizes.
        unit: The typical distance.

    Returns:
        (joints, sizes) means over the anchors: 0 for a joint that can't be seen.
    """
    distances = over_pairs(l2_distance, embeddings, moved.ravel(), np.repeat(still, moved[0].size))
    return distances.reshape(moved.shape).mean(axis=0) / unit


def decoding_errors(decoded: NDArray[np.floating], true: NDArray[np.floating]) -> NDArray[np.float64]:
    """(joints,) mean absolute differences, rad, of (n, joints) angles, the shorter way round."""
    turned = (decoded.astype(np.float64) - true + np.pi) % (2 * np.pi) - np.pi
    return np.abs(turned).mean(axis=0)
