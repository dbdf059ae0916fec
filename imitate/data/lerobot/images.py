"""The pictures of some episodes, read from videos or from tables, a part at a time."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image, ImageOps

from imitate.data.lerobot.places import NEAR, inside
from imitate.data.video.display import Pixels, middle
from imitate.data.video.limits import Limits
from imitate.data.video.reader import read_video
from imitate.errors import UserError, first_line
from imitate.keeping.manifest import verified

STRETCH = 2**27  # bytes of decoded frames that are held at a time
GAP = 1.0  # s of a video that nobody asks for: what is longer is not decoded
BATCH = 64  # pictures of a table that are read at a time
FORMATS = ("PNG", "JPEG", "WEBP", "TIFF")
EIGHT_BITS = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")
TORN = (  # what Pillow makes of a file that is none
    OSError, ValueError, SyntaxError, ArithmeticError, LookupError, TypeError, AttributeError, EOFError, MemoryError,
    struct.error, Image.DecompressionBombError,
)  # fmt: skip

Batch = tuple[NDArray[np.int64], NDArray[np.uint8]]
Part = Callable[[], Iterator[Batch]]  # what is read at a time: where the pictures belong, (n,), and they themselves


@dataclass(frozen=True)
class Shot:
    """Frames of one episode in a video.

    Attributes:
        episode: What the dataset calls it.
        row: Where the first of them belongs.
        times: (n,) when each is shown, s, as the file counts.
    """

    episode: int
    row: int
    times: NDArray[np.float64]

    def cut(self, most: int) -> list[Shot]:
        """This in pieces of so many frames, at most."""
        return [Shot(self.episode, self.row + k, self.times[k : k + most]) for k in range(0, len(self.times), most)]


def parts_of_video(path: Path, shots: Sequence[Shot], fps: float, frame_bytes: int, size: int | None) -> list[Part]:
    """What is to be read of a video, each frame once and in bounded memory, whatever else is in it.

    Args:
        path: The video.
        shots: Of it, in any order.
        fps: Frames a second of the shots: one is no further than ``NEAR`` from its time.
        frame_bytes: Size of a decoded frame, as far as is known.
        size: Crop the middle of each frame and scale it to this; None leaves it as it is.
    """
    most = max(1, STRETCH // frame_bytes)
    stretches: list[list[Shot]] = []
    for shot in sorted((piece for whole in shots for piece in whole.cut(most)), key=lambda piece: piece.times[0]):
        together = stretches[-1] if stretches else []
        far = max((one.times[-1] for one in together), default=-np.inf)
        if shot.times[0] > far + GAP or (shot.times[-1] - together[0].times[0]) * fps + NEAR > most:
            stretches.append([])
        stretches[-1].append(shot)
    return [partial(_frames, path, stretch, fps, size) for stretch in stretches]


def _frames(path: Path, shots: Sequence[Shot], fps: float, size: int | None) -> Iterator[Batch]:
    near = NEAR / fps
    span = (min(shot.times[0] for shot in shots) - near, max(shot.times[-1] for shot in shots) + near)
    try:
        video = read_video(path, size, span)
    except UserError as error:
        episodes = ", ".join(dict.fromkeys(str(shot.episode) for shot in shots))
        raise UserError(f"{error}; wanted for episode {episodes}") from None
    for shot in shots:
        try:
            nearest = video.timeline.nearest(shot.times, near)
        except ValueError as error:
            raise UserError(
                f"{path}: {error}, of episode {shot.episode}: damaged, or not {fps:g} frames a second: record it again"
            ) from None
        yield shot.row + np.arange(len(nearest)), video.frames[nearest]


def parts_of_table(path: Path, key: str, folder: Path, wanted: NDArray[np.int64], size: int | None) -> list[Part]:
    """What is to be read of a table with pictures in it.

    Args:
        path: The table.
        key: The column.
        folder: Of the dataset: pictures that stand in files of their own stand below, or are links there.
        wanted: (rows,) where the picture of each row belongs; -1: nowhere.
        size: As of ``parts_of_video``.
    """
    return [partial(_images, path, key, folder, wanted, size)]


def _images(path: Path, key: str, folder: Path, wanted: NDArray[np.int64], size: int | None) -> Iterator[Batch]:
    limits, at = Limits.of_environment(), 0
    try:
        for batch in pq.ParquetFile(verified(path)).iter_batches(BATCH, columns=[key]):
            cells, rows = batch.column(key), wanted[at : at + len(batch)]
            asked = np.flatnonzero(rows >= 0)
            pictures = [_picture(f"{path}: {key!r} in row {at + k}", cells[k].as_py(), folder, limits) for k in asked]
            at += len(batch)
            if pictures:
                if len({picture.shape for picture in pictures}) > 1:
                    raise ValueError(f"{key!r} of several sizes")
                yield rows[asked], np.stack([middle(picture, size) if size else picture for picture in pictures])
    except UserError:
        raise
    except (OSError, pa.ArrowException, LookupError, TypeError, ValueError) as error:
        raise UserError(f"{path}: damaged, or without pictures in {key!r} ({first_line(error)})") from None


def _picture(what: str, cell: Any, folder: Path, limits: Limits) -> Pixels:
    """One cell, of bytes, or bytes and a path, as a picture. It is turned as it says, as ``lerobot`` does.

    Raises:
        UserError: It is none, or not one of eight bits a colour.
    """
    content, name = (cell.get("bytes"), cell.get("path")) if isinstance(cell, dict) else (cell, None)
    if content is None and isinstance(name, str):
        content = _beside(what, folder, name, limits)
    if not isinstance(content, bytes):
        raise UserError(f"{what}: damaged: no picture there, expected the bytes of one")
    try:
        with Image.open(BytesIO(content), formats=FORMATS) as image:
            limits.check(Path(what), "side", max(image.size))
            if image.mode not in EIGHT_BITS:
                raise UserError(f"{what}: not supported: a picture of mode {image.mode}, such as a depth map's")
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except UserError:
        raise
    except TORN as error:
        raise UserError(f"{what}: damaged: no {', '.join(FORMATS)} can be read ({first_line(error)})") from None


def _beside(what: str, folder: Path, name: str, limits: Limits) -> bytes:
    path = inside(folder, name)
    if not path.is_file():
        raise UserError(f"{what}: damaged: no such picture file, {path}")
    limits.check(path, "file_bytes", path.stat().st_size)
    return verified(path).read_bytes()
