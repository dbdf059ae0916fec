"""Which demonstration a command is given."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from imitate.data.camera import Camera
from imitate.data.demonstration import Demonstration, check_size, demonstration_from_video
from imitate.data.lerobot.dataset import SPLITS, LeRobotDataset
from imitate.data.rendering import Rendering
from imitate.data.video.reader import Source, check_name, shown_size
from imitate.embedding.trained_encoder import TrainedEncoder
from imitate.envs.kuka import ARMS, CONTROL_HZ
from imitate.envs.scenes.scene import PLAIN, Scene
from imitate.errors import UserError, choose
from imitate.keeping.runs import Stage

from .. import record

READ = 20  # demonstrations, of seconds each, that show how wrong the robot is about poses


@dataclass(frozen=True)
class Recording:
    """What a run's encoder is trained on, and therefore all that it can embed.

    Attributes:
        camera: That films.
        image_size: Pixels a side of the frames.
        joints: Number of the arm's.
        splits: By name, the number of episodes.
    """

    camera: Camera
    image_size: int
    joints: int
    splits: Mapping[str, int]


def recording_of(run: Path, planned: record.Settings) -> Recording:
    """What the run has recorded; if it has not yet, what it will."""
    if Stage(run / "record").finished:
        dataset = LeRobotDataset(run / "record" / "dataset")
        check_of_the_arm(run, dataset.rendering)
        camera = dataset.camera()
        splits = {name: len(dataset.split(name)) for name in dataset.info.get("splits", {})}
        return Recording(camera, dataset.image_size(camera.name), dataset.joints([0]).shape[1], splits)
    arm = choose(ARMS, planned.arm, "arm")
    splits = {name: getattr(planned, name) for name in SPLITS}
    return Recording(record.cameras_of(planned)[0], planned.image_size, arm.joints, splits)


def check_of_the_arm(run: Path, rendering: Rendering | None) -> None:
    """Refuse what another environment than the arm's has played.

    Raises:
        UserError: One has.
    """
    if rendering is not None:
        raise UserError(
            f"{run}: an encoder of {rendering.environment}, and this command is the arm's: say 'imitate imitate "
            f"environment --demo VIDEO --run {run}', or check-reward likewise"
        )


def check_scenes(
    dataset: LeRobotDataset,
    episodes: Sequence[int] | None = None,
    encoder: TrainedEncoder | None = None,
    why: str = "nothing learns from recordings",
) -> None:
    """Refuse episodes, or any, whose pictures hold more than the robot, unless the encoder sees through that.

    Args:
        dataset: Of them.
        episodes: Which; None: all.
        encoder: That is to embed them; None: none is.
        why: They are refused, whatever the encoder.

    Raises:
        UserError: One was recorded in another scene than the plain one.
    """
    told = [] if encoder is not None and encoder.any_scene else dataset.scenes() or []
    for text in dict.fromkeys(told if episodes is None else [told[episode] for episode in episodes if told]):
        if (scene := Scene.from_json(text)) != PLAIN:
            raise UserError(
                f"{dataset.folder} was recorded in the scene {scene.name!r}, and "
                + (why if encoder is None else "this encoder's domain holds no scenes: it was not trained on frames")
                + " in other scenes than the plain one: record with --scene plain, or take an encoder of 'embed open'"
            )


def check_demo(text: str, run: Path, recording: Recording, arm: str, resize: bool = False) -> None:
    """Refuse what can be no demonstration, before hours of work go into recording and training.

    Args:
        text: As of ``load_demo``.
        run: The run directory.
        recording: What the encoder will be trained on.
        arm: That will imitate.
        resize: Crop and scale a video to the encoder's size.

    Raises:
        UserError: There is no such thing, or it can't be read, is too short, of another size, camera, scene or arm.
    """
    head, number = parse_demo(text)
    joints = recording.joints  # as many as the encoder's pose head will read from a video
    if number is None:
        _video(Path(head), recording.image_size, resize)
    elif head in SPLITS and not Stage(run / "record").finished:
        _check_number(head, number, recording.splits[head])
    else:
        dataset, episode = episode_of(head, number, run)
        camera = dataset.camera(recording.camera.name)
        differences = recording.camera.differences(camera)
        if differences:
            raise UserError(
                f"demonstration {text!r}: another camera {camera.name!r} than films what the encoder will be trained "
                f"on ({'; '.join(differences)}): choose another demonstration, or an encoder with --encoder"
            )
        check_scenes(dataset, [episode])
        demonstration = dataset.demonstration(episode, camera.name).followed(dataset.fps, CONTROL_HZ)
        demonstration.check_size(recording.image_size)
        joints = joints if demonstration.joints is None else demonstration.joints.shape[1]
    expected = choose(ARMS, arm, "arm").joints
    for found in (joints, recording.joints):
        if found != expected:
            raise UserError(f"{text}: a demonstration of {found} joints, expected the {expected} of the arm {arm!r}")


def has_poses(text: str) -> bool:
    """Whether a demonstration's true poses are known: of an episode they are, of a bare video they are not."""
    head, number = parse_demo(text)
    return number is not None and (head in SPLITS or LeRobotDataset(Path(head)).has("observation.state"))


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
    check_of_the_arm(run, encoder.rendering)
    head, number = parse_demo(text)
    if number is None:
        return _video(Path(head), encoder.image_size, resize)
    dataset, episode = episode_of(head, number, run)
    camera = dataset.camera(encoder.camera.name)
    encoder.check_camera(camera, dataset.image_size(camera.name))
    check_scenes(dataset, [episode], encoder)
    demonstration = dataset.demonstration(episode, camera.name).followed(dataset.fps, CONTROL_HZ)
    demonstration.check_size(encoder.image_size)
    return demonstration


