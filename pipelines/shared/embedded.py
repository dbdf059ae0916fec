"""A dataset as an encoder sees it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from imitate.data.demonstration import Demonstration, demonstration_from_video
from imitate.data.frame_cache import decoded_frames
from imitate.data.lerobot.dataset import LeRobotDataset
from imitate.embedding.trained_encoder import TrainedEncoder
from imitate.errors import UserError
from imitate.keeping.runs import Stage
from imitate.reward.frames import Frames

from .demo import check_scenes, episode_of, parse_demo

FPS = 20  # frames a second at which videos are compared
CHUNK = 4096  # frames that are embedded at once


class Trained(Stage):
    """The stage of a run that trained its encoder."""

    @property
    def dataset(self) -> Path:
        """The folder of the dataset that it was trained on."""
        named = self.settings.get("dataset")
        return self.folder.parent / (named or "record/dataset")


def trained_on(run: Path) -> Trained:
    """The run's own encoder.

    Raises:
        UserError: It has none.
    """
    stage = Trained(run / "embed")
    if not stage.finished:
        raise UserError(f"{stage.folder}: no encoder there: train one with 'imitate embed --dataset DATASET' first")
    return stage


def embedded(
    dataset: LeRobotDataset, encoder: TrainedEncoder, camera: str | None, cache: Path | None
) -> list[NDArray[np.float32]]:
    """The embeddings of each episode, (length, dim), in the dataset's order; frames are decoded the first time.

    Raises:
        UserError: There is no such camera, it is known to be another than the encoder's, or a file is damaged.
    """
    seen_by = dataset.camera(camera or _known(dataset, encoder.camera.name))
    if seen_by.known and encoder.camera.known:
        encoder.check_camera(seen_by, dataset.image_size(seen_by.name))
    check_scenes(dataset)
    if encoder.rendering is not None and dataset.rendering is not None:
        encoder.check_rendering(dataset.rendering)
    size = None if _as_large(dataset, seen_by.name, encoder.image_size) else encoder.image_size
    with tqdm(total=int(dataset.lengths.sum()), unit="frame", desc="decode", leave=False) as bar:
        frames = decoded_frames(dataset, seen_by.name, bar.update, size, cache)
    parts = [encoder.embed(np.array(frames[first : first + CHUNK])) for first in range(0, len(frames), CHUNK)]
    return np.split(np.concatenate(parts), dataset.starts[1:-1])


def cache_of(dataset: LeRobotDataset, cache: Path | None, stage: Stage) -> Path | None:
    """Where decoded frames are kept, if no folder is named: a dataset is only read.

    In the dataset, where ``embed`` has kept them already; else in the stage, which is to delete them.
    """
    return cache or (None if (dataset.folder / "cache").is_dir() else stage.path("cache"))


def _known(dataset: LeRobotDataset, camera: str) -> str | None:
    """The camera of an encoder, if a dataset has one of that name."""
    try:
        return dataset.picture_key(camera) and camera
    except UserError:
        return None


def _as_large(dataset: LeRobotDataset, camera: str, size: int) -> bool:
    """Whether a dataset's frames are as large as an encoder wants them."""
    try:
        return dataset.image_size(camera) == size
    except UserError:  # not square, or it does not say
        return False


def shown_alone(text: str, run: Path, encoder: TrainedEncoder) -> Demonstration:
    """What ``load_demo`` finds, of whatever size: its middle, as large as the encoder wants it, at ``FPS``.

    Raises:
        UserError: There is no such thing, or it is known to be of another camera.
    """
    head, number = parse_demo(text)
    if number is None:
        found = demonstration_from_video(Path(head), FPS)
    else:
        dataset, episode = episode_of(head, number, run)
        camera = dataset.camera(_known(dataset, encoder.camera.name))
        if camera.known and encoder.camera.known:
            encoder.check_camera(camera, dataset.image_size(camera.name))
        check_scenes(dataset, [episode])
        found = dataset.demonstration(episode, camera.name).followed(dataset.fps, FPS)
    return replace(found, frames=Frames().seen(found.frames, encoder.image_size, text))
