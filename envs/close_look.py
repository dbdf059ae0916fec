"""A closer look: poses that were read off a video are adjusted to its pixels, in a room like its own.

Whoever reads through a network that sees neither room nor light knows about how the robot stands. With that, the video
shows the room itself: what is behind the robot, its light, and what stands before it. The robot imagines itself there,
and compares: pixel by pixel, smoothed the less, the nearer it is, or by the embeddings of both.
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
from imitate.data.viewpoint import turned
from imitate.reading.adjustment import Adjusted, Doubts, adjust

from .room import SMOOTH, Painter, Room

Floats = NDArray[np.float64]

SIDE = 64  # pixels of a picture that what follows is chosen for
QUIET = 2.0  # of 255: the least noise that is reckoned with
LEFT = 2 * math.sqrt(math.pi)  # noise is divided by so much, times what it is smoothed by, pixels
FARTHEST = 6  # pixels that the picture of a camera that has turned is looked for, either way
ALIKE = 1.3  # times more alike that it must be there than where it would be if it had not
GUESS, ACCELERATION = 2.0, 0.5  # of Doubts
EVERY = 2  # frames for which joints are turned once


class Look(NamedTuple):
    """How closely it is looked.

    Pixels are those of a picture of ``SIDE`` pixels a side; of a larger one, as many more.

    Attributes:
        blur: Standard deviation of what pixels are smoothed by.
        pooled: Pixels a side that are then taken together.
        turn: By how much joints are turned, rad.
        outlier: What is farther off counts the less, of 255.
        around: Pixels about the arm that may be of it, for all that is known.
        turns: By how much the camera may have turned from where it should look, to the side and up, rad: standard
            deviation; 0: it is taken as it was found. Before the room is known well, a pattern in it is taken for a
            camera that has turned.
        times: It is looked so.
    """

    blur: float
    pooled: int
    turn: float
    outlier: float
    around: int
    turns: float
    times: int


ROUGHLY = (Look(2.0, 2, 0.1, np.inf, around=4, turns=0.0, times=6),)
CLOSELY = (
    Look(1.0, 1, 0.05, 40.0, around=3, turns=0.02, times=2),
    Look(1.0, 1, 0.05, 40.0, around=1, turns=0.05, times=4),
)


class Closer(NamedTuple):
    """What was read at a closer look.

    Attributes:
        poses: (length, joints) rad.
        turns: (2,) how far the camera has turned from where it should look, to the side and up, rad.
        explained: (length,) share of what differs from the room, squared, that is explained by the arm; 0: it is not
            there, or elsewhere.
    """

    poses: Floats
    turns: Floats
    explained: Floats


@dataclass(frozen=True, eq=False)
class Viewing:
    """A video that is looked at.

    Attributes:
        frames: (length, size, size, 3) uint8.
        painter: Of the arm that it shows.
        camera: That filmed it, if it has not turned.
        seconds: From a frame to the next.
        may_turn: Whether the camera may have turned a little.
    """

    frames: NDArray[np.uint8]
    painter: Painter
    camera: Camera
    seconds: float
    may_turn: bool = True

    def guessed(self, poses: Floats) -> Closer:
        """What is believed before it is looked at."""
        return Closer(poses, np.zeros(2), np.zeros(len(poses)))

    def halved(self) -> Viewing:
        """The same with half as many pixels a side, if they are many: a rough look takes a quarter of the time."""
        if self.frames.shape[1] % 2 or self.frames.shape[1] < SIDE:
            return self
        return replace(self, frames=_pooled(self.frames.astype(np.float32), 2).round().astype(np.uint8))

    def look(self, before: Closer, looks: tuple[Look, ...]) -> Closer:
        """Adjust poses that it about shows to its pixels."""
        now = Adjusted(before.poses, before.turns, 0.0)
        for look in looks:
            now = now._replace(constants=self._found(now.poses, now.constants))
            features = partial(_features, look)
            shown = features(self.frames)
            for _ in range(look.times):
                room = self._room(now.poses, now.constants, look.around)
                noise = max(QUIET, room.noise / (LEFT * look.blur * self._scale))
                doubts = Doubts(
                    np.full(2, look.turns * self.may_turn), noise, look.outlier / noise, ACCELERATION, GUESS
                )
                see = partial(self._seen, features, room)
                now = adjust(shown, see, now, before.poses, self.seconds, doubts, look.turn, EVERY)
        return Closer(now.poses, now.constants, self._explained(now.poses, now.constants))

    def imagined(self, there: Closer) -> Callable[[Floats], NDArray[np.uint8]]:
        """What is seen at poses (n, joints), rad, in a room like its own: (n, size, size, 3)."""
        room = self._room(there.poses, there.turns, ROUGHLY[0].around)
        return partial(self.painter.draw, room, camera=turned(self.camera, *there.turns))

    def placed(self, poses: Floats) -> Closer:
        """What poses explain, whoever read them, from where the camera then looks."""
        turns = self._found(poses, np.zeros(2))
        return Closer(poses, turns, self._explained(poses, turns))

    @property
    def _scale(self) -> float:
        return self.frames.shape[1] / SIDE

    def _room(self, poses: Floats, turns: Floats, around: int) -> Room:
        about = max(1, round(around * self._scale))
        return self.painter.learn(self.frames, poses, turned(self.camera, *turns), about)

    def _seen(
        self, features: Callable[[NDArray], NDArray], room: Room, poses: Floats, turns: Floats
    ) -> NDArray[np.floating]:
        return features(self.painter.draw(room, poses, turned(self.camera, *turns)))

    def _found(self, poses: Floats, turns: Floats) -> Floats:
        if not self.may_turn:
            return turns
        return turns + _turn(self.painter, self.frames, poses, turned(self.camera, *turns))

    def _explained(self, poses: Floats, turns: Floats) -> Floats:
        camera = turned(self.camera, *turns)
        room = self.painter.learn(self.frames, poses, camera)
        imagined = self.painter.draw(room, poses, camera)
        shown, own, behind = (
            _features(ROUGHLY[0], images) for images in (self.frames, imagined, room.background[None])
        )
        left, all_of_it = (np.square(shown - other).sum(axis=1, dtype=np.float64) for other in (own, behind))
        return np.maximum(1 - left / np.maximum(all_of_it, 1.0), 0.0)


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


def _turn(painter: Painter, frames: NDArray[np.uint8], poses: Floats, camera: Camera) -> Floats:
    """How far a camera has turned, (2,) rad: so that what moves is where the arm would be seen to move, on average."""
    smooth = ndimage.gaussian_filter(frames.astype(np.float32), SMOOTH)
    moves = np.abs(smooth - np.median(smooth, axis=0)).max(axis=-1)
    moves = np.maximum(moves - 2 * np.median(moves), 0)
    size = frames.shape[1]
    by = max(1, round(size / SIDE))
    moves, expected = _pooled(moves, by), _pooled(painter.there(poses, camera, size), by)
    expected = np.abs(expected - np.median(expected, axis=0))
    moves = np.minimum(moves / max(float(np.quantile(moves, 0.98)), 1.0), 1.0)
    reach = range(-FARTHEST, FARTHEST + 1)
    alike = {
        (down, across): float((np.roll(expected, (down, across), (1, 2)) * moves).sum())
        for down in reach
        for across in reach
    }
    down, across = max(alike, key=alike.__getitem__)
    if not alike[down, across] > ALIKE * alike[0, 0]:  # or nothing moves, and nowhere is as good as anywhere
        return np.zeros(2)
    pixel = 2 * by * math.tan(math.radians(camera.fov) / 2) / size  # rad, in the middle
    return np.array([-across * pixel, down * pixel])
