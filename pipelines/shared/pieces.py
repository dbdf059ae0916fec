"""Episodes as they are kept, piece by piece, until a dataset is made of them all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imitate.data.lerobot.dataset import LeRobotDataset
from imitate.data.lerobot.writer import Episode, Layout, write_file, write_meta
from imitate.errors import UserError
from imitate.keeping.manifest import NOTES
from imitate.keeping.runs import Stage, written_aside

from .sheets import episodes_sheet

FPS = 20  # frames a second, of a video
PIECES = "pieces"  # the folder of them
LEAST = 6  # episodes: two to validate with, and some to learn from
LENGTHS, SAID = "lengths", "said"  # what stands in a piece beside pictures and columns
SHARE = 20  # one episode of so many is held out, to validate with


@dataclass(frozen=True)
class Pieces:
    """The pieces of a stage, each of one or several episodes that one camera filmed.

    Attributes:
        stage: That keeps them.
        count: How many there are, once all are there.
        camera: What the pictures are called.
    """

    stage: Stage
    count: int
    camera: str

    def has(self, piece: int) -> bool:
        """Whether a piece is there already."""
        return self.stage.noted(str(piece))

    def keep(self, piece: int, episodes: Sequence[Episode], said: Any = None) -> None:
        """Keep a piece, and what is said of it, as JSON."""
        kept: dict[str, Any] = {
            name: np.concatenate([one.columns[name] for one in episodes]) for name in episodes[0].columns
        }
        kept |= {LENGTHS: list(map(len, episodes)), SAID: json.dumps(said)}
        kept[self.camera] = np.concatenate([one.frames[self.camera] for one in episodes])
        with written_aside(self._path(piece)) as aside:
            np.savez(aside, **kept)
        self.stage.note(str(piece), [self._path(piece)])

    def lengths(self) -> tuple[int, ...]:
        """Frames of each episode."""
        lengths: list[int] = []
        for piece in range(self.count):
            with np.load(self._path(piece)) as kept:
                lengths += kept[LENGTHS].tolist()
        return tuple(lengths)

    def forget(self) -> None:
        """Delete all, and what the stage was begun with, so that other settings may be said."""
        for left in (PIECES, NOTES):
            shutil.rmtree(self.stage.path(left), ignore_errors=True)
        self.stage.path("config.json").unlink()

    def columns(self) -> dict[str, tuple[str, ...]]:
        """What stands beside the pictures, and what each entry of it is called."""
        with np.load(self._path(0)) as kept:
            widths = {name: kept[name].shape[1] for name in kept.files if name not in (LENGTHS, SAID, self.camera)}
        return {name: tuple(f"{name.rpartition('.')[2]}_{k}" for k in range(width)) for name, width in widths.items()}

    def said(self, piece: int) -> Any:
        """What is said of a piece that is there; None: nothing."""
        with np.load(self._path(piece)) as kept:
            return json.loads(str(kept[SAID]))

    def to_dataset(self, layout: Layout) -> Path:
        """Make a dataset of all, with a sheet of pictures beside it. Returns its folder."""
        folder = self.stage.path("dataset")
        episodes = chain.from_iterable(map(self._episodes, range(self.count)))
        for number in range(layout.files):
            write_file(folder, layout, number, list(islice(episodes, len(layout.episodes_of(number)))))
        write_meta(folder, layout)
        episodes_sheet(LeRobotDataset(folder), self.stage.path("contact_sheet.png"))
        shutil.rmtree(self.stage.path(PIECES))
        return folder

    def _path(self, piece: int) -> Path:
        return self.stage.path(PIECES) / f"{piece:06d}.npz"

    def _episodes(self, piece: int) -> Iterator[Episode]:
        with np.load(self._path(piece)) as kept:
            ends = np.cumsum(kept[LENGTHS])[:-1]
            parts: dict[str, list[NDArray]] = {
                name: np.split(kept[name], ends) for name in kept.files if name not in (LENGTHS, SAID)
            }
        pictures = parts.pop(self.camera)
        for k, frames in enumerate(pictures):
            yield Episode({self.camera: frames}, {name: of[k] for name, of in parts.items()})


def check_no_encoder(stage: Stage) -> None:
    """Refuse to record beside an encoder of what was recorded earlier.

    Raises:
        UserError: There is one.
    """
    embed = Stage(stage.folder.parent / "embed")
    if not stage.finished and embed.finished:
        raise UserError(
            f"{embed.folder}: an encoder of an earlier recording, which is gone: delete it, or choose another run"
        )


def held_out(episodes: int) -> dict[str, int]:
    """By name, how many of these are of each split: the last ones validate."""
    validation = max(2, episodes // SHARE)
    return {"train": episodes - validation, "validation": validation}
