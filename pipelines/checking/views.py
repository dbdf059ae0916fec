"""Poses, and what a camera sees of them: as recorded, or drawn anew."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imitate.data.camera import Camera
from imitate.data.lerobot.dataset import LeRobotDataset
from imitate.embedding.trained_encoder import TrainedEncoder
from imitate.envs.kuka import ARMS, Kuka
from imitate.errors import UserError

from ..shared.demo import check_scenes


@dataclass(frozen=True)
class Views:
    """Frames, with the truth behind them.

    Attributes:
        frames: (n, size, size, 3) uint8.
        joints: (n, joints) rad.
        flange: (n, 3) m.
    """

    frames: NDArray[np.uint8]
    joints: NDArray[np.float64]
    flange: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.frames)

    def at(self, indices: NDArray[np.int64]) -> Views:
        """Those of (m,) indices."""
        return Views(self.frames[indices], self.joints[indices], self.flange[indices])


Embed = Callable[[Views], NDArray]  # to (n, dim) embeddings


def drawn(kuka: Kuka, camera: Camera, size: int, poses: NDArray[np.floating]) -> Views:
    """Put the arm at each of ``poses`` (n, joints), rad, and take a picture."""
    return Views(kuka.film_at(poses, camera, size), np.asarray(poses, np.float64), kuka.flange_positions(poses))


def recorded(dataset: LeRobotDataset, camera: Camera, episodes: Sequence[int]) -> list[Views]:
    """Episodes as they were recorded: their frames are those that an imitation is compared with."""
    views = []
    for episode, shown in zip(episodes, dataset.demonstrations(episodes, camera.name), strict=True):
        assert shown.joints is not None  # a dataset has them
        flange = dataset.column("observation.flange", [episode]).astype(np.float64)
        views.append(Views(shown.frames, shown.joints, flange))
    return views


def joined(parts: Sequence[Views]) -> Views:
    """All of them, one after the other."""
    return Views(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("frames", "joints", "flange")))


def held_out(dataset: LeRobotDataset, encoder: TrainedEncoder, split: str, demos: int) -> list[Views]:
    """The first demonstrations of a split.

    Raises:
        UserError: The encoder's camera did not take them, or in another scene than the plain one.
    """
    camera, episodes = dataset.camera(encoder.camera.name), dataset.split(split)[:demos]
    encoder.check_camera(camera, dataset.image_size(camera.name))
    check_scenes(dataset, episodes, why="no reward is checked")  # beside what is drawn in the plain one
    return recorded(dataset, camera, episodes)


def arm_of(dataset: LeRobotDataset) -> str:
    """The arm that a dataset shows.

    Raises:
        UserError: It is none that can be drawn here.
    """
    robot = dataset.info.get("robot_type")
    if robot not in ARMS:
        raise UserError(f"{dataset.folder}: robot {robot!r} can't be drawn here, in other poses than the recorded ones")
    return robot
