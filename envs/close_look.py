"""A closer look: poses that were read off a video are adjusted to its pixels, in a room like its own.

Whoever reads through a network that sees neither room nor light knows about how the robot stands. With that, the video
shows the room itself: what is behind the robot, its lamp, and what stands before it. The robot imagines itself there,
and compares smooth pixels, or the embeddings of both. Where the camera stands is adjusted with the poses.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from imitate.data.camera import Camera
from imitate.data.viewpoint import OFFSETS, moved
from imitate.reading.adjustment import Adjusted, Doubts, adjust

from .landmarks import pictured, placed
from .room import AROUND, Painter, Room
from .scenes.light import Light

Floats = NDArray[np.float64]

SIDE = 64  # pixels of a picture that what follows is chosen for
QUIET = 2.0  # of 255: the least noise that is reckoned with
LEFT = 2 * math.sqrt(math.pi)  # noise is divided by so much, times what it is smoothed by, pixels
GUESS, ACCELERATION = 2.0, 0.5  # of Doubts
ASIDE = OFFSETS.index("aside")
AT_ONCE = 2.0  # frames, a standard deviation, over which what is left is taken together
LEAST = 1e-3  # square of 255ths a pixel: where less than that differs from the room, nothing is seen
TOLD = 1e-5  # rad that a joint may be off by that was told: less than any picture says otherwise
EVERY = 2  # frames for which joints are turned once
# Of landmarks that an encoder finds:
MARKED = Doubts(np.zeros(0), noise=0.06, outlier=2.0, acceleration=ACCELERATION)
LENGTHS = (0.2, 0.995)  # of directions, the least and the most that anything is concluded from
SAME = 0.5  # of the doubt of a guess that counts: what is wrong with it is wrong with many frames
FITTED, NUDGE = 8, 0.02  # times that poses are fitted to landmarks, and by how much joints are turned then, rad
# What a camera may be off by that stands where it should, and was knocked: standard deviations of OFFSETS.
KNOWN = (0.05, 0.05, 0.0, 0.0, 0.0, 0.0)
# The same of one that may stand anywhere:
UNKNOWN = (0.1, 0.1, 0.2, 0.15, 0.05, 0.5)


class Look(NamedTuple):
    """How closely it is looked.

    Pixels are those of a picture of ``SIDE`` pixels a side; of a larger one, as many more.

    Attributes:
        blur: Standard deviation of what pixels are smoothed by.
        pooled: Pixels a side that are then taken together.
        turn: By how much joints are turned, rad.
        outlier: What is farther off counts the less, of 255.
        around: Pixels about the arm that may be of it, for all that is known.
        astray: Whether the camera may be elsewhere; else it is taken as it was found. Before the room is known well, a
            pattern in it is taken for a camera that has turned.
        times: It is looked so.
    """

    blur: float
    pooled: int
    turn: float
    outlier: float
    around: int
    astray: bool
    times: int


ROUGHLY = (Look(2.0, 2, 0.1, np.inf, around=4, astray=False, times=6),)
CLOSELY = (
    Look(2.0, 1, 0.05, 40.0, around=3, astray=True, times=2),
    Look(2.0, 1, 0.05, 40.0, around=1, astray=True, times=4),
)
# In the end, where it is known from where: a camera that may stand anywhere is found worse so.
SHARPLY = (
    Look(1.5, 1, 0.03, 40.0, around=1, astray=True, times=2),
    Look(1.0, 1, 0.03, 40.0, around=1, astray=True, times=2),
)


class Guess(NamedTuple):
    """How the arm may stand.

    Attributes:
        poses: (length, joints) rad.
        doubts: (length, joints) standard deviations of these, rad.
    """

    poses: Floats
    doubts: Floats

    @classmethod
    def of(cls, directions: NDArray[np.complexfloating]) -> Guess:
        """What directions (length, joints) say: the shorter they are, the farther those that may be it are apart.

        As of a normal distribution around the circle (Mardia and Jupp, Directional statistics, 2000, section 3.4.2).
        """
        lengths = np.clip(np.abs(directions), *LENGTHS)
        return cls(np.angle(directions), np.sqrt(-2 * np.log(lengths)))


class Closer(NamedTuple):
    """What was read at a closer look.

    Attributes:
        poses: (length, joints) rad.
        offsets: (6,) what the camera is off by, as ``moved`` has it.
        explained: (length,) share of what differs from the room, squared, that is explained by the arm; 0: it is not
            there, or elsewhere.
        left: What is not, a pixel: a square of 255ths. What is right leaves the least, whatever its room is taken for.
    """

    poses: Floats
    offsets: Floats
    explained: Floats
    left: float


@dataclass(frozen=True, eq=False)
class Viewing:
    """A video that is looked at.

    Attributes:
        frames: (length, size, size, 3) uint8.
        painter: Of the arm that it shows.
        camera: That filmed it, as far as is known.
        seconds: From a frame to the next.
        unsure: (6,) what that may be off by, as ``moved`` has it: standard deviations.
        within: (2, joints) the least and the most that joints can be, rad; None: anywhere.
        first: Where the first joint is in the first frame, rad, which tells how far aside an unknown camera stands;
            None: nobody knows.
        whole: The same with all of its pixels, if these are half as many a side.
    """

    frames: NDArray[np.uint8]
    painter: Painter
    camera: Camera
    seconds: float
    unsure: tuple[float, ...] = KNOWN
    within: Floats | None = None
    first: float | None = None
    whole: Viewing | None = None

    def marked(self, guess: Guess, landmarks: NDArray[np.floating]) -> Closer:
        """What is believed before it is looked at: guessed poses, adjusted to landmarks (length, landmarks, 2)."""
        unsure = np.array(self.unsure)
        unsure[ASIDE] = 0.0  # where joints begin, that can't be told from the robot turning
        found, doubted = self._in_picture(landmarks), SAME * guess.doubts
        doubts = replace(MARKED, constants=unsure, guess=doubted, within=self.within)
        guesses = self._reached(guess.poses)
        now = Adjusted(guesses, np.zeros(len(self.unsure)), 0.0)
        for _ in range(FITTED):
            now = adjust(found, self._marks, now, guesses, self.seconds, doubts, NUDGE, 1)
        return Closer(now.poses, now.constants, np.zeros(len(guesses)), np.inf)

    def halved(self) -> Viewing:
        """The same with half as many pixels a side, if they are many: to compare takes a quarter of the time.

        The room is still learned from all of them: links are a few pixels wide, and of fewer no colour is told.
        """
        if self.frames.shape[1] % 2 or self.frames.shape[1] < SIDE:
            return self
        return replace(self, frames=_pooled(self.frames.astype(np.float32), 2).round().astype(np.uint8), whole=self)

    def look(self, before: Closer, looks: tuple[Look, ...]) -> Closer:
        """Adjust poses that it about shows to its pixels."""
        before = self._aside(before._replace(poses=self._reached(before.poses)))
        now = Adjusted(before.poses, before.offsets, 0.0)
        guess = np.full_like(before.poses, GUESS)
        if self.first is not None:
            guess[0, 0] = TOLD
        for look in looks:
            lamp = self._lamp(now.poses, now.constants)
            features = partial(_features, look)
            shown = features(self.frames)
            for _ in range(look.times):
                room = self._room(now.poses, now.constants, look.around, lamp)
                noise = max(QUIET, room.noise / (LEFT * look.blur * self._scale))
                astray = look.astray * np.array(self.unsure)
                doubts = Doubts(astray, noise, look.outlier / noise, ACCELERATION, guess, self.within)
                see = partial(self._seen, features, room)
                now = adjust(shown, see, now, before.poses, self.seconds, doubts, look.turn, EVERY)
        return self._compared(now.poses, now.constants)

    def imagined(self, there: Closer) -> Callable[[Floats], NDArray[np.uint8]]:
        """What is seen at poses (n, joints), rad, in a room like its own: (n, size, size, 3)."""
        lamp = self._lamp(there.poses, there.offsets)
        room = self._room(there.poses, there.offsets, ROUGHLY[0].around, lamp)
        return partial(self.painter.draw, room, camera=moved(self.camera, there.offsets))

    def judged(self, poses: Floats) -> Closer:
        """What poses explain, and leave, whoever read them."""
        return self._compared(poses, np.zeros(len(self.unsure)))

    def _reached(self, poses: Floats) -> Floats:
        return poses if self.within is None else np.clip(poses, *self.within)

    def _aside(self, seen: Closer) -> Closer:
        """The same, from as far aside about the base as the first pose tells: by as much the robot seems to turn."""
        if self.first is None:
            return seen
        turn = self.first - seen.poses[0, 0]
        poses, offsets = seen.poses.copy(), seen.offsets.copy()
        poses[:, 0] += turn
        offsets[ASIDE] += (turn + np.pi) % (2 * np.pi) - np.pi
        return seen._replace(poses=poses, offsets=offsets)

    @property
    def _scale(self) -> float:
        return self.frames.shape[1] / SIDE

    def _lamp(self, poses: Floats, offsets: Floats) -> Light:
        if self.whole is not None:
            return self.whole._lamp(poses, offsets)
        return self.painter.lamp(self.frames, poses, moved(self.camera, offsets))

    def _room(self, poses: Floats, offsets: Floats, around: int, lamp: Light) -> Room:
        if self.whole is not None:
            return self.whole._room(poses, offsets, around, lamp).halved()
        about = max(1, round(around * self._scale))
        return self.painter.learn(self.frames, poses, moved(self.camera, offsets), about, lamp)

    def _seen(
        self, features: Callable[[NDArray], NDArray], room: Room, poses: Floats, offsets: Floats
    ) -> NDArray[np.floating]:
        return features(self.painter.draw(room, poses, moved(self.camera, offsets)))

    def _marks(self, poses: Floats, offsets: Floats) -> Floats:
        points = placed(self.painter.arm, self.painter.body, poses)
        return self._in_picture(pictured(points, moved(self.camera, offsets)))

    def _in_picture(self, landmarks: NDArray[np.floating]) -> Floats:
        """Landmarks (n, landmarks, 2) that the arm has, in a row (n, dim): one that is outside is at the edge."""
        own = landmarks[:, : self.painter.landmarks]
        return np.clip(own, -1.0, 1.0).reshape(len(own), -1).astype(np.float64)

    def _compared(self, poses: Floats, offsets: Floats) -> Closer:
        """What poses explain. It is looked at some frames at once: noise comes and goes, what is wrong stays."""
        camera = moved(self.camera, offsets)
        room = self._room(poses, offsets, AROUND, self._lamp(poses, offsets))
        imagined = self.painter.draw(room, poses, camera)
        shown, own, behind = (
            _features(ROUGHLY[0], images) for images in (self.frames, imagined, room.background[None])
        )
        left, all_of_it = (
            np.square(ndimage.gaussian_filter1d(shown - other, AT_ONCE, axis=0)).mean(axis=1, dtype=np.float64)
            for other in (own, behind)
        )
        explained = np.where(all_of_it < LEAST, 0.0, np.maximum(1 - left / np.maximum(all_of_it, LEAST), 0.0))
        return Closer(poses, offsets, explained, float(left.mean()))


def by_second(explained: Floats, seconds: float) -> Floats:
    """Means of what is explained (length,), of frames so many seconds apart, over each second that begins with one."""
    window = min(round(1 / seconds), len(explained))
    return np.convolve(explained, np.full(window, 1 / window), "valid")


def _features(look: Look, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Smooth pixels (length, dim) of frames."""
    scale = frames.shape[1] / SIDE
    blur = look.blur * scale
    smooth = ndimage.gaussian_filter(frames.astype(np.float32), (0, blur, blur, 0), truncate=2.5)
    return _pooled(smooth, max(1, round(look.pooled * scale))).reshape(len(frames), -1)


def _pooled(images: NDArray[np.float32], by: int) -> NDArray[np.float32]:
    """Means of blocks of so many pixels a side of images (n, size, size, ...)."""
    n, side = len(images), images.shape[1] // by
    return images[:, : side * by, : side * by].reshape(n, side, by, side, by, *images.shape[3:]).mean(axis=(2, 4))
