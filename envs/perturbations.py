"""Poses near a pose, in graded steps: what a reward has to rank where the robot almost does the right thing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .kuka import Arm, Kuka

Floats = NDArray[np.float64]

REACH = np.radians(40.0)  # mean absolute joint difference at the end of a ray
STEPS = 80  # along a ray, between which the flange's way is taken to be straight
DRAWS = 8  # rays drawn for each that is wanted


def random_poses(arm: Arm, number: int, rng: np.random.Generator) -> Floats:
    """Draw (number, joints) poses, rad, from the whole range that the robot babbles in."""
    return rng.uniform(arm.lower, arm.upper, (number, arm.joints))


def rays(arm: Arm, pose: Floats, number: int, rng: np.random.Generator) -> Floats:
    """Draw the far ends of straight ways in joint space that start at ``pose`` (joints,), rad.

    Joints move by different shares, by ``REACH`` on average, away from the nearer end of their range where they
    would leave it. A joint whose whole range is too narrow, such as a finger's, stops at its end.

    Returns:
        (number, joints) rad.
    """
    moves = rng.uniform(-1.0, 1.0, (number, arm.joints))
    moves *= REACH / np.abs(moves).mean(axis=1, keepdims=True)
    return pose + _inside(arm, pose, moves)


def joint_graded(arm: Arm, pose: Floats, degrees: Floats, number: int, rng: np.random.Generator) -> Floats:
    """Poses whose joints are ``degrees`` (grades,), on average, from those of ``pose`` (joints,), rad.

    Returns:
        (grades, number, joints) rad, along ``number`` random rays.
    """
    ends = rays(arm, pose, number, rng)
    return pose + np.radians(degrees)[:, None, None] / REACH * (ends - pose)


def flange_graded(kuka: Kuka, pose: Floats, metres: Floats, number: int, rng: np.random.Generator) -> Floats:
    """Poses whose flange is ``metres`` (grades,) from that of ``pose`` (joints,), rad.

    Along random rays in joint space, the first place where the flange is that far away; the rays are the first of
    ``DRAWS * number`` that lead far enough. Where too few do, a pose is the farthest place of its ray instead.

    Returns:
        (grades, number, joints) rad.
    """
    start = kuka.flange_positions(pose[None])
    drawn = rays(kuka.arm, pose, DRAWS * number, rng)
    short = np.linalg.norm(kuka.flange_positions(drawn) - start, axis=1) < metres.max()
    ends = drawn[np.argsort(short, kind="stable")[:number]]
    shares = np.linspace(0.0, 1.0, STEPS + 1)
    poses = np.empty((len(metres), number, kuka.arm.joints))
    for k, end in enumerate(ends):
        way = kuka.flange_positions(pose + shares[:, None] * (end - pose))
        farthest = np.maximum.accumulate(np.linalg.norm(way - start, axis=1))
        poses[:, k] = pose + np.interp(metres, farthest, shares)[:, None] * (end - pose)
    return poses


def one_joint_moved(arm: Arm, pose: Floats, degrees: Floats, rng: np.random.Generator) -> Floats:
    """Poses that differ from ``pose`` (joints,), rad, in one joint, by each of ``degrees`` (sizes,).

    Returns:
        (joints, sizes, joints) rad; each joint moves to a random side, or to the one that is within its range.
    """
    moves = np.radians(degrees)[None, :, None] * np.diag(rng.choice([-1.0, 1.0], arm.joints))[:, None]
    return pose + _inside(arm, pose, moves)


def _inside(arm: Arm, pose: Floats, moves: Floats) -> Floats:
    """``moves`` (..., joints), the other way where they would leave the arm's range, and no farther than its end."""
    lower, upper = np.array(arm.lower), np.array(arm.upper)
    outside = (pose + moves < lower) | (pose + moves > upper)
    farther = np.where(upper - pose > pose - lower, 1.0, -1.0)  # the side with more room
    moves = np.where(outside, farther * np.abs(moves), moves)
    # A recorded arm overshoots its range by a little: what it moves back is no part of a perturbation.
    return np.clip(moves, np.minimum(lower - pose, 0.0), np.maximum(upper - pose, 0.0))
