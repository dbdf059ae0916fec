"""``embed``: train the time-contrastive network on a recorded dataset."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from imitate.data.camera import Camera
from imitate.data.lerobot.dataset import STATE, LeRobotDataset
from imitate.data.lerobot.units import Choice
from imitate.embedding.device import pick_device
from imitate.embedding.encoder_file import BOUNDS
from imitate.embedding.encoders import ENCODERS, build_encoder
from imitate.embedding.encoders.inception import InceptionEncoder
from imitate.embedding.objectives import OBJECTIVES
from imitate.embedding.pose_head import PoseHead
from imitate.embedding.sampling import Epoch, Margins
from imitate.embedding.trained_encoder import TrainedEncoder
from imitate.envs.kuka import ARMS
from imitate.errors import MANY, SEED, UserError, check_bounds, choose
from imitate.keeping.manifest import SNAPSHOT
from imitate.keeping.runs import Stage, kept_settings
from imitate.keeping.snapshot import Snapshots
from imitate.measuring.figures import distance_matrix_figure, save_figure, tsne_figure
from imitate.measuring.metrics import Poses

from . import record
from .checking.faithfulness import draw, measure
from .checking.probes import Probe
from .checking.views import arm_of, held_out
from .embedding import open_world, sequence
from .embedding.data import Data, digest_of, open_data, videos_of
from .embedding.recorded import lessons_of
from .embedding.training import fit_encoder
from .embedding.validation import baselines_of, told, validate
from .shared.cli import command
from .shared.demo import check_scenes


@dataclass(frozen=True)
class Settings:
    """How the encoder is trained."""

    run: Path = Path("runs/default")
    """The run directory."""
    name: str = "embed"
    """The stage's folder in it: another name keeps another encoder beside the first."""
    dataset: Path | None = None
    """A LeRobotDataset v3.0 folder; None: the run's own, recorded first if it is missing."""
    camera: str | None = None
    """Which of the dataset's cameras; None: the first."""
    joints: tuple[str, ...] = ()
    """Which entries of observation.state are joint angles, by name, or by number from 0 on where they have none. Empty:
    all, but for those whose name says that they are none."""
    degrees: bool = False
    """The joints are in degrees, not in rad."""
    cache: Path | None = None
    """The folder to keep decoded frames in; None: in the dataset's own."""
    image_size: int | None = None
    """Crop the middle of the frames and scale it to this, pixels a side; None: as they were recorded. Only for a
    dataset that does not say where its camera stood: frames scaled down are not what that camera films at the size."""
    encoder: str = "shallow"
    """shallow (small), conv (a layer more, and slower), residual (that of open) or inception (the paper's)."""
    imagenet: Path | None = None
    """torchvision's inception_v3 state_dict, to start the inception encoder from."""
    dim: int = 32
    """Dimensions of the embedding; its L2 norm is 10."""
    objective: str = "infonce"
    """triplet; infonce; or video_infonce, which compares frames of one video only. On an environment's play without
    proprioception infonce, as by default, is video_infonce: of 12 videos, 12 samples each, with positives at most 2
    frames away, at temperature 5; unless one of these is said to be otherwise than by default."""
    margin: float = 2.0
    """Of the triplet loss, in squared distance."""
    temperature: float = 10.0
    """Of infonce and video_infonce, in squared distance."""
    positive: int = 5
    """A positive is at most this many frames from its anchor."""
    negative: int = 30
    """A negative in the same video is more than this many frames from its anchor (triplet)."""
    self_regression: float = 50.0
    """Weight of the error of the robot's own joints, predicted from the embedding. 0 is the plain TCN: the pose head
    reads the embedding, which learns nothing from it."""
    noise: float = 0.2
    """Standard deviation of Gaussian noise on the frames, whose pixels are in [-1, 1]: a pixel that jumps at an edge
    then moves the embedding less."""
    augment: bool = False
    """Learn from frames in other light, of a camera that has moved a little, with a box before them, so as to read such
    videos too."""
    epochs: int = 1200
    """Sampled datasets."""
    videos: int = 144
    """Videos that an epoch samples."""
    per_video: int = 1
    """Samples of each."""
    passes: int = 1
    """Passes over an epoch's samples."""
    batch: int = 144
    """Samples a batch."""
    optimizer: Literal["adamw", "sgd"] = "adamw"
    """adamw: one cycle to the learning rate and down to 0. sgd: momentum 0.9, the rate falls to a tenth three
    times, after each quarter of the epochs (the paper's 500 of 2,000)."""
    learning_rate: float = 2e-3
    """The highest."""
    seed: int = 0
    """Seed of everything random."""
    device: str = "auto"
    """auto, cpu or cuda."""
    preset: str = "default"
    """Of ``record``, if that has to run first."""


