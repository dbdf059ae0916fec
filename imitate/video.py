"""Reading and writing videos."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from imitate.errors import UserError
from imitate.runs import written_aside

MAX_FRAMES = 200_000  # of a video that is read whole: 2.5 GB at 64x64
MAX_SIDE = 4096
MAX_BYTES = 4_000_000_000  # of decoded frames


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
            "preset": "veryfast",
            "g": str(compression.keyframes),
            "bf": "0",  # no frame depends on a later one
            "x264-params": "subme=0",  # motion by whole pixels: a third of the time, and smaller when lossless
        }
        for k, array in enumerate(chain([first], frames)):
            if k == 0:
                stream.height, stream.width = array.shape[:2]
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(array), format="rgb24")
            frame.pts = k
            frame.time_base = Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def read_video(path: Path, size: int | None = None) -> tuple[NDArray[np.uint8], float]:
    """Decode a local video.

    Args:
        path: A file. Not a URL: nothing is fetched.
        size: Crop the middle of each frame to a square and scale it to this size, pixels.

    Returns:
        Frames (length, height, width, 3) uint8, and frames a second.

    Raises:
        UserError: There is no such file, it is no video, or too large a one.
    """
    try:
        if not path.is_file():
            raise UserError(f"{path}: no such video file")
        # A file object, not a name, and no protocols: neither a name nor a playlist makes FFmpeg open anything else.
        with path.open("rb") as file, av.open(file, "r", options={"protocol_whitelist": "none"}) as container:
            if not container.streams.video:
                raise UserError(f"{path}: no video in this file")
            stream = container.streams.video[0]
            if max(stream.width, stream.height) > MAX_SIDE:
                raise UserError(f"{path}: {stream.width}x{stream.height}, expected at most {MAX_SIDE} a side")
            too_long = UserError(f"{path}: too long to hold in memory at this size: cut it, or scale it down")
            pixels = size * size if size else stream.width * stream.height
            if stream.frames > min(MAX_FRAMES, MAX_BYTES // max(1, 3 * pixels)):  # what the file says of itself
                raise too_long
            stream.thread_count = 1
            to_rgb = VideoReformatter()  # one for all frames: making one takes longer than using it
            frames, held = [], 0
            for frame in container.decode(stream):
                rgb: NDArray[np.uint8] = to_rgb.reformat(frame, format="rgb24").to_ndarray()  # type: ignore[assignment]
                frames.append(_square(rgb, size) if size else rgb)
                held += frames[-1].nbytes
                if len(frames) > MAX_FRAMES or held > MAX_BYTES:  # what it holds
                    raise too_long
            if not frames:
                raise UserError(f"{path}: a video without frames")
            return np.stack(frames), float(stream.average_rate or 20)
    except (av.FFmpegError, OSError, ValueError, AttributeError) as error:  # AttributeError: no codec was found
        if isinstance(error, UserError):
            raise
        raise UserError(f"{path}: not a readable video ({error})") from None


def _square(frame: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Crop the middle of ``frame`` and average it down (or interpolate it up) to (size, size, 3)."""
    from PIL import Image

    height, width = frame.shape[:2]
    side = min(height, width)
    left, top = (width - side) // 2, (height - side) // 2
    picture = Image.fromarray(frame[top : top + side, left : left + side])
    return np.asarray(picture.resize((size, size), Image.Resampling.BOX if side > size else Image.Resampling.BICUBIC))
