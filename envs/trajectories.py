"""Random joint trajectories: how the robot babbles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import make_interp_spline

from .control import VELOCITY_SCALE
from .kuka import CONTROL_HZ, Arm

Floats = NDArray[np.float64]

SLOWEST = 0.3  # of the pace that a movement was made at
REST, RESTS = 10, 0.2  # frames that a rest takes, or the next part of the way, and share of rests


@dataclass(frozen=True)
class Babbling:
    """How a random trajectory is drawn.

    Attributes:
        frames: Number of poses, 20 a second.
        via_points: Random poses to pass between start and goal.
        max_velocity: rad/s that no joint exceeds. Below the 2 rad/s of a full action, so that a policy that
            lags can catch up.
    """

    frames: int
    via_points: int = 0
    max_velocity: float = 0.8 * VELOCITY_SCALE


def random_trajectory(arm: Arm, babbling: Babbling, rng: np.random.Generator) -> Floats:
    """Draw a smooth trajectory from a random pose to a random pose.

    A quintic spline through start, via points and goal, at rest at both ends: with no via point, the
    minimum-jerk trajectory. Where a joint would leave its range or be too fast, its excursions from the start
    are scaled down until neither is so.

    Returns:
        (frames, joints) rad.
    """
    lower, upper = np.array(arm.lower), np.array(arm.upper)
    points = rng.uniform(lower, upper, (babbling.via_points + 2, arm.joints))
    times = np.linspace(0.0, 1.0, len(points))
    still = np.zeros(arm.joints)
    ends = [(1, still), (2, still)]  # no velocity, no acceleration
    spline = make_interp_spline(times, points, k=5, bc_type=(ends, ends))
    moves = spline(np.linspace(0.0, 1.0, babbling.frames)) - points[0]  # (frames, joints)

    fastest = np.abs(np.diff(moves, axis=0)).max(axis=0) * CONTROL_HZ
    farthest_up, farthest_down = moves.max(axis=0), -moves.min(axis=0)
    room = np.stack([upper - points[0], points[0] - lower, np.full(arm.joints, babbling.max_velocity)])
    need = np.stack([farthest_up, farthest_down, fastest])
    scale = np.min(room / np.maximum(need, room), axis=0)  # (joints,), at most 1
    return points[0] + scale * moves


def random_pace(frames: int, rng: np.random.Generator) -> Floats:
    """Draw how a movement is gone through that was made at one pace: slower, with rests, and as likely backwards.

    Returns:
        (frames,) places in it, in frames, between which it stands somewhere between poses.
    """
    steps = rng.uniform(SLOWEST, 1.0, frames) * np.repeat(rng.random(-(-frames // REST)) >= RESTS, REST)[:frames]
    places = np.append(0.0, np.cumsum(steps))[:frames]
    return places if rng.random() < 0.5 else (frames - 1) - places
