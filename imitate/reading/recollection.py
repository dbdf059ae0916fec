"""Guess a robot's poses in a demonstration by its own recordings: where it has looked like that before."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from imitate.reading.practice import smoothed

NEAREST = 200  # frames of its own that each of the demonstration's may be
TURN = 20.0  # squared distance of embeddings, of norm 10, that a turn of one squared rad from frame to frame costs

Floats = NDArray[np.float64]


def recollect(embeddings: NDArray[np.floating], own: NDArray[np.floating], joints: NDArray[np.floating]) -> Floats:
    """The way through the robot's own frames that looks most like a demonstration, and turns its joints the least.

    A pose alone may look like another one; a movement hardly like another movement. It is the shortest path (Viterbi,
    1967), and then smoothed.

    Args:
        embeddings: (length, dim) of the demonstration's frames.
        own: (n, dim) of frames that the robot has filmed of itself.
        joints: (n, joints) its poses in them, rad.

    Returns:
        (length, joints) poses, rad.
    """
    own, embeddings = np.asarray(own, np.float64), np.asarray(embeddings, np.float64)
    lengths = np.square(own).sum(1)
    few = min(NEAREST, len(own))
    costs: list[Floats] = []
    poses: list[Floats] = []
    for frame in embeddings:
        apart = lengths - 2 * own @ frame + frame @ frame  # (n,) squared distances
        nearest = np.argpartition(apart, few - 1)[:few]
        costs.append(apart[nearest])
        poses.append(np.asarray(joints[nearest], np.float64))
    return smoothed(_shortest(costs, poses))


def _shortest(costs: list[Floats], poses: list[Floats]) -> Floats:
    """One pose a frame, of those (few, joints) with costs (few,) at each."""
    total, before = costs[0], []
    for k in range(1, len(poses)):
        turned = np.square(poses[k][:, None] - poses[k - 1][None]).sum(2)  # (few, few): to, from
        through = total[None] + TURN * turned
        before.append(through.argmin(axis=1))
        total = through.min(axis=1) + costs[k]
    way = [int(total.argmin())]
    for choices in before[::-1]:
        way.append(int(choices[way[-1]]))
    return np.stack([at[index] for at, index in zip(poses, way[::-1], strict=True)])
