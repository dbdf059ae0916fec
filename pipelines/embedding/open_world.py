"""The encoder for the open world: it learns from frames that are drawn while it learns, in scenes that never repeat.

Two frames of one moment, in other scenes and light, through other cameras, are a pair (multi-view time contrast;
Sermanet et al., 2017, section III.A): the same pose, and nothing else in common. In each scene many moments are filmed,
so that no scene tells one from another.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from imitate.data.camera import Camera
from imitate.data.domain import Domain
from imitate.embedding.batch import Batch
from imitate.embedding.device import pick_device
from imitate.embedding.encoders import ENCODERS, build_encoder
from imitate.embedding.loss import Loss
from imitate.embedding.objectives.infonce import InfoNCE
from imitate.embedding.trained_encoder import BOUNDS, PoseHead, TrainedEncoder, load_encoder
from imitate.embedding.training import Course
from imitate.envs.cameras import CAMERAS
from imitate.envs.kuka import ARMS, body_of
from imitate.envs.landmarks import number_of
from imitate.envs.studio import Studio
from imitate.errors import MANY, SEED, UserError, check_bounds, choose
from imitate.keeping.manifest import SNAPSHOT, sha256
from imitate.keeping.runs import Stage, kept_settings
from imitate.keeping.snapshot import Snapshots

from .blindness import report, seen_by
from .training import Lessons, fit_encoder

WIDTH = 127.5  # of what an encoder is told of a pixel: half of 255


@dataclass(frozen=True)
class Settings:
    """How the encoder for the open world is trained."""

    run: Path = Path("runs/default")
    """The run directory; it need not exist: nothing is recorded."""
    name: str = "embed"
    """The stage's folder in it: another name keeps another encoder beside the first."""
    arm: str = "iiwa"
    """iiwa (7 joints and a tool) or iiwa_gripper (the paper's 12 joints)."""
    camera: str = "front"
    """That films it, or would, if it did not move."""
    image_size: int = 64
    """Pixels a side."""
    domain: Domain = field(default_factory=Domain)
    """What it is to be blind to."""
    encoder: str = "residual"
    """residual: of those there are, it finds landmarks."""
    dim: int = 32
    """Dimensions of the embedding; its L2 norm is 10."""
    start: Path | None = None
    """The folder of an encoder to go on from, of the same sizes; None: it begins with nothing."""
    steps: int = 12_000
    """Optimiser steps. It may be stopped at any time: the same command goes on."""
    moments: int = 96
    """Moments of a step, each filmed in two scenes."""
    temperature: float = 10.0
    """Of infonce, in squared distance."""
    self_regression: float = 50.0
    """Weight of the error of the robot's own joints, predicted from the embedding."""
    landmarks: float = 50.0
    """Weight of the error of where its parts are in the picture."""
    learning_rate: float = 2e-3
    """The highest, in one cycle up to it and down to 0."""
    seed: int = 0
    """Of everything random."""
    device: str = "auto"
    """auto, cpu or cuda."""


def check(settings: Settings) -> None:
    """Refuse settings that can't be.

    Raises:
        UserError: One is unknown, or out of its range.
    """
    choose(ENCODERS, settings.encoder, "encoder")
    choose(ARMS, settings.arm, "arm")
    camera = choose(CAMERAS, settings.camera, "camera")
    pick_device(settings.device)
    check_bounds(settings, dim=BOUNDS["dim"], image_size=BOUNDS["image_size"], seed=SEED)
    check_bounds(settings, steps=(1, 10**9), moments=(2, MANY))
    if camera.renderer != "raster":
        raise UserError(f"camera {settings.camera!r} has the renderer {camera.renderer!r}, which draws no scenes")
    for name in ("learning_rate", "temperature"):
        if not 0 < getattr(settings, name) < float("inf"):
            raise UserError(f"{name} is {getattr(settings, name)}, expected more than 0")
    for name in ("self_regression", "landmarks"):
        if not 0 <= getattr(settings, name) < float("inf"):
            raise UserError(f"{name} is {getattr(settings, name)}, expected 0 or more")


def run(settings: Settings) -> Stage:
    """Train, measure what it has become blind to, and write the encoder."""
    check(settings)
    arm, camera = ARMS[settings.arm], CAMERAS[settings.camera]
    stage = Stage.named(settings.run, settings.name)
    trained = _untrained(settings, camera)
    began = None if settings.start is None else sha256(settings.start / "encoder.safetensors")
    wanted = kept_settings(settings) | {"encoder_sha256": began}
    if not stage.begin(wanted):
        print(f"{stage.folder} is trained already")
        return stage
    studio = Studio(arm, camera, settings.image_size, settings.domain, settings.seed)
    snapshots = Snapshots(stage.path(SNAPSHOT), f"{settings.camera} {trained.device.type}")
    kept = snapshots.read()
    baselines = kept["baselines"] if kept else {"untrained": seen_by(trained, arm, settings.seed)}
    figures = fit_encoder(_lessons(settings, studio, trained), stage, trained, snapshots, baselines, kept)
    figures |= seen_by(trained, arm, settings.seed, stage.path("seen.png"))
    figures |= {f"untrained_{name}": value for name, value in baselines["untrained"].items()}
    trained.save(stage.path("encoder"))
    stage.finish(figures)
    report(figures)
    print(f"encoder in {stage.path('encoder')}; look at {stage.path('seen.png')}")
    return stage


def _untrained(settings: Settings, camera: Camera) -> TrainedEncoder:
    """The encoder as it begins."""
    arm, device = ARMS[settings.arm], pick_device(settings.device)
    torch.manual_seed(settings.seed)
    landmarks = number_of(arm, body_of(arm.file))
    module = build_encoder(settings.encoder, settings.image_size, settings.dim, landmarks)
    head = PoseHead(settings.dim, arm.joints)
    trained = TrainedEncoder(
        settings.encoder, module, settings.image_size, settings.dim, camera, head, None, landmarks, settings.domain
    )
    if settings.start is not None:
        before = load_encoder(settings.start)
        for name in ("name", "image_size", "dim", "landmarks"):
            was, wanted = getattr(before, name), getattr(trained, name)
            if was != wanted:
                raise UserError(f"start {settings.start}: {name} is {was}, expected {wanted}")
        before.check_arm(arm.joints)
        if before.pose_head is None:
            raise UserError(f"start {settings.start}: an encoder without a pose head, expected one that has it")
        trained = replace(trained, module=before.module, pose_head=before.pose_head)
    return trained.to(device)


def _lessons(settings: Settings, studio: Studio, trained: TrainedEncoder) -> Lessons:
    def batches(step: int) -> Iterator[Batch]:
        """The next one is drawn while the network learns from the one before."""
        with ThreadPoolExecutor(1) as pool:
            ahead = pool.submit(studio.takes, step, settings.moments)
            for following in range(step + 1, settings.steps + 1):
                takes = ahead.result()
                if following < settings.steps:
                    ahead = pool.submit(studio.takes, following, settings.moments)
                frames = torch.from_numpy(takes.frames).to(trained.device)
                yield Batch(frames, 2, takes.joints, takes.landmarks)

    low, high = settings.domain.noise
    return Lessons(
        settings.steps,
        batches,
        Loss(InfoNCE(settings.temperature), trained.pose_head, settings.self_regression, settings.landmarks),
        Course((low / WIDTH, high / WIDTH), settings.domain, shift=0),
        "adamw",
        settings.learning_rate,
    )
