"""The conditions under which a demonstration is followed: how it is shown, and where the robot starts."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import make_interp_spline

from imitate.data.camera import Camera
from imitate.data.demonstration import Demonstration
from imitate.data.domain import Domain
from imitate.embedding.trained_encoder import TrainedEncoder
from imitate.envs.kuka import CONTROL_HZ, Kuka
from imitate.envs.scenes.random_scene import random_scene
from imitate.envs.scenes.scene import Scene

from .sister import check_sister, film_sister

Frames = NDArray[np.uint8]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Condition:
    """How a demonstration is shown, and where the robot starts.

    Attributes:
        says: What it is.
        times: Which moments of the movement are shown, in frames, of one of so many; None: each frame once.
        away: From the first pose, where the robot starts, rad in each joint, to either side.
        filmed: What films it anew, of poses (n, joints), rad, by a camera, so many pixels a side; None: it is as it was
            recorded, or drawn as ever at other moments.
        camera_known: Whether it is known where the camera stands.
        wants: Raises a UserError where something is missing that it needs.
        seen: What becomes of its frames, all of them (length, size, size, 3) uint8.
    """

    says: str
    times: Callable[[int, np.random.Generator], Floats] | None = None
    away: float = 0.0
    filmed: Callable[[Floats, Camera, int, np.random.Generator], Frames] | None = None
    camera_known: bool = True
    wants: Callable[[], object] = lambda: None
    seen: Callable[[Frames, np.random.Generator], Frames] = lambda frames, rng: frames

    def shown(self, demonstration: Demonstration, encoder: TrainedEncoder, seed: int) -> Demonstration:
        """A demonstration that was recorded here, as it is shown.

        Args:
            demonstration: With its poses.
            encoder: Whose camera films it anew, where it is.
            seed: Of what is drawn.
        """
        frames, joints = demonstration.frames, demonstration.joints
        assert joints is not None  # it was recorded here
        rng = np.random.default_rng(seed)
        if self.times is not None:
            joints = make_interp_spline(np.arange(len(joints)), joints, k=3)(self.times(len(joints), rng))
        if self.filmed is not None:
            frames = self.filmed(joints, encoder.camera, encoder.image_size, rng)
        elif self.times is not None:
            with closing(Kuka()) as kuka:
                frames = kuka.film_at(joints, encoder.camera, encoder.image_size)
        return Demonstration(demonstration.name, self.seen(frames, rng), joints)


def at_speed(speed: float, length: int, rng: np.random.Generator) -> Floats:
    """Faster than it was made, or slower."""
    return np.arange(0, length - 1 + 1e-9, speed)


def pausing(length: int, rng: np.random.Generator) -> Floats:
    """The video stops twice, for a second each."""
    often = np.ones(length, int)
    often[rng.choice(length, 2, replace=False)] += CONTROL_HZ
    return np.repeat(np.arange(length, dtype=float), often)


def dropped(frames: Frames, rng: np.random.Generator) -> Frames:
    """A tenth of the frames is lost: the one before stays."""
    kept = np.where(rng.random(len(frames)) < 0.1, 0, np.arange(len(frames)))
    return frames[np.maximum.accumulate(kept)]


def noisy(frames: Frames, rng: np.random.Generator) -> Frames:
    """Gaussian noise of standard deviation 10, of 255."""
    return _pixels(frames + rng.normal(0, 10, frames.shape))


def darker(share: float, frames: Frames, rng: np.random.Generator) -> Frames:
    """That share of the brightness."""
    return _pixels(share * frames)


def tinted(frames: Frames, rng: np.random.Generator) -> Frames:
    """More red, less blue."""
    return _pixels(frames * [1.1, 1.0, 0.9])


def covered(frames: Frames, rng: np.random.Generator) -> Frames:
    """A grey box covers a sixteenth of the picture, in one place."""
    side = frames.shape[1] // 4
    y, x = rng.integers(0, frames.shape[1] - side, 2)
    frames = frames.copy()
    frames[:, y : y + side, x : x + side] = 128
    return frames


def shifted(by: int, frames: Frames, rng: np.random.Generator) -> Frames:
    """The camera has moved by so many pixels, to the side and up or down."""
    y, x = rng.choice([0, 2 * by], 2)
    wider = np.pad(frames, ((0, 0), (by, by), (by, by), (0, 0)), mode="edge")
    return wider[:, y : y + frames.shape[1], x : x + frames.shape[2]]


def all_at_once(frames: Frames, rng: np.random.Generator) -> Frames:
    """A camera that has moved by three pixels, something before it, half of the light, tinted, and noise."""
    for worse in (partial(shifted, 3), covered, partial(darker, 0.5), tinted, noisy):
        frames = worse(frames, rng)
    return frames


def in_a_scene(
    drawn: Callable[[np.random.Generator], Scene], poses: Floats, camera: Camera, size: int, rng: np.random.Generator
) -> Frames:
    """Our arm, in a scene that is drawn."""
    with closing(Kuka(scene=drawn(rng))) as kuka:
        return kuka.film_at(poses, camera, size)


def aside(degrees: float, poses: Floats, camera: Camera, size: int, rng: np.random.Generator) -> Frames:
    """Our arm, by a camera that stands up to so many degrees aside, and nearer, higher, or looking beside a little."""
    ranges = Domain(azimuth=(-degrees, degrees), elevation=(-10, 10), distance=(0.9, 1.1), aim=(-0.05, 0.05))
    with closing(Kuka()) as kuka:
        return kuka.film_at(poses, ranges.draw_camera(camera, rng), size)


def textured(rng: np.random.Generator) -> Scene:
    """A pattern behind the robot, in the usual light."""
    drawn = random_scene(rng, bare=True)
    while drawn.background.kind == "plain":
        drawn = random_scene(rng, bare=True)
    return Scene("textured", background=drawn.background)


def _pixels(values: NDArray[np.floating]) -> Frames:
    return np.clip(np.round(values), 0, 255).astype(np.uint8)


CONDITIONS = {
    "plain": Condition("as recorded"),
    "half_speed": Condition("at half the speed", partial(at_speed, 0.5)),
    "double_speed": Condition("at twice the speed", partial(at_speed, 2.0)),
    "away": Condition("starting 0.3 rad away in each joint", away=0.3),
    "paused": Condition("stopping twice for a second", pausing),
    "dropped": Condition("a tenth of the frames lost", seen=dropped),
    "noisy": Condition("noise of 10 in 255", seen=noisy),
    "darker": Condition("a fifth darker", seen=partial(darker, 0.8)),
    "tinted": Condition("more red, less blue", seen=tinted),
    "covered": Condition("a box over a sixteenth of the picture", seen=covered),
    "shifted": Condition("the camera moved by a pixel", seen=partial(shifted, 1)),
}
OPEN = {
    "half_light": Condition("at half of the light", seen=partial(darker, 0.5)),
    "shifted_2": Condition("the camera moved by two pixels", seen=partial(shifted, 2)),
    "shifted_3": Condition("the camera moved by three pixels", seen=partial(shifted, 3)),
    "textured": Condition("before a textured background", filmed=partial(in_a_scene, textured)),
    "all_at_once": Condition("all of these at once", filmed=partial(in_a_scene, textured), seen=all_at_once),
    "room": Condition("in a room as nobody has arranged it", filmed=partial(in_a_scene, random_scene)),
}
ASIDE = {
    f"aside_{degrees}": Condition(
        f"by an unknown camera, up to {degrees} degrees aside", filmed=partial(aside, degrees), camera_known=False
    )
    for degrees in (30, 60)
}
SISTERS = {
    "sister": Condition("a sister arm, drawn by another renderer", filmed=film_sister, wants=check_sister),
    "sister_room": Condition(
        "the same in a textured room", filmed=partial(film_sister, textured=True), wants=check_sister
    ),
}
WORSE = ("plain", *list(CONDITIONS)[4:])  # pictures that are not what they were
IN_THE_OPEN = ("plain", "tinted", "noisy", "covered", "shifted", *OPEN)
CONDITIONS |= OPEN | ASIDE | SISTERS
