"""Which demonstration a command is given."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

from envs.kuka import CONTROL_HZ
from imitate.checkpoint import TrainedEncoder
from imitate.data.lerobot import SPLITS, LeRobotDataset
from imitate.demonstration import Demonstration, demonstration_from_video
from imitate.errors import UserError
from imitate.runs import Stage


def check_demo(text: str, run: Path, size: int, resize: bool = False) -> None:
    """Refuse what can be no demonstration, before hours of work go into recording and training.

    Args:
        text: As of ``load_demo``.
        run: The run directory.
        size: Pixels a side of the frames that the encoder will take.
        resize: Crop and scale a video to that.

    Raises:
        UserError: There is no such thing, or it can't be read, is too short, or of another size.
    """
    head, number = parse_demo(text)
    if number is None:
        _video(Path(head), size, resize)
    elif head not in SPLITS or Stage(run / "record").finished:
        _episode(head, number, run)


def stage_name(base: str, demos: Sequence[str]) -> str:
    """A folder of its own for what other demonstrations than the default are imitated: ``imitate-test-3``."""
    return "-".join([base, *map(_label, demos)])


def _label(demo: str) -> str:
    label = re.sub(r"[^A-Za-z0-9]+", "-", Path(demo).stem).strip("-")
    if demo.partition(":")[0] in SPLITS:
        return label
    # Beyond the run, many files may share a name: a/clip.mp4, b/clip.mp4, b/clip.mov.
    return f"{label}-{hashlib.sha256(str(Path(demo).resolve()).encode()).hexdigest()[:6]}"


def load_demo(text: str, run: Path, encoder: TrainedEncoder, resize: bool = False) -> Demonstration:
    """Find the demonstration that the user means.

    Args:
        text: ``test:3``, the fourth episode of a split of the run's dataset (``validation`` and ``train`` too);
            ``DATASET:12``, an episode of the dataset in that folder; or a video file.
        run: The run directory.
        encoder: That will embed it: its camera must have taken a dataset's frames.
        resize: Crop and scale a video to the encoder's size.

    Raises:
        UserError: There is no such thing, or it can't be scored by this encoder.
    """
    head, number = parse_demo(text)
    if number is None:
        return _video(Path(head), encoder.image_size, resize)
    dataset, episode = _episode(head, number, run)
    camera = dataset.camera(encoder.camera.name)
    encoder.check_camera(camera, dataset.image_size(camera.name))
    demonstration = dataset.demonstration(episode, camera.name)
    demonstration.check_size(encoder.image_size)
    return demonstration


def parse_demo(text: str) -> tuple[str, int | None]:
    """A split or dataset folder and the episode's number there; or a video file and None."""
    head, colon, number = text.rpartition(":")
    if colon and number.isdecimal():
        if head not in SPLITS and not Path(head).is_dir():
            raise UserError(
                f"demonstration {text!r}: {head} is neither a split ({', '.join(SPLITS)}) nor a dataset folder"
            )
        return head, int(number)
    if not Path(text).suffix:
        raise UserError(
            f"demonstration {text!r}: expected a video file, 'test:3' (an episode of the run's test split), or "
            "'path/to/dataset:3'"
        )
    if not Path(text).is_file():
        raise UserError(f"{text}: no such video file")
    return text, None


def _video(path: Path, size: int, resize: bool) -> Demonstration:
    demonstration = demonstration_from_video(path, CONTROL_HZ, size if resize else None)
    demonstration.check_size(size)
    return demonstration


def _episode(head: str, number: int, run: Path) -> tuple[LeRobotDataset, int]:
    """The dataset, and which of all its episodes is meant."""
    dataset = LeRobotDataset(run / "record" / "dataset" if head in SPLITS else Path(head))
    if dataset.fps != CONTROL_HZ:
        raise UserError(f"{dataset.folder}: {dataset.fps} frames a second, expected {CONTROL_HZ}: record it anew")
    episodes = dataset.split(head) if head in SPLITS else range(len(dataset))
    if number >= len(episodes):
        raise UserError(f"demonstration '{head}:{number}': expected an episode from 0 to {len(episodes) - 1}")
    return dataset, episodes[number]