PAPER = Settings(
    encoder="inception",
    objective="triplet",
    positive=10,
    negative=30,
    self_regression=0.0,
    noise=0.0,
    epochs=2000,
    videos=5,
    per_video=200,
    passes=5,
    batch=64,
    optimizer="sgd",
    learning_rate=0.1,
    preset="paper",
)
PLAY: dict[str, Any] = {"objective": "video_infonce", "videos": 12, "per_video": 12, "positive": 2, "temperature": 5.0}
PRESETS = {
    "default": ("Best reward in minutes on two cores, with self-regression.", Settings()),
    "plain": ("The same without self-regression: from pixels and time alone.", Settings(self_regression=0.0)),
    "play": (
        "For an environment's play: plain, and frames are compared within each video only.",
        Settings(self_regression=0.0, **PLAY),
    ),
    "thorough": ("Three times the videos, twice the epochs.", Settings(epochs=2500, preset="thorough")),
    "paper": ("Table 1 of the paper; 2,000 epochs want a GPU, so set --epochs.", PAPER),
}
ELSEWHERE = {
    "open": ("Blind to light, scene and a moved camera: from frames that are drawn meanwhile.", open_world.Settings()),
    "sequence": ("A head for an encoder of open, which reads the frames of a video together.", sequence.Settings()),
}


def check(settings: Settings) -> None:
    """Refuse settings that can't be, whatever is trained on.

    Raises:
        UserError: One is unknown, or out of its range.
    """
    choose(OBJECTIVES, settings.objective, "objective")
    choose(ENCODERS, settings.encoder, "encoder")
    pick_device(settings.device)
    check_bounds(settings, dim=BOUNDS["dim"], seed=SEED, batch=(2, MANY))
    check_bounds(settings, **dict.fromkeys(("positive", "epochs", "videos", "per_video", "passes"), (1, MANY)))
    check_bounds(settings, negative=(0, MANY))
    if settings.objective == "video_infonce" and not 2 <= settings.per_video <= settings.batch:
        raise UserError(f"per_video is {settings.per_video}, expected 2 to batch ({settings.batch}) for video_infonce")
    if settings.image_size is not None:
        check_bounds(settings, image_size=BOUNDS["image_size"])
    for name in ("learning_rate", "temperature"):
        if not 0 < getattr(settings, name) < float("inf"):
            raise UserError(f"{name} is {getattr(settings, name)}, expected more than 0")
    for name in ("margin", "noise"):
        if not 0 <= getattr(settings, name) < float("inf"):
            raise UserError(f"{name} is {getattr(settings, name)}, expected 0 or more")
    if not 0 <= settings.self_regression < float("inf"):
        raise UserError(f"self_regression is {settings.self_regression}, expected 0 (plain TCN) or more")
    if settings.imagenet is not None:
        if settings.encoder != "inception":
            raise UserError(f"imagenet weights are of the inception encoder, not of {settings.encoder!r}")
        if not settings.imagenet.is_file():
            raise UserError(f"{settings.imagenet}: no such weights file")
    choose(record.PRESETS, settings.preset, "preset")


def run(settings: Settings) -> Stage:
    """Train, validate, draw the paper's figures, and write the encoder."""
    check(settings)
    settings = _as_can_be(settings)
    stage = Stage.named(settings.run, settings.name)
    wanted = kept_settings(settings)
    if stage.finished and not stage.begin(wanted):
        print(f"{stage.folder} is trained already")
        return stage
    dataset = _dataset(settings)
    camera = dataset.camera(settings.camera)
    device = pick_device(settings.device)
    size = settings.image_size or dataset.image_size(camera.name)
    _check_dataset(settings, dataset, camera)
    module = _network(settings, size, device)
    whole = OBJECTIVES[settings.objective].whole
    epoch = Epoch(settings.videos, settings.per_video, settings.passes, settings.batch, whole)
    margins = Margins(settings.positive, settings.negative)
    train, validation = videos_of(dataset)
    # Videos that are too short show here, before anything is decoded or written.
    OBJECTIVES[settings.objective].sample(train, 1, margins, np.random.default_rng(0))
    needed = settings.self_regression > 0
    data = open_data(dataset, camera.name, settings.image_size, train, validation, needed, settings.cache)
    if not stage.begin(wanted):  # another process has finished it while this one decoded
        return stage
    joints = data.poses.joints
    pose_head = None if joints is None else PoseHead(settings.dim, joints.shape[1]).to(device)
    trained = TrainedEncoder(settings.encoder, module, size, settings.dim, camera, pose_head, dataset.rendering)
    trained.arm = arm.name if (arm := ARMS.get(str(dataset.info.get("robot_type")))) else None
    snapshots = Snapshots(stage.path(SNAPSHOT), f"{digest_of(dataset, camera.name)} {device.type}")
    kept = snapshots.read()
    baselines = kept["baselines"] if kept else baselines_of(data, trained.to(device))
    lessons = lessons_of(settings, data, trained, epoch)
    figures = fit_encoder(lessons, stage, trained, snapshots, baselines, kept)
    figures |= validate(data, trained.to(device).embed)
    figures |= {f"{name}_{key}": value for name, part in baselines.items() for key, value in part.items()}
    if dataset.rendering is not None:  # what an environment feels is in no unit
        figures = {name: value for name, value in figures.items() if not name.endswith("retrieval_joint_error_rad")}

    trained.save(stage.path("encoder"))
    _draw(stage, data, trained)
    figures |= _check_reward(stage, dataset, trained, data.poses)
    stage.finish(figures)
    told(figures)
    print(f"encoder in {stage.path('encoder')}; look at the pictures beside it")
    return stage


