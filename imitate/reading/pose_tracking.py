"""Read a robot's poses off a demonstration, by imagining what they would look like.

A robot that knows what it looks like, from a simulation or from practice, need not be told by a network which pose a
frame shows: it can try. From a frame of a demonstration whose pose it has found, it asks how its joints would have to
turn for its own picture to have the next frame's embedding. That is visual servoing (Hutchinson, Hager and Corke, 1996)
in the space of the embedding, whose interaction matrix is measured by turning each joint a little; and, over time, an
iterated extended Kalman filter (Bell and Cathey, 1993) with the smoother of Rauch, Tung and Striebel (1965). What that
finds is refined by looking at all frames again around it, closer each time, and smoothing anew, as an iterated smoother
does (Bell, 1994).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

POSE, VELOCITY = 0.1, 0.5  # rad and rad/s, standard deviations of the first ones: it may be in the midst of moving
ITERATIONS = 2  # of the filter for each frame, and of the smoother for all; joints are turned once for both
EVERY = 2  # frames for which joints are turned once: from one to the next, what that changes is much the same
ANCHORS, TRACKS = 12, 3  # frames whose pose is looked for, and those of them that are tracked from, if need be
APPROACH = (0.12, 0.1, 0.06)  # looks at such a frame from a guess: how far joints are turned, rad
DAMPING, STEP = 5.0, 0.3  # of each approach: embedding per rad that counts as seen at all; rad, at most
KNOWN = 0.7  # distance of embeddings, of norm 10, below which a frame's pose is found
ASTRAY, ABOUT = 1.5, 5  # above which, on average over so many frames, the robot was lost there
AGAIN, NEARER = 5, 0.7  # times that this is tried, at most, and share of its distance that the frame must come within
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
    embeddings: NDArray[np.floating],
    see: See,
    guesses: Floats,
    seconds: float,
    tracking: Tracking | None = None,
    again: int = AGAIN,
) -> Tracked:
    """Read the poses off a demonstration of which nothing is known but its frames.

    Some frames' poses are approached from the guesses. From the one that comes nearest to its frame the demonstration
    is tracked to its end, and to its beginning. Where none is near enough, poses are searched for; where one leads
    astray, the next best are tried. The best is refined. Where it is still far from what is seen, the pose is searched
    for again, and tracked from there: a filter that has lost the robot stays with another pose that looks somewhat
    alike.

    Args:
        embeddings: (length, dim) of its frames.
        see: What the robot would see of itself.
        guesses: (length, joints) what the poses may be, rad.
        seconds: From a frame to the next.
        tracking: How, before it is refined.
        again: Times that it is tracked again from where it was lost.
    """
    rng = np.random.default_rng(0)
    tracks: list[Tracked] = []
    for frame, pose in _starts(embeddings, see, guesses, rng):
        tracks.append(_outwards(frame, pose, embeddings, see, seconds, tracking))
        if tracks[-1].apart.mean() < RECOGNISED:
            break
    best = _refined(min(tracks, key=_distance), embeddings, see, seconds)
    for _ in range(again):
        around = np.convolve(np.pad(best.apart, ABOUT // 2, "edge"), np.full(ABOUT, 1 / ABOUT), "valid")
        if around.max() < ASTRAY:
            break
        frame = int(rng.choice(np.flatnonzero(around >= ASTRAY)))
        near = np.stack([best.poses[frame], guesses[frame]])
        pose, apart = first_pose(embeddings[frame], see, near, rng)
        if apart < NEARER * best.apart[frame]:
            other = _outwards(frame, pose, embeddings, see, seconds, tracking)
            best = min(best, _refined(other, embeddings, see, seconds), key=_distance)
    return best


def _starts(
    embeddings: NDArray[np.floating], see: See, guesses: Floats, rng: np.random.Generator
) -> list[tuple[int, Floats]]:
    """Frames to track from, with their poses, the surest first."""
    anchors = np.unique(np.linspace(0, len(embeddings) - 1, ANCHORS).astype(int))
    near = approach(embeddings[anchors], see, guesses[anchors])
    starts = [(float(near.apart[k]), int(anchors[k]), near.poses[k]) for k in np.argsort(near.apart, kind="stable")]
    starts = starts[:TRACKS]
    if starts[0][0] >= KNOWN:
        for k, (_, frame, pose) in enumerate(starts):
            found, apart = first_pose(embeddings[frame], see, pose[None], rng)
            starts[k] = apart, frame, found
            if apart < KNOWN:
                break
        starts.sort(key=lambda start: start[:2])
    return [(frame, pose) for _, frame, pose in starts]


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

    turned: list[Floats] = []  # what turning joints changes, as measured

    def look(frame: int, pose: Floats, before: View | None) -> View:
        if before is not None or frame % EVERY:  # so near to it, joints need not be turned again
            return View(pose, np.asarray(see(pose[None]), np.float64)[0], turned[-1])
        seen, jacobian = _look(see, pose[None], how.turn)
        turned.append(jacobian[0])
        return View(pose, seen[0], jacobian[0])

    first = np.concatenate([start, np.zeros_like(start)])
    poses = smooth(embeddings, look, first, seconds, how, ITERATIONS)
    return Tracked(poses, np.linalg.norm(embeddings - see(poses), axis=1))


def refine(embeddings: NDArray[np.floating], see: See, poses: Floats, seconds: float, tracking: Tracking) -> Tracked:
    """Look at all frames of a demonstration around (length, joints) poses, rad, that are about right.

    Returns:
        Poses that are likelier, as far as embeddings change linearly from the one to the other.
    """
    seen, jacobians = _look(see, poses, tracking.turn, EVERY)
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
    return smooth(embeddings, lambda frame, *_: views[frame], first, seconds, how, 1)


def smooth(
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
    joints = len(first) // 2
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
            mean, covariance = _updated(*predicted[-1], embedding, view, how)
        filtered.append((mean, covariance))
    return _smoothed(filtered, predicted, transition)[:, :joints]


def _updated(before: Floats, spread: Floats, embedding: NDArray, view: View, how: Tracking) -> tuple[Floats, NDArray]:
    """A state's mean (2 * joints,) and covariance, by an embedding (dim,) more.

    By the matrix inversion lemma: as many equations as the state has numbers, however long embeddings are.
    """
    joints = len(view.pose)
    innovation = embedding - view.seen
    noise = how.noise * max(1.0, float(np.linalg.norm(innovation)) / how.doubt)
    told, known = np.zeros(2 * joints), np.zeros((2 * joints, 2 * joints))
    told[:joints] = view.jacobian.T @ (innovation + view.jacobian @ (view.pose - before[:joints])) / noise**2
    known[:joints, :joints] = view.jacobian.T @ view.jacobian / noise**2
    covariance = np.linalg.solve(np.eye(2 * joints) + spread @ known, spread)
    return before + covariance @ told, covariance


def _smoothed(
    filtered: Sequence[tuple[Floats, Floats]], predicted: Sequence[tuple[Floats, Floats]], transition: Floats
) -> Floats:
    """The states (length, 2 * joints) in the light of all that comes after them (Rauch, Tung and Striebel)."""
    states = [filtered[-1][0]]
    for (mean, covariance), (ahead, unsure) in zip(filtered[-2::-1], predicted[:0:-1], strict=True):
        gain = np.linalg.solve(unsure, transition @ covariance).T
        states.append(mean + gain @ (states[-1] - ahead))
    return np.array(states[::-1])


def approach(embeddings: NDArray[np.floating], see: See, guesses: Floats) -> Tracked:
    """Turn joints from guesses towards the poses that frames show, each by itself, by damped least squares.

    As inverse kinematics are solved near singularities (Wampler, 1986): what is hardly seen is hardly turned.

    Args:
        embeddings: (n, dim) of the frames.
        see: What the robot would see of itself.
        guesses: (n, joints) rad.

    Returns:
        The nearest that was come to each.
    """
    poses, joints = guesses, guesses.shape[1]
    best = Tracked(guesses.copy(), np.full(len(guesses), np.inf))
    for turn in (*APPROACH, None):
        seen, jacobians = _look(see, poses, turn) if turn else (np.asarray(see(poses), np.float64), np.empty(0))
        missing = embeddings - seen  # (n, dim)
        apart = np.linalg.norm(missing, axis=1)
        nearer = apart < best.apart
        best.poses[nearer], best.apart[nearer] = poses[nearer], apart[nearer]
        if turn:
            square = jacobians.transpose(0, 2, 1) @ jacobians + DAMPING**2 * np.eye(joints)  # (n, joints, joints)
            steps = np.linalg.solve(square, jacobians.transpose(0, 2, 1) @ missing[:, :, None])[:, :, 0]
            poses = poses + np.clip(steps, -STEP, STEP)
    return best


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


def _look(see: See, poses: Floats, turn: float, every: int = 1) -> tuple[Floats, Floats]:
    """Embeddings at poses (n, joints), and how they change with each joint (n, dim, joints), by central differences.

    With ``every``, joints are turned at every so manieth pose and at the last only, and what that changes is
    interpolated in between.
    """
    n, joints = poses.shape
    at = np.unique(np.append(np.arange(0, n, every), n - 1))
    turned = turn * np.concatenate([np.eye(joints), -np.eye(joints)])
    tried = np.concatenate([poses, (poses[at, None] + turned).reshape(-1, joints)])
    seen = np.asarray(see(tried), np.float64)
    around = seen[n:].reshape(len(at), 2 * joints, -1)
    measured = (around[:, :joints] - around[:, joints:]).transpose(0, 2, 1) / (2 * turn)
    place = np.interp(np.arange(n), at, np.arange(len(at)))[:, None, None]  # among those
    before = place.astype(int)
    after = np.minimum(before + 1, len(at) - 1)
    share = place - before
    return seen[:n], (1 - share) * measured[before[:, 0, 0]] + share * measured[after[:, 0, 0]]
