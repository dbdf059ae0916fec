"""Reading videos.

What is read may be a stranger's: a local file, opened as such, decoded within ``Limits``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import BinaryIO

import av
import numpy as np
from numpy.typing import NDArray

from imitate.data.video.decoder import Footage, Span, opened
from imitate.data.video.display import middle
from imitate.data.video.limits import Limits
from imitate.data.video.timeline import Stamp, Timeline, evenly, timeline_of
from imitate.errors import UserError, first_line
from imitate.keeping.manifest import MANIFEST, listed_frames, verified

PROTOCOL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:|subfile,")  # two letters at least: one is a drive
JUMP = 10.0  # s, forward: FFmpeg takes that for another recording that was joined
CUT = 1.0  # s that a file may lack of what it says: the last frames of sound and picture differ
USUAL = 25.0  # frames a second of a file that says nothing of it: how long its only frame lasts


def check_name(name: str) -> None:
    """Refuse a name that other programs take for more than a file's.

    Raises:
        UserError: It is a URL, has a protocol such as ``concat:``, or reads as an option.
    """
    if PROTOCOL.match(name):
        raise UserError(
            f"{name}: no such video file: a URL or protocol, and only local files are read: if it is the name of one, "
            "give its whole path"
        )
    if name.startswith("-"):
        raise UserError(f"{name}: no such video file: reads as an option; if it is a file, give its whole path")


@dataclass(frozen=True)
class Source:
    """What a video file holds, before it is brought to a robot's rate and size.

    Attributes:
        length: Number of frames.
        seconds: How long they are shown.
        width: Of the picture that is shown, pixels.
        height: Of the picture that is shown, pixels.
        found: What is not as in a simple video, and what was done about it, in words.
    """

    length: int
    seconds: float
    width: int
    height: int
    found: tuple[str, ...] = ()

    def __str__(self) -> str:
        rate = f"{self.length / self.seconds:.4g} a second, {self.width}x{self.height}"
        return "; ".join([f"{self.length} frames in {self.seconds:.2f} s, {rate}", *self.found])


@dataclass(frozen=True)
class Video:
    """A video that was read.

    Attributes:
        frames: (length, height, width, 3) uint8, as a player shows them; scaled, if that was asked for.
        timeline: When each of them is shown.
        source: What they were read from.
    """

    frames: NDArray[np.uint8]
    timeline: Timeline
    source: Source


def shown_size(path: Path) -> tuple[int, int]:
    """Width and height, pixels, of a local video's pictures, before a display matrix turns them. Nothing is decoded.

    Raises:
        UserError: As of ``read_video``.
    """
    limits = Limits.of_environment()
    with _reading(path, limits) as file, opened(path, file, limits) as footage:
        if not footage.width:
            raise ValueError("no picture can be found in it")
        return footage.width, footage.height


def read_video(path: str | Path, size: int | None = None, span: Span | None = None) -> Video:
    """Decode a local video: the pictures that are shown, and when.

    Args:
        path: A file. Not a URL: nothing is fetched.
        size: Crop the middle of each frame to a square and scale it to this size, pixels.
        span: Only the frames that start from the first of these times on, and before the second, s, as the file counts.
            None: all.

    Raises:
        UserError: There is no such file, it is no video, damaged, without times, or beyond the ``Limits``.
    """
    path, limits = Path(path), Limits.of_environment()
    with _reading(path, limits) as file, opened(path, file, limits, span) as footage:
        limits.check(path, "side", max(footage.width, footage.height))
        if span is None:  # what the file says of itself
            limits.check(path, "frames", footage.length)
            limits.check(path, "bytes", footage.length * 3 * (size * size if size else footage.width * footage.height))
        stamps, pictures, width, height, found = [], [], 0, 0, dict.fromkeys(footage.found)
        for shown in footage.frames:
            height, width = shown.picture.shape[:2]
            limits.check(path, "side", max(width, height))
            stamps.append(shown.stamp)
            pictures.append(middle(shown.picture, size) if size else shown.picture)
            if pictures[-1].shape != pictures[0].shape:
                raise ValueError(f"frames of {pictures[0].shape} and of {pictures[-1].shape}")
            limits.check(path, "frames", len(pictures))  # what it really holds
            limits.check(path, "bytes", len(pictures) * pictures[0].nbytes)
            found |= dict.fromkeys(shown.found)
    if not pictures:
        raise UserError(f"{path}: a video without frames" + (f" from {span[0]:.2f} to {span[1]:.2f} s" if span else ""))
    if span is None and listed_frames(path) not in (None, len(pictures)):
        raise UserError(f"{path}: {len(pictures)} frames, not the {listed_frames(path)} of its {MANIFEST}: damaged")
    timeline = _timeline(path, footage, stamps, found)
    if size and (width, height) != (size, size):
        found[f"its middle scaled to {size}x{size}"] = None
    return Video(np.stack(pictures), timeline, Source(len(pictures), timeline.seconds, width, height, tuple(found)))


def _timeline(path: Path, footage: Footage, stamps: list[Stamp], found: dict[str, None]) -> Timeline:
    """The times of the frames; what is odd about them is added to ``found``.

    Raises:
        UserError: Nothing tells.
    """
    if len(stamps) == 1 and not footage.tick:
        return evenly(1, USUAL)
    if footage.tick:
        timeline = timeline_of(stamps, footage.tick, footage.rate or USUAL, JUMP if footage.joins else np.inf)
        if timeline.seconds < footage.seconds - CUT:
            found[f"cut off: {footage.seconds:.2f} s by what the file says"] = None
        if not timeline.even:
            gaps = 1000 * np.diff(timeline.starts)
            found[f"frames {gaps.min():.0f} to {gaps.max():.0f} ms apart"] = None
        return timeline
    if footage.rate is None:
        raise UserError(
            f"{path}: no times and no rate in this file, expected either: say the rate and put it into a container, "
            f"with: ffmpeg -f {footage.format} -framerate 20 -i {quote(path.name)} {quote(path.stem + '.mp4')}"
        )
    found[f"no times in the file: {footage.rate:.4g} frames a second, as its pictures say"] = None
    return evenly(len(stamps), footage.rate)


@contextmanager
def _reading(path: Path, limits: Limits) -> Iterator[BinaryIO]:
    """A file to decode; whatever is wrong with it becomes one line.

    Raises:
        UserError: There is no such file, it is too large, or what reads it gave up.
    """
    verified(path)
    try:
        if not path.is_file():
            raise UserError(f"{path}: no such video file")
        if not path.stat().st_size:
            raise UserError(f"{path}: an empty file, expected a video")
        limits.check(path, "file_bytes", path.stat().st_size)
        with path.open("rb") as file:
            yield file
    except UserError:
        raise
    # AttributeError: no codec was found; MemoryError: more than there is, within the limits
    except (av.FFmpegError, OSError, ValueError, ArithmeticError, AttributeError, MemoryError) as error:
        said = getattr(error, "strerror", None) or first_line(error)  # without number and path
        raise UserError(f"{path}: not a readable video ({said})") from None
