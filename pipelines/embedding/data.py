"""A dataset, opened for training: its frames, the poses behind them, and which videos are held out."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from imitate.data.frame_cache import decoded_frames
from imitate.data.lerobot.dataset import STATE, LeRobotDataset
from imitate.data.lerobot.units import Choice, UnitsError
from imitate.embedding.sampling import Videos
from imitate.errors import UserError
from imitate.measuring.metrics import Poses


@dataclass(frozen=True)
class Data:
    """A dataset, opened for training."""

    frames: NDArray[np.uint8]
    poses: Poses
    train: Videos
    validation: Videos

    @property
    def validation_frames(self) -> NDArray[np.int64]:
        """Indices of the frames to validate with."""
        spans = zip(self.validation.starts, self.validation.lengths, strict=True)
        return np.concatenate([np.arange(start, start + length) for start, length in spans])


def videos_of(dataset: LeRobotDataset) -> tuple[Videos, Videos]:
    """The videos to train on and to validate with.

    Raises:
        UserError: There are too few.
    """
    train = dataset.split("train")
    if "validation" in dataset.info["splits"]:
        validation = dataset.split("validation")
    else:  # of another origin
        held_out = max(2, len(train) // 10)
        if len(train) <= held_out:
            raise UserError(f"{dataset.folder}: {len(train)} episodes and no validation split, expected at least 3")
        train, validation = train[:-held_out], train[-held_out:]
        print(f"{dataset.folder} has no validation split: its last {held_out} training episodes are held out")
    if len(validation) < 2:
        raise UserError(
            f"{dataset.folder}: 1 validation episode, expected at least 2 to retrieve poses from each other"
        )
    parts = (np.array(episodes) for episodes in (train, validation))
    train_videos, validation_videos = (Videos(dataset.starts[:-1][part], dataset.lengths[part]) for part in parts)
    return train_videos, validation_videos


def joints_of(dataset: LeRobotDataset, needed: bool) -> NDArray[np.float32] | None:
    """The joints of all frames (frames, joints), rad; None where they are unknown, and not needed.

    Of an environment's play, its proprioception, of mean 0 and deviation 1 each.

    Raises:
        UserError: They can't be in rad, and are needed, or were chosen.
    """
    if not dataset.has(STATE):
        if dataset.choice != Choice():
            raise UserError(
                f"{dataset.folder}: no {STATE!r}, of which joints were chosen: leave --joints, --degrees out"
            )
        return None
    if dataset.rendering is not None and dataset.choice != Choice():
        raise UserError(f"{dataset.folder}: proprioception, and no joint angles: leave --joints, --degrees out")
    if dataset.rendering is not None:  # what an environment feels, each entry in a unit of its own
        felt = dataset.column(STATE)
        return (felt - felt.mean(axis=0)) / np.maximum(felt.std(axis=0), 1e-6)
    try:
        joints = dataset.joints()
    except UnitsError as error:
        if needed or dataset.choice != Choice():
            raise
        print(f"the joints are unknown, and what is measured by them is left out: {error}")
        return None
    if "cameras" not in dataset.info:  # of another origin: what stands in our own is known
        state = dataset.state()
        left_out = f"; left out: {', '.join(state.left_out)}" if state.left_out else ""
        print(f"{dataset.folder}: joint angles of {STATE}: {', '.join(state.taken)}{left_out}")
    return joints


def open_data(
    dataset: LeRobotDataset,
    camera: str,
    image_size: int | None,
    train: Videos,
    validation: Videos,
    joints_needed: bool = True,
    cache: Path | None = None,
) -> Data:
    """Open what a network is trained on, decoding the frames the first time."""
    joints = joints_of(dataset, joints_needed)  # before: that they are in no unit shows at once
    with tqdm(total=int(dataset.lengths.sum()), unit="frame", desc="decode", leave=False) as bar:
        frames = decoded_frames(dataset, camera, bar.update, image_size, cache)
    flange = dataset.column("observation.flange") if dataset.has("observation.flange") else None
    episodes = np.repeat(np.arange(len(dataset)), dataset.lengths)
    return Data(frames, Poses(joints, flange, episodes), train, validation)


def digest_of(dataset: LeRobotDataset, camera: str) -> str:
    """Of the files' names and sizes, which another recording has not, and of where frames stand in them.

    To read the files takes longer than is worth it.
    """
    facts = [(path.name, path.stat().st_size, episodes) for path, episodes in dataset.picture_files(camera).items()]
    digest = hashlib.sha256(repr(facts).encode())
    digest.update(dataset.times(camera, range(len(dataset))).tobytes())
    return digest.hexdigest()
