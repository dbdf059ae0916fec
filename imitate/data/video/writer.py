"""Writing videos."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from imitate.errors import UserError
from imitate.keeping.runs import written_aside


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


FOR_MACHINES = Compression(crf=0, pixels="yuv444p")
FOR_PEOPLE = Compression(crf=20, pixels="yuv420p", faststart=True)


def write_video(
    path: str | Path, frames: Iterable[NDArray[np.uint8]], fps: int, compression: Compression = FOR_MACHINES
) -> None:
    """Write ``frames``, each (height, width, 3) uint8, as MP4, whole or not at all.

    By itself almost without loss: H.264 keeps colours to within 2 of 255. One thread, so that equal frames give equal
    bytes.

    Raises:
        UserError: There are no frames, or some that are no such pictures, or of another size than the first.
    """
    path, frames = Path(path), iter(frames)
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
            shape, dtype = np.shape(array), getattr(array, "dtype", type(array).__name__)
            if len(shape) != 3 or shape[2] != 3 or dtype != np.uint8 or shape != np.shape(first):
                raise UserError(
                    f"{path}: frame {k} of {shape} {dtype}, expected (height, width, 3) uint8, all of one size"
                )
            if k == 0:
                stream.height, stream.width = shape[:2]
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(array), format="rgb24")
            frame.pts = k
            frame.time_base = Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
