"""Datasets and videos as an encoder sees them."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from imitate.data.demonstration import demonstration_from_video
from imitate.data.frame_cache import decoded_frames
from imitate.data.lerobot.dataset import LeRobotDataset
from imitate.embedding.trained_encoder import TrainedEncoder
from imitate.errors import UserError
from imitate.keeping.runs import Stage
from imitate.reward.frames import Frames

from .demo import check_scenes, episode_of, parse_demo
from .pieces import FPS

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


@dataclass(frozen=True)
class View:
    """A camera of a dataset, through which an encoder sees it.

    Attributes:
        dataset: Whose.
        encoder: That sees.
        camera: The name of the one.
    """

    dataset: LeRobotDataset
    encoder: TrainedEncoder
    camera: str

    @classmethod
    def of(cls, dataset: LeRobotDataset, encoder: TrainedEncoder, camera: str | None = None) -> View:
        """By the camera of that name; None: by the one that the encoder knows, or the first.

        Raises:
            UserError: There is none, or its pictures are known to be others than the encoder's.
        """
        seen_by = dataset.camera(camera or _known(dataset, encoder.camera.name))
        if seen_by.known and (encoder.camera.known or encoder.rendering is not None):
            encoder.check_camera(seen_by, dataset.image_size(seen_by.name))
        if dataset.rendering is not None:
            encoder.check_rendering(dataset.rendering)
        return cls(dataset, encoder, seen_by.name)

    @property
    def _scaled(self) -> int | None:
        """Pixels a side to scale its frames to; None: they are as large as the encoder wants them."""
        try:
            as_large = self.dataset.image_size(self.camera) == self.encoder.image_size
        except UserError:  # not square, or it does not say
            as_large = False
        return None if as_large else self.encoder.image_size

    def frames(self, episode: int) -> NDArray[np.uint8]:
        """(length, size, size, 3) of an episode, at the dataset's own rate."""
        size = self.encoder.image_size
        frames = np.empty((int(self.dataset.lengths[episode]), size, size, 3), np.uint8)
        for part in self.dataset.parts(self.camera, [episode], self._scaled):
            for rows, pictures in part():
                frames[rows] = pictures
        return frames

    def embeddings(self, cache: Path | None) -> list[NDArray[np.float32]]:
        """Those of each episode, (length, dim), in the dataset's order; frames are decoded the first time.

        Raises:
            UserError: A file is damaged, or frames hold more than the arm.
        """
        check_scenes(self.dataset, encoder=self.encoder)
        with tqdm(total=int(self.dataset.lengths.sum()), unit="frame", desc="decode", leave=False) as bar:
            frames = decoded_frames(self.dataset, self.camera, bar.update, self._scaled, cache)
        chunks = range(0, len(frames), CHUNK)
        parts = [self.encoder.embed(np.array(frames[first : first + CHUNK])) for first in chunks]
        return np.split(np.concatenate(parts), self.dataset.starts[1:-1])


@contextmanager
def cache_of(dataset: LeRobotDataset, cache: Path | None, stage: Stage) -> Iterator[Path | None]:
    """Where decoded frames are kept, if no folder is named: a dataset is only read.

    In the dataset, where ``embed`` has kept them already; else in the stage, and no longer than needed.
    """
    if cache is not None or (dataset.folder / "cache").is_dir():
        yield cache
        return
    own = stage.path("cache")
    try:
        yield own
    finally:
        shutil.rmtree(own, ignore_errors=True)


def frames_of(text: str, run: Path, encoder: TrainedEncoder, camera: str | None = None) -> NDArray[np.uint8]:
    """(length, size, size, 3) of what a user means by ``test:3``, ``DATASET:12`` or a video file.

    An episode is of its dataset's rate, a video of ``FPS``, and what of it the encoder has seen of its environment.

    Raises:
        UserError: There is no such thing, or it is known to be of another camera.
    """
    head, number = parse_demo(text)
    if number is not None:
        dataset, episode = episode_of(head, number, run)
        check_scenes(dataset, [episode], encoder)
        return View.of(dataset, encoder, camera).frames(episode)
    crop = encoder.rendering.crop if encoder.rendering is not None else None
    if crop is None:
        return demonstration_from_video(Path(head), FPS, encoder.image_size).frames
    left, top, right, bottom = crop
    return Frames(crop=(left, top, right, bottom)).seen(
        demonstration_from_video(Path(head), FPS).frames, encoder.image_size, text
    )


def digest_of(frames: NDArray[np.uint8]) -> str:
    """What frames are known again by: a file of the same name may hold others by now."""
    return hashlib.sha256(frames.tobytes()).hexdigest()


def _known(dataset: LeRobotDataset, camera: str) -> str | None:
    """The camera of an encoder, if a dataset has one of that name."""
    try:
        return dataset.picture_key(camera) and camera
    except UserError:
        return None
