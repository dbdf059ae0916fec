"""A folder of videos becomes a LeRobotDataset v3.0: each is an episode, of its name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from imitate.data.camera import Camera
from imitate.data.demonstration import Demonstration, demonstration_from_video
from imitate.data.lerobot.writer import Episode, Layout, episodes_a_file
from imitate.data.video.writer import FOR_MACHINES
from imitate.errors import UserError, check_bounds
from imitate.keeping.manifest import sha256
from imitate.keeping.runs import Stage, kept_settings

from ..shared.pieces import FPS, LEAST, Pieces, check_no_encoder, held_out
from ..shared.results import read_csv, write_csv

CAMERA = "video"  # what the pictures are called in the dataset
SUFFIXES = frozenset((".avi", ".gif", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm", ".wmv"))


@dataclass(frozen=True)
class Settings:
    """Which videos, and how they are kept."""

    run: Path = Path("runs/default")
    """The run directory."""
    videos: Path | None = None
    """The folder that they are in, of one task and seen alike: mp4, mov, webm, avi, mkv, gif and their like. An episode
    each, in order of their names, as people count them: 2 before 10."""
    fps: int = FPS
    """Frames a second that are kept: at each, the one that is shown then."""
    image_size: int = 64
    """Pixels a side of what is kept of each frame: its middle, scaled."""


def run(settings: Settings) -> Stage:
    """Make a dataset of the videos, as far as it is not yet."""
    check_bounds(settings, image_size=(16, 1024), fps=(1, 1000))
    if settings.videos is None:
        raise UserError("videos is empty, expected the folder that they are in: --videos clips")
    paths = found(settings.videos)
    stage = Stage(settings.run / "record")
    check_no_encoder(stage)
    if not stage.begin(kept_settings(settings), resumable=True):
        _check_same(stage, settings.videos, paths)
        print(f"{stage.folder} is recorded already")
        return stage
    pieces = Pieces(stage, len(paths), CAMERA)
    for piece, path in enumerate(tqdm(paths, unit="video", desc="record")):
        if not (pieces.has(piece) and _named(path).items() <= pieces.said(piece).items()):  # of this very video
            shown = demonstration_from_video(path, settings.fps, settings.image_size)
            pieces.keep(piece, [Episode({CAMERA: shown.frames}, {})], _row(path, shown))
    rows = [{"episode": piece, **pieces.said(piece)} for piece in range(pieces.count)]
    lengths = pieces.lengths()
    layout = Layout(
        cameras=(Camera.unknown(CAMERA),),
        image_size=settings.image_size,
        columns={},
        fps=settings.fps,
        robot="unknown",
        control="unknown",
        lengths=lengths,
        splits=held_out(len(lengths)),
        episodes_a_file=episodes_a_file(max(lengths) * settings.image_size**2 * 3),
        compression=FOR_MACHINES,
        task="video",
        names=tuple(row["video"] for row in rows),
    )
    folder, sheet = pieces.to_dataset(layout), stage.path("contact_sheet.png")
    write_csv(stage.path("videos.csv"), rows)
    stage.finish({"episodes": len(lengths), "frames": sum(lengths)})
    print(f"recorded {len(lengths)} videos in {folder}; look at {sheet}")
    _say_shapes(rows)
    return stage


def found(folder: Path) -> list[Path]:
    """The videos in a folder, in order of their names.

    Raises:
        UserError: There is no such folder, or there are too few videos in it.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder of videos")
    paths = [path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file()]
    paths = [path for path in paths if not path.name.startswith(".")]
    if len(paths) < LEAST:
        raise UserError(f"{folder}: {len(paths)} videos, expected {LEAST} or more, of {', '.join(sorted(SUFFIXES))}")
    return sorted(paths, key=lambda path: (_counted(path.name), path.name))


def _counted(name: str) -> list[tuple[int, str]]:
    """What names are sorted by: numbers in them by how large they are."""
    return [(int(part), "") if part.isdecimal() else (0, part.lower()) for part in re.split(r"([0-9]+)", name)]


def _named(path: Path) -> dict[str, Any]:
    """What a video is known again by."""
    name = path.name.encode(errors="backslashreplace").decode()  # it may be no text
    return {"video": name, "sha256": sha256(path)}


def _row(path: Path, shown: Demonstration) -> dict[str, Any]:
    """What is said of a video."""
    source = shown.source
    assert source is not None  # of a file
    size = {"seconds": round(source.seconds, 3), "width": source.width, "height": source.height}
    return {**_named(path), "frames": len(shown), **size, "found": "; ".join(source.found)}


def _check_same(stage: Stage, folder: Path, paths: list[Path]) -> None:
    """Refuse a folder that holds other videos by now than a dataset was made of."""
    rows = read_csv(stage.path("videos.csv"))
    if [(str(row["video"]), row["sha256"]) for row in rows] != [tuple(_named(path).values()) for path in paths]:
        raise UserError(
            f"{stage.folder}: made of {len(rows)} videos, others than the {len(paths)} in {folder} now: choose another "
            "run, or delete it"
        )


def _say_shapes(rows: list[dict[str, Any]]) -> None:
    """Say so where videos are not of one shape: of some, the middle is another part of what there was to see."""
    shapes = {round(row["width"] / row["height"], 2): f"{row['width']}x{row['height']}" for row in rows}
    if len(shapes) > 1:
        print(f"they are of {len(shapes)} shapes, {', '.join(list(shapes.values())[:4])}: the middle is kept of each")
