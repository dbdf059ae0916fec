"""A video file that is open: its frames as they are shown, one after the other, whatever decodes them."""

from __future__ import annotations

from collections import deque
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
ONLY_DECODED = ("avi",)  # which only say when something is decoded: the nth frame has the place of the nth packet
NO_VIDEO = Disposition.attached_pic | Disposition.still_image | Disposition.timed_thumbnails
MILLISECOND = 0.001  # s
FURTHER = 0.5  # s: back to a key frame before the last, at least
Span = tuple[float, float]
Timed = tuple[av.VideoFrame, int | None]


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
        yield _webp(path, file, limits)
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
    """The video of a file: not its cover, and of several the one that FFmpeg takes for the best."""
    videos = [stream for stream in container.streams.video if not stream.disposition & NO_VIDEO]
    if not videos:
        cover = ", only a cover picture" if container.streams.video else ""
        raise UserError(f"{path}: no video in this file{cover}")
    best = container.streams.best("video")
    chosen = next((stream for stream in videos if stream is best), videos[0])
    return chosen, (f"one of {len(videos)} videos in the file",) if len(videos) > 1 else ()


def _frames(container: InputContainer, stream: VideoStream, aspect: Fraction, span: Span | None) -> Iterator[Shown]:
    tick = float(stream.time_base or 1)
    first, end = ((time - EXACT) / tick for time in span or (-np.inf, np.inf))  # in ticks
    projector = Projector()
    frames = _from(container, stream, first, FURTHER / tick) if span else _timed(container, stream)
    for number, (frame, start) in enumerate(frames):
        if start is not None and start < first:
            continue
        if start is not None and start >= end:
            return
        if frame.is_corrupt:
            raise ValueError(f"frame {number} is damaged")
        showing = Showing.of(frame, aspect)
        yield Shown(Stamp(start, frame.duration or 0), projector.show(frame, showing), showing.found)


def _timed(container: InputContainer, stream: VideoStream) -> Iterator[Timed]:
    """The frames, and when each is shown, in ticks; None: the file does not say."""
    if container.format.name not in ONLY_DECODED:
        yield from ((frame, frame.pts) for frame in container.decode(stream))
        return
    places: deque[int | None] = deque()
    for packet in container.demux(stream):
        if packet.size:
            places.append(packet.dts)
        for frame in packet.decode():
            yield frame, places.popleft() if places else None


def _from(container: InputContainer, stream: VideoStream, first: float, further: float) -> Iterator[Timed]:
    """The frames from a time on, or from a little before it, in ticks.

    FFmpeg goes to a key frame that is decoded before that time. Where frames are shown in another order than they are
    decoded in, it may be shown after it: then one before that is looked for, ``further`` back and twice as far again.
    """
    back = 0.0
    while True:
        container.seek(int(first - back), stream=stream)
        frames = _timed(container, stream)
        head = next(frames, None)
        if head is None:
            return iter(())
        if head[1] is None or head[1] <= first + 1 or first - back <= (stream.start_time or 0):
            return chain([head], frames)
        back = 2 * back or further


def _is_webp(file: BinaryIO) -> bool:
    head = file.read(12)
    file.seek(0)
    return head[:4] == b"RIFF" and head[8:] == b"WEBP"


def _webp(path: Path, file: BinaryIO, limits: Limits) -> Footage:
    """An animation that FFmpeg can't read, by Pillow, which makes room for the whole picture when it opens it."""
    head = file.read(30)
    file.seek(0)
    if head[12:16] != b"VP8X":
        raise UserError(f"{path}: one picture, expected a video")
    limits.check(path, "side", 1 + max(int.from_bytes(head[24:27], "little"), int.from_bytes(head[27:30], "little")))
    image = Image.open(file, formats=["WEBP"])

    def frames() -> Iterator[Shown]:
        for frame in ImageSequence.Iterator(image):
            picture = np.asarray(frame.convert("RGB"))  # which is what loads it, and its times
            yield Shown(Stamp(frame.info["timestamp"], frame.info["duration"]), picture)

    return Footage(frames(), getattr(image, "n_frames", 1), *image.size, MILLISECOND, None)
