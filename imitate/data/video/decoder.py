"""A video file that is open: its frames as they are shown, one after the other, whatever decodes them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import BinaryIO, TypeVar

import av
import numpy as np
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream
from PIL import Image, ImageSequence

from imitate.data.video.display import Pixels, Projector, Showing
from imitate.data.video.limits import Limits
from imitate.data.video.timeline import EXACT, Stamp
from imitate.errors import UserError, first_line

JOINED = 0x200  # FFmpeg's flag of a format whose times may be those of several recordings
NO_TIMES = 0x80  # FFmpeg's flag of a format without times: a bare stream of pictures
ONLY_DECODED = ("avi", "asf")  # which only say when something is decoded; FFmpeg makes times of showing up
TEXTS = ("tty", "bin", "xbin", "adf", "idf")  # which FFmpeg draws
ANIMATIONS = ("apng", "gif")
SHORTEST = 0.0105  # s: browsers show a frame of an animation that is to last 10 ms or less for
SLOW = 0.1  # s
NO_VIDEO = Disposition.attached_pic | Disposition.still_image | Disposition.timed_thumbnails
MILLISECOND = 0.001  # s
PILLOWS = (EOFError, SyntaxError, LookupError, Image.DecompressionBombError)  # errors, of a damaged file
FURTHER = 0.5  # s: back to a key frame before the last, at least
Span = tuple[float, float]
Timed = tuple[av.VideoFrame, Stamp]
Frame = TypeVar("Frame")


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
        format: What FFmpeg calls the kind of file.
        seconds: How long it lasts, as the file says; 0: it does not.
        joins: Whether recordings may have been joined in it, whose times have nothing to do with each other.
        found: What had to be chosen, in words.
    """

    frames: Iterator[Shown]
    length: int
    width: int
    height: int
    tick: float
    rate: float | None
    format: str
    seconds: float = 0.0
    joins: bool = False
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
        name = container.format.name
        if name in TEXTS:
            raise UserError(f"{path}: a text, expected a video")
        timeless = bool(container.format.flags & NO_TIMES) or name.endswith("_pipe")  # pictures, one after the other
        rate: Fraction | None = stream.average_rate or stream.guessed_rate
        if timeless:  # of it, FFmpeg makes a rate up
            rate = None if name.endswith("_pipe") else stream.codec_context.framerate
        joins = bool(container.format.flags & JOINED)  # of which FFmpeg reckons how long it lasts
        aspect = stream.sample_aspect_ratio or Fraction(1)
        width, height = Showing(aspect=aspect).size(stream.width, stream.height)
        yield Footage(
            frames=_frames(container, stream, aspect, span),
            length=stream.frames,
            width=width,
            height=height,
            tick=0.0 if timeless or stream.time_base is None else float(stream.time_base),
            rate=float(rate) if rate else None,
            format=name,
            seconds=0.0 if span or joins else _seconds(container, stream),
            joins=joins,
            found=found,
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


def _seconds(container: InputContainer, stream: VideoStream) -> float:
    """How long the video lasts, as the file says; of all that is in it, if there is nothing else."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    alone = len(container.streams) == 1
    return container.duration / av.time_base if alone and container.duration else 0.0


def _frames(container: InputContainer, stream: VideoStream, aspect: Fraction, span: Span | None) -> Iterator[Shown]:
    tick = float(stream.time_base or 1)
    first, end = ((time - EXACT) / tick for time in span or (-np.inf, np.inf))  # in ticks
    projector = Projector()
    frames = _from(container, stream, first, FURTHER / tick) if span else _timed(container, stream)
    for number, (frame, stamp) in enumerate(frames):
        if stamp.start is not None and stamp.start < first:
            continue
        if stamp.start is not None and stamp.start >= end:
            return
        if frame.is_corrupt:
            raise ValueError(f"frame {number} is damaged")
        showing = Showing.of(frame, aspect)
        yield Shown(stamp, projector.show(frame, showing), showing.found)


def _timed(container: InputContainer, stream: VideoStream) -> Iterator[Timed]:
    """The frames, and what the file says of their times."""
    frames = container.decode(stream)
    if container.format.name in ONLY_DECODED:
        return ((frame, Stamp(frame.dts, frame.dts, frame.duration or 0)) for frame in frames)
    timed = ((frame, Stamp(frame.pts, frame.dts, frame.duration or 0)) for frame in frames)
    return _animated(timed, float(stream.time_base or 1)) if container.format.name in ANIMATIONS else timed


def _animated(frames: Iterable[tuple[Frame, Stamp]], tick: float) -> Iterator[tuple[Frame, Stamp]]:
    """The frames of an animation, those that are to last next to nothing for as long as browsers show them."""
    start = 0
    for frame, stamp in frames:
        lasting = stamp.duration if stamp.duration * tick > SHORTEST else round(SLOW / tick)
        yield frame, Stamp(start, start, lasting)
        start += lasting


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
        start = head[1].start
        if start is None or start <= first + 1 or first - back <= (stream.start_time or 0):
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
    try:
        image = Image.open(file, formats=["WEBP"])
    except PILLOWS as error:
        raise ValueError(first_line(error)) from None
    return Footage(_pictures(image), getattr(image, "n_frames", 1), *image.size, MILLISECOND, None, "webp")


def _pictures(image: Image.Image) -> Iterator[Shown]:
    def frames() -> Iterator[tuple[Pixels, Stamp]]:
        for frame in ImageSequence.Iterator(image):
            pixels = np.asarray(frame.convert("RGB"))  # which is what loads it, and how long it is shown
            yield pixels, Stamp(None, None, frame.info["duration"])

    try:
        yield from (Shown(stamp, pixels) for pixels, stamp in _animated(frames(), MILLISECOND))
    except PILLOWS as error:
        raise ValueError(first_line(error)) from None
