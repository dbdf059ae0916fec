"""Whether an embedding tells the time: the same movement at another speed, matched to itself.

The protocol of Sermanet et al., 2017, section IV: each frame of one video is matched to the frame of another
whose embedding is nearest. With one movement at several speeds, it is known which frame that should be.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.float64]  # in frames of the original, may lie between two


def at_times(trajectory: NDArray[np.floating], times: Times) -> NDArray[np.float64]:
    """A (length, joints) trajectory at ``times`` (n,), linear between its frames: (n, joints)."""
    frames = np.arange(len(trajectory))
    return np.stack([np.interp(times, frames, column) for column in trajectory.T], axis=1)


def nearest_frames(embeddings: NDArray, reference: NDArray) -> NDArray[np.int64]:
    """(n,) index of the one of (length, dim) ``reference`` that is nearest to each of (n, dim) ``embeddings``.

    Of several equally near, the first: a movement that begins at rest begins with a few equal frames.
    """
    own, known = embeddings.astype(np.float64), reference.astype(np.float64)
    squares = np.square(known).sum(axis=1) - 2.0 * own @ known.T  # less |own|^2, the same for all
    return squares.round(9).argmin(axis=1)  # equal frames are equally near, in whatever order they were summed


def alignment_error(times: Times, nearest: NDArray[np.int64], length: int) -> float:
    """Mean ``|t - t_nearest| / T``: how far from its place in the original a frame is matched, in shares of it.

    Args:
        times: (n,) where the frames are from.
        nearest: (n,) what they were matched to.
        length: T, frames of the original.
    """
    return float(np.abs(times - nearest).mean() / length)