def run_any(settings: Settings | open_world.Settings | sequence.Settings) -> Stage:
    """Train on a recording, on frames that are drawn meanwhile, or on drawn videos."""
    runs = {Settings: run, open_world.Settings: open_world.run, sequence.Settings: sequence.run}
    return runs[type(settings)](settings)  # type: ignore[operator]


def find_encoder(folder: Path, encoder: Path | None, preset: str, device: str) -> Path:
    """The folder of the encoder; that of the run in ``folder``, if none is given, is trained first if it is missing.

    Raises:
        UserError: The run's has learned from joints, which the preset's would not have.
    """
    planned = choose(PRESETS, preset, "preset")[1]
    if encoder is not None:
        return encoder
    trained = Stage(folder / "embed")
    if not trained.finished:
        run(replace(planned, run=folder, device=device))
    elif (was := trained.settings.get("self_regression", 0)) and not planned.self_regression:
        raise UserError(
            f"{trained.folder} has learned from joints (self_regression {was}), expected one that has not, of the "
            f"preset {preset}: make one with 'imitate embed {preset} --run {folder} --name embed-{preset}' and name it "
            f"with --encoder, or choose another run"
        )
    return trained.path("encoder")


def _as_can_be(settings: Settings) -> Settings:
    """The settings, as they are for the play of an environment that kept no proprioception: those of ``play``.

    What its scene holds is another thing in each episode and the same within it, such as a target: by telling videos
    apart, an embedding would learn that, and not how the robot stands.
    """
    folder = settings.dataset or settings.run / "record" / "dataset"
    if not (folder / "meta/info.json").is_file():
        return settings
    dataset = LeRobotDataset(folder)
    if dataset.rendering is None or dataset.has(STATE) or not settings.self_regression:
        return settings
    changed: dict[str, Any] = {"self_regression": 0.0}
    if all(getattr(settings, name) == getattr(Settings(), name) for name in PLAY):
        changed |= PLAY | {"per_video": min(PLAY["per_video"], settings.batch)}
    told = ", ".join(f"{name} {value}" for name, value in changed.items())
    print(f"{folder}: play without proprioception, embedded from pictures and time alone: {told}")
    return replace(settings, **changed)


def _dataset(settings: Settings) -> LeRobotDataset:
    """What is trained on: one that was handed in, or the run's own, which is recorded first if it is missing."""
    if settings.dataset is None and not Stage(settings.run / "record").finished:
        record.run(replace(record.PRESETS[settings.preset][1], run=settings.run))
    folder = settings.dataset or settings.run / "record" / "dataset"
    return LeRobotDataset(folder, Choice(settings.joints, settings.degrees))


def _check_dataset(settings: Settings, dataset: LeRobotDataset, camera: Camera) -> None:
    size = settings.image_size
    if camera.known and size is not None and size != (filmed := dataset.image_size(camera.name)):
        raise UserError(
            f"image_size is {size}, but {dataset.folder} was recorded at {filmed}, and frames scaled down are not what "
            "the camera films at that size: record at that size"
        )
    check_scenes(dataset)
    if settings.self_regression and not dataset.has(STATE):
        raise UserError(
            f"{dataset.folder}: no {STATE!r}, expected the joints for self-regression: train without, "
            "with the preset plain or --self-regression 0"
        )


def _network(settings: Settings, size: int, device: torch.device) -> torch.nn.Module:
    """The encoder's network, which has learned nothing yet but what ImageNet teaches."""
    torch.manual_seed(settings.seed)
    module = build_encoder(settings.encoder, size, settings.dim)
    module = module.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    if settings.imagenet is not None and isinstance(module, InceptionEncoder):
        module.load_imagenet(settings.imagenet)
    return module


def _draw(stage: Stage, data: Data, trained: TrainedEncoder) -> None:
    """The paper's figures, of the first validation video."""
    shown = trained.embed(data.frames[data.validation_frames[: data.validation.lengths[0]]])
    save_figure(stage.path("tsne.png"), tsne_figure(shown))
    save_figure(stage.path("distances.png"), distance_matrix_figure(shown))


def _check_reward(stage: Stage, dataset: LeRobotDataset, trained: TrainedEncoder, poses: Poses) -> dict[str, Any]:
    """What ``check_reward`` does by default; nothing on a robot, of poses, or through a camera that can't be drawn."""
    arm = ARMS.get(str(dataset.info.get("robot_type")))
    its_own = arm is not None and poses.joints is not None and poses.joints.shape[1] == arm.joints
    if not its_own or not trained.camera.known or poses.flange is None:
        return {}
    probe = Probe()
    shown = held_out(dataset, trained, "validation", probe.demos)
    check = measure(trained, shown, arm_of(dataset), probe)
    draw(check, stage.path("reward.png"))
    return check.figures


def main() -> None:
    """Run from the command line."""
    command("embed", {**PRESETS, **ELSEWHERE}, run_any)


if __name__ == "__main__":
    main()
