"""The encoder for the open world: it learns from frames that are drawn while it learns, and of which none comes twice.

Two frames of one moment, in other scenes and light, through other cameras, are a pair (multi-view time contrast;
Sermanet et al., 2017, section III.A): the same pose, as the usual camera would see it, and nothing else in common. One
of the two is that of the plain scene, whose embedding another encoder gives, which knows that scene only: a teacher. Or
both are in any scene, and many moments are filmed in each, so that no scene tells one from another.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from imitate.data.camera import Camera
from imitate.data.domain import Domain
from imitate.data.viewpoint import WIDEST_VIEW
from imitate.embedding.batch import Batch
from imitate.embedding.device import pick_device
from imitate.embedding.encoder_file import BOUNDS
from imitate.embedding.encoders import build_encoder
from imitate.embedding.loss import Loss
from imitate.embedding.objectives.infonce import InfoNCE
from imitate.embedding.objectives.likeness import Likeness
from imitate.embedding.pose_head import PoseHead
from imitate.embedding.trained_encoder import TrainedEncoder, load_encoder
from imitate.embedding.training import Course
from imitate.envs.cameras import CAMERAS
from imitate.envs.kuka import ARMS, body_of
from imitate.envs.landmarks import number_of
from imitate.envs.studio import Studio, Takes
from imitate.errors import MANY, SEED, UserError, check_bounds, choose
from imitate.keeping.manifest import SNAPSHOT, sha256
from imitate.keeping.runs import Stage, kept_settings
from imitate.keeping.snapshot import Snapshots

from .blindness import report, seen_by
from .teacher import Teacher
from .training import Lessons, fit_encoder

ENCODER = "residual"  # of those that there are, it finds landmarks
WEIGHTS = "encoder.safetensors"
VIEWS = {"teacher": 1, "infonce": 2}  # that are filmed of a moment, by objective


@dataclass(frozen=True)
class Settings:
    """How the encoder for the open world is trained."""

    run: Path = Path("runs/default")
    """The run directory; it need not exist: nothing is recorded."""
    name: str = "embed"
    """The stage's folder in it: another name keeps another encoder beside the first."""
    arm: str = "iiwa"
    """iiwa (7 joints and a tool), iiwa_gripper (the paper's 12 joints) or panda."""
    camera: str = "front"
    """That films it, or would, if it did not move."""
    image_size: int = 64
    """Pixels a side."""
    domain: Domain = field(default_factory=Domain)
    """What it is to be blind to."""
    dim: int = 32
    """Dimensions of the embedding; its L2 norm is 10."""
    objective: str = "teacher"
    """teacher: a frame's embedding is to be that which the teacher has of the same pose in the plain scene. infonce:
    those of two frames of a moment are to be alike, and unlike all others."""
    teacher: Path | None = None
    """The folder of an encoder of the plain scene; None: the one that comes with the package."""
    start: Path | None = None
    """The folder of an encoder to go on from, of the same sizes; None: it begins with nothing."""
    steps: int = 10_000
    """Optimiser steps. It may be stopped at any time: the same command goes on."""
    moments: int = 128
    """Moments of a step; for infonce, each is filmed in two scenes."""
    temperature: float = 10.0
    """Of infonce, in squared distance."""
    self_regression: float = 20.0
    """Weight of the error of the robot's own joints, predicted from the embedding."""
    landmark_weight: float = 100.0
    """Of what it is off by where it finds its parts in the picture."""
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
    choose(ARMS, settings.arm, "arm")
    camera = choose(CAMERAS, settings.camera, "camera")
    choose(VIEWS, settings.objective, "objective")
    if settings.teacher is not None and settings.objective != "teacher":
        raise UserError(f"teacher is {settings.teacher}, but the objective is {settings.objective}: leave one out")
    pick_device(settings.device)
    check_bounds(settings, dim=BOUNDS["dim"], image_size=BOUNDS["image_size"], seed=SEED)
    check_bounds(settings, steps=(1, 10**9), moments=(2, MANY))
    if camera.renderer != "raster":
        raise UserError(f"camera {settings.camera!r} has the renderer {camera.renderer!r}, which draws no scenes")
    if not camera.fov * settings.domain.zoom[1] < WIDEST_VIEW:
        raise UserError(
            f"domain: zoom is up to {settings.domain.zoom[1]:g} times the {camera.fov:g} degrees of camera "
            f"{settings.camera!r}, expected less than {WIDEST_VIEW:g} degrees"
        )
    for name in ("learning_rate", "temperature", "landmark_weight"):
        if not 0 < getattr(settings, name) < float("inf"):
            raise UserError(f"{name} is {getattr(settings, name)}, expected more than 0")
    if not 0 <= settings.self_regression < float("inf"):
        raise UserError(f"self_regression is {settings.self_regression}, expected 0 or more")


