"""Datasets as others write them, each frame of which shows its number."""

import io
import json
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from imitate.data.frame_cache import decoded_frames
from imitate.data.video.writer import Compression, write_video

UP = "observation.images.up"
SIDE = 16
LENGTHS = (5, 4, 6)
LEVEL = 8  # of colour from one number to the next: more than compression changes


def picture(number):
    """(16, 16, 3) uint8: a number below 32,768 as a colour."""
    digits = [number % 32, number // 32 % 32, number // 1024]
    return np.broadcast_to(np.array(digits, np.uint8) * LEVEL, (SIDE, SIDE, 3))


def numbers_in(frames):
    """(n,) the numbers that (n, 16, 16, 3) frames show."""
    digits = np.rint(frames.reshape(len(frames), -1, 3).mean(axis=1) / LEVEL).astype(int)
    return (digits @ [1, 32, 1024]).tolist()


def png(array, **how):
    """The file of a picture."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(array)).save(buffer, **({"format": "PNG"} | how))
    return buffer.getvalue()


def feature(dtype, shape, names=None, **more):
    return {"dtype": dtype, "shape": list(shape), "names": names} | more


@dataclass
class Draft:
    """What is to be changed before it is written.

    Attributes:
        info: meta/info.json.
        episodes: Rows of meta/episodes.
        tables: By chunk and file, the columns.
        videos: By key, chunk and file, the numbers of the frames, and how many a second.
    """

    info: dict
    episodes: list[dict]
    tables: dict[tuple[int, int], dict] = field(default_factory=dict)
    videos: dict[tuple[str, int, int], tuple[list[int], int]] = field(default_factory=dict)

    def stand(self, episode, start, end=None, key=UP, place=(0, 0)):
        """Say where an episode stands: from a frame on, up to another."""
        fps = self.info["fps"]
        end = start + self.episodes[episode]["length"] if end is None else end
        self.episodes[episode] |= {
            f"videos/{key}/chunk_index": place[0],
            f"videos/{key}/file_index": place[1],
            f"videos/{key}/from_timestamp": start / fps,
            f"videos/{key}/to_timestamp": end / fps,
        }

    def save(self, folder):
        """Write it all."""
        (folder / "meta/episodes/chunk-000").mkdir(parents=True)
        (folder / "meta/info.json").write_text(json.dumps(self.info))
        pq.write_table(pa.Table.from_pylist(self.episodes), folder / "meta/episodes/chunk-000/file-000.parquet")
        for (chunk, file), columns in self.tables.items():
            path = folder / f"data/chunk-{chunk:03d}/file-{file:03d}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(pa.table(columns), path)
        for (key, chunk, file), (numbers, fps) in self.videos.items():
            path = folder / f"videos/{key}/chunk-{chunk:03d}/file-{file:03d}.mp4"
            write_video(path, map(picture, numbers), fps, Compression(0, "yuv444p"))
        return folder


def draft(lengths=LENGTHS, fps=20, keys=(UP,), states=2, names=None):
    """A dataset whose frames show 0, 1, 2, ..., one episode after the other, in one file."""
    count = sum(lengths)
    order = np.concatenate([np.arange(length) for length in lengths])
    features = {key: feature("video", (SIDE, SIDE, 3), ["height", "width", "channels"]) for key in keys}
    features["observation.state"] = feature("float32", (states,), names)
    features["timestamp"] = feature("float32", (1,))
    features |= {name: feature("int64", (1,)) for name in ("frame_index", "episode_index", "index", "task_index")}
    info = {
        "codebase_version": "v3.0", "robot_type": "so101_follower", "fps": fps,
        "splits": {"train": f"0:{len(lengths)}"},
        "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "video_path": "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
        "features": features,
    }  # fmt: skip
    episodes = [
        {"episode_index": k, "tasks": ["pick"], "length": n, "data/chunk_index": 0, "data/file_index": 0}
        for k, n in enumerate(lengths)
    ]
    state = np.sin(np.arange(count)[:, None] + np.arange(states)).astype(np.float32)
    table = {
        "observation.state": pa.array(list(state)),
        "timestamp": (order / fps).astype(np.float32),
        "frame_index": order,
        "episode_index": np.repeat(np.arange(len(lengths)), lengths),
        "index": np.arange(count),
        "task_index": np.zeros(count, np.int64),
    }
    made = Draft(info, episodes, {(0, 0): table}, {(key, 0, 0): (list(range(count)), round(fps)) for key in keys})
    for key in keys:
        for k, start in enumerate(np.cumsum([0, *lengths[:-1]]).tolist()):
            made.stand(k, start, key=key)
    return made


def shown(dataset, camera=None):
    """The numbers that all frames show, however they are read."""
    name = dataset.camera(camera).name
    found = numbers_in(decoded_frames(dataset, name))
    together = [one.frames for one in dataset.demonstrations(range(len(dataset)), camera)]
    alone = [dataset.demonstration(k, camera).frames for k in range(len(dataset))]
    assert numbers_in(np.concatenate(together)) == numbers_in(np.concatenate(alone)) == found
    return found
