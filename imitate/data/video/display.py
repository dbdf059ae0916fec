"""From a frame as it is stored to the picture that is shown.

What a player does on the way: colours, high dynamic range, pixels that are not square, and the display matrix, with
which a phone says how it was held.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache
from threading import local
from typing import Any

import av
import numpy as np
from av.filter import Graph
from av.video.reformatter import ColorTrc, Interpolation, VideoReformatter
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]

HDR = {ColorTrc.SMPTE2084: "PQ", ColorTrc.ARIB_STD_B67: "HLG"}
UPRIGHT = ((1, 0), (0, 1))
TURNS = {  # by display matrix, what was done to the picture; the x and y that are shown are (x, y) @ matrix
    UPRIGHT: "",
    ((0, 1), (-1, 0)): "turned by 90 degrees",
    ((-1, 0), (0, -1)): "turned by 180 degrees",
    ((0, -1), (1, 0)): "turned by 270 degrees",
    ((-1, 0), (0, 1)): "mirrored",
    ((1, 0), (0, -1)): "turned upside down and mirrored",
    ((0, 1), (1, 0)): "turned by 90 degrees and mirrored",
    ((0, -1), (-1, 0)): "turned by 270 degrees and mirrored",
}


@dataclass(frozen=True)
class Showing:
    """How the frames of a video are to be shown.

    Attributes:
        matrix: The display matrix, one of ``TURNS``.
        aspect: Width of a pixel over its height.
        hdr: Name of the transfer function of high dynamic range, or empty.
    """

    matrix: tuple[tuple[int, int], tuple[int, int]] = UPRIGHT
    aspect: Fraction = Fraction(1)
    hdr: str = ""

    @classmethod
    def of(cls, frame: av.VideoFrame, aspect: Fraction) -> Showing:
        """What a decoded frame says of itself; ``aspect`` is what its stream does.

        Raises:
            ValueError: It is to be turned by an angle that leaves no upright picture, or its colours are not known.
        """
        matrix: Any = frame.side_data.get("DISPLAYMATRIX")
        if frame.color_trc == ColorTrc.UNSPECIFIED and frame.side_data.get("DOVI_METADATA") is not None:
            raise ValueError("Dolby Vision of its own colours, HDR that only its players show: convert it to SDR")
        return _showing(None if matrix is None else bytes(matrix), frame.color_trc, aspect)

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height that are shown, of those that are stored. The longer of a pixel's sides is kept."""
        if self.aspect == 1:
            pass
        elif self.aspect > 1:
            width = max(1, round(width * self.aspect))
        else:
            height = max(1, round(height / self.aspect))
        return (width, height) if self.matrix[0][0] else (height, width)

    @cached_property
    def found(self) -> tuple[str, ...]:
        """What is not as simple pictures are, in words."""
        aspect = f"pixels of {self.aspect.numerator}:{self.aspect.denominator}" if self.aspect != 1 else ""
        hdr = f"HDR ({self.hdr}), its tones mapped" if self.hdr else ""
        return tuple(words for words in (TURNS[self.matrix], aspect, hdr) if words)


class Projector:
    """Shows the frames of a video, one after the other. Making one takes longer than using it."""

    def __init__(self) -> None:
        self._to_rgb = VideoReformatter()

    def show(self, frame: av.VideoFrame, showing: Showing) -> Pixels:
        """The picture (height, width, 3) uint8 that a player shows."""
        if showing.hdr:
            frame = _tone_mapped(frame)
        width, height = Showing(aspect=showing.aspect).size(frame.width, frame.height)
        scaled = (
            {} if showing.aspect == 1 else {"width": width, "height": height, "interpolation": Interpolation.BICUBIC}
        )
        # One thread: to share a small frame out takes longer than the work.
        rgb: Any = self._to_rgb.reformat(frame, format="rgb24", threads=1, **scaled).to_ndarray()
        return _turned(rgb, showing.matrix)


class _ToneMaps(local):
    """Of each thread, and of each kind of frame: FFmpeg's scaler takes seconds to tabulate the colours of the first."""

    def __init__(self) -> None:
        self.of = lru_cache(maxsize=2)(_tone_map)


def _tone_map(width: int, height: int, pixels: str, *colours: int) -> Graph:
    """High dynamic range brought to BT.709, by FFmpeg's scaler."""
    graph = Graph()
    source = graph.add_buffer(width=width, height=height, format=av.VideoFormat(pixels), time_base=Fraction(1, 1))
    scale = graph.add("scale", "out_transfer=bt709:out_primaries=bt709:out_color_matrix=bt709")
    graph.link_nodes(source, scale, graph.add("format", "pix_fmts=rgb24"), graph.add("buffersink")).configure()
    return graph


_TONE_MAPS = _ToneMaps()


def _tone_mapped(frame: av.VideoFrame) -> av.VideoFrame:
    colours = (frame.color_trc, frame.color_primaries, frame.colorspace, frame.color_range)
    graph = _TONE_MAPS.of(frame.width, frame.height, frame.format.name, *map(int, colours))
    try:
        graph.vpush(frame)
        return graph.vpull()
    except Exception:  # what it was given stays in it
        _TONE_MAPS.of.cache_clear()
        raise


def middle(picture: Pixels, size: int) -> Pixels:
    """Crop the middle of ``picture`` and average it down (or interpolate it up) to (size, size, 3)."""
    height, width = picture.shape[:2]
    side = min(height, width)
    left, top = (width - side) // 2, (height - side) // 2
    square = Image.fromarray(picture[top : top + side, left : left + side])
    return np.asarray(square.resize((size, size), Image.Resampling.BOX if side > size else Image.Resampling.BICUBIC))


@lru_cache(maxsize=16)
def _showing(display_matrix: bytes | None, transfer: int, aspect: Fraction) -> Showing:
    matrix = UPRIGHT if display_matrix is None else _turn(np.frombuffer(display_matrix, np.int32).reshape(3, 3))
    return Showing(matrix, aspect, HDR.get(ColorTrc(transfer), "") if transfer in set(ColorTrc) else "")


def _turn(display_matrix: NDArray[np.int32]) -> Any:
    """One of ``TURNS``, of a matrix of fixed-point numbers, which may scale too: players scale to their window."""
    if not display_matrix[:2, :2].any():  # which players take for none
        return UPRIGHT
    turn = display_matrix[:2, :2] / max(1, np.abs(display_matrix[:2, :2]).max())
    rounded = tuple(tuple(row) for row in np.rint(turn).astype(int).tolist())
    if rounded not in TURNS or np.abs(turn - rounded).max() > 0.01:
        degrees = np.degrees(np.arctan2(turn[0, 1], turn[0, 0]))
        raise ValueError(f"to be turned by {degrees:.0f} degrees, expected a multiple of 90: turn it with ffmpeg")
    return rounded


def _turned(picture: Pixels, matrix: tuple[tuple[int, int], tuple[int, int]]) -> Pixels:
    (a, b), (c, d) = matrix
    if not a:
        picture = picture.transpose(1, 0, 2)
    return np.ascontiguousarray(picture[:: -1 if b + d < 0 else 1, :: -1 if a + c < 0 else 1])
