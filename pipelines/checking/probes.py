"""The poses that a reward is checked on, each with the frame of a demonstration that it is compared with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields

import numpy as np
from numpy.typing import NDArray

from imitate.data.camera import Camera
from imitate.envs.kuka import Kuka
from imitate.envs.perturbations import flange_graded, joint_graded, one_joint_moved, random_poses
from imitate.errors import MANY, SEED, check_bounds
from imitate.measuring.ranking import Indices

from .views import Views, drawn, joined

DEGREES = (2, 5, 10, 20, 40)  # of a joint, on average
CENTIMETRES = (1, 2, 5, 10, 20)  # of the flange
TURNS = (2, 5, 10, 20)  # degrees of one joint alone
FRAMES = 50  # of its own demonstration that a frame is compared with


@dataclass(frozen=True)
class Probe:
    """How much is looked at. The default takes seconds on two cores."""

    demos: int = 10
    """Demonstrations, the first of the split."""
    anchors: int = 5
    """Frames of each, evenly spaced, around which poses are drawn."""
    directions: int = 4
    """Poses near each of these frames, in each grade."""
    random_poses: int = 200
    """Random poses, each compared with all of these frames."""
    seed: int = 0
    """Of the poses."""

    def __post_init__(self) -> None:
        some = (1, MANY)
        check_bounds(self, "probe.", demos=some, anchors=some, directions=some, random_poses=(2, MANY), seed=SEED)


@dataclass(frozen=True)
class Pairs:
    """Poses and what each is compared with, as indices of views.

    Attributes:
        own: (n,) the pose.
        target: (n,) the demonstration's frame.
        grade: (n,) how far away on purpose, from 0, if so.
    """

    own: Indices
    target: Indices
    grade: Indices = field(default_factory=lambda: np.empty(0, np.int64))


@dataclass(frozen=True)
class Visited:
    """What a policy saw while it followed a demonstration.

    Attributes:
        demonstration: That it followed.
        poses: (episodes, steps, joints) rad, after each step.
    """

    demonstration: Views
    poses: NDArray[np.float64]


@dataclass(frozen=True)
class Probes:
    """All poses, filmed.

    Attributes:
        views: Of them all.
        sets: By name, which are compared with which.
        random: (n,) the random poses.
        anchors: (anchors,) the frames around which poses were drawn.
        turned: (anchors, joints, sizes) the same with one joint turned by each of ``TURNS``.
    """

    views: Views
    sets: dict[str, Pairs]
    random: Indices
    anchors: Indices
    turned: Indices


class _Collection:
    """Views, each of which gets an index."""

    def __init__(self, kuka: Kuka, camera: Camera, size: int) -> None:
        self.parts: list[Views] = []
        self._film = (kuka, camera, size)
        self._length = 0

    def add(self, views: Views) -> Indices:
        """Their indices (n,)."""
        self.parts.append(views)
        self._length += len(views)
        return np.arange(self._length - len(views), self._length)

    def draw(self, poses: NDArray[np.float64]) -> Indices:
        """Film (..., joints) poses: their indices (...)."""
        return self.add(drawn(*self._film, poses.reshape(-1, poses.shape[-1]))).reshape(poses.shape[:-1])


def collect(
    demonstrations: Sequence[Views],
    kuka: Kuka,
    camera: Camera,
    size: int,
    probe: Probe,
    visited: Visited | None = None,
) -> Probes:
    """Draw the poses around frames of the demonstrations, and film them.

    The sets: ``demo``, other frames of the same demonstration; ``random_poses``; ``near_joint`` and ``near_ee``, poses
    near the frame by ``DEGREES`` and by ``CENTIMETRES``; ``policy``, what the policy visited, if anything.
    """
    rng = np.random.default_rng(probe.seed)
    views = _Collection(kuka, camera, size)
    random = views.draw(random_poses(kuka.arm, probe.random_poses, rng))
    sets: dict[str, list[Pairs]] = {"demo": [], "random_poses": [], "near_joint": [], "near_ee": []}
    anchors, turned = [], []
    for shown in demonstrations:
        frames = views.add(shown)
        for k in np.unique(np.linspace(0, len(shown) - 1, probe.anchors + 2)[1:-1].astype(int)):
            anchor, pose = frames[k], shown.joints[k]
            others = np.setdiff1d(frames[np.linspace(0, len(shown) - 1, FRAMES).astype(int)], anchor)
            by_joint = joint_graded(kuka.arm, pose, np.array(DEGREES), probe.directions, rng)
            by_flange = flange_graded(kuka, pose, np.array(CENTIMETRES) / 100, probe.directions, rng)
            sets["demo"].append(_against(anchor, others))
            sets["random_poses"].append(_against(anchor, random))
            sets["near_joint"].append(_against(anchor, views.draw(by_joint)))
            sets["near_ee"].append(_against(anchor, views.draw(by_flange)))
            anchors.append(anchor)
            turned.append(views.draw(one_joint_moved(kuka.arm, pose, np.array(TURNS), rng)))
    if visited is not None:
        frames = views.add(visited.demonstration)
        sets["policy"] = [Pairs(views.draw(poses), frames[1 : len(poses) + 1]) for poses in visited.poses]
    merged = {name: _merged(pairs) for name, pairs in sets.items()}
    return Probes(joined(views.parts), merged, random, np.array(anchors), np.stack(turned))


def _against(anchor: np.int64, own: Indices) -> Pairs:
    """Poses (n,), or in grades (grades, n), compared with one frame."""
    grade = np.repeat(np.arange(len(own)), own.shape[1]) if own.ndim == 2 else np.empty(0, np.int64)
    return Pairs(own.ravel(), np.full(own.size, anchor), grade)


def _merged(parts: Sequence[Pairs]) -> Pairs:
    return Pairs(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Pairs)))
