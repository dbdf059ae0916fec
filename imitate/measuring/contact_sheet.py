"""Contact sheets: frames of videos on one picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from imitate.keeping.runs import written_aside

Frames = NDArray[np.uint8]


def contact_sheet(path: Path, rows: Sequence[Frames], titles: Sequence[str], least: int = 96) -> None:
    """Write a PNG with one row of frames for each of ``rows``.

    Args:
        path: Where to.
        rows: Each (n, height, width, 3) uint8.
        titles: One a row.
        least: Small frames are enlarged to this height, pixels.
    """
    size = max(least, rows[0].shape[1])
    band = 16  # pixels for the title
    sheet = Image.new("RGB", (size * max(map(len, rows)), (size + band) * len(rows)), "white")
    draw = ImageDraw.Draw(sheet)
    for y, (frames, title) in enumerate(zip(rows, titles, strict=True)):
        draw.text((3, y * (size + band) + 2), title, fill="black")
        for x, frame in enumerate(frames):
            sheet.paste(Image.fromarray(frame).resize((size, size)), (x * size, y * (size + band) + band))
    with written_aside(path) as aside:
        sheet.save(aside)
