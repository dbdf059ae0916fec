"""Demonstrations: what the robot is shown, and, to measure by, how it was really done."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imitate.errors import UserError
from imitate.finite import check_finite
from imitate.limits import Limits
from imitate.video import Source, check_name, read_video


@dataclass(frozen=True)
class Demonstration:
    """A video, and the poses behind it where they are known.

    The frames alone make the reward. The poses say where the robot starts, and how well it did.

    Attributes:
        name: What it is called.
        frames: (length, size, size, 3) uint8.
        joints: (length, joints) rad, or None for a video of unknown poses.
        believed: (length, joints) poses, rad, that the robot has read off the frames; None: it has not.
        source: The file that it was read from; None: it is no video of its own.
    """

    name: str
    frames: NDArray[np.uint8]
    joints: NDArray[np.float64] | None
    believed: NDArray[np.float64] | None = None
    source: Source | None = None

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


def demonstration_from_video(path: Path, fps: float, size: int | None = None) -> Demonstration:
    """Read a demonstration of unknown poses from a video.

    Args:
        path: An MP4, or any other video that FFmpeg reads.
        fps: Frames a second to follow it at: at each step, the frame that is shown then.
        size: Crop the middle and scale it to this size, pixels; None leaves the frames as they are.

    Raises:
        UserError: It can't be read, is no local file, too long, or shorter than two frames.
    """
    check_name(str(path))
    video = read_video(path, size)
    if len(video.frames) < 2:  # however long it is shown
        raise UserError(f"{path}: one picture, expected a video")
    limits, lasting = Limits.of_environment(), video.timeline.count(fps)
    limits.check(path, "frames", lasting)  # of two frames, an hour apart, many are made
    limits.check(path, "bytes", lasting * video.frames[0].nbytes)
    shown = video.timeline.shown(fps)
    source = video.source
    if not np.array_equal(shown, np.arange(len(video.frames))):
        source = replace(source, found=(*source.found, f"followed at {fps:g} a second: {lasting} frames"))
    return Demonstration(path.stem, video.frames[shown], None, source=source)
