"""LeRobotDataset v3.0: Parquet tables and an MP4 per camera, several episodes a file.

The format of the field. Only pyarrow, av and Pillow are needed to read and write it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from imitate.camera import Camera
from imitate.demonstration import Demonstration
from imitate.errors import UserError, first_line
from imitate.finite import check_finite
from imitate.limits import Limits
from imitate.manifest import MANIFEST, listed_frames, verified
from imitate.runs import read_json, write_json, written_aside
from imitate.video import Compression, read_video, write_video

VERSION = "v3.0"
FILES_A_CHUNK = 1000
DATA_PATH = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO_PATH = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
TEMPLATE = re.compile(r"([^{}]|\{(video_key|((chunk|file)_index(:0?[0-9]d)?))\})+")  # a wider number fills the memory
EPISODES_PATH = "meta/episodes/chunk-000/file-000.parquet"
PLACE = ("chunk_index", "file_index")
TASK = "babble"
STATS_FRAMES = 100  # that the colours' statistics are taken from
SPLITS = ("train", "validation", "test")

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Episode:
    """One recorded trajectory.

    Attributes:
        frames: By camera name, (length, size, size, 3) uint8.
        joints: (length, joints) positions, rad.
        velocities: (length, joints), rad/s.
        flange: (length, 3) position of the arm's end, m.
        actions: (length, joints) in [-1, 1]: what was done at each frame; zero at the last.
    """

    frames: dict[str, NDArray[np.uint8]]
    joints: Floats
    velocities: Floats
    flange: Floats
    actions: Floats

    def __len__(self) -> int:
        return len(self.joints)


@dataclass(frozen=True)
class Layout:
    """What a dataset holds: everything that is known before the first episode is recorded.

    Attributes:
        cameras: The cameras; the first is the one that is embedded.
        image_size: Pixels a side.
        joint_names: One a joint.
        fps: Frames a second.
        robot: What the robot is called.
        control: What an action means.
        lengths: Frames of each episode.
        splits: By name, the number of episodes, in order.
        episodes_a_file: Episodes that share a Parquet file and a video: the unit that is recorded, or
            recorded again, whole.
        compression: Of the videos.
    """

    cameras: tuple[Camera, ...]
    image_size: int
    joint_names: tuple[str, ...]
    fps: int
    robot: str
    control: str
    lengths: tuple[int, ...]
    splits: dict[str, int]
    compression: Compression
    episodes_a_file: int = 50

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
        for name in ("joints", "velocities", "flange", "actions"):
            advice = "the simulation has become unstable: record with another seed"
            check_finite(f"{name} of episode {number}", getattr(episode, name), advice)
    place = _place(file)
    table = folder / DATA_PATH.format(**place)
    videos = [folder / VIDEO_PATH.format(video_key=_video_key(camera.name), **place) for camera in layout.cameras]
    for camera, path in zip(layout.cameras, videos, strict=True):
        frames = (frame for episode in episodes for frame in episode.frames[camera.name])
        write_video(path, frames, layout.fps, layout.compression)
    lengths = np.array([len(episode) for episode in episodes])
    frame_index = np.concatenate([np.arange(n) for n in lengths])
    columns = {
        "observation.state": _vectors([np.hstack([e.joints, e.velocities]) for e in episodes]),
        "observation.flange": _vectors([e.flange for e in episodes]),
        "action": _vectors([e.actions for e in episodes]),
        "timestamp": pa.array((frame_index / layout.fps).astype(np.float32)),
        "frame_index": pa.array(frame_index),
        "episode_index": pa.array(np.repeat(np.array(numbers), lengths)),
        "index": pa.array(layout.starts[numbers[0]] + np.arange(lengths.sum())),
        "task_index": pa.array(np.zeros(lengths.sum(), np.int64)),
    }
    with written_aside(table) as aside:
        pq.write_table(pa.table(columns), aside)
    return [*videos, table]


def _vectors(parts: Sequence[Floats]) -> pa.Array:
    rows = np.concatenate(parts).astype(np.float32)
    return pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), rows.shape[1])


def write_meta(folder: Path, layout: Layout) -> None:
    """Write ``meta/``, which makes the files a dataset. Reads tables and videos back for the statistics."""
    _write_tasks(folder)
    _write_episodes(folder, layout)
    columns = ("observation.state", "observation.flange", "action")
    write_json(folder / "meta/stats.json", _stats(folder, layout, columns))
    write_json(folder / "meta/info.json", _info(layout))


def _write_tasks(folder: Path) -> None:
    table = pa.table({"task_index": pa.array([0]), "task": pa.array([TASK])})
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


def _write_episodes(folder: Path, layout: Layout) -> None:
    starts, lengths = layout.starts[:-1], np.array(layout.lengths)
    episodes = np.arange(len(lengths))
    files = episodes // layout.episodes_a_file
    place = dict(zip(PLACE, divmod(files, FILES_A_CHUNK), strict=True))
    nothing = np.zeros_like(episodes)
    columns: dict[str, Any] = {
        "episode_index": episodes,
        "tasks": [[TASK]] * len(episodes),
        "length": lengths,
        "dataset_from_index": starts,
        "dataset_to_index": starts + lengths,
        **{f"meta/episodes/{key}": nothing for key in place},
        **{f"data/{key}": values for key, values in place.items()},
    }
    before = starts - starts[files * layout.episodes_a_file]  # frames in the same file
    for camera in layout.cameras:
        prefix = f"videos/{_video_key(camera.name)}"
        columns |= {f"{prefix}/{key}": values for key, values in place.items()}
        columns[f"{prefix}/from_timestamp"] = before / layout.fps
        columns[f"{prefix}/to_timestamp"] = (before + lengths) / layout.fps
    with written_aside(folder / EPISODES_PATH) as aside:
        pq.write_table(pa.table(columns), aside)


def _stats(folder: Path, layout: Layout, columns: Sequence[str]) -> dict[str, Any]:
    moments = {column: _Moments() for column in columns}
    for file in range(layout.files):  # one at a time: there may be many
        table = pq.read_table(folder / DATA_PATH.format(**_place(file)), columns=list(columns))
        for column in columns:
            moments[column].add(_matrix(table, column))
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
    joints = list(layout.joint_names)
    velocities = [f"{name}.velocity" for name in joints]
    features: dict[str, Any] = {
        "observation.state": _feature("float32", [2 * len(joints)], joints + velocities),
        "observation.flange": _feature("float32", [3], ["x", "y", "z"]),
        "action": _feature("float32", [len(joints)], joints),
        "timestamp": _feature("float32", [1]),
    }
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
        "control": layout.control,
    }


def _feature(dtype: str, shape: list[int], names: list[str] | None = None) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "names": names}


def _integers(table: pa.Table, column: str) -> NDArray[np.int64]:
    """A column of whole numbers (rows,).

    Raises:
        ValueError: Some are missing, or none are whole numbers.
    """
    array = table[column].combine_chunks()
    if not pa.types.is_integer(array.type) or array.null_count:
        raise ValueError(f"{column} is a {array.type} with {array.null_count} missing, expected whole numbers")
    return array.to_numpy(zero_copy_only=False).astype(np.int64)


def _matrix(table: pa.Table, column: str) -> Floats:
    """A column of vectors as (rows, dim) float32.

    Raises:
        ValueError: They are none, or of different lengths.
    """
    array = table[column].combine_chunks()
    if not pa.types.is_nested(array.type):
        raise ValueError(f"each row is a {array.type}, expected a list of numbers")
    lengths = pc.list_value_length(array).to_numpy(zero_copy_only=False)
    if not (lengths == lengths[:1]).all():
        raise ValueError("its lists are of different lengths")
    return array.flatten().to_numpy(zero_copy_only=False).reshape(len(array), -1).astype(np.float32)


@dataclass
class LeRobotDataset:
    """A dataset in a folder, opened for reading.

    Args:
        folder: Where ``meta/info.json`` stands below.

    Raises:
        UserError: It is missing, of another version, empty, or damaged.
    """

    folder: Path
    info: dict[str, Any] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.folder.is_dir():
            raise UserError(f"{self.folder}: no such dataset folder")
        verified(self.folder / "meta")
        self.info = read_json(self.folder / "meta/info.json")
        version = self.info.get("codebase_version") if isinstance(self.info, dict) else None
        if version != VERSION:
            raise UserError(f"{self.folder}: dataset version {version!r}, expected {VERSION!r}")
        try:
            self.video_keys = [k for k, f in self.info["features"].items() if f["dtype"] == "video"]
            self.fps = int(self.info["fps"])
            parts = ["data", *(f"videos/{key}" for key in self.video_keys)]
            places = [f"{part}/{index}" for part in parts for index in PLACE]
            table = pq.read_table(self.folder / "meta/episodes", columns=["episode_index", "length", *places])
            table = table.sort_by("episode_index")
            self._places = {name: _integers(table, name) for name in places}
            self.lengths = _integers(table, "length")
            self._check()
        except (OSError, pa.ArrowException, KeyError, TypeError, AttributeError, ValueError, IndexError) as error:
            if isinstance(error, UserError):
                raise
            raise UserError(f"{self.folder}: damaged dataset ({first_line(error)})") from None
        if not len(self):
            raise UserError(f"{self.folder}: an empty dataset, expected at least one episode: record some")
        if not self.video_keys:
            raise UserError(f"{self.folder}: a dataset without videos")

    def _check(self) -> None:
        """Whatever is wrong with the tables shows now rather than in the middle of the work."""
        if self.fps < 1:
            raise UserError(f"{self.folder}: {self.fps} frames a second, expected at least 1")
        for key in self.video_keys:
            if not re.fullmatch(r"[A-Za-z0-9._-]+", key):
                raise UserError(f"{self.folder}: camera {key!r}, expected letters, digits, '.', '_' and '-'")
        for name in ("data_path", "video_path"):
            if not TEMPLATE.fullmatch(self.info[name]):
                raise UserError(f"{self.folder}: {name} is {self.info[name]!r}, expected one such as {VIDEO_PATH!r}")
        if len(self) and self.lengths.min() < 1:
            raise UserError(f"{self.folder}: an episode of {self.lengths.min()} frames, expected at least 1")
        Limits.of_environment().check(self.folder, "frames", int(self.lengths.max(initial=0)))
        for part in ("data", *(f"videos/{key}" for key in self.video_keys)):
            indices = np.stack([self._places[f"{part}/{index}"] for index in PLACE])
            _, first, file = np.unique(indices, axis=1, return_index=True, return_inverse=True)
            for episode, frames in zip(first, np.bincount(file.ravel(), self.lengths), strict=True):
                path = self._file(part, int(episode))
                if part != "data" and listed_frames(path) not in (None, frames):
                    raise UserError(
                        f"{path}: {listed_frames(path)} frames by {MANIFEST}, expected {frames:.0f}: record it again"
                    )
        for name, kind in (("cameras", list), ("splits", dict)):
            if not isinstance(self.info.get(name, kind()), kind):
                raise UserError(f"{self.folder}: {name} are {self.info[name]!r}, expected a {kind.__name__}")

    def _file(self, part: str, episode: int) -> Path:
        """Where an episode stands: its ``data``, or its ``videos/KEY``."""
        place = {index: int(self._places[f"{part}/{index}"][episode]) for index in PLACE}
        if part == "data":
            return self._inside(self.info["data_path"].format(**place))
        return self._inside(self.info["video_path"].format(video_key=part.removeprefix("videos/"), **place))

    def _inside(self, name: str) -> Path:
        """A path in the dataset. A stranger's dataset may not point anywhere else."""
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise UserError(f"{self.folder}: path {name!r} leads out of the dataset")
        return self.folder / name

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def starts(self) -> NDArray[np.int64]:
        """(episodes + 1,) index of each episode's first frame."""
        return np.concatenate([[0], np.cumsum(self.lengths)])

    def camera(self, name: str | None = None) -> Camera:
        """The camera of that name, or the first.

        Raises:
            UserError: There is none of that name.
        """
        cameras = [Camera.from_json(data) for data in self.info.get("cameras", [])]
        if not cameras:  # of another origin: nothing is known of its camera but its name
            cameras = [Camera.unknown(key.rsplit(".", 1)[-1]) for key in self.video_keys]
        for camera in cameras:
            if name in (None, camera.name):
                return camera
        raise UserError(f"{self.folder}: no camera {name!r}: choose one of {', '.join(c.name for c in cameras)}")

    def video_key(self, camera: str) -> str:
        """The feature that holds the videos of a camera.

        Raises:
            UserError: There is none.
        """
        for key in self.video_keys:
            if key.rsplit(".", 1)[-1] == camera:
                return key
        raise UserError(f"{self.folder}: no videos of camera {camera!r}, only {', '.join(self.video_keys)}")

    def image_size(self, camera: str) -> int:
        """Pixels a side of the frames of a camera.

        Raises:
            UserError: They are not square.
        """
        shape = self.info["features"][self.video_key(camera)].get("shape")
        match shape:  # some datasets have the channels first
            case [3, int(height), int(width)] | [int(height), int(width), _] if height == width:
                return height
        raise UserError(
            f"{self.folder}: frames of shape {shape}, expected square ones: crop and scale them with --image-size"
        )

    def split(self, name: str) -> range:
        """The episodes of a split.

        Raises:
            UserError: There is none of that name, or it is empty.
        """
        splits = self.info.get("splits")
        if not splits:
            raise UserError(f"{self.folder}: no splits in meta/info.json, expected {name!r} there, as 'first:end'")
        if name not in splits:
            raise UserError(f"{self.folder}: no split {name!r}: choose one of {', '.join(sorted(splits))}")
        try:
            first, end = (int(number) for number in splits[name].split(":"))
        except (ValueError, AttributeError):
            raise UserError(f"{self.folder}: split {name!r} is {splits[name]!r}, expected 'first:end'") from None
        if not 0 <= first < end <= len(self):
            raise UserError(
                f"{self.folder}: split {name!r} ({first}:{end}) is empty or beyond its {len(self)} episodes"
            )
        return range(first, end)

    def column(self, name: str, episodes: Sequence[int] | None = None) -> Floats:
        """A feature (frames, dim) of the given episodes, one after the other; of all by default."""
        wanted = range(len(self)) if episodes is None else episodes
        column: Floats | None = None  # made once its width is known
        read, filled = None, 0
        for episode in wanted:
            path = self._file("data", episode)
            if path != read:  # only the last one is kept: all of them are the dataset
                try:
                    table = pq.read_table(verified(path), columns=[name, "episode_index"])
                    matrix, numbers = _matrix(table, name), table["episode_index"].to_numpy()
                except (OSError, pa.ArrowException, KeyError, TypeError, ValueError) as error:
                    if isinstance(error, UserError):
                        raise
                    raise UserError(f"{path}: damaged, or without {name!r} ({first_line(error)})") from None
                read = path
            rows = matrix[numbers == episode]
            if len(rows) != self.lengths[episode]:
                raise UserError(f"{path}: {len(rows)} rows of episode {episode}, expected {self.lengths[episode]}")
            if column is None:
                column = np.empty((int(self.lengths[list(wanted)].sum()), rows.shape[1]), np.float32)
            if rows.shape[1] != column.shape[1]:
                raise UserError(f"{path}: {name!r} of {rows.shape[1]} numbers, expected {column.shape[1]}")
            column[filled : filled + len(rows)] = rows
            filled += len(rows)
            check_finite(f"{path}: {name!r} of episode {episode}", rows, "expected numbers: record it anew")
        assert column is not None, "no episodes"
        return column

    def has(self, name: str) -> bool:
        """Whether there is a feature of that name."""
        return name in self.info["features"]

    def joints(self, episodes: Sequence[int] | None = None) -> Floats:
        """Joint positions (frames, joints), rad: the state, but for what is named a velocity in it."""
        state = self.column("observation.state", episodes)
        names = self.info["features"]["observation.state"].get("names")
        if not isinstance(names, list) or len(names) != state.shape[1]:  # of another origin
            return state
        return state[:, [not str(name).endswith(".velocity") for name in names]]

    def video_files(self, camera: str) -> list[tuple[Path, list[int]]]:
        """The video files of a camera, each with the episodes in it, in order."""
        part = f"videos/{self.video_key(camera)}"
        files: dict[Path, list[int]] = {}
        for episode in range(len(self)):
            files.setdefault(self._file(part, episode), []).append(episode)
        return list(files.items())

    def demonstration(self, episode: int, camera: str | None = None) -> Demonstration:
        """One episode as a demonstration.

        Raises:
            UserError: There is no such episode, or its files are damaged.
        """
        return self.demonstrations([episode], camera)[0]

    def demonstrations(self, episodes: Sequence[int], camera: str | None = None) -> list[Demonstration]:
        """Episodes as demonstrations. A video that several of them stand in is decoded once.

        Raises:
            UserError: There is no such episode, or its files are damaged.
        """
        for episode in episodes:
            if not 0 <= episode < len(self):
                raise UserError(f"{self.folder}: no episode {episode}, expected 0 to {len(self) - 1}")
        found = {}
        for path, numbers in self.video_files(self.camera(camera).name):
            wanted = set(numbers) & set(episodes)
            if not wanted:
                continue
            frames = read_video(path).frames
            expected = int(self.lengths[numbers].sum())
            if len(frames) != expected:
                raise UserError(f"{path}: {len(frames)} frames, expected {expected}: record it again")
            for episode in wanted:
                start = int(self.lengths[[e for e in numbers if e < episode]].sum())
                found[episode] = Demonstration(
                    name=f"episode-{episode}",
                    frames=frames[start : start + self.lengths[episode]],
                    joints=self.joints([episode]).astype(np.float64) if self.has("observation.state") else None,
                )
        return [found[episode] for episode in episodes]
