"""LeRobotDataset v3.0 as it is read: Parquet tables, and pictures in them or in an MP4 per camera.

The format of the field. Only pyarrow, av and Pillow are needed to read it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imitate.data.camera import Camera
from imitate.data.demonstration import Demonstration
from imitate.data.lerobot.features import called, meant, pictures_of, size_of
from imitate.data.lerobot.images import Part, Shot, parts_of_table, parts_of_video
from imitate.data.lerobot.places import DATA, NAME, NEAR, SCENE, Places
from imitate.data.lerobot.tables import Tables
from imitate.data.lerobot.units import Choice, State
from imitate.data.lerobot.version import rate_of, read_info
from imitate.data.rendering import Rendering
from imitate.data.video.limits import Limits
from imitate.errors import UserError
from imitate.keeping.manifest import verified

SPLITS = ("train", "validation", "test")
STATE = "observation.state"
UNKNOWN_SIDE = 640  # pixels, where a dataset does not say how large its pictures are

Floats = NDArray[np.float32]


@dataclass
class LeRobotDataset:
    """A dataset in a folder, opened for reading.

    Its episodes are counted from 0 on, in order of the numbers that it gives them, which may have gaps.

    Args:
        folder: Where ``meta/info.json`` stands below.
        choice: Which entries of the state are joint angles, and their unit.

    Raises:
        UserError: It is missing, of another version, not supported, empty, or damaged.
    """

    folder: Path
    choice: Choice = field(default_factory=Choice)
    info: dict[str, Any] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.folder = Path(self.folder)  # of a text too
        if not self.folder.is_dir():
            raise UserError(f"{self.folder}: no such dataset folder")
        verified(self.folder / "meta")
        self.info = read_info(self.folder)
        self.fps = rate_of(self.folder, self.info)
        for name, kind in (("cameras", list), ("splits", dict)):
            if not isinstance(self.info.get(name, kind()), kind):
                raise UserError(f"{self.folder}: {name} are {self.info[name]!r}, expected a {kind.__name__}")
        self._pictures, self._no_pictures = pictures_of(self.folder, self.info.get("features"))
        videos = [key for key, feature in self._pictures.items() if feature["dtype"] == "video"]
        self.places = Places.read(self.folder, self.info, self.fps, videos)
        self._tables = Tables(self.places)

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """(episodes,) number of frames."""
        return self.places.lengths

    @property
    def starts(self) -> NDArray[np.int64]:
        """(episodes + 1,) index of each episode's first frame."""
        return np.concatenate([[0], np.cumsum(self.lengths)])

    def episode(self, number: int) -> int:
        """Which episode it is that the dataset gives a number to.

        Raises:
            UserError: None.
        """
        numbers = self.places.numbers
        found = np.flatnonzero(numbers == number)
        if not len(found):
            gaps = "" if numbers[-1] == len(numbers) - 1 else f", of which some are missing: it has {len(numbers)}"
            raise UserError(
                f"{self.folder}: no episode {number}, expected an episode from {numbers[0]} to {numbers[-1]}{gaps}"
            )
        return int(found[0])

    def camera(self, name: str | None = None) -> Camera:
        """The camera of that name, or the first.

        Args:
            name: The key of its feature, or as many of the last words of it as no other camera's has.

        Raises:
            UserError: There is none of that name.
        """
        cameras = [Camera.from_json(data) for data in self.info.get("cameras", [])]
        if name is None and cameras:
            name = cameras[0].name
        key = next(iter(self._pictures)) if name is None else self.picture_key(name)
        for camera in cameras:
            if meant(camera.name, self._pictures) == [key]:
                return camera
        return Camera.unknown(called(key, self._pictures))  # of another origin: nothing else is known of it

    @property
    def rendering(self) -> Rendering | None:
        """What its frames were rendered with, where no camera of ours took them and it is known."""
        return Rendering.from_json(self.info["rendering"]) if "rendering" in self.info else None

    def picture_key(self, camera: str) -> str:
        """The feature that holds the pictures of a camera.

        Raises:
            UserError: There is none, several, or it holds no pictures.
        """
        found = meant(camera, self._pictures)
        if len(found) == 1:
            return found[0]
        names = ", ".join(called(key, self._pictures) for key in self._pictures)
        wrong = f"no camera {camera!r}"
        if found:
            wrong = f"camera {camera!r} may be {' or '.join(found)}"
        elif others := meant(camera, self._no_pictures):
            wrong = f"{others[0]} is {self._no_pictures[others[0]]}, not a camera's pictures"
        raise UserError(f"{self.folder}: {wrong}: choose one of {names}")

    def image_size(self, camera: str) -> int:
        """Pixels a side of the frames of a camera.

        Raises:
            UserError: They are not square.
        """
        feature = self._pictures[self.picture_key(camera)]
        height, width = size_of(feature) or (0, 0)
        if not 0 < height == width:
            raise UserError(
                f"{self.folder}: frames of shape {feature.get('shape')}, expected square ones: crop and scale them "
                "with --image-size"
            )
        return height

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
        numbers = self.places.numbers
        found = range(*(int(place) for place in np.searchsorted(numbers, [first, end])))
        if not 0 <= first < end <= numbers[-1] + 1 or not found:
            raise UserError(
                f"{self.folder}: split {name!r} ({first}:{end}) is empty or beyond its {len(self)} episodes"
            )
        return found

    def scenes(self) -> list[str] | None:
        """What each episode's pictures hold beside the robot, (episodes,), as ``record`` notes it; None: nobody says.

        Raises:
            UserError: What was noted is damaged.
        """
        return self._said(SCENE)

    def called(self) -> list[dict[str, Any]]:
        """What each episode is called: its number, as ``episode``; and ``name``, where ``record videos`` noted one.

        Raises:
            UserError: What was noted is damaged.
        """
        called = [{"episode": int(number)} for number in self.places.numbers]
        names = self._said(NAME)
        return [one | {"name": name} for one, name in zip(called, names, strict=True)] if names else called

    def _said(self, column: str) -> list[str] | None:
        return self.places.said(column) if "cameras" in self.info else None  # a column of others means something else

    def has(self, name: str) -> bool:
        """Whether there is a feature of that name."""
        return name in self.info["features"]

    def column(self, name: str, episodes: Sequence[int] | None = None) -> Floats:
        """A feature (frames, dim) of the given episodes, one after the other; of all by default.

        Raises:
            UserError: A table is damaged, without it, or holds what is no number.
        """
        return self._tables.column(name, range(len(self)) if episodes is None else episodes, np.float32)

    def state(self) -> State:
        """Which entries of the state are joint angles.

        Raises:
            UserError: None are, or those that were chosen are not there.
        """
        return self._state(self.column(STATE, [0]).shape[1])

    def _state(self, width: int) -> State:
        said = self.info["features"].get(STATE, {}).get("names")
        return State.of(f"{self.folder}: {STATE}", said, width, self.choice)

    def joints(self, episodes: Sequence[int] | None = None) -> Floats:
        """Joint positions (frames, joints), rad: of the state, what is a joint angle.

        Raises:
            UserError: They can't be in rad, by their names or by what stands in the tables that the episodes are in; or
                a table is damaged.
        """
        wanted = range(len(self)) if episodes is None else episodes
        rows = self.column(STATE, wanted)
        low, high = rows.min(axis=0), rows.max(axis=0)
        for path in dict.fromkeys(self.places.file(DATA, episode) for episode in wanted):
            table = self._tables.read(path, STATE, np.float32).values  # whole: one episode may not tell of the unit
            table = table[np.isfinite(table).all(axis=1)]
            if len(table) and table.shape[1] == len(low):
                low, high = np.minimum(low, table.min(axis=0)), np.maximum(high, table.max(axis=0))
        state = self._state(len(low))
        state.check(low, high)
        return state.joints(rows)

    def picture_files(self, camera: str, episodes: Sequence[int] | None = None) -> dict[Path, list[int]]:
        """The files with a camera's pictures of some episodes, all by default, and which stand in each, in order."""
        key = self.picture_key(camera)
        return self.places.by_file(DATA if self._in_tables(key) else f"videos/{key}", episodes)

    def _in_tables(self, key: str) -> bool:
        return bool(self._pictures[key]["dtype"] == "image")

    def times(self, camera: str, episodes: Sequence[int]) -> NDArray[np.float64]:
        """When each frame of some episodes is shown, (frames,) s, as the file of a camera's pictures counts.

        That is where the episode begins there, and what the frame's ``timestamp`` says.

        Raises:
            UserError: They go back, or end in another episode.
        """
        if self.has("timestamp"):
            times = self._tables.column("timestamp", episodes, np.float64)[:, 0]
        else:
            times = self._tables.column("frame_index", episodes, np.float64)[:, 0] / self.fps
        key = self.picture_key(camera)
        if self._in_tables(key):
            return times
        ends = np.cumsum(self.lengths[list(episodes)])
        for episode, part in zip(episodes, np.split(times, ends[:-1]), strict=True):
            start, end = self.places.spans[f"videos/{key}"][:, episode]
            gaps = np.diff(part) * self.fps
            if (gaps < NEAR).any() or part[0] * self.fps < -NEAR or (part[-1] - end + start) * self.fps > NEAR - 1:
                raise UserError(
                    f"{self.places.file(DATA, episode)}: damaged: timestamps of episode {self.places.numbers[episode]} "
                    f"from {part[0]:.3f} to {part[-1]:.3f} s, expected each after the one before, and all within the "
                    f"{end - start:.3f} s where it stands in its video"
                )
            part += start
        return times

    def parts(self, camera: str, episodes: Sequence[int], size: int | None = None) -> list[Part]:
        """What is to be read for the pictures of some episodes, one after the other.

        Args:
            camera: Whose pictures.
            episodes: Each once.
            size: Crop the middle of each and scale it to this, pixels; None leaves them as they are.

        Raises:
            UserError: A table is damaged.
        """
        key = self.picture_key(camera)
        starts = dict(zip(episodes, np.cumsum([0, *self.lengths[list(episodes)]]), strict=False))
        height, width = (size, size) if size else size_of(self._pictures[key]) or (UNKNOWN_SIDE, UNKNOWN_SIDE)
        times = self.times(camera, episodes)
        parts: list[Part] = []
        for path, wanted in self.picture_files(camera, episodes).items():
            if self._in_tables(key):
                table = self._tables.read(path, "episode_index", np.int64)
                rows = np.full(len(table.values), -1)
                for episode in wanted:
                    rows[self._tables.rows(table, episode)] = starts[episode] + np.arange(self.lengths[episode])
                parts += parts_of_table(path, key, self.folder, rows, size)
            else:
                shots = [
                    Shot(int(self.places.numbers[e]), int(starts[e]), times[starts[e] :][: self.lengths[e]])
                    for e in wanted
                ]
                parts += parts_of_video(path, shots, self.fps, 3 * height * width, size)
        return parts

    def demonstration(self, episode: int, camera: str | None = None) -> Demonstration:
        """One episode as a demonstration.

        Raises:
            UserError: There is no such episode, or its files are damaged.
        """
        return self.demonstrations([episode], camera)[0]

    def demonstrations(self, episodes: Sequence[int], camera: str | None = None) -> list[Demonstration]:
        """Episodes as demonstrations. What several of them stand in is read once.

        Raises:
            UserError: There is no such episode, its files are damaged, or its state is not in rad.
        """
        for episode in episodes:
            if not 0 <= episode < len(self):
                raise UserError(f"{self.folder}: no episode {episode}, expected 0 to {len(self) - 1}")
        wanted, limits = list(dict.fromkeys(episodes)), Limits.of_environment()
        played = self.rendering is not None  # by an environment, whose state is in units of its own
        joints = self.joints(wanted).astype(np.float64) if self.has(STATE) and not played else None
        ends = np.cumsum(self.lengths[wanted])
        frames: NDArray[np.uint8] | None = None
        taken_by, scenes = self.camera(camera), self.scenes()
        for part in self.parts(taken_by.name, wanted):
            for rows, pictures in part():
                if frames is None:
                    limits.check(self.folder, "bytes", int(ends[-1]) * pictures[0].nbytes)
                    frames = np.empty((ends[-1], *pictures.shape[1:]), np.uint8)
                if pictures.shape[1:] != frames.shape[1:]:
                    raise UserError(f"{self.folder}: frames of {frames.shape[1:]} and of {pictures.shape[1:]}")
                frames[rows] = pictures
        assert frames is not None, "no episodes"
        found = {}
        for episode, end in zip(wanted, ends, strict=True):
            place = slice(end - self.lengths[episode], end)
            name = f"episode-{self.places.numbers[episode]}"
            found[episode] = Demonstration(
                name,
                frames[place],
                None if joints is None else joints[place],
                camera=taken_by if taken_by.known else None,
                scene=scenes[episode] if scenes else None,
            )
        return [found[episode] for episode in episodes]
