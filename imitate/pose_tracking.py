"""Read a robot's poses off a demonstration, by imagining what they would look like.

A robot that knows what it looks like, from a simulation or from practice, need not be told by a network which pose a
frame shows: it can try. From the first frame of a demonstration on, it asks how its joints would have to turn for its
own picture to have the frame's embedding. That is visual servoing (Hutchinson, Hager and Corke, 1996) in the space of
the embedding, whose interaction matrix is measured by turning each joint a little; and, over time, an iterated extended
Kalman filter (Bell and Cathey, 1993) with the smoother of Rauch, Tung and Striebel (1965). What that finds is refined
by looking at all frames again around it, closer each time, and smoothing anew, as an iterated smoother does (Bell,
1994).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

POSE, VELOCITY = 0.1, 0.5  # rad and rad/s, standard deviations of the first ones: it may be in the midst of moving
ITERATIONS = 2  # of the filter for each frame, and of the smoother for all; joints are turned once for both
ANCHORS, TRACKS = 8, 3  # frames whose pose is searched for, and those of them that are tracked from, if need be
KNOWN = 0.7  # distance of embeddings, of norm 10, below which a frame's pose is found
ASTRAY, ABOUT = 1.5, 5  # above which, on average over so many frames, the robot was lost there
AGAIN, NEARER = 5, 0.7  # times that this is tried, and share of its distance that the frame must come within
RECOGNISED = 1.2  # mean distance of embeddings below which a demonstration was not lost
ROUNDS, TRIED, KEPT = 8, 96, 12  # of the search for the first pose
SCATTER, NARROWER = 0.3, 0.7  # of the poses that it tries, rad, and how much closer each round is

Floats = NDArray[np.float64]
See = Callable[[Floats], NDArray[np.floating]]  # poses (n, joints), rad, to embeddings (n, dim) of their pictures


@dataclass(frozen=True)
class Tracking:
    """How a demonstration is tracked.

    Attributes:
        acceleration: How suddenly joints change their velocity: standard deviation of that change in a second, rad/s.
        noise: Standard deviation of each component of an embedding, of norm 10.
        doubt: Embeddings farther apart than this are believed the less, the farther they are.
        turn: How far a joint is turned to see what that changes, rad, either way. Wide: an embedding is rough from one
            pixel to the next, and smooth across several.
    """

    acceleration: float = 1.0
    noise: float = 1.0
    doubt: float = 2.0
    turn: float = 0.12


# How found poses are refined: the nearer, the smoother the embedding is around them, and the more it can be trusted.
REFINEMENTS = (Tracking(noise=0.5, turn=0.06), Tracking(noise=0.3, turn=0.03))


class Tracked(NamedTuple):
    """What was read off a demonstration.

    Attributes:
        poses: (length, joints) rad.
        apart: (length,) how far the embeddings of the demonstration and of these poses are apart.
    """

    poses: Floats
    apart: Floats


def read_poses(
    embeddings: NDArray[np.floating], see: See, guesses: Floats, seconds: float, tracking: Tracking | None = None
) -> Tracked:
    """Read the poses off a demonstration of which nothing is known but its frames.

    Frames' poses are searched for, of the best guess first, until one is found. From there the demonstration is tracked
    to its end, and from its end back to its beginning. Where none is found, or one leads astray, the next best are
    tried. The best is refined. Where it is still far from what is seen, the pose is searched for again, and tracked
    from there: a filter that has lost the robot stays with another pose that looks somewhat alike.

    Args:
        embeddings: (length, dim) of its frames.
        see: What the robot would see of itself.
        guesses: (length, joints) what the poses may be, rad.
        seconds: From a frame to the next.
        tracking: How, before it is refined.
    """
    rng = np.random.default_rng(0)
    found: list[tuple[float, int, Floats]] = []
    anchors = np.unique(np.linspace(0, len(embeddings) - 1, ANCHORS).astype(int))
    off = np.linalg.norm(see(guesses[anchors]) - embeddings[anchors], axis=1)
    for frame in anchors[np.argsort(off, kind="stable")]:
        pose, apart = first_pose(embeddings[frame], see, guesses[frame : frame + 1], rng)
        found.append((apart, frame, pose))
        if apart < KNOWN:
            break
    tracks: list[Tracked] = []
    for _, frame, pose in sorted(found, key=lambda one: one[:2])[:TRACKS]:
        end = track(embeddings[frame:], see, pose, seconds, tracking).poses[-1]
        back = track(embeddings[::-1], see, end, seconds, tracking)
        tracks.append(Tracked(back.poses[::-1], back.apart[::-1]))
        if tracks[-1].apart.mean() < RECOGNISED:
            break
    best = _refined(min(tracks, key=_distance), embeddings, see, seconds)
    for _ in range(AGAIN):
        around = np.convolve(np.pad(best.apart, ABOUT // 2, "edge"), np.full(ABOUT, 1 / ABOUT), "valid")
        if around.max() < ASTRAY:
            break
        frame = int(rng.choice(np.flatnonzero(around >= ASTRAY)))
        near = np.stack([best.poses[frame], guesses[frame]])
        pose, apart = first_pose(embeddings[frame], see, near, rng)
        if apart < NEARER * best.apart[frame]:
            again = _outwards(frame, pose, embeddings, see, seconds, tracking)
            best = min(best, _refined(again, embeddings, see, seconds), key=_distance)
    return best


def _outwards(
    frame: int, pose: Floats, embeddings: NDArray[np.floating], see: See, seconds: float, tracking: Tracking | None
) -> Tracked:
    """Track a demonstration from a frame of known pose to its end, and to its beginning."""
    ahead = track(embeddings[frame:], see, pose, seconds, tracking)
    back = track(embeddings[frame::-1], see, ahead.poses[0], seconds, tracking)
    both = zip(back, ahead, strict=True)
    return Tracked(*(np.concatenate([before[::-1], after[1:]]) for before, after in both))


def _refined(rough: Tracked, embeddings: NDArray[np.floating], see: See, seconds: float) -> Tracked:
    best = rough
    for closer in REFINEMENTS:
        best = min(best, refine(embeddings, see, best.poses, seconds, closer), key=_distance)
    return best


def _distance(tracked: Tracked) -> float:
    return float(tracked.apart.mean())


def track(
    embeddings: NDArray[np.floating], see: See, start: Floats, seconds: float, tracking: Tracking | None = None
) -> Tracked:
    """Follow a demonstration with the mind's eye, from its first frame on.

    Args:
        embeddings: (length, dim) of its frames.
        see: What the robot would see of itself.
        start: (joints,) about its first pose, rad.
        seconds: From a frame to the next.
        tracking: How.

    Returns:
        The smoothed poses.
    """
    how = tracking or Tracking()

    def look(frame: int, pose: Floats, before: View | None) -> View:
        if before is not None:  # so near to it, joints need not be turned again
            return View(pose, np.asarray(see(pose[None]), np.float64)[0], before.jacobian)
        seen, jacobian = _look(see, pose[None], how.turn)
        return View(pose, seen[0], jacobian[0])

    first = np.concatenate([start, np.zeros_like(start)])
    poses = _smooth(embeddings, look, first, seconds, how, ITERATIONS)
    return Tracked(poses, np.linalg.norm(embeddings - see(poses), axis=1))


def refine(embeddings: NDArray[np.floating], see: See, poses: Floats, seconds: float, tracking: Tracking) -> Tracked:
    """Look at all frames of a demonstration around (length, joints) poses, rad, that are about right.

    Returns:
        Poses that are likelier, as far as embeddings change linearly from the one to the other.
    """
    seen, jacobians = _look(see, poses, tracking.turn)
    found = []
    for _ in range(ITERATIONS):
        poses = _smooth_viewed(embeddings, list(map(View, poses, seen, jacobians)), seconds, tracking)
        seen = np.asarray(see(poses), np.float64)
        found.append(Tracked(poses, np.linalg.norm(embeddings - seen, axis=1)))
    return min(found, key=_distance)


class View(NamedTuple):
    """A pose (joints,), its embedding (dim,), and how that changes with each joint (dim, joints)."""

    pose: Floats
    seen: Floats
    jacobian: Floats


def _smooth_viewed(embeddings: NDArray[np.floating], views: Sequence[View], seconds: float, how: Tracking) -> Floats:
    """Filter and smooth a demonstration each frame of which has been looked at."""
    first = np.concatenate([views[0].pose, (views[min(1, len(views) - 1)].pose - views[0].pose) / seconds])
    return _smooth(embeddings, lambda frame, *_: views[frame], first, seconds, how, 1)


def _smooth(
    embeddings: NDArray[np.floating],
    look: Callable[[int, Floats, View | None], View],
    first: Floats,
    seconds: float,
    how: Tracking,
    iterations: int,
) -> Floats:
    """Filter and smooth a demonstration.

    Args:
        embeddings: (length, dim) of its frames.
        look: A frame's number, the pose that it is expected to show, and the view of it before this one, if there was
            one, to what is seen around that pose or a better one.
        first: (2 * joints,) about the first pose, rad, and its velocity, rad/s.
        seconds: From a frame to the next.
        how: It is tracked.
        iterations: Looks at each frame.

    Returns:
        (length, joints) poses, rad.
    """
    joints, dim = len(first) // 2, embeddings.shape[1]
    transition = np.eye(2 * joints) + seconds * np.eye(2 * joints, k=joints)  # of positions and velocities
    white = [[seconds**3 / 3, seconds**2 / 2], [seconds**2 / 2, seconds]]
    process = how.acceleration**2 * np.kron(white, np.eye(joints))
    mean, covariance = first, np.diag([POSE**2] * joints + [VELOCITY**2] * joints)
    filtered: list[tuple[Floats, Floats]] = []
    predicted: list[tuple[Floats, Floats]] = []
    for frame, embedding in enumerate(embeddings):
        if filtered:
            mean, covariance = transition @ mean, transition @ covariance @ transition.T + process
        predicted.append((mean, covariance))
        view: View | None = None
        for _ in range(iterations):
            view = look(frame, mean[:joints], view)
            pose, seen, jacobian = view
            innovation = embedding - seen  # (dim,)
            distance = float(np.linalg.norm(innovation))
            noise = how.noise * max(1.0, distance / how.doubt)
            observed = np.hstack([jacobian, np.zeros((dim, joints))])  # (dim, 2 * joints)
            before, spread = predicted[-1]
            gain = np.linalg.solve(observed @ spread @ observed.T + noise**2 * np.eye(dim), observed @ spread).T
            mean = before + gain @ (innovation + jacobian @ (pose - before[:joints]))
        covariance = (np.eye(2 * joints) - gain @ observed) @ predicted[-1][1]
        filtered.append((mean, covariance))
    return _smoothed(filtered, predicted, transition)[:, :joints]


def _smoothed(
    filtered: Sequence[tuple[Floats, Floats]], predicted: Sequence[tuple[Floats, Floats]], transition: Floats
) -> Floats:
    """The states (length, 2 * joints) in the light of all that comes after them (Rauch, Tung and Striebel)."""
    states = [filtered[-1][0]]
    for (mean, covariance), (ahead, unsure) in zip(filtered[-2::-1], predicted[:0:-1], strict=True):
        gain = np.linalg.solve(unsure, transition @ covariance).T
        states.append(mean + gain @ (states[-1] - ahead))
    return np.array(states[::-1])


def first_pose(
    embedding: NDArray[np.floating], see: See, guesses: Floats, rng: np.random.Generator
) -> tuple[Floats, float]:
    """Search for the pose that a frame shows around guesses, by the cross-entropy method (Rubinstein, 1999).

    Args:
        embedding: (dim,) of the frame.
        see: What the robot would see of itself.
        guesses: (n, joints) rad. One that looks exactly like the frame is the answer.
        rng: Draws the poses that are tried.

    Returns:
        (joints,) rad, and how far its embedding is from the frame's.
    """
    best, scatter = guesses, SCATTER
    for _ in range(ROUNDS):
        near = best[rng.integers(len(best), size=TRIED)]
        tried = np.concatenate([best, near + rng.normal(0.0, scatter, near.shape)])
        apart = np.linalg.norm(see(tried) - embedding, axis=1)
        best, scatter = tried[np.argsort(apart, kind="stable")[:KEPT]], scatter * NARROWER
    return best[0], float(apart.min())


def _look(see: See, poses: Floats, turn: float) -> tuple[Floats, Floats]:
    """Embeddings at poses (n, joints), and how they change with each joint (n, dim, joints), by central differences."""
    n, joints = poses.shape
    turned = turn * np.concatenate([np.zeros((1, joints)), np.eye(joints), -np.eye(joints)])
    seen = np.asarray(see((poses[:, None] + turned).reshape(-1, joints)), np.float64).reshape(n, len(turned), -1)
    jacobians = (seen[:, 1 : joints + 1] - seen[:, joints + 1 :]).transpose(0, 2, 1) / (2 * turn)
    return seen[:, 0], jacobians
