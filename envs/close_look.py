"""A closer look: poses that were read off a video are adjusted to its pixels, in a room like its own.

Whoever reads through a network that sees neither room nor light knows about how the robot stands. With that, the video
shows the room itself: what is behind the robot, its light, and what stands before it. The robot imagines itself there,
and compares pixel by pixel, smoothed the less, the nearer it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from imitate.data.camera import Camera
from imitate.data.viewpoint import turned
from imitate.reading.adjustment import Adjusted, Doubts, adjust

from .kuka import Arm
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


LOOKS = (
    Look(2.0, 2, 0.1, np.inf, around=4, turns=0.0, times=6),
    Look(1.0, 1, 0.05, 40.0, around=3, turns=0.02, times=4),
    Look(1.0, 1, 0.05, 40.0, around=1, turns=0.05, times=8),
)


class Closer(NamedTuple):
    """What was read at a closer look.

    Attributes:
        poses: (length, joints) rad.
        camera: That filmed it, as far as can be told.
        explained: (length,) share of what differs from the room, squared, that is explained by the arm; 0: it is not
            there, or elsewhere.
    """

    poses: Floats
    camera: Camera
    explained: Floats


def look_closer(
    frames: NDArray[np.uint8], poses: Floats, arm: Arm, camera: Camera, seconds: float, may_turn: bool = True
) -> Closer:
    """Adjust poses to a video.

    Args:
        frames: (length, size, size, 3) uint8.
        poses: (length, joints) rad, that it about shows.
        arm: That it shows.
        camera: That filmed it.
        seconds: From a frame to the next.
        may_turn: Whether the camera may have turned a little.
    """
    painter = Painter(arm)
    now, scale = Adjusted(poses, np.zeros(2), 0.0), frames.shape[1] / SIDE
    for look in LOOKS:
        if may_turn:
            further = _found(painter, frames, now.poses, turned(camera, *now.constants))
            now = now._replace(constants=now.constants + further)
        features = partial(_features, look)
        shown = features(frames)
        for _ in range(look.times):
            around = max(1, round(look.around * scale))
            room = painter.learn(frames, now.poses, turned(camera, *now.constants), around)
            noise = max(QUIET, room.noise / (LEFT * look.blur * scale))
            doubts = Doubts(np.full(2, look.turns * may_turn), noise, look.outlier / noise, ACCELERATION, GUESS)
            see = partial(_imagined, features, painter, room, camera)
            now = adjust(shown, see, now, poses, seconds, doubts, look.turn, EVERY)
    found = turned(camera, *now.constants)
    return Closer(now.poses, found, _explained(painter, frames, now.poses, found))


def certainty(frames: NDArray[np.uint8], poses: Floats, arm: Arm, camera: Camera, may_turn: bool = True) -> Floats:
    """What poses explain of each frame of a video, (length,), as ``Closer`` has it, whoever read them.

    Args:
        frames: (length, size, size, 3) uint8.
        poses: (length, joints) rad.
        arm: That it shows.
        camera: That filmed it.
        may_turn: Whether the camera may have turned a little.
    """
    painter = Painter(arm)
    turns = _found(painter, frames, poses, camera) if may_turn else np.zeros(2)
    return _explained(painter, frames, poses, turned(camera, *turns))


def _explained(painter: Painter, frames: NDArray[np.uint8], poses: Floats, camera: Camera) -> Floats:
    room = painter.learn(frames, poses, camera)
    imagined = painter.draw(room, poses, camera)
    shown, own, behind = (_features(LOOKS[0], images) for images in (frames, imagined, room.background[None]))
    left, all_of_it = (np.square(shown - other).sum(axis=1, dtype=np.float64) for other in (own, behind))
    return np.maximum(1 - left / np.maximum(all_of_it, 1.0), 0.0)


def _imagined(
    features: Callable[[NDArray], NDArray], painter: Painter, room: Room, camera: Camera, poses: Floats, turns: Floats
) -> NDArray[np.floating]:
    return features(painter.draw(room, poses, turned(camera, *turns)))


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


def _found(painter: Painter, frames: NDArray[np.uint8], poses: Floats, camera: Camera) -> Floats:
    """Where a camera has turned, (2,) rad: so that what moves is where the arm would be seen to move, on average."""
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
