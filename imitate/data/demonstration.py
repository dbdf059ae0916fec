"""Demonstrations: what the robot is shown, and, to measure by, how it was really done."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imitate.data.camera import Camera
from imitate.data.video.limits import Limits
from imitate.data.video.reader import Source, check_name, read_video
from imitate.data.video.timeline import Timeline, evenly
from imitate.errors import UserError
from imitate.keeping.finite import check_finite


@dataclass(frozen=True)
class Demonstration:
    """A video, and the poses behind it where they are known.

    The frames alone make the reward. The poses say where the robot starts, and how well it did.

    Attributes:
        name: What it is called.
        frames: (length, size, size, 3) uint8.
        joints: (length, joints) rad, or None for a video of unknown poses.
        believed: (length, joints) poses, rad, that the robot has read off the frames; None: it has not.
        source: The video, or the episode of another rate, that it was made from; None: neither.
        camera: That took the frames; None: nobody says.
        scene: What they hold beside the robot, as a recording notes it; None: nobody says.
        believed_camera: That the robot believes to have filmed them, beside ``believed``; None: nothing is believed.
    """

    name: str
    frames: NDArray[np.uint8]
    joints: NDArray[np.float64] | None
    believed: NDArray[np.float64] | None = None
    source: Source | None = None
    camera: Camera | None = None
    scene: str | None = None
    believed_camera: Camera | None = None

    def __post_init__(self) -> None:
        if len(self.frames) < 2:
            raise UserError(f"demonstration {self.name}: {len(self.frames)} frame(s), expected at least 2")
        for poses in (self.joints, self.believed):
            if poses is None:
                continue
            check_finite(f"demonstration {self.name}: a joint", poses, "expected poses in rad: record it anew")
            if len(poses) != len(self.frames):
                raise UserError(
                    f"demonstration {self.name}: {len(poses)} poses for {len(self.frames)} frames, expected as many"
                )

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def digest(self) -> str:
        """What its frames are known by, whatever they are called."""
        return hashlib.sha256(self.frames.tobytes()).hexdigest()

    def followed(self, rate: float, fps: float) -> Demonstration:
        """This, of ``rate`` frames a second, at ``fps``: at each step the frame that is shown then, and its pose.

        Raises:
            UserError: Those are too many, or only one.
        """
        if rate == fps:
            return self
        timeline, (height, width) = evenly(len(self), rate), self.frames.shape[1:3]
        source = Source(len(self), timeline.seconds, width, height)
        shown, source = _followed(Path(self.name), timeline, source, fps, self.frames[0].nbytes)
        joints, believed = (None if poses is None else poses[shown] for poses in (self.joints, self.believed))
        return replace(self, frames=self.frames[shown], joints=joints, believed=believed, source=source)

    def check_size(self, size: int) -> None:
        """Refuse frames of any size but ``size``.

        Raises:
            UserError: They are of another.
        """
        height, width = self.frames.shape[1:3]
        check_size(f"demonstration {self.name}", width, height, size)


def check_size(what: str, width: int, height: int, size: int) -> None:
    """Refuse frames of any size but ``size``.

    Raises:
        UserError: They are of another.
    """
    if (width, height) != (size, size):
        raise UserError(
            f"{what}: frames of {width}x{height}, expected the encoder's {size}x{size}: ask for that with --resize, "
            "which crops the middle and scales it, or crop and scale the video yourself"
        )


def demonstration_from_video(path: str | Path, fps: float, size: int | None = None) -> Demonstration:
    """Read a demonstration of unknown poses from a video.

    Args:
        path: An MP4, or any other video that FFmpeg reads.
        fps: Frames a second to follow it at: at each step, the frame that is shown then.
        size: Crop the middle and scale it to this size, pixels; None leaves the frames as they are.

    Raises:
        UserError: It can't be read, is no local file, too long, or shorter than two frames.
    """
    check_name(str(path))
    if not isinstance(fps, int | float) or not 0 < fps < math.inf:
        raise UserError(f"fps is {fps!r}, expected frames a second, more than 0")
    path = Path(path)
    video = read_video(path, size)
    if len(video.frames) < 2:  # however long it is shown
        raise UserError(f"{path}: one picture, expected a video")
    shown, source = _followed(path, video.timeline, video.source, fps, video.frames[0].nbytes)
    return Demonstration(path.stem, video.frames[shown], None, source=source)


def _followed(
    path: Path, timeline: Timeline, source: Source, fps: float, frame_bytes: int
) -> tuple[NDArray[np.int64], Source]:
    """Which frame is shown at each step, and what is to be said of the source."""
    limits, lasting = Limits.of_environment(), timeline.count(fps)
    limits.check(path, "frames", lasting)  # of two frames, an hour apart, many are made
    limits.check(path, "bytes", lasting * frame_bytes)
    shown = timeline.shown(fps)
    if len(shown) < 2:
        raise UserError(f"{path}: {timeline.seconds:.3f} s long, expected more than the robot's step, {1 / fps:g} s")
    if not np.array_equal(shown, np.arange(len(timeline.starts))):
        source = replace(source, found=(*source.found, f"followed at {fps:g} a second: {lasting} frames"))
    return shown, source
