"""What a robot remembers of where it has been, and the way that a demonstration takes through it.

Around any pose it has an idea of what it would look like, of the states nearest to that pose: locally weighted
regression (Atkeson, Moore and Schaal, 1997), this time from joints to embeddings. With it a demonstration can be
tracked as with imagination, only not beyond where it has been. There it goes on as it went: the joints have a mass.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from imitate.reading.pose_tracking import Tracked, Tracking, View, smooth

NEIGHBOURS = 40  # states that an idea of a pose is made of
MOST = 1 << 19  # states: of a long video, the newest; a tree of them all would not be done in time
FAR = 0.132  # rad in each joint: if the farthest of them is farther away, there is none
NEAR = 0.5  # of the farthest one's distance: the standard deviation of the weights
LEAST = 1e-3  # rad: states that are nearer to each other say nothing of how it changes
RIDGE = 1e-3  # of the weights' sum: directions that no joint was turned in change nothing
PACE = 4  # frames that the first velocity beyond a frame is taken from
TRACKING = Tracking(noise=0.5)
ITERATIONS = 2  # of the filter for each frame

Floats = NDArray[np.float64]


class Memory:
    """The states that a robot has been in, the newest ``MOST`` of them.

    Args:
        dim: Of embeddings.
        joints: Number of the robot's.
    """

    def __init__(self, dim: int, joints: int) -> None:
        self._seen, self._joints = np.zeros((0, dim)), np.zeros((0, joints))
        self._tree: KDTree | None = None

    def add(self, seen: NDArray[np.floating], joints: NDArray[np.floating]) -> None:
        """Take in (n, dim) embeddings of what the robot saw of itself, where its joints were (n, joints), rad."""
        self._seen = np.concatenate([self._seen, seen])[-MOST:]
        self._joints = np.concatenate([self._joints, joints])[-MOST:]
        self._tree = KDTree(self._joints)

    def view(self, pose: Floats) -> View | None:
        """What it would see at a pose (joints,), rad, and how that changes with each joint; None: it has no idea."""
        if self._tree is None or len(self._joints) < NEIGHBOURS:
            return None
        away, nearest = self._tree.query(pose, NEIGHBOURS)
        if away[-1] > FAR * np.sqrt(len(pose)):
            return None
        farthest = max(away[-1], LEAST)
        weights = np.exp(-0.5 * np.square(away / (NEAR * farthest)))
        turned = (self._joints[nearest] - pose) / farthest
        terms = np.concatenate([np.ones((NEIGHBOURS, 1)), turned], axis=1)
        weighted = (terms * weights[:, None]).T
        normal = weighted @ terms + RIDGE * weights.sum() * np.eye(len(weighted))
        normal[0, 0] -= RIDGE * weights.sum()
        fitted = np.linalg.solve(normal, weighted @ self._seen[nearest])
        return View(pose, fitted[0], fitted[1:].T / farthest)

    def track(self, embeddings: Floats, frame: int, pose: Floats, seconds: float, unseen: int = 0) -> Tracked:
        """The way of a demonstration from a frame of known pose to its end, and to its beginning.

        Args:
            embeddings: (length, dim) of its frames.
            frame: One of them.
            pose: (joints,) that it shows, rad.
            seconds: From a frame to the next.
            unseen: Frames before that one that are not looked at; if negative, after it. What is remembered there may
                be of another way that looks alike, and hold it fast.

        Returns:
            The poses, and how far their embeddings would be ``apart``.
        """
        parts = [embeddings[frame:], embeddings[frame::-1]]
        if unseen < 0:
            parts.reverse()
        known = self._along(parts[0], pose, np.zeros_like(pose), seconds)
        pace = min(PACE, len(known) - 1)
        velocity = (known[0] - known[pace]) / (seconds * pace) if pace else np.zeros_like(pose)
        beyond = self._along(parts[1], known[0], velocity, seconds, abs(unseen))
        before, after = (known, beyond) if unseen < 0 else (beyond, known)
        poses = np.concatenate([before[::-1], after[1:]])
        return Tracked(poses, self.apart(embeddings, poses))

    def apart(self, embeddings: Floats, poses: Floats) -> Floats:
        """How far (length, dim) embeddings are from those of (length, joints) poses; infinitely: it has no idea."""
        views = map(self.view, poses)
        pairs = zip(views, embeddings, strict=True)
        return np.array([np.inf if view is None else np.linalg.norm(view.seen - frame) for view, frame in pairs])

    def _along(self, embeddings: Floats, pose: Floats, velocity: Floats, seconds: float, unseen: int = 0) -> Floats:
        """(length, joints) poses from the first frame's on; some after it are not looked at."""

        def look(frame: int, expected: Floats, before: View | None) -> View:
            view = None if 0 < frame <= unseen else self.view(expected)
            return view or View(expected, embeddings[frame], np.zeros((embeddings.shape[1], len(expected))))

        return smooth(embeddings, look, np.concatenate([pose, velocity]), seconds, TRACKING, ITERATIONS)
