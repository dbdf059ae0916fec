"""Read a robot's poses off a demonstration by practice: of all that it has seen of itself, what looks most like it.

Where nobody can imagine what a robot looks like, it has to go and see. It takes the poses that it guesses, not quite
exactly, and each time knows two things, what its camera saw and where its joints were. For each frame of the
demonstration it keeps the states that looked most like it, as Go-Explore does (Ecoffet et al., Nature, 2021), and asks
them how joints and embedding go together there: locally weighted regression (Atkeson, Moore and Schaal, 1997), from
embeddings to joints, answers with the pose whose embedding would be the frame's. From there it tries again, closer.

Where another pose looks somewhat alike, that finds the wrong one and stays with it. But seldom for a whole movement: so
the robot also sets out from frames whose poses it has found to those beside them that it has not, in either direction
of time, and goes on as it went.

Nothing is asked but the distance that the reward is made of, and the robot's own joints.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d
from scipy.signal import savgol_filter

from imitate.errors import UserError
from imitate.reading.memory import Memory
from imitate.reading.pose_tracking import Tracked

KEPT = 64  # states a frame
BEST = 8  # of them, that say how near it has come
NEAR = 0.5  # of the farthest one's distance: the standard deviation of the weights
RIDGE = 0.03  # of the embeddings' mean variance: directions that were hardly seen are hardly believed
SAME = 0.5  # rad in each joint, from the nearest state's: what is farther away may be another pose that looks alike
BEYOND = 0.3  # rad that the regression may go beyond the states' weighted mean, in each joint
SURE = 2.0  # per unit of distance: how much likelier a nearer frame is one to set out from
AROUND = 31  # frames among which another is farther away
UNSEEN, HIDDEN = 25, 0.5  # frames beyond it that it does not look at, at most, and how often it does so
SMOOTHED, DEGREE = 11, 2  # frames, and degree of the polynomial that is fitted to them (Savitzky and Golay, 1964)

Floats = NDArray[np.float64]


class Experience:
    """Of all states that a robot has been in, those that look most like each frame of a demonstration.

    Args:
        embeddings: (length, dim) of the demonstration's frames.
        joints: Number of the robot's.

    Attributes:
        apart: (length, KEPT) how far the embeddings of the kept states are from each frame's, nearest first; infinite
            where there are fewer.
    """

    def __init__(self, embeddings: NDArray[np.floating], joints: int) -> None:
        self._frames = np.asarray(embeddings, np.float64)
        length, dim = self._frames.shape
        self.apart = np.full((length, KEPT), np.inf)
        self._seen = np.zeros((length, KEPT, dim))
        self._joints = np.zeros((length, KEPT, joints))
        self._memory = Memory(dim, joints)

    def add(self, seen: NDArray[np.floating], joints: NDArray[np.floating]) -> None:
        """Take in (n, dim) embeddings of what the robot saw of itself, where its joints were (n, joints), rad."""
        own, poses = np.asarray(seen, np.float64), np.asarray(joints, np.float64)
        self._memory.add(own, poses)
        apart = np.sqrt(np.maximum(_squared_distances(self._frames, own), 0.0))  # (length, n)
        few = min(KEPT, len(own))
        best = np.argpartition(apart, few - 1, axis=1)[:, :few]
        together = np.concatenate([self.apart, np.take_along_axis(apart, best, 1)], axis=1)
        kept = np.argsort(together, axis=1, kind="stable")[:, :KEPT]
        self.apart = np.take_along_axis(together, kept, 1)
        self._seen = _merged(self._seen, own[best], kept)
        self._joints = _merged(self._joints, poses[best], kept)

    def nearness(self) -> Floats:
        """(length,) how near it has come to each frame and those around: mean distance of the ``BEST`` states."""
        known = np.where(np.isfinite(self.apart), self.apart, self.apart[:, :1])[:, :BEST]
        frames = min(SMOOTHED, len(known) - 1 + len(known) % 2)
        return savgol_filter(known.mean(axis=1), frames, 0)

    def poses(self) -> Floats:
        """(length, joints) poses, rad, that would look like the demonstration's frames, as far as it knows.

        Raises:
            UserError: There is no experience yet.
        """
        if not np.isfinite(self.apart).any():
            raise UserError("no experience to read poses by, expected some states: add them first")
        rows = zip(self._frames, self.apart, self._seen, self._joints, strict=True)
        poses = np.stack([_pose(*row) for row in rows])
        return smoothed(poses)

    def expected(self, poses: Floats) -> Floats:
        """(length,) how far from the demonstration's frames what it would see at poses (length, joints), rad, is.

        As far as it remembers how a pose looks; infinite where it has never been near. That it has come near a frame
        does not say that it would at these poses: they are smooth, and next to it there may be a pose that only looks
        like the right one.
        """
        return self._memory.apart(self._frames, poses)

    def track(self, poses: Floats, seconds: float, rng: np.random.Generator) -> Tracked:
        """Set out from a frame that it has come near, beside others that it has not, and track the demonstration.

        Args:
            poses: (length, joints) that were found, rad.
            seconds: From a frame to the next.
            rng: Draws the frame, and whether those next to it are looked at.
        """
        near = self.nearness()
        likely = np.exp(-SURE * (near - near.min())) * (0.1 + maximum_filter1d(near, AROUND) - near)
        frame = int(rng.choice(len(near), p=likely / likely.sum()))
        unseen = int(rng.integers(-UNSEEN, UNSEEN + 1)) if rng.random() < HIDDEN else 0
        return self._memory.track(self._frames, frame, poses[frame], seconds, unseen)


def smoothed(poses: Floats) -> Floats:
    """(length, joints) poses, each of a parabola through those around it; of few frames, as they are."""
    frames = min(SMOOTHED, len(poses) - 1 + len(poses) % 2)  # an odd number
    return savgol_filter(poses, frames, DEGREE, axis=0) if frames > DEGREE else poses


def _pose(frame: Floats, apart: Floats, seen: Floats, joints: Floats) -> Floats:
    """The pose (joints,) that would look like a frame (dim,), by the states that were kept for it."""
    known = np.isfinite(apart) & (np.abs(joints - joints[0]).max(axis=1) < SAME)
    apart, missing, joints = apart[known], frame - seen[known], joints[known]
    weights = np.exp(-0.5 * np.square(apart / (NEAR * apart[-1] + 1e-9)))
    weights /= weights.sum()
    pose, centre = weights @ joints, weights @ missing
    around = missing - centre
    covariance = (around * weights[:, None]).T @ around
    dim = len(frame)
    ridge = RIDGE * np.trace(covariance) / dim + 1e-9
    turned = np.linalg.solve(covariance + ridge * np.eye(dim), (around * weights[:, None]).T @ (joints - pose))
    return pose - np.clip(centre @ turned, -BEYOND, BEYOND)


def _merged(kept: Floats, best: Floats, order: NDArray[np.int64]) -> Floats:
    return np.take_along_axis(np.concatenate([kept, best], axis=1), order[:, :, None], axis=1)


def _squared_distances(frames: Floats, seen: Floats) -> Floats:
    """(length, n) between (length, dim) and (n, dim)."""
    return np.square(frames).sum(1)[:, None] - 2 * frames @ seen.T + np.square(seen).sum(1)
