"""A video file that is open: its frames as they are shown, one after the other, whatever decodes them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream
from PIL import Image, ImageSequence

from imitate.errors import UserError
from imitate.limits import Limits
from imitate.picture import Pixels, Projector, Showing
from imitate.timeline import EXACT, Stamp

NO_TIMES = 0x80  # FFmpeg's flag of a format without times: a bare stream of pictures
NO_VIDEO = Disposition.attached_pic | Disposition.still_image | Disposition.timed_thumbnails
MILLISECOND = 0.001  # s
FURTHER = 0.5  # s: back to a key frame before the last, at least
Span = tuple[float, float]


@dataclass(frozen=True)
class Shown:
    """One frame.

    Attributes:
        stamp: What the file says of its time.
        picture: (height, width, 3) uint8.
        found: What had to be done for it to be shown, in words.
    """

    stamp: Stamp
    picture: Pixels
    found: tuple[str, ...] = ()


@dataclass(frozen=True)
class Footage:
    """What is known of an open video, and its frames.

    Attributes:
        frames: To be read once, while it is open.
        length: How many there are, as the file says; 0: it does not say.
        width: Pixels, before a display matrix turns them.
        height: Pixels, before a display matrix turns them.
        tick: What its times count in, s; 0: it has no times.
        rate: Frames a second, as the file says; None: it does not.
        found: What had to be chosen, in words.
    """

    frames: Iterator[Shown]
    length: int
    width: int
    height: int
    tick: float
    rate: float | None
    found: tuple[str, ...] = ()


@contextmanager
def opened(path: Path, file: BinaryIO, limits: Limits, span: Span | None = None) -> Iterator[Footage]:
    """Open a local video. Nothing is decoded before its frames are asked for.

    Args:
        path: What the file is called.
        file: The file itself: neither a name nor a playlist makes FFmpeg open anything else.
        limits: For what decodes, which works before anything is known of the first frame.
        span: Only the frames that start from the first of these times on, and before the second, s, as the file counts.

    Raises:
        UserError: There is no video in it.
        OSError: It can't be read; or ValueError, ArithmeticError, or AttributeError, where there is no codec.
    """
    if _is_webp(file):
        yield _webp(file)
        return
    decoder = {"max_pixels": str(min(limits.side**2, 2**31 - 1))}
    with av.open(file, "r", options={"protocol_whitelist": "none", **decoder}) as container:
        stream, found = _choose(path, container)
        stream.codec_context.options = decoder
        stream.thread_count = 1
        timeless = bool(container.format.flags & NO_TIMES)
        rate = stream.codec_context.framerate if timeless else stream.average_rate or stream.guessed_rate
        aspect = stream.sample_aspect_ratio or Fraction(1)
        yield Footage(
            _frames(container, stream, aspect, span),
            stream.frames,
            *Showing(aspect=aspect).size(stream.width, stream.height),
            0.0 if timeless or stream.time_base is None else float(stream.time_base),
            float(rate) if rate else None,
            found,
        )


def _choose(path: Path, container: InputContainer) -> tuple[VideoStream, tuple[str, ...]]:
    """The video of a file: not its cover, and of several the one that players take."""
    videos = [stream for stream in container.streams.video if not stream.disposition & NO_VIDEO]
    if not videos:
        cover = ", only a cover picture" if container.streams.video else ""
        raise UserError(f"{path}: no video in this file{cover}")
    by_default = [stream for stream in videos if stream.disposition & Disposition.default]
    return (by_default or videos)[0], (f"one of {len(videos)} videos in the file",) if len(videos) > 1 else ()


def _frames(container: InputContainer, stream: VideoStream, aspect: Fraction, span: Span | None) -> Iterator[Shown]:
    first, end = span or (-np.inf, np.inf)
    projector = Projector()
    decoded = _from(container, stream, first) if span and stream.time_base else container.decode(stream)
    for number, frame in enumerate(decoded):
        if frame.time is not None and frame.time < first - EXACT:
            continue
        if frame.time is not None and frame.time >= end - EXACT:
            return
        if frame.is_corrupt:
            raise ValueError(f"frame {number} is damaged")
        showing = Showing.of(frame, aspect)
        yield Shown(Stamp.of(frame), projector.show(frame, showing), showing.found)


def _from(container: InputContainer, stream: VideoStream, first: float) -> Iterator[av.VideoFrame]:
    """Decode from a time on, or from a little before it.

    FFmpeg goes to a key frame that is decoded before that time. Where frames are shown in another order than they are
    decoded in, it may be shown after it.
    """
    assert stream.time_base is not None
    start = float((stream.start_time or 0) * stream.time_base)
    back = 0.0
    while True:
        container.seek(int((first - back) / stream.time_base), stream=stream)
        frames = container.decode(stream)
        frame = next(frames, None)
        early = frame is None or frame.time is None or frame.time <= first + EXACT
        if early or first - back <= start:
            return iter(()) if frame is None else chain([frame], frames)
        back = 2 * back or FURTHER


def _is_webp(file: BinaryIO) -> bool:
    head = file.read(12)
    file.seek(0)
    return head[:4] == b"RIFF" and head[8:] == b"WEBP"


def _webp(file: BinaryIO) -> Footage:
    """An animation that FFmpeg can't read, by Pillow."""
    image = Image.open(file, formats=["WEBP"])

    def frames() -> Iterator[Shown]:
        for frame in ImageSequence.Iterator(image):
            picture = np.asarray(frame.convert("RGB"))  # which is what loads it, and its times
            yield Shown(Stamp(frame.info["timestamp"], None, frame.info["duration"]), picture)

    return Footage(frames(), getattr(image, "n_frames", 1), *image.size, MILLISECOND, None)
