"""A studio: an arm is filmed in scene after scene, and no frame comes twice."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import make_interp_spline

from imitate.data.camera import Camera
from imitate.data.domain import Domain
from imitate.data.viewpoint import bearing

from .kuka import Arm, body_of
from .landmarks import pictured, placed
from .perturbations import random_poses
from .rendering.body import GONE, built, has_tool
from .rendering.rasteriser import Rasteriser
from .scenes.random_scene import random_scene
from .scenes.scene import PLAIN, Colours, Scene
from .trajectories import Babbling, random_pace, random_trajectory

SETS, RENEWED = 160, 2  # that stand at once, and of which so many are others a step later
POSES = 12  # that are filmed in a set, at a step: what is seen in all of these tells none of them from another
USUAL, BARE = 0.15, 0.5  # shares of plain scenes, and of those without furniture among the others
OWN, EMPTY = 0.3, 0.4  # shares of arms that are built as ever, and of those without a tool among the others
PAINTED, COLOURS, GREY = 0.4, 4, 0.4  # share of arms painted link by link; in at most so many colours; share of greys
STILL, MOVING, FILMED = 0, 1, 2  # what random numbers of a set, of a step and of a video are told apart by
STRAIGHT, STEADY = 0.5, 0.7  # shares of movements from pose to pose on the shortest way, and of those at one pace
VIA = 4  # poses that the others pass on their way, at most


@dataclass(frozen=True)
class Set:
    """What is filmed, and what films it.

    Attributes:
        number: Of all that were put up.
        arm: That stands in it; marks of a tool that is not there are NaN.
        rasteriser: That draws it.
        scene: That it stands in.
        camera: That films it.
    """

    number: int
    arm: Arm
    rasteriser: Rasteriser
    scene: Scene
    camera: Camera


class Takes(NamedTuple):
    """Moments, each filmed once, or twice: in one set, and in another.

    Attributes:
        frames: (views * moments, size, size, 3) uint8; all of the first sets, then the same moments in the others.
        joints: (views * moments, joints) rad, as the usual camera would see them: one that stands elsewhere about the
            base sees the robot turned about it, and nothing else tells the two apart.
        landmarks: (views * moments, landmarks, 2) where they are in the picture, from -1 to 1, or beyond it; NaN: this
            one is not there.
    """

    frames: NDArray[np.uint8]
    joints: NDArray[np.float64]
    landmarks: NDArray[np.float64]


class Studio:
    """Sets, in which an arm is filmed at random poses. What is filmed at a step does not depend on those before it.

    Args:
        arm: That is filmed; its first joint turns it about the vertical through its base.
        camera: That films it, or would if it were as usual.
        size: Pixels a side.
        domain: What may differ from set to set.
        seed: Of everything random.
        sets: That stand at once, at least 2.
    """

    def __init__(
        self, arm: Arm, camera: Camera, size: int, domain: Domain, seed: int | tuple[int, ...], sets: int = SETS
    ) -> None:
        self.arm, self.camera, self.size, self.domain = arm, camera, size, domain
        self._seed = seed if isinstance(seed, tuple) else (seed,)
        self._sets = sets
        self._body = body_of(arm.file)
        first, last = np.radians(domain.azimuth)  # what is seen from there is turned by as much the other way
        lower, upper = arm.lower[0] - last, arm.upper[0] - first
        self._turning = replace(arm, lower=(lower, *arm.lower[1:]), upper=(upper, *arm.upper[1:]))
        self._standing: dict[int, Set] = {}  # by their places

    def takes(self, step: int, moments: int, views: int = 2) -> Takes:
        """Film random moments, each in one set or in two (``views``), ``POSES`` of them in each."""
        rng = self._rng(MOVING, step)
        poses = random_poses(self._turning, moments, rng)
        shared = [poses[first : first + POSES] for first in range(0, moments, POSES)]
        first = rng.integers(self._sets, size=len(shared))
        second = (first + rng.integers(1, self._sets, size=len(shared))) % self._sets
        frames, landmarks = [], []
        places = (*first, *second)[: views * len(shared)]
        for own, place in zip(views * shared, places, strict=True):
            taken = self._filmed(self.set(step, int(place)), own)
            frames.append(taken.frames)
            landmarks.append(taken.landmarks)
        return Takes(np.concatenate(frames), np.tile(poses, (views, 1)), np.concatenate(landmarks))

    def video(self, number: int, length: int) -> Takes:
        """Film a movement in a set of its own: so many frames, 20 a second, in their order."""
        one, rng = self._put_up(number), self._rng(FILMED, number)
        via = 0 if rng.random() < STRAIGHT else int(rng.integers(1, VIA + 1))
        poses = random_trajectory(self._turning, Babbling(length, via), rng)
        if rng.random() >= STEADY:
            poses = make_interp_spline(np.arange(length), poses, k=1)(random_pace(length, rng))
        return self._filmed(one, poses)

    def as_usual(self, poses: NDArray[np.float64]) -> Takes:
        """Film poses (n, joints), rad, in the plain scene, by the usual camera."""
        frames = Rasteriser(self._body, threads=1).draw(poses, self.camera, self.size)
        return Takes(frames, poses, pictured(placed(self.arm, self._body, poses), self.camera))

    def _filmed(self, one: Set, poses: NDArray[np.float64]) -> Takes:
        """Poses (n, joints), rad, as the usual camera would see them, in a set."""
        there = poses.copy()
        there[:, 0] += bearing(one.camera) - bearing(self.camera)
        frames = one.rasteriser.draw(there, one.camera, self.size, (one.scene,))
        return Takes(frames, poses, pictured(placed(one.arm, one.rasteriser.body, there), one.camera))

    def set(self, step: int, place: int) -> Set:
        """What stands in one of the places of the studio at a step. It is put up when it is first asked for."""
        newest = self._sets - 1 + RENEWED * step  # they are numbered in the order in which they come
        number = newest - (newest - place) % self._sets
        standing = self._standing.get(place)
        if standing is None or standing.number != number:
            standing = self._standing[place] = self._put_up(number)
        return standing

    def _put_up(self, number: int) -> Set:
        rng = self._rng(STILL, number)
        domain, body, arm = self.domain, self._body, self.arm
        if rng.random() >= OWN:
            factors = domain.draw("build", rng, (len(body.parents), 3))
            empty = rng.random() < EMPTY and has_tool(body) and domain.build[0] < domain.build[1]
            if empty:
                factors[-1] = GONE
            body = built(body, factors, domain.draw("build", rng, (len(body.parents),)) ** 0.5)
            marks = np.array(arm.marks).reshape(-1, 3) * (np.nan if empty else factors[-1])
            arm = replace(arm, marks=tuple(map(tuple, marks.tolist())))
        scene = PLAIN
        if domain.scenes and rng.random() >= USUAL:
            scene = random_scene(rng, f"set {number}", bare=rng.random() < BARE)
            if rng.random() < PAINTED:
                scene = replace(scene, links=_painted(len(body.parents), rng))
        return Set(number, arm, Rasteriser(body, threads=1), scene, domain.draw_camera(self.camera, rng))

    def _rng(self, kind: int, number: int) -> np.random.Generator:
        return np.random.default_rng(np.random.SeedSequence([*self._seed, kind, number]))


def _painted(links: int, rng: np.random.Generator) -> Colours:
    """A few colours, some of them grey, and each link in any of them: which link it is, no colour tells."""
    palette = rng.uniform(0.05, 1.0, (rng.integers(1, COLOURS + 1), 3))
    grey = rng.random(len(palette)) < GREY
    palette[grey] = palette[grey, :1]
    return tuple(map(tuple, palette[rng.integers(len(palette), size=links)].tolist()))
