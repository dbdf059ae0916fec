"""Read a robot's poses off a demonstration, by imagining what they would look like.

A robot that knows what it looks like, from a simulation or from practice, need not be told by a network which pose a
frame shows: it can try. From the first frame of a demonstration on, it asks how its joints would have to turn for its
own picture to have the frame's embedding. That is visual servoing (Hutchinson, Hager and Corke, 1996) in the space of
the embedding, whose interaction matrix is measured by turning each joint a little; and, over time, an iterated extended
Kalman filter (Bell and Cathey, 1993) with the smoother of Rauch, Tung and Striebel (1965).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

SURE = 0.05  # of the first pose, rad, and of the first velocity, rad/s: standard deviations
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
        iterations: Of the filter, for each frame.
    """

    acceleration: float = 1.0
    noise: float = 1.0
    doubt: float = 2.0
    turn: float = 0.12
    iterations: int = 2


class Tracked(NamedTuple):
    """What was read off a demonstration.

    Attributes:
        poses: (length, joints) rad.
        apart: (length,) how far the embeddings of demonstration and of the filter's last imagined poses are apart.
    """

    poses: Floats
    apart: Floats


def track(
    embeddings: NDArray[np.floating], see: See, start: Floats, seconds: float, tracking: Tracking | None = None
) -> Tracked:
    """Follow a demonstration with the mind's eye.

    Args:
        embeddings: (length, dim) of its frames.
        see: What the robot would see of itself.
        start: (joints,) its first pose, rad; see ``first_pose``.
        seconds: From a frame to the next.
        tracking: How.
    """
    how, joints, dim = tracking or Tracking(), len(start), embeddings.shape[1]
    eye, none = np.eye(joints), np.zeros((joints, joints))
    move = np.block([[eye, seconds * eye], [none, eye]])  # of positions and velocities, left alone
    pushed = how.acceleration**2 * np.block(
        [[seconds**3 / 3 * eye, seconds**2 / 2 * eye], [seconds**2 / 2 * eye, seconds * eye]]
    )
    state, spread = np.concatenate([start, np.zeros(joints)]), SURE**2 * np.eye(2 * joints)
    states, spreads, expected, unsure = [state], [spread], [state], [spread]
    apart = [float(np.linalg.norm(embeddings[0] - see(start[None])[0]))]
    for embedding in embeddings[1:]:
        ahead, before = move @ state, move @ spread @ move.T + pushed
        state = ahead
        for _ in range(how.iterations):
            seen, turned = _look(see, state[:joints], how.turn)
            missing = embedding - seen  # (dim,)
            distance = float(np.linalg.norm(missing))
            noise = how.noise * max(1.0, distance / how.doubt)
            matrix = np.hstack([turned, np.zeros((dim, joints))])  # (dim, 2 * joints)
            gain = np.linalg.solve(matrix @ before @ matrix.T + noise**2 * np.eye(dim), matrix @ before).T
            state = ahead + gain @ (missing + matrix @ (state - ahead))
        spread = (np.eye(2 * joints) - gain @ matrix) @ before
        for kept, value in ((states, state), (spreads, spread), (expected, ahead), (unsure, before)):
            kept.append(value)
        apart.append(distance)
    for t in range(len(states) - 2, -1, -1):
        back = np.linalg.solve(unsure[t + 1], move @ spreads[t]).T
        states[t] = states[t] + back @ (states[t + 1] - expected[t + 1])
    return Tracked(np.array(states)[:, :joints], np.array(apart))


def first_pose(embedding: NDArray[np.floating], see: See, guesses: Floats, rng: np.random.Generator) -> Floats:
    """Search for the pose that a frame shows around guesses, by the cross-entropy method (Rubinstein, 1999).

    Args:
        embedding: (dim,) of the frame.
        see: What the robot would see of itself.
        guesses: (n, joints) rad. One that looks exactly like the frame is the answer.
        rng: Draws the poses that are tried.

    Returns:
        (joints,) rad.
    """
    best, scatter = guesses, SCATTER
    for _ in range(ROUNDS):
        near = best[rng.integers(len(best), size=TRIED)]
        tried = np.concatenate([best, near + rng.normal(0.0, scatter, near.shape)])
        apart = np.linalg.norm(see(tried) - embedding, axis=1)
        best, scatter = tried[np.argsort(apart, kind="stable")[:KEPT]], scatter * NARROWER
    return best[0]


def _look(see: See, pose: Floats, turn: float) -> tuple[Floats, Floats]:
    """The embedding (dim,) at a pose, and how it changes with each joint (dim, joints), by central differences."""
    joints = len(pose)
    turned = turn * np.eye(joints)
    seen = np.asarray(see(np.concatenate([pose[None], pose + turned, pose - turned])), np.float64)
    return seen[0], (seen[1 : joints + 1] - seen[joints + 1 :]).T / (2 * turn)
