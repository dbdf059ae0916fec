"""How far a video has come in what another one shows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

STIFF = 1.0  # what going through the whole reference at once costs, in mean distances of two of its frames


def path_through(embeddings: NDArray, reference: NDArray, stiff: float = STIFF) -> NDArray[np.int64]:
    """The frames of a reference that those of another video show, as a path: near in the embedding, and in time.

    Of all paths, the one whose distances, and ways from frame to frame, sum up to the least (Viterbi, 1967). To go back
    costs as much as to go on, and to stand still nothing: a video that is played backwards is found to go backwards.

    Args:
        embeddings: (n, dim) of the video.
        reference: (length, dim).
        stiff: What a way through the whole reference costs, in mean distances of two of its frames. 0: each frame is
            matched for itself.

    Returns:
        (n,) indices of frames of the reference.
    """
    own, known = embeddings.astype(np.float64), reference.astype(np.float64)
    squares = np.square(own).sum(1)[:, None] + np.square(known).sum(1) - 2 * own @ known.T
    costs = np.sqrt(np.maximum(squares, 0))  # (n, length)
    among = np.sqrt(np.maximum(np.square(known - known.mean(0)).sum(1).mean() * 2, 0))  # root mean square distance
    step = stiff * among / max(len(known) - 1, 1)
    at = np.arange(len(known))
    came = np.empty(costs.shape, np.int64)
    best = costs[0]
    for t in range(1, len(costs)):
        behind, ahead = _nearest(best - step * at), len(at) - 1 - _nearest((best + step * at)[::-1])[::-1]
        from_behind, from_ahead = best[behind] + step * (at - behind), best[ahead] + step * (ahead - at)
        came[t] = np.where(from_behind <= from_ahead, behind, ahead)
        best = costs[t] + np.minimum(from_behind, from_ahead)
    path = np.empty(len(costs), np.int64)
    path[-1] = best.argmin()
    for t in range(len(costs) - 1, 0, -1):
        path[t - 1] = came[t, path[t]]
    return path


def _nearest(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """(n,) of each place, the last one up to there that holds the least so far."""
    least = np.minimum.accumulate(values)
    return np.maximum.accumulate(np.where(values == least, np.arange(len(values)), 0))
