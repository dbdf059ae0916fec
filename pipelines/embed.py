"""``embed``: train the time-contrastive network on a recorded dataset."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch.optim.lr_scheduler import LRScheduler, MultiStepLR, OneCycleLR
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from imitate.data.frame_cache import decoded_frames
from imitate.data.lerobot.dataset import STATE, LeRobotDataset
from imitate.data.lerobot.units import Choice, UnitsError
from imitate.embedding.device import pick_device
from imitate.embedding.encoders import ENCODERS, build_encoder
from imitate.embedding.encoders.inception import InceptionEncoder
from imitate.embedding.objectives import OBJECTIVES
from imitate.embedding.sampling import Epoch, Margins, Videos, triplets
from imitate.embedding.trained_encoder import BOUNDS, PoseHead, TrainedEncoder
from imitate.embedding.training import Course, fit
from imitate.envs.kuka import ARMS
from imitate.errors import MANY, SEED, UserError, check_bounds, choose
from imitate.keeping.finite import check_weights
from imitate.keeping.manifest import SNAPSHOT
from imitate.keeping.runs import Stage, kept_settings
from imitate.keeping.snapshot import Snapshot, Snapshots, random_states, restore_random_states
from imitate.measuring.figures import distance_matrix_figure, save_figure, tsne_figure
from imitate.measuring.metrics import Poses, embedding_metrics, triplet_accuracy

from . import record
from .checking.faithfulness import draw, measure
from .checking.probes import Probe
from .checking.verdict import report, weakness
from .checking.views import arm_of, held_out
from .shared.cli import command
from .shared.signals import held_back

PROTOCOL = Margins(positive=10, negative=30)  # of the validation triplets: the paper's, whatever was trained on
PROTOCOL_MARGIN = 2.0
PROTOCOL_VIDEOS, PROTOCOL_TRIPLETS = 10, 100
SHORTEST_CYCLE = 11  # steps: of 10 or fewer, a tenth leaves nothing to rise in
BASELINE_FRAMES = 1000  # of raw pixels: enough for the baseline, and little memory at 299x299


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
    encoder: str = "conv"
    """conv (small) or inception (the paper's)."""
    imagenet: Path | None = None
    """torchvision's inception_v3 state_dict, to start the inception encoder from."""
    dim: int = 32
    """Dimensions of the embedding; its L2 norm is 10."""
    objective: str = "infonce"
    """triplet or infonce."""
    margin: float = 2.0
    """Of the triplet loss, in squared distance."""
    temperature: float = 10.0
    """Of infonce, in squared distance."""
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
    epochs: int = 2500
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
PRESETS = {
    "default": ("Best reward in minutes on two cores, with self-regression.", Settings()),
    "plain": ("The same without self-regression: from pixels and time alone.", Settings(self_regression=0.0)),
    "fast": ("A third of the videos and of the epochs.", Settings(epochs=800, preset="fast")),
    "paper": ("Table 1 of the paper; 2,000 epochs want a GPU, so set --epochs.", PAPER),
}


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

    Raises:
        UserError: They can't be in rad, and are needed, or were chosen.
    """
    if not dataset.has(STATE):
        if dataset.choice != Choice():
            raise UserError(
                f"{dataset.folder}: no {STATE!r}, of which joints were chosen: leave --joints, --degrees out"
            )
        return None
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


def _validate(data: Data, embed: Callable[[NDArray[np.uint8]], NDArray[np.float32]]) -> dict[str, float]:
    """The paper's protocol (1,000 triplets: 100 from each of 10 videos), retrieval and rank correlation."""
    index = data.validation_frames
    embeddings = embed(data.frames[index])
    figures = embedding_metrics(embeddings, data.poses.at(index))
    place = np.zeros(len(data.frames), np.int64)
    place[index] = np.arange(len(index))
    first = Videos(data.validation.starts[:PROTOCOL_VIDEOS], data.validation.lengths[:PROTOCOL_VIDEOS])
    try:
        drawn = place[triplets(first, PROTOCOL_TRIPLETS, PROTOCOL, np.random.default_rng(0))]
    except UserError:  # validation videos too short for the protocol: its figures are left out
        return figures
    anchor, positive, negative = (embeddings[part] for part in drawn)
    figures["triplet_accuracy"] = triplet_accuracy(anchor, positive, negative)
    figures["triplet_accuracy_margin"] = triplet_accuracy(anchor, positive, negative, PROTOCOL_MARGIN)
    figures["triplets"] = drawn.shape[1]
    return figures


def _pixels(data: Data) -> dict[str, float]:
    """The baseline that embeds a frame as its pixels."""
    few = min(len(data.validation), max(2, BASELINE_FRAMES // int(data.validation.lengths.max())))
    videos = Videos(data.validation.starts[:few], data.validation.lengths[:few])
    part = replace(data, validation=videos)
    return _validate(part, lambda frames: frames.reshape(len(frames), -1).astype(np.float32) / np.float32(255))


def _digest(dataset: LeRobotDataset, camera: str) -> str:
    """Of the files' names and sizes, which another recording has not, and of where frames stand in them.

    To read the files takes longer than is worth it.
    """
    facts = [(path.name, path.stat().st_size, episodes) for path, episodes in dataset.picture_files(camera).items()]
    digest = hashlib.sha256(repr(facts).encode())
    digest.update(dataset.times(camera, range(len(dataset))).tobytes())
    return digest.hexdigest()


def _baselines(data: Data, untrained: TrainedEncoder) -> dict[str, dict[str, float]]:
    return {"pixels": _pixels(data), "untrained": _validate(data, untrained.embed)}


def _optimizer(
    settings: Settings, modules: list[torch.nn.Module], steps: int
) -> tuple[torch.optim.Optimizer, LRScheduler]:
    parameters = [p for module in modules for p in module.parameters()]
    if settings.optimizer == "sgd":
        sgd = torch.optim.SGD(parameters, settings.learning_rate, momentum=0.9)
        return sgd, MultiStepLR(sgd, [max(1, steps * k // 4) for k in (1, 2, 3)], gamma=0.1)
    adamw = torch.optim.AdamW(parameters, settings.learning_rate, weight_decay=1e-4, fused=True)
    cycle = max(steps, SHORTEST_CYCLE)
    return adamw, OneCycleLR(adamw, settings.learning_rate, total_steps=cycle, pct_start=0.1)


def _batches(settings: Settings, epoch: Epoch, videos: Videos) -> Iterator[NDArray[np.int64]]:
    rng = np.random.default_rng(settings.seed)
    sample = OBJECTIVES[settings.objective].sample
    for _ in range(settings.epochs):
        yield from epoch.batches(videos, sample, Margins(settings.positive, settings.negative), rng)


def _check(settings: Settings) -> None:
    choose(OBJECTIVES, settings.objective, "objective")
    choose(ENCODERS, settings.encoder, "encoder")
    pick_device(settings.device)
    check_bounds(settings, dim=BOUNDS["dim"], seed=SEED, batch=(2, MANY))
    check_bounds(settings, **dict.fromkeys(("positive", "epochs", "videos", "per_video", "passes"), (1, MANY)))
    check_bounds(settings, negative=(0, MANY))
    if settings.image_size is not None:
        check_bounds(settings, image_size=BOUNDS["image_size"])
    for name in ("learning_rate", "temperature"):
        if not 0 < getattr(settings, name) < float("inf"):
            raise UserError(f"{name} is {getattr(settings, name)}, expected more than 0")
    if not 0 <= settings.margin < float("inf"):
        raise UserError(f"margin is {settings.margin}, expected 0 or more")
    if not 0 <= settings.self_regression < float("inf"):
        raise UserError(f"self_regression is {settings.self_regression}, expected 0 (plain TCN) or more")
    if not 0 <= settings.noise < float("inf"):
        raise UserError(f"noise is {settings.noise}, expected 0 or more")
    if settings.imagenet is not None and settings.encoder != "inception":
        raise UserError(f"imagenet weights are of the inception encoder, not of {settings.encoder!r}")
    if settings.imagenet is not None and not settings.imagenet.is_file():
        raise UserError(f"{settings.imagenet}: no such weights file")
    choose(record.PRESETS, settings.preset, "preset")


def run(settings: Settings) -> Stage:
    """Train, validate, draw the paper's figures, and write the encoder."""
    _check(settings)
    stage = Stage.named(settings.run, settings.name)
    wanted = kept_settings(settings)
    if stage.finished and not stage.begin(wanted):
        print(f"{stage.folder} is trained already")
        return stage
    if settings.dataset is None and not Stage(settings.run / "record").finished:
        record.run(replace(record.PRESETS[settings.preset][1], run=settings.run))
    folder = settings.dataset or settings.run / "record" / "dataset"
    dataset = LeRobotDataset(folder, Choice(settings.joints, settings.degrees))
    camera = dataset.camera(settings.camera)
    device = pick_device(settings.device)
    size = settings.image_size or dataset.image_size(camera.name)
    if camera.known and size != (filmed := dataset.image_size(camera.name)):
        raise UserError(
            f"image_size is {size}, but {dataset.folder} was recorded at {filmed}, and frames scaled down are not what "
            "the camera films at that size: record at that size"
        )
    if settings.self_regression and not dataset.has(STATE):
        raise UserError(
            f"{dataset.folder}: no {STATE!r}, expected the joints for self-regression: train without, "
            "with PRESET=plain or --self-regression 0"
        )
    torch.manual_seed(settings.seed)
    module = build_encoder(settings.encoder, size, settings.dim)
    module = module.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    if settings.imagenet is not None and isinstance(module, InceptionEncoder):
        module.load_imagenet(settings.imagenet)
    epoch = Epoch(settings.videos, settings.per_video, settings.passes, settings.batch)
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
    trained = TrainedEncoder(settings.encoder, module, size, settings.dim, camera, pose_head)
    snapshots = Snapshots(stage.path(SNAPSHOT), f"{_digest(dataset, camera.name)} {device.type}")
    kept = snapshots.read()
    baselines = kept["baselines"] if kept else _baselines(data, trained.to(device))
    figures = fit_encoder(settings, stage, data, trained, epoch, snapshots, baselines, kept)
    figures |= _validate(data, trained.to(device).embed)
    figures |= {f"{name}_{key}": value for name, part in baselines.items() for key, value in part.items()}

    trained.save(stage.path("encoder"))
    shown = trained.embed(data.frames[data.validation_frames[: data.validation.lengths[0]]])
    save_figure(stage.path("tsne.png"), tsne_figure(shown))
    save_figure(stage.path("distances.png"), distance_matrix_figure(shown))
    figures |= _check_reward(stage, dataset, trained, data.poses)
    stage.finish(figures)
    _report(figures, stage)
    return stage


def find_encoder(folder: Path, encoder: Path | None, preset: str, device: str) -> Path:
    """The folder of the encoder; that of the run in ``folder``, if none is given, is trained first if it is missing."""
    planned = choose(PRESETS, preset, "preset")[1]
    if encoder is not None:
        return encoder
    trained = Stage(folder / "embed")
    if not trained.finished:
        run(replace(planned, run=folder, device=device))
    return trained.path("encoder")


def fit_encoder(
    settings: Settings,
    stage: Stage,
    data: Data,
    trained: TrainedEncoder,
    epoch: Epoch,
    snapshots: Snapshots | None = None,
    baselines: dict[str, dict[str, float]] | None = None,
    kept: dict[str, Any] | None = None,
) -> dict[str, float]:
    """Train, and say how fast: the loss and the rest of it stand in the stage's ``tensorboard`` folder.

    Args:
        settings: Of the command.
        stage: That keeps the figures of each step.
        data: To train on.
        trained: The encoder that is trained.
        epoch: What is drawn anew each epoch.
        snapshots: Where snapshots go, which do not change what is learned; None: there are none.
        baselines: What was measured before; it is kept in the snapshot.
        kept: The last snapshot, to go on with.
    """
    chosen = OBJECTIVES[settings.objective]
    objective = chosen.loss(getattr(settings, chosen.setting))
    steps = settings.epochs * epoch.steps
    modules = [trained.module] + ([trained.pose_head] if trained.pose_head is not None else [])
    for module in modules:
        module.train()
    optimizer, scheduler = _optimizer(settings, modules, steps)
    parts: list[Any] = [*modules, optimizer, scheduler]
    course, done, frames, seconds, loss = Course(settings.noise, settings.augment), 0, 0, 0.0, 0.0
    if kept is not None:
        done, frames, seconds, loss = (kept[name] for name in ("step", "frames", "seconds", "loss"))
        for part, state in zip(parts, kept["parts"], strict=True):
            part.load_state_dict(state)
        course.restore(kept["course"], trained.device)
        restore_random_states(kept["random"])
    start = perf_counter() - seconds

    def counted() -> Iterator[NDArray[np.int64]]:
        nonlocal frames
        for indices in islice(_batches(settings, epoch, data.train), done, None):  # those before are drawn once more
            frames += indices.size
            yield indices

    def snapshot() -> Snapshot:
        for module in modules:  # a finite loss may leave weights that are not: the last good snapshot stays
            check_weights("the encoder in training", module.state_dict(), "lower learning-rate")
        return Snapshot.of(
            {
                "step": done,
                "frames": frames,
                "seconds": perf_counter() - start,
                "loss": loss,
                "baselines": baselines,
                "parts": [part.state_dict() for part in parts],
                "course": course.state(),
                "random": random_states(),
            }
        )

    training = fit(
        trained.module, objective, data.frames, counted(), optimizer, scheduler,
        trained.pose_head, data.poses.joints, settings.self_regression, course,
    )  # fmt: skip
    writer = SummaryWriter(str(stage.path("tensorboard")), purge_step=done + 1 if done else None)
    with writer, held_back() as told_to_stop, tqdm(total=steps, initial=done, unit="step", desc="embed") as bar:
        for progress in training:
            done += 1
            loss = progress.loss
            bar.update()
            if done % 20 == 0:
                bar.set_postfix(loss=f"{progress.loss:.3f}", active=f"{progress.active:.2f}")
                for key, value in progress._asdict().items():
                    writer.add_scalar(f"embed/{key}", value, done)
            if snapshots is not None and (snapshots.due or done == steps or told_to_stop()):
                snapshots.write(snapshot)
            if told_to_stop():
                break
    return {"frames_per_second": frames / (perf_counter() - start), "final_loss": loss}


def _check_reward(stage: Stage, dataset: LeRobotDataset, trained: TrainedEncoder, poses: Poses) -> dict[str, Any]:
    """What ``check_reward`` does by default; nothing on a robot, of poses, or through a camera that can't be drawn."""
    arm = ARMS.get(str(dataset.info.get("robot_type")))
    if arm is None or not trained.camera.known or poses.joints is None or poses.flange is None:
        return {}
    if poses.joints.shape[1] != arm.joints:
        return {}
    probe = Probe()
    shown = held_out(dataset, trained, "validation", probe.demos)
    check = measure(trained, shown, arm_of(dataset), probe)
    draw(check, stage.path("reward.png"))
    return check.figures


def _report(figures: dict[str, Any], stage: Stage) -> None:
    rows = ["retrieval_ee_error_m", "retrieval_joint_error_rad", "pose_spearman_ee", "pose_spearman_joint"]
    rows += ["triplet_accuracy", "triplet_accuracy_margin"]
    print(f"{'validation':28}{'encoder':>10}{'untrained':>11}{'pixels':>9}")
    for row in rows:
        values = [figures.get(prefix + row) for prefix in ("", "untrained_", "pixels_")]
        cells = ["-" if value is None else f"{value:.3f}" for value in values]
        print(f"{row:28}{cells[0]:>10}{cells[1]:>11}{cells[2]:>9}")
    if "visibility" in figures:
        report(figures)
    poor = weakness(figures)
    if poor:
        print(f"its reward may mislead: {poor}")
    print(f"encoder in {stage.path('encoder')}; look at the pictures beside it")


def main() -> None:
    """Run from the command line."""
    command("embed", PRESETS, run)


if __name__ == "__main__":
    main()
