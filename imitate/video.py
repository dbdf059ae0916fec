"""Reading and writing videos.

What is read may be a stranger's: a local file, opened as such, decoded within ``Limits``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray
from PIL import Image

from imitate.errors import UserError, first_line
from imitate.manifest import MANIFEST, listed_frames, verified
from imitate.runs import written_aside

VARIABLE = "IMITATE_VIDEO_MAX_"
PROTOCOL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:|subfile,")  # two letters at least: one is a drive


@dataclass(frozen=True)
class Limits:
    """Of a video that is read.

    An environment variable raises each of them, ``IMITATE_VIDEO_MAX_FRAMES=1000000`` and the like: it reaches all that
    reads videos and all its processes, and is no setting of a run, because it changes nothing of what is made.

    Attributes:
        frames: Number of them; of a demonstration, after it was brought to the robot's rate.
        side: Pixels of height and width.
        file_bytes: Size of the file.
        bytes: Size of the decoded frames, which are held in memory: 320,000 frames of 64x64.
    """

    frames: int = 200_000
    side: int = 4096
    file_bytes: int = 4_000_000_000
    bytes: int = 4_000_000_000

    @classmethod
    def of_environment(cls) -> Limits:
        """The limits that the user wants.

        Raises:
            UserError: One is no number.
        """
        found = {}
        for field in fields(cls):
            text = os.environ.get(VARIABLE + field.name.upper(), str(field.default))
            if not re.fullmatch(r"[1-9][0-9]{0,17}", text):
                raise UserError(f"{VARIABLE}{field.name.upper()} is {text!r}, expected a whole number of 1 or more")
            found[field.name] = int(text)
        return cls(**found)

    def check(self, path: Path, name: str, value: int) -> None:
        """Refuse what is beyond a limit.

        Raises:
            UserError: It is; the message says how to raise the limit.
        """
        if value > getattr(self, name):
            noun = name.replace("_", " ")
            raise UserError(
                f"{path}: too large a video: {noun} {value}, expected at most {getattr(self, name)}: cut it or scale "
                f"it down, or set {VARIABLE}{name.upper()}"
            )


@dataclass(frozen=True)
class Compression:
    """How frames are compressed with H.264.

    Attributes:
        crf: Constant rate factor: 0 is lossless, 51 the worst.
        pixels: Pixel format. yuv444p keeps colour at full resolution and allows odd sizes; yuv420p is
            what every browser plays.
        keyframes: Frames from one key frame to the next.
        faststart: Put the index first, so that a browser plays before it has the whole file. A file that lost its
            end then reads as a shorter video, which is nothing for data.
    """

    crf: int
    pixels: str
    keyframes: int = 10
    faststart: bool = False


FOR_PEOPLE = Compression(crf=20, pixels="yuv420p", faststart=True)


def write_video(path: Path, frames: Iterable[NDArray[np.uint8]], fps: int, compression: Compression) -> None:
    """Write ``frames``, each (height, width, 3) uint8, as MP4, whole or not at all.

    One thread, so that equal frames give equal bytes.

    Raises:
        UserError: There are no frames.
    """
    frames = iter(frames)
    first = next(frames, None)
    if first is None:
        raise UserError(f"{path}: no frames to write, expected at least one")
    flags = {"movflags": "+faststart"} if compression.faststart else {}
    with written_aside(path) as aside, av.open(str(aside), "w", format="mp4", options=flags) as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.pix_fmt = compression.pixels
        stream.thread_count = 1
        stream.options = {
            "crf": str(compression.crf),
            "preset": "superfast",
            "g": str(compression.keyframes),
            "bf": "0",  # no frame depends on a later one
            "x264-params": "subme=0",  # motion by whole pixels: faster, and smaller when lossless
        }
        for k, array in enumerate(chain([first], frames)):
            if k == 0:
                stream.height, stream.width = array.shape[:2]
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(array), format="rgb24")
            frame.pts = k
            frame.time_base = Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


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


def read_video(path: Path, size: int | None = None) -> tuple[NDArray[np.uint8], float]:
    """Decode a local video.

    Args:
        path: A file. Not a URL: nothing is fetched.
        size: Crop the middle of each frame to a square and scale it to this size, pixels.

    Returns:
        Frames (length, height, width, 3) uint8, and frames a second.

    Raises:
        UserError: There is no such file, it is no video, damaged, or beyond the ``Limits``.
    """
    limits = Limits.of_environment()
    verified(path)
    try:
        if not path.is_file():
            raise UserError(f"{path}: no such video file")
        limits.check(path, "file_bytes", path.stat().st_size)
        # A file object, not a name, and no protocols: neither a name nor a playlist makes FFmpeg open anything else.
        # Pixels are limited for the decoder too, which works before anything is known of the first frame.
        decoder = {"max_pixels": str(min(limits.side**2, 2**31 - 1))}
        options = {"protocol_whitelist": "none", **decoder}
        with path.open("rb") as file, av.open(file, "r", options=options) as container:
            if not container.streams.video:
                raise UserError(f"{path}: no video in this file")
            stream = container.streams.video[0]
            stream.codec_context.options = decoder
            stream.thread_count = 1
            limits.check(path, "side", max(stream.width, stream.height))
            limits.check(path, "frames", stream.frames)  # what the file says of itself
            limits.check(path, "bytes", stream.frames * 3 * (size * size if size else stream.width * stream.height))
            frames = list(_decoded(path, container.decode(stream), size, limits))
            if not frames:
                raise UserError(f"{path}: a video without frames")
            if listed_frames(path) not in (None, len(frames)):
                raise UserError(
                    f"{path}: {len(frames)} frames, not the {listed_frames(path)} of its {MANIFEST}: damaged"
                )
            return np.stack(frames), float(stream.average_rate or 20)
    except UserError:
        raise
    # AttributeError: no codec was found; MemoryError: more than there is, within the limits
    except (av.FFmpegError, OSError, ValueError, ArithmeticError, AttributeError, MemoryError) as error:
        said = getattr(error, "strerror", None) or first_line(error)  # without number and path
        raise UserError(f"{path}: not a readable video ({said})") from None


def _decoded(
    path: Path, frames: Iterable[av.VideoFrame], size: int | None, limits: Limits
) -> Iterator[NDArray[np.uint8]]:
    """Frames as arrays, as long as they are whole, alike, and within the limits: what the file really holds."""
    to_rgb = VideoReformatter()  # one for all frames: making one takes longer than using it
    shape, held = None, 0
    for count, frame in enumerate(frames, start=1):
        limits.check(path, "side", max(frame.width, frame.height))
        limits.check(path, "frames", count)
        if frame.is_corrupt:
            raise UserError(f"{path}: not a readable video (frame {count - 1} is damaged)")
        # One thread: to share a small frame out takes longer than the work.
        rgb: NDArray[np.uint8] = to_rgb.reformat(frame, format="rgb24", threads=1).to_ndarray()  # type: ignore[assignment]
        rgb = _square(rgb, size) if size else rgb
        shape, held = shape or rgb.shape, held + rgb.nbytes
        if rgb.shape != shape:
            raise UserError(f"{path}: not a readable video (frames of {shape} and of {rgb.shape})")
        limits.check(path, "bytes", held)
        yield rgb


def _square(frame: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Crop the middle of ``frame`` and average it down (or interpolate it up) to (size, size, 3)."""
    height, width = frame.shape[:2]
    side = min(height, width)
    left, top = (width - side) // 2, (height - side) // 2
    picture = Image.fromarray(frame[top : top + side, left : left + side])
    return np.asarray(picture.resize((size, size), Image.Resampling.BOX if side > size else Image.Resampling.BICUBIC))
