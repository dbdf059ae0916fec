"""What one arm's flange does, another's is to do (motion retargeting: Gleicher, 1998, "Retargetting motion")."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from imitate.data.demonstration import Demonstration
from imitate.embedding.trained_encoder import TrainedEncoder
from imitate.reading.adjustment import STEP, Adjusted, Doubts, adjust

from .imagination import limits_of
from .kuka import CONTROL_HZ, Arm, Kuka
from .perturbations import random_poses
from .robot import Robot
from .translation import translated

Floats = NDArray[np.float64]

NUDGE = 0.01  # rad that joints are turned by to see where the flange goes
LEAD = 60  # steps that an arm is led to where the flange is to be at first,
EASY = 4  # and to each place that follows
YIELDING = 0.02  # m; damping, as of Wampler (1986): near the end of its reach an arm does not thrash about
RESTING = 0.02  # of the way to the middle of its range that it turns in a step, if its flange need not move
FROM_FIRST = 0.01  # rad that the first pose may be from where the arm stands
ROUNDS = 8  # that it then is adjusted all at once
DOUBTS = Doubts(np.zeros(0), noise=0.002, outlier=np.inf, acceleration=2.0, guess=2.0)
POSTURES, DRAWN = 8, 0  # that an arm may begin in, where nobody says, and what they are drawn with


def retargeted(way: Floats, arm: Arm, first: NDArray[np.floating] | None = None) -> Floats:
    """Poses (length, joints), rad, of an arm whose flange goes a way.

    It is led along the way, and then all poses are adjusted at once, to change smoothly. What is out of its reach is
    approached.

    Args:
        way: (length, 3) where the flange is to be, m, 20 times a second.
        arm: That goes it.
        first: (joints,) where it stands before; None: of some postures, that from which it comes nearest.
    """
    begun = [first] if first is not None else random_poses(arm, POSTURES, np.random.default_rng(DRAWN))
    with closing(Kuka(arm)) as kuka:
        gone = [_gone(np.asarray(posture, np.float64), way, kuka, first is not None) for posture in begun]
        return min(gone, key=lambda poses: np.linalg.norm(kuka.flange_positions(poses) - way, axis=1).mean())


def _gone(posture: Floats, way: Floats, kuka: Kuka, told: bool) -> Floats:
    """Poses (length, joints), rad, from a posture on, in which it stands if that was told."""
    led = _led(posture, way, kuka, EASY if told else LEAD)
    guess = np.full_like(led, DOUBTS.guess)
    if told:
        led[0], guess[0] = posture, FROM_FIRST
    doubts = replace(DOUBTS, guess=guess, within=limits_of(kuka.arm))
    now = Adjusted(led, np.zeros(0), 0.0)
    for _ in range(ROUNDS):
        now = adjust(way, lambda poses, _: kuka.flange_positions(poses), now, led, 1 / CONTROL_HZ, doubts, NUDGE, 1)
    return now.poses


def _led(posture: Floats, way: Floats, kuka: Kuka, lead: int) -> Floats:
    """Poses (length, joints), rad, that it passes through as its flange is led along a way, place by place."""
    lower, upper = limits_of(kuka.arm)
    nudges = NUDGE * np.eye(len(posture))
    pose, poses = posture, np.empty((len(way), len(posture)))
    for number, place in enumerate(way):
        for _ in range(EASY if number else lead):
            at, *nudged = kuka.flange_positions(np.concatenate([pose[None], pose + nudges]))
            slopes = (np.array(nudged) - at).T / NUDGE
            inverse = slopes.T @ np.linalg.inv(slopes @ slopes.T + YIELDING**2 * np.eye(3))
            rest = RESTING * ((lower + upper) / 2 - pose)
            step = inverse @ (place - at) + rest - inverse @ (slopes @ rest)
            pose = np.clip(pose + np.clip(step, -STEP, STEP), lower, upper)
        poses[number] = pose
    return poses


def as_own(
    shown: Demonstration,
    by: Arm,
    arm: Arm,
    encoder: TrainedEncoder,
    first: NDArray[np.floating] | None = None,
) -> Demonstration:
    """A demonstration by another arm as this one would give it: its flange goes the way of the other's.

    Args:
        shown: With the poses that were read off it.
        by: The arm that it shows.
        arm: That is to follow it.
        encoder: Whose camera films what that arm would do: those are the frames.
        first: As ``retargeted`` has it.
    """
    assert shown.believed is not None
    with closing(Kuka(by)) as other:
        ways = [other.flange_positions(poses) for poses in (shown.believed, shown.joints) if poses is not None]
    # In one posture, or what was read would be far from what is true, though the flange is not.
    joints = None if len(ways) == 1 else retargeted(ways[1], arm, first)
    believed = retargeted(ways[0], arm, first if joints is None else joints[0])
    own = Demonstration(shown.name, shown.frames, joints, believed)
    return translated(own, Robot(arm), encoder.camera, encoder.image_size)