def say_what_was_read(text: str, demonstration: Demonstration) -> None:
    """Print how many frames, seconds, at what rate and of what size, and what was odd about the file."""
    height, width = demonstration.frames.shape[1:3]
    of_dataset = Source(len(demonstration), len(demonstration) / CONTROL_HZ, width, height)
    print(f"read {text}: {demonstration.source or of_dataset}")


def load_training(episodes: int, run: Path, encoder: TrainedEncoder) -> list[Demonstration]:
    """The first training episodes of the run, which the robot filmed itself, as demonstrations to practise with.

    Args:
        episodes: How many.
        run: The run directory.
        encoder: That will embed them: its camera must have taken their frames.

    Raises:
        UserError: There are fewer, or they can't be scored by this encoder.
    """
    dataset = LeRobotDataset(run / "record" / "dataset")
    train = dataset.split("train")
    if episodes > len(train):
        raise UserError(
            f"episodes is {episodes}, expected at most the {len(train)} training episodes of {dataset.folder}"
        )
    return _own(dataset, train[:episodes], encoder)


def load_held_out(run: Path, encoder: TrainedEncoder) -> list[Demonstration]:
    """The validation episodes of the run, which neither encoder nor recollection has seen; ``READ`` at most.

    Raises:
        UserError: There are none, or they can't be scored by this encoder.
    """
    dataset = LeRobotDataset(run / "record" / "dataset")
    return _own(dataset, dataset.split("validation")[:READ], encoder)


def _own(dataset: LeRobotDataset, episodes: Sequence[int], encoder: TrainedEncoder) -> list[Demonstration]:
    """Episodes of a run's own dataset, which this encoder can score."""
    camera = dataset.camera(encoder.camera.name)
    encoder.check_camera(camera, dataset.image_size(camera.name))
    check_scenes(dataset, episodes, encoder)
    return dataset.demonstrations(episodes, camera.name)


