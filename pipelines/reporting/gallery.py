"""A page and a contact sheet of many demonstrations, each beside the robot that follows it, from best to worst."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from imitate.data.video.reader import read_video
from imitate.keeping.runs import written_aside
from imitate.measuring.metrics import SUCCESS_M, success

from .pages import fill_in

MOMENTS = (1 / 3, 2 / 3, 1.0)  # of each film that are on the sheet
TILE = (192, 103)  # pixels of a moment
COLUMNS, BAND = 2, 16  # films beside each other, and pixels below each for its figures


def write_gallery(folder: Path, rows: Sequence[Mapping[str, Any]], films: Sequence[Path], way: str) -> None:
    """Write ``gallery.html`` and ``gallery.png``.

    Args:
        folder: They go to.
        rows: Figures of each demonstration.
        films: The side-by-side video of each.
        way: Whose figures under those names are the robot's: ``direct`` or ``policy``.
    """
    followed = []
    for row, film in zip(rows, films, strict=True):
        own = {key.removeprefix(f"{way}_"): value for key, value in row.items()}
        followed.append({**row, **own, "video": film, "success": success(own)})
    followed.sort(key=lambda one: one["ee_error_m"])
    names = ("ee_error_m", "hold_still_ee_error_m", "joint_error_rad")
    html = fill_in(
        "gallery.html",
        films=followed,
        policy=way if way == "policy" else "",
        median={name: float(np.median([one[name] for one in followed])) for name in names},
        within=f"{100 * SUCCESS_M:.0f} cm",
        succeeded=sum(bool(one["success"]) for one in followed),
    )
    with written_aside(folder / "gallery.png") as aside:
        iio.imwrite(aside, _sheet(followed))
    with written_aside(folder / "gallery.html") as aside:
        aside.write_text(html, encoding="utf-8")


def _sheet(followed: Sequence[Mapping[str, Any]]) -> NDArray[np.uint8]:
    """(height, width, 3) of a few moments of each film, with its figures underneath."""
    width, height = len(MOMENTS) * TILE[0], TILE[1] + BAND
    lines = -(-len(followed) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * width, lines * height), "white")
    draw = ImageDraw.Draw(sheet)
    for place, one in enumerate(followed):
        left, top = place // lines * width, place % lines * height  # best to worst, column by column
        frames = read_video(one["video"]).frames
        for k, moment in enumerate(MOMENTS):
            frame = Image.fromarray(frames[round(moment * (len(frames) - 1))]).resize(TILE)
            sheet.paste(frame, (left + k * TILE[0], top))
        figures = f"{place + 1}. {one['demo']}: {100 * one['ee_error_m']:.1f} cm, at the end"
        figures += f" {100 * one['final_ee_error_m']:.1f} cm; holding still {100 * one['hold_still_ee_error_m']:.1f} cm"
        draw.text((left + 4, top + TILE[1] + 2), figures, fill="black")
    return np.asarray(sheet)