def run(settings: Settings) -> Stage:
    """Train, measure what it has become blind to, and write the encoder."""
    check(settings)
    arm, camera = ARMS[settings.arm], CAMERAS[settings.camera]
    stage = Stage.named(settings.run, settings.name)
    wanted = kept_settings(settings)
    if stage.finished and not stage.begin(wanted):
        print(f"{stage.folder} is trained already")
        return stage
    untrained = _untrained(settings, camera)
    teacher = None
    if settings.objective == "teacher":
        teacher = Teacher(settings.teacher, arm, camera, settings.dim, untrained.device)
    trained = untrained if settings.start is None else _started(settings.start, untrained)
    if not stage.begin(wanted):
        return stage
    studio = Studio(arm, camera, settings.image_size, settings.domain, settings.seed)
    others = ["" if settings.start is None else sha256(settings.start / WEIGHTS), teacher.sha256 if teacher else ""]
    snapshots = Snapshots(stage.path(SNAPSHOT), " ".join([settings.camera, trained.device.type, *others]))
    kept = snapshots.read()
    baselines = kept["baselines"] if kept else {"untrained": seen_by(untrained, arm, settings.seed)}
    lessons = _lessons(settings, studio, trained, teacher)
    figures = fit_encoder(lessons, stage, trained, snapshots, baselines, kept)
    figures |= seen_by(trained, arm, settings.seed, stage.path("seen.png"))
    figures |= {f"untrained_{name}": value for name, value in baselines["untrained"].items()}
    trained.save(stage.path("encoder"))
    stage.finish(figures)
    report(figures)
    print(f"encoder in {stage.path('encoder')}; look at {stage.path('seen.png')}")
    return stage


def _untrained(settings: Settings, camera: Camera) -> TrainedEncoder:
    """The encoder before it has learned anything."""
    arm, size, dim = ARMS[settings.arm], settings.image_size, settings.dim
    torch.manual_seed(settings.seed)
    module = build_encoder(ENCODER, size, dim, number_of(arm, body_of(arm.file)))
    head = PoseHead(dim, arm.joints)
    trained = TrainedEncoder(ENCODER, module, size, dim, camera, head, domain=settings.domain, arm=settings.arm)
    return trained.to(pick_device(settings.device))


def _started(folder: Path, untrained: TrainedEncoder) -> TrainedEncoder:
    """The encoder in a folder, to go on from, as one of the camera and the domain of this one."""
    before = load_encoder(folder, untrained.device)
    for name, what in (("name", "encoder"), ("image_size",) * 2, ("dim",) * 2, ("landmarks",) * 2):
        was, wanted = getattr(before, name), getattr(untrained, name)
        if was != wanted:
            raise UserError(f"start {folder}: {what} is {was}, expected {wanted}")
    joints = before.pose_head.joints if before.pose_head else 0
    if untrained.pose_head is not None and joints != untrained.pose_head.joints:
        raise UserError(f"start {folder}: its pose head has {joints} joints, expected {untrained.pose_head.joints}")
    return replace(untrained, module=before.module, pose_head=before.pose_head)


def _lessons(settings: Settings, studio: Studio, trained: TrainedEncoder, teacher: Teacher | None) -> Lessons:
    views = VIEWS[settings.objective]

    def filmed(step: int) -> tuple[Takes, NDArray[np.uint8] | None]:
        takes = studio.takes(step, settings.moments, views)
        return takes, teacher.draw(takes.joints) if teacher else None

    def batches(step: int) -> Iterator[Batch]:
        """The next one is drawn while the network learns from the one before."""
        with ThreadPoolExecutor(1) as pool:
            ahead = pool.submit(filmed, step)
            for following in range(step + 1, settings.steps + 1):
                takes, plain = ahead.result()
                if following < settings.steps:
                    ahead = pool.submit(filmed, following)
                frames = torch.from_numpy(takes.frames).to(trained.device)
                taught = teacher.embed(plain) if teacher and plain is not None else None
                yield Batch(frames, views, takes.joints, takes.landmarks, taught)

    return Lessons(
        settings.steps,
        batches,
        Loss(
            Likeness() if teacher else InfoNCE(settings.temperature),
            trained.pose_head,
            settings.self_regression,
            settings.landmark_weight,
        ),
        Course.within(settings.domain),
        "adamw",
        settings.learning_rate,
    )
