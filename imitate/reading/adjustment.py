"""Adjust all poses of a demonstration at once, and what stays the same in all of its frames, to what is seen.

What is sought is what is likeliest of all, as in bundle adjustment (Triggs and others, 2000): poses that look as the
frames do and that change smoothly, and beside them some numbers that never change, such as where the camera stands.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import splu

Floats = NDArray[np.float64]
See = Callable[[Floats, Floats], NDArray[np.floating]]  # poses (n, joints), rad, and constants to features (n, dim)

CHUNK = 128  # frames whose joints are turned at once
STEP = 0.3  # rad, at most, that a joint is turned at once
BARRED = 0.001  # rad that a joint is held to within, where else it would be beyond what it can be
HELD = 2  # times that this is done


@dataclass(frozen=True)
class Doubts:
    """How far things may be from what is expected of them: standard deviations.

    Attributes:
        constants: (constants,) of those from 0; one whose doubt is 0 stays what it is.
        noise: Of a feature.
        outlier: Times that: what is farther off counts the less, the farther it is (Huber, 1964).
        acceleration: Of joints, rad/s^2.
        guess: Of joints from what was guessed, rad: of all, or (length, joints).
        within: (2, joints) the least and the most that joints can be, rad.
    """

    constants: Floats
    noise: float
    outlier: float = 4.0
    acceleration: float = 4.0
    guess: float | Floats = 0.5
    within: Floats | None = None


class Adjusted(NamedTuple):
    """What is likelier.

    Attributes:
        poses: (length, joints) rad.
        constants: (constants,).
        off: Mean difference of a feature, before.
    """

    poses: Floats
    constants: Floats
    off: float


def adjust(
    seen: NDArray[np.floating],
    see: See,
    before: Adjusted,
    guesses: Floats,
    seconds: float,
    doubts: Doubts,
    turn: float = 0.03,
    every: int = 4,
) -> Adjusted:
    """One step of Gauss and Newton.

    Args:
        seen: (length, dim) features of the frames.
        see: What they would be.
        before: From where.
        guesses: (length, joints) rad, that poses should not be far from.
        seconds: From a frame to the next.
        doubts: How sure what is.
        turn: By how much joints, and constants, are turned to see what that changes.
        every: Frames for which they are turned once.
    """
    poses, constants = before.poses, before.constants
    length, joints = poses.shape
    own = np.flatnonzero(doubts.constants > 0)
    off = seen - see(poses, constants)
    weights = np.minimum(1.0, doubts.outlier * doubts.noise / np.maximum(np.abs(off), 1e-9)) / doubts.noise**2
    squares = np.empty((length, joints + len(own), joints + len(own)))
    pulls = np.empty((length, joints + len(own)))
    for first in range(0, length, CHUNK):
        last = min(first + CHUNK, length)
        at = np.unique(np.append(np.arange(first, last, every), last - 1))
        slopes = _slopes(see, poses[at], constants, own, turn)  # (some frames, dim, joints + constants)
        place = np.interp(np.arange(first, last), at, np.arange(len(at)))
        for frame, between in enumerate(place, first):
            slope = slopes[int(between)]
            if share := between - int(between):
                slope = (1 - share) * slope + share * slopes[int(between) + 1]
            weighed = slope * weights[frame][:, None]
            squares[frame], pulls[frame] = weighed.T @ slope, weighed.T @ off[frame]
    change, changed = _changed(squares, pulls, guesses, poses, constants[own], doubts, own, seconds)
    moved = constants.copy()
    moved[own] += change
    return Adjusted(changed, moved, float(np.abs(off).mean()))


def _changed(
    squares: Floats, pulls: Floats, guesses: Floats, poses: Floats, constants: Floats, doubts: Doubts,
    own: NDArray[np.integer], seconds: float,
) -> tuple[Floats, Floats]:  # fmt: skip
    """By what the constants are to be changed, and the poses that are likelier, within their limits."""
    for _ in range(1 + HELD):
        change = _solved(squares, pulls, poses - guesses, poses, constants, doubts, own, seconds)
        changed = poses + np.clip(change[: poses.size].reshape(poses.shape), -STEP, STEP)
        if doubts.within is None:
            break
        there = np.clip(changed, *doubts.within)
        if (changed == there).all():
            break
        # What went beyond is held where it can be, and the others are to make the best of that.
        guesses = np.where(changed == there, guesses, there)
        doubts = replace(doubts, guess=np.where(changed == there, doubts.guess, BARRED))
        changed = there
    return change[poses.size :], changed


def _solved(
    squares: Floats, pulls: Floats, away: Floats, poses: Floats, constants: Floats, doubts: Doubts,
    own: NDArray[np.integer], seconds: float,
) -> Floats:  # fmt: skip
    """By what all joints of all frames, and then the constants, are to be changed."""
    length, joints = poses.shape
    count = len(own)
    smooth = _bending(length, seconds) / doubts.acceleration**2
    blocks = sparse.block_diag(list(squares[:, :joints, :joints]))
    edge = squares[:, :joints, joints:].reshape(length * joints, count)
    sure = np.broadcast_to(1 / np.square(doubts.guess), poses.shape)
    kept = sparse.kron(smooth, sparse.eye(joints)) + sparse.diags_array(sure.ravel())
    wanted = pulls[:, :joints] - away * sure - smooth @ poses
    # What all frames share is eliminated first (Schur): a matrix with a full edge would not stay sparse.
    solve = splu((blocks + kept).tocsc()).solve
    alone, shared = solve(wanted.ravel()), solve(edge) if count else edge
    still = squares[:, joints:, joints:].sum(axis=0) + np.diag(1 / doubts.constants[own] ** 2)
    pulled = pulls[:, joints:].sum(axis=0) - constants / doubts.constants[own] ** 2
    moves = np.linalg.solve(still - edge.T @ shared, pulled - edge.T @ alone)
    return np.append(alone - shared @ moves, moves)


def _slopes(see: See, poses: Floats, constants: Floats, own: NDArray[np.integer], turn: float) -> NDArray[np.floating]:
    """How features change with each joint, and with each constant of its own: (n, dim, joints + own)."""
    changes = []
    for joint in range(poses.shape[1]):
        by = np.zeros(poses.shape[1])
        by[joint] = turn
        more, less = np.split(see(np.concatenate([poses + by, poses - by]), constants), 2)
        changes.append((more - less) / (2 * turn))
    for constant in own:
        by = np.zeros(len(constants))
        by[constant] = turn
        changes.append((see(poses, constants + by) - see(poses, constants - by)) / (2 * turn))
    return np.stack(changes, axis=-1)


def _bending(length: int, seconds: float) -> sparse.sparray:
    """The square of accelerations, as a matrix (length, length)."""
    if length < 3:
        return sparse.csr_array((length, length))
    bends = sparse.diags_array([1.0, -2.0, 1.0], offsets=[0, 1, 2], shape=(length - 2, length)) / seconds**2
    return (bends.T @ bends).tocsr()
