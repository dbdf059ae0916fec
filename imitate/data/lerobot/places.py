"""Where the episodes of a dataset stand: in which files, and when in a video."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from imitate.data.lerobot.column import integers, matrix
from imitate.data.video.limits import Limits
from imitate.errors import UserError, first_line
from imitate.keeping.manifest import MANIFEST, listed_frames

PLACE = ("chunk_index", "file_index")
SPAN = ("from_timestamp", "to_timestamp")
DATA = "data"
NAME = "name"  # the column, not of the format, of what people call an episode
SCENE = "scene"  # the column, not of the format, that says what is in an episode's pictures beside the robot
TEMPLATE = re.compile(r"([^{}]|\{(video_key|((chunk|file)_index(:0?[0-9]d)?))\})+")  # a wider number fills the memory
NEAR = 0.25  # of the time from one frame to the next: how far one may be from where it is looked for

Integers = NDArray[np.int64]
Times = NDArray[np.float64]


@dataclass(frozen=True)
class Places:
    """Where each episode stands, in order of their numbers.

    Attributes:
        folder: Of the dataset.
        fps: Frames a second.
        templates: By part, ``data`` or ``videos/KEY``, the names of its files.
        numbers: (episodes,) what the dataset calls each of them.
        lengths: (episodes,) frames of each.
        files: By part, (2, episodes) index of the chunk, and of the file in it.
        spans: By part, but for ``data``, (2, episodes) from when to when in the file, s.
    """

    folder: Path
    fps: float
    templates: dict[str, str]
    numbers: Integers
    lengths: Integers
    files: dict[str, Integers]
    spans: dict[str, Times]

    @classmethod
    def read(cls, folder: Path, info: dict[str, Any], fps: float, video_keys: Sequence[str]) -> Places:
        """Read ``meta/episodes``.

        Raises:
            UserError: It is missing, damaged, or can't be true; or there are no episodes.
        """
        parts = {f"videos/{key}": key for key in video_keys}
        columns = [f"{part}/{index}" for part in (DATA, *parts) for index in PLACE]
        columns += [f"{part}/{time}" for part in parts for time in SPAN]
        try:
            templates = {DATA: _template(folder, info, "data_path")}
            templates |= {p: _template(folder, info, "video_path").replace("{video_key}", k) for p, k in parts.items()}
            table = pq.read_table(folder / "meta/episodes", columns=["episode_index", "length", *columns])
            table = table.sort_by("episode_index")
            places = cls(
                folder,
                fps,
                templates,
                integers(table, "episode_index"),
                integers(table, "length"),
                {part: np.stack([integers(table, f"{part}/{name}") for name in PLACE]) for part in templates},
                {p: np.stack([matrix(table, f"{p}/{name}", np.float64)[:, 0] for name in SPAN]) for p in parts},
            )
        except (OSError, pa.ArrowException, KeyError, TypeError, ValueError, IndexError) as error:
            if isinstance(error, UserError):
                raise
            raise UserError(f"{folder}: damaged: meta/episodes can't be read ({first_line(error)})") from None
        places._check()
        return places

    def said(self, column: str) -> list[str] | None:
        """What a column that is not of the format says of each episode, (episodes,); None: there is none.

        Raises:
            UserError: It is damaged.
        """
        try:
            table = pq.read_table(self.folder / "meta/episodes")
            if column not in table.column_names:
                return None
            texts = table.sort_by("episode_index")[column].to_pylist()
        except (OSError, pa.ArrowException) as error:
            raise UserError(f"{self.folder}: damaged: meta/episodes can't be read ({first_line(error)})") from None
        if not all(isinstance(text, str) for text in texts):
            raise UserError(f"{self.folder}: damaged: {column} in meta/episodes is not text throughout")
        return texts

    def _check(self) -> None:
        """Whatever can't be true shows now rather than in the middle of the work."""
        if not len(self.numbers):
            raise UserError(f"{self.folder}: an empty dataset, expected at least one episode: record some")
        if len(np.unique(self.numbers)) < len(self.numbers) or self.numbers[0] < 0:
            raise UserError(f"{self.folder}: damaged: episodes {self.numbers.tolist()[:10]}, expected each once")
        if self.lengths.min() < 1:
            raise UserError(f"{self.folder}: damaged: an episode of {self.lengths.min()} frames, expected at least 1")
        Limits.of_environment().check(self.folder, "frames", int(self.lengths.max()))
        for part, (start, end) in self.spans.items():
            # More room than frames is fine: they are of takes that were discarded.
            wrong = ~((start >= 0) & np.isfinite(end) & ((end - start) * self.fps > self.lengths - 1 + NEAR))
            if wrong.any():
                k = int(wrong.argmax())
                raise UserError(
                    f"{self.file(part, k)}: damaged: episode {self.numbers[k]} stands from {start[k]:.3f} to "
                    f"{end[k]:.3f} s by meta/episodes, too short for its {self.lengths[k]} frames at {self.fps:g} a "
                    "second"
                )
            ends = np.rint(start * self.fps).astype(np.int64) + self.lengths
            for path, episodes in self.by_file(part).items():
                listed, needed = listed_frames(path), int(ends[episodes].max())
                if listed is not None and listed < needed:
                    raise UserError(f"{path}: {listed} frames by {MANIFEST}, expected {needed}: record it again")

    def file(self, part: str, episode: int) -> Path:
        """The file of a part, ``data`` or ``videos/KEY``, that an episode stands in."""
        place = {name: int(index) for name, index in zip(PLACE, self.files[part][:, episode], strict=True)}
        return inside(self.folder, self.templates[part].format(**place))

    def by_file(self, part: str, episodes: Iterable[int] | None = None) -> dict[Path, list[int]]:
        """The files of a part that some episodes stand in, all by default, and which do in each, in order."""
        files: dict[Path, list[int]] = {}
        for episode in range(len(self.numbers)) if episodes is None else episodes:
            files.setdefault(self.file(part, episode), []).append(episode)
        return files


def inside(folder: Path, name: str) -> Path:
    """A path in a dataset. A stranger's may not lead anywhere else; what stands there may be a link to anywhere.

    Raises:
        UserError: It is absolute, or goes up.
    """
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise UserError(f"{folder}: path {name!r} leads out of the dataset")
    return folder / name


def _template(folder: Path, info: dict[str, Any], name: str) -> str:
    template = info.get(name)
    if not isinstance(template, str) or not TEMPLATE.fullmatch(template):
        raise UserError(
            f"{folder}: damaged: {name} is {template!r}, expected one such as "
            "'data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet'"
        )
    return template