def as_if_read(
    demonstrations: Sequence[Demonstration],
    examples: Sequence[Demonstration],
    read: Callable[[Demonstration], Demonstration],
    seed: int,
) -> list[Demonstration]:
    """Demonstrations of known poses, with poses that the robot might have read off them.

    To follow the videos of others, whose poses it will misread, it has to practise with misread ones. To read those of
    hundreds takes too long: it reads some, and is about any as wrong as about one of these, drawn at random.

    Args:
        demonstrations: With their poses.
        examples: Of which some are read, with theirs.
        read: Adds to one the poses that are read off it.
        seed: Of what is drawn.
    """
    wrong = []
    for one in tqdm(examples[:READ], desc="read poses", unit="video"):
        believed = read(one).believed
        assert one.joints is not None  # filmed by the robot itself
        assert believed is not None
        wrong.append(believed - one.joints)
    rng = np.random.default_rng(seed)
    shown = []
    for one in demonstrations:
        assert one.joints is not None
        drawn = wrong[rng.integers(len(wrong))]
        along = np.linspace(0, len(drawn) - 1, len(one)).round().astype(int)
        shown.append(replace(one, believed=one.joints + drawn[along]))
    return shown


def is_training_episode(text: str, run: Path) -> bool:
    """Whether a demonstration is one of the episodes that the run's encoder is trained on, whatever it is called."""
    head, number = parse_demo(text)
    own = run / "record" / "dataset"
    if number is None or head in SPLITS or Path(head).resolve() != own.resolve():
        return head == "train"
    return Stage(run / "record").finished and number in LeRobotDataset(own).split("train")


def parse_demo(text: str) -> tuple[str, int | None]:
    """A split or dataset folder and the episode's number there; or a video file and None."""
    head, colon, number = text.rpartition(":")
    if colon and number.isdecimal():
        if head not in SPLITS and not Path(head).is_dir():
            raise UserError(
                f"demonstration {text!r}: {head} is neither a split ({', '.join(SPLITS)}) nor a dataset folder"
            )
        return head, int(number)
    if colon and head in SPLITS:
        raise UserError(f"demonstration {text!r}: expected the number of an episode, such as '{head}:3'")
    check_name(text)
    if (Path(text) / "meta/info.json").is_file():
        raise UserError(f"demonstration {text!r}: a dataset, expected one of its episodes, such as '{text}:0'")
    if text and Path(text).is_dir():
        raise UserError(
            f"demonstration {text!r}: a folder, expected a video file: of pictures, make one with ffmpeg -framerate 20 "
            "-i %04d.png video.mp4"
        )
    if not Path(text).suffix and not Path(text).is_file():
        raise UserError(
            f"demonstration {text!r}: expected a video file, 'test:3' (an episode of the run's test split), or "
            "'path/to/dataset:3'"
        )
    if not Path(text).is_file():
        raise UserError(f"{text}: no such video file")
    return text, None


def kept_demo(text: str) -> str:
    """A demonstration as config.json names it, to be read from anywhere: the place of its file is absolute."""
    head, number = parse_demo(text)
    if head in SPLITS:
        return text
    return str(Path(head).resolve()) + ("" if number is None else f":{number}")


def _video(path: Path, size: int, resize: bool) -> Demonstration:
    if not resize:  # before minutes of large frames are decoded, or refused for being many
        check_size(f"{path}, as it is stored", *shown_size(path), size)
    demonstration = demonstration_from_video(path, CONTROL_HZ, size if resize else None)
    demonstration.check_size(size)
    return demonstration


def episode_of(head: str, number: int, run: Path) -> tuple[LeRobotDataset, int]:
    """The dataset, and which of all its episodes is meant."""
    if head in SPLITS and not (run / "record" / "dataset").is_dir():
        raise UserError(f"demonstration '{head}:{number}': {run} has recorded nothing yet: run 'record' first")
    dataset = LeRobotDataset(run / "record" / "dataset" if head in SPLITS else Path(head))
    if head not in SPLITS:
        return dataset, dataset.episode(number)
    episodes = dataset.split(head)
    _check_number(head, number, len(episodes))
    return dataset, episodes[number]


def _check_number(head: str, number: int, episodes: int) -> None:
    if number >= episodes:
        raise UserError(f"demonstration '{head}:{number}': expected an episode from 0 to {episodes - 1}")
