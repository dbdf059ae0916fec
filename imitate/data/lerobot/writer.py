"""A LeRobotDataset v3.0 as it is written: several episodes a file, and what makes the files a dataset."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from imitate.data.camera import Camera
from imitate.data.lerobot.column import matrix, vectors
from imitate.data.lerobot.places import NAME, PLACE, SCENE
from imitate.data.lerobot.version import VERSION
from imitate.data.rendering import Rendering
from imitate.data.video.reader import read_video
from imitate.data.video.writer import Compression, write_video
from imitate.keeping.finite import check_finite
from imitate.keeping.runs import write_json, written_aside

FILES_A_CHUNK = 1000
EPISODES_A_FILE = 50
FILE_BYTES = 512 * 2**20  # of pixels, at most, unless a single episode has more: a worker holds a file in memory
DATA_PATH = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO_PATH = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
EPISODES_PATH = "meta/episodes/chunk-000/file-000.parquet"
STATS_FRAMES = 100  # that the colours' statistics are taken from

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Episode:
    """One recorded trajectory.

    Attributes:
        frames: By camera name, (length, size, size, 3) uint8.
        columns: By name, (length, entries) of what else was recorded.
    """

    frames: dict[str, NDArray[np.uint8]]
    columns: dict[str, Floats]

    def __len__(self) -> int:
        return len(next(iter(self.frames.values())))


@dataclass(frozen=True)
class Layout:
    """What a dataset holds: everything that is known before the first episode is recorded.

    Attributes:
        cameras: The cameras; the first is the one that is embedded.
        image_size: Pixels a side.
        columns: By name, what each entry of it is called: of all that is recorded beside the pictures.
        fps: Frames a second.
        robot: What the robot is called.
        control: What an action means.
        lengths: Frames of each episode.
        splits: By name, the number of episodes, in order.
        episodes_a_file: Episodes that share a Parquet file and a video: the unit that is recorded, or
            recorded again, whole.
        compression: Of the videos.
        task: What the robot does, in a word.
        rendering: What their frames were rendered with, where no camera of ours took them.
        names: (episodes,) what people call each of them; None: nothing.
    """

    cameras: tuple[Camera, ...]
    image_size: int
    columns: dict[str, tuple[str, ...]]
    fps: int
    robot: str
    control: str
    lengths: tuple[int, ...]
    splits: dict[str, int]
    compression: Compression
    episodes_a_file: int = 50
    task: str = "babble"
    rendering: Rendering | None = None
    names: tuple[str, ...] | None = None

    @property
    def starts(self) -> NDArray[np.int64]:
        """(episodes + 1,) index of each episode's first frame."""
        return np.concatenate([[0], np.cumsum(self.lengths)])

    @property
    def files(self) -> int:
        """Number of files."""
        return -(-len(self.lengths) // self.episodes_a_file)

    def episodes_of(self, file: int) -> range:
        """The episodes that stand in a file."""
        first = file * self.episodes_a_file
        return range(first, min(first + self.episodes_a_file, len(self.lengths)))

    def split_ranges(self) -> dict[str, str]:
        """LeRobot's way to write splits: ``{"train": "0:190"}``."""
        ends = np.cumsum(list(self.splits.values()))
        return {name: f"{end - n}:{end}" for (name, n), end in zip(self.splits.items(), ends, strict=True)}


def episodes_a_file(largest: int) -> int:
    """How many episodes share a file, of which the largest has so many bytes of pixels."""
    return max(1, min(FILE_BYTES // largest, EPISODES_A_FILE))


def _place(file: int) -> dict[str, int]:
    return dict(zip(PLACE, divmod(file, FILES_A_CHUNK), strict=True))


def _video_key(camera: str) -> str:
    return f"observation.images.{camera}"


def write_file(folder: Path, layout: Layout, file: int, episodes: Sequence[Episode]) -> list[Path]:
    """Write the episodes of one file: the videos, and the table.

    Returns:
        All that was written.

    Raises:
        UserError: There is NaN or infinity in them; nothing is written.
    """
    numbers = layout.episodes_of(file)
    for number, episode in zip(numbers, episodes, strict=True):
        for name in layout.columns:
            advice = "the simulation has become unstable: record with another seed"
            check_finite(f"{name} of episode {number}", episode.columns[name], advice)
    place = _place(file)
    table = folder / DATA_PATH.format(**place)
    videos = [folder / VIDEO_PATH.format(video_key=_video_key(camera.name), **place) for camera in layout.cameras]
    for camera, path in zip(layout.cameras, videos, strict=True):
        frames = (frame for episode in episodes for frame in episode.frames[camera.name])
        write_video(path, frames, layout.fps, layout.compression)
    lengths = np.array([len(episode) for episode in episodes])
    frame_index = np.concatenate([np.arange(n) for n in lengths])
    columns = {
        **{name: vectors([episode.columns[name] for episode in episodes]) for name in layout.columns},
        "timestamp": pa.array((frame_index / layout.fps).astype(np.float32)),
        "frame_index": pa.array(frame_index),
        "episode_index": pa.array(np.repeat(np.array(numbers), lengths)),
        "index": pa.array(layout.starts[numbers[0]] + np.arange(lengths.sum())),
        "task_index": pa.array(np.zeros(lengths.sum(), np.int64)),
    }
    with written_aside(table) as aside:
        pq.write_table(pa.table(columns), aside)
    return [*videos, table]


def write_meta(folder: Path, layout: Layout, scenes: Sequence[str] | None = None) -> None:
    """Write ``meta/``, which makes the files a dataset. Reads tables and videos back for the statistics.

    Args:
        folder: Of the dataset.
        layout: What it holds.
        scenes: (episodes,) what is in each episode's pictures beside the robot, as text; None: nobody says.
    """
    _write_tasks(folder, layout.task)
    _write_episodes(folder, layout, scenes)
    write_json(folder / "meta/stats.json", _stats(folder, layout))
    write_json(folder / "meta/info.json", _info(layout))


def _write_tasks(folder: Path, task: str) -> None:
    table = pa.table({"task_index": pa.array([0]), "task": pa.array([task])})
    # The format reads this table with pandas and looks tasks up by its index.
    pandas: dict[str, Any] = {
        "index_columns": ["task"],
        "column_indexes": [],
        "columns": [
            {"name": "task_index", "field_name": "task_index", "pandas_type": "int64", "numpy_type": "int64"},
            {"name": "task", "field_name": "task", "pandas_type": "unicode", "numpy_type": "object"},
        ],
        "pandas_version": "2.2.0",
    }
    for column in pandas["columns"]:
        column["metadata"] = None
    with written_aside(folder / "meta/tasks.parquet") as aside:
        pq.write_table(table.replace_schema_metadata({"pandas": json.dumps(pandas)}), aside)


def _write_episodes(folder: Path, layout: Layout, scenes: Sequence[str] | None) -> None:
    starts, lengths = layout.starts[:-1], np.array(layout.lengths)
    episodes = np.arange(len(lengths))
    files = episodes // layout.episodes_a_file
    place = dict(zip(PLACE, divmod(files, FILES_A_CHUNK), strict=True))
    nothing = np.zeros_like(episodes)
    columns: dict[str, Any] = {
        "episode_index": episodes,
        "tasks": [[layout.task]] * len(episodes),
        "length": lengths,
        "dataset_from_index": starts,
        "dataset_to_index": starts + lengths,
        **{f"meta/episodes/{key}": nothing for key in place},
        **{f"data/{key}": values for key, values in place.items()},
    }
    if scenes is not None:
        columns[SCENE] = list(scenes)
    if layout.names is not None:
        columns[NAME] = list(layout.names)
    before = starts - starts[files * layout.episodes_a_file]  # frames in the same file
    for camera in layout.cameras:
        prefix = f"videos/{_video_key(camera.name)}"
        columns |= {f"{prefix}/{key}": values for key, values in place.items()}
        columns[f"{prefix}/from_timestamp"] = before / layout.fps
        columns[f"{prefix}/to_timestamp"] = (before + lengths) / layout.fps
    with written_aside(folder / EPISODES_PATH) as aside:
        pq.write_table(pa.table(columns), aside)


def _stats(folder: Path, layout: Layout) -> dict[str, Any]:
    columns = list(layout.columns)
    moments = {column: _Moments() for column in columns}
    for file in range(layout.files):  # one at a time: there may be many
        table = pq.read_table(folder / DATA_PATH.format(**_place(file)), columns=columns)
        for column in columns:
            moments[column].add(matrix(table, column, np.float32))
    stats = {column: moments[column].summary() for column in columns}
    for camera in layout.cameras:  # LeRobot's policies want these too; of the first file, whose episodes are as random
        key = _video_key(camera.name)
        frames = read_video(folder / VIDEO_PATH.format(video_key=key, **_place(0))).frames
        frames = frames[:: -(-len(frames) // STATS_FRAMES)]
        colours = _Moments()
        colours.add(frames.reshape(-1, 3) / 255)
        stats[key] = {name: [[[value]] for value in values] for name, values in colours.summary().items()}
        stats[key]["count"] = [len(frames)]
    return stats


class _Moments:
    """Least, greatest, mean and standard deviation of rows that come in parts (Chan, Golub and LeVeque, 1983)."""

    def __init__(self) -> None:
        self.count = 0
        self.low, self.high = np.array(np.inf), np.array(-np.inf)
        self.mean = self.squares = np.array(0.0)

    def add(self, rows: NDArray[np.floating]) -> None:
        """Take in (n, dim) more rows."""
        rows = rows.astype(np.float64)
        count, apart = self.count + len(rows), rows.mean(0) - self.mean
        self.low, self.high = np.minimum(self.low, rows.min(0)), np.maximum(self.high, rows.max(0))
        self.squares = self.squares + np.square(rows - rows.mean(0)).sum(0) + apart**2 * self.count * len(rows) / count
        self.mean = self.mean + apart * len(rows) / count
        self.count = count

    def summary(self) -> dict[str, Any]:
        """As LeRobot writes it."""
        deviation = np.sqrt(self.squares / self.count)
        named = {"min": self.low, "max": self.high, "mean": self.mean, "std": deviation}
        return {name: values.tolist() for name, values in named.items()} | {"count": [self.count]}


def _info(layout: Layout) -> dict[str, Any]:
    features = {name: _feature("float32", [len(names)], list(names)) for name, names in layout.columns.items()}
    features["timestamp"] = _feature("float32", [1])
    features |= {name: _feature("int64", [1]) for name in ("frame_index", "episode_index", "index", "task_index")}
    for camera in layout.cameras:
        size = layout.image_size
        features[_video_key(camera.name)] = {
            **_feature("video", [size, size, 3], ["height", "width", "channels"]),
            "info": {
                "video.height": size,
                "video.width": size,
                "video.channels": 3,
                "video.codec": "h264",
                "video.pix_fmt": layout.compression.pixels,
                "video.fps": layout.fps,
                "video.is_depth_map": False,
                "has_audio": False,
            },
        }
    return {
        "codebase_version": VERSION,
        "robot_type": layout.robot,
        "total_episodes": len(layout.lengths),
        "total_frames": int(sum(layout.lengths)),
        "total_tasks": 1,
        "chunks_size": FILES_A_CHUNK,
        "data_files_size_in_mb": 100,
        "video_files_size_in_mb": 200,
        "fps": layout.fps,
        "splits": layout.split_ranges(),
        "data_path": DATA_PATH,
        "video_path": VIDEO_PATH,
        "features": features,
        # Not of the format, which ignores what it does not know: what an encoder must match.
        "cameras": [camera.to_json() for camera in layout.cameras],
        **({} if layout.rendering is None else {"rendering": layout.rendering.to_json()}),
        "control": layout.control,
    }


def _feature(dtype: str, shape: list[int], names: list[str] | None = None) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "names": names}
