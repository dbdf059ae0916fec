"""The sequence head of an encoder for the open world: it learns from videos that are drawn, each in a room of its own.

The encoder stays as it is. What it says of the frames is kept, and the head goes over that again and again: forwards
and backwards, in parts of any length.
"""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from torch.nn import functional
from torch.optim.lr_scheduler import OneCycleLR
from tqdm import tqdm

from imitate.embedding.device import pick_device
from imitate.embedding.encoder_file import BOUNDS, WEIGHTS
from imitate.embedding.sequence_head import SequenceHead
from imitate.embedding.trained_encoder import TrainedEncoder, load_encoder
from imitate.embedding.training import HALF, Course
from imitate.envs.kuka import ARMS, ASSETS, Kuka
from imitate.envs.studio import Studio
from imitate.errors import MANY, PROCESSES, SEED, UserError, check_bounds
from imitate.keeping.finite import check_weights
from imitate.keeping.manifest import sha256
from imitate.keeping.runs import Stage, kept_settings, written_aside
from imitate.keeping.workers import worked_off

from .training import SHORTEST_CYCLE

VIDEOS = "videos"  # the folder of what was seen in them
A_FILE = 200  # videos
SHORTEST = 0.4  # of a video, that is learned from at once
LIMIT = 1.0  # of the norm of a gradient
HELD_OUT = 3  # what videos that nothing is learned from are told apart by from the others


@dataclass(frozen=True)
class Settings:
    """How the sequence head is trained."""

    run: Path = Path("runs/default")
    """The run directory; it need not exist: nothing is recorded."""
    name: str = "sequence"
    """The stage's folder in it: another name keeps another encoder beside the first."""
    encoder: Path | None = None
    """The folder of the encoder that gets the head, one of the preset open; None: the one that comes with the
    package."""
    videos: int = 30_000
    """Videos to learn from, each in a room, of a camera and an arm of its own. What was seen in them is kept until the
    head is trained: the same command goes on after an interruption."""
    held_out: int = 400
    """Videos to measure it on."""
    length: int = 100
    """Frames of a video, 20 a second."""
    width: int = 128
    """Channels."""
    steps: int = 12_000
    """Optimiser steps."""
    batch: int = 24
    """Videos of a step."""
    learning_rate: float = 2e-3
    """The highest, in one cycle up to it and down to 0."""
    seed: int = 0
    """Of everything random."""
    device: str = "auto"
    """auto, cpu or cuda."""
    workers: int = 0
    """Processes that draw; 0: one a core."""


class Videos(NamedTuple):
    """What an encoder sees in videos of one length.

    Attributes:
        embeddings: (videos, length, dim).
        landmarks: (videos, length, landmarks, 2).
        joints: (videos, length, joints) rad, as the usual camera would see them.
    """

    embeddings: NDArray[np.floating]
    landmarks: NDArray[np.floating]
    joints: NDArray[np.floating]


def check(settings: Settings) -> None:
    """Refuse settings that can't be.

    Raises:
        UserError: One is out of its range.
    """
    pick_device(settings.device)
    most = BOUNDS["sequence_head_width"][1]
    check_bounds(settings, seed=SEED, workers=PROCESSES, width=(1, most), steps=(1, 10**9), length=(2, MANY))
    check_bounds(settings, **dict.fromkeys(("videos", "held_out", "batch"), (1, MANY)))
    if not 0 < settings.learning_rate < float("inf"):
        raise UserError(f"learning_rate is {settings.learning_rate}, expected more than 0")


def run(settings: Settings) -> Stage:
    """Draw videos, train the head on what the encoder sees in them, measure it, and write the encoder with it."""
    check(settings)
    folder = settings.encoder or ASSETS / "open"
    encoder = _known(folder, pick_device(settings.device))
    stage = Stage.named(settings.run, settings.name)
    wanted = kept_settings(settings) | {"encoder_sha256": sha256(folder / WEIGHTS)}
    if not stage.begin(wanted, resumable=True):
        print(f"{stage.folder} is trained already")
        return stage
    _draw(settings, stage, folder)
    held_out, *files = _files(settings, stage)
    encoder.sequence_head = _fitted(settings, encoder, _read(files))
    figures = _measured(encoder, _read([held_out]))
    encoder.save(stage.path("encoder"))
    for path in (held_out, *files):
        path.unlink()
    stage.path(VIDEOS).rmdir()
    stage.finish(figures)
    print(f"{'held-out videos':34}{'alone':>10}{'together':>10}")
    for name, what in (("joint_error_rad", "joints, rad"), ("ee_error_m", "flange, m")):
        print(f"{what:34}{figures[f'alone_{name}']:10.3f}{figures[name]:10.3f}")
    print(f"encoder in {stage.path('encoder')}")
    return stage


def _known(folder: Path, device: torch.device) -> TrainedEncoder:
    """The encoder that gets the head.

    Raises:
        UserError: It is not one of the open world.
    """
    encoder = load_encoder(folder, device)
    if encoder.domain is None or not encoder.landmarks or encoder.pose_head is None or encoder.arm not in ARMS:
        raise UserError(f"encoder {folder}: it knows one scene of one camera, expected one of 'embed open'")
    return encoder


def _files(settings: Settings, stage: Stage) -> list[Path]:
    """Those of what is seen in videos: the held-out ones, then the others, as many in each as there is room for."""
    count = -(-settings.videos // A_FILE)
    return [stage.path(VIDEOS) / f"{name}.safetensors" for name in ("held-out", *map(str, range(count)))]


def _draw(settings: Settings, stage: Stage, folder: Path) -> None:
    """What is missing of what the encoder sees in videos."""
    files = _files(settings, stage)
    numbers = [range(settings.held_out)]
    numbers += [range(first, min(first + A_FILE, settings.videos)) for first in range(0, settings.videos, A_FILE)]
    jobs = [
        partial(draw_file, settings, stage, folder, path, own)
        for path, own in zip(files, numbers, strict=True)
        if not stage.noted(path.stem)
    ]
    total, missing = settings.videos + settings.held_out, sum(len(job.args[-1]) for job in jobs)
    if not jobs:
        return
    with (
        closing(worked_off(jobs, min(settings.workers or os.cpu_count() or 1, len(jobs)))) as drawn,
        tqdm(total=total, initial=total - missing, unit="video", desc="draw") as bar,
    ):
        for count in drawn:
            bar.update(count)


def draw_file(settings: Settings, stage: Stage, folder: Path, path: Path, numbers: range) -> int:
    """Draw videos, keep what the encoder sees in them, and say how many they are. Runs in a worker process."""
    torch.set_num_threads(1)
    encoder = _known(folder, torch.device("cpu"))
    assert encoder.domain is not None
    assert encoder.arm is not None
    seed = (settings.seed, HELD_OUT if path.stem == "held-out" else 0)
    studio = Studio(ARMS[encoder.arm], encoder.camera, encoder.image_size, encoder.domain, seed)
    seen = [_seen(settings, encoder, studio, number) for number in numbers]
    path.parent.mkdir(exist_ok=True)
    with written_aside(path) as aside:
        save_file(Videos(*map(np.stack, zip(*seen, strict=True)))._asdict(), aside)
    stage.note(path.stem, [path])
    return len(numbers)


def _seen(settings: Settings, encoder: TrainedEncoder, studio: Studio, number: int) -> Videos:
    """What the encoder sees in a video, disturbed as far as its domain goes, and the same in all of it."""
    takes = studio.video(number, settings.length)
    with torch.random.fork_rng([]):
        torch.manual_seed(int(np.random.SeedSequence([settings.seed, number]).generate_state(1)[0]))
        images = Course.within(studio.domain).disturbed(torch.from_numpy(takes.frames), alike=True)
    frames = ((images + 1) * HALF).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)
    embeddings, landmarks = encoder.look(frames.numpy())
    return Videos(embeddings.astype(np.float16), landmarks.astype(np.float16), takes.joints.astype(np.float32))


def _read(files: list[Path]) -> Videos:
    parts = [Videos(**load_file(path)) for path in files]
    return Videos(*map(np.concatenate, zip(*parts, strict=True)))


def _fitted(settings: Settings, encoder: TrainedEncoder, videos: Videos) -> SequenceHead:
    """The head, trained."""
    torch.manual_seed(settings.seed)
    rng = np.random.default_rng(settings.seed)
    head = SequenceHead(encoder.dim, encoder.landmarks, videos.joints.shape[-1], settings.width).to(encoder.device)
    optimizer = torch.optim.AdamW(head.parameters(), settings.learning_rate, weight_decay=1e-2)
    cycle = max(settings.steps, SHORTEST_CYCLE)
    schedule = OneCycleLR(optimizer, settings.learning_rate, total_steps=cycle, pct_start=0.1)
    with tqdm(range(settings.steps), unit="step", desc="embed") as steps:
        for _ in steps:
            decoded, angles = _thought(encoder, head, _part_of(videos, settings, rng))
            loss = functional.mse_loss(decoded, torch.cat([angles.sin(), angles.cos()], dim=2))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(head.parameters(), LIMIT)
            optimizer.step()
            schedule.step()
    check_weights("the sequence head", head.state_dict(), "lower learning-rate")
    return head.eval()


def _part_of(videos: Videos, settings: Settings, rng: np.random.Generator) -> Videos:
    """Some of the videos, as long a part of each, forwards or backwards."""
    rows = rng.integers(len(videos.joints), size=settings.batch)
    length = int(rng.integers(max(1, round(SHORTEST * settings.length)), settings.length + 1))
    first = int(rng.integers(settings.length - length + 1))
    places = np.arange(first, first + length)[:: rng.choice([-1, 1])]
    return Videos(*(part[rows[:, None], places] for part in videos))


def _thought(encoder: TrainedEncoder, head: SequenceHead, videos: Videos) -> tuple[torch.Tensor, torch.Tensor]:
    """Sines and cosines (videos, length, 2 * joints) that the head says, and the angles (videos, length, joints)."""
    embeddings, landmarks, angles = (torch.from_numpy(part).to(encoder.device, torch.float32) for part in videos)
    assert encoder.pose_head is not None
    with torch.no_grad():
        decoded = encoder.pose_head(embeddings)
    return head(embeddings, landmarks, decoded), angles


def _measured(encoder: TrainedEncoder, videos: Videos) -> dict[str, float]:
    """Of held-out videos, what joints and flange are off by: read frame by frame, and together."""
    assert encoder.arm is not None
    arm = ARMS[encoder.arm]
    embeddings, landmarks, joints = (part.astype(np.float32) for part in videos)
    together = [encoder.decode_directions(*seen) for seen in zip(embeddings, landmarks, strict=True)]
    figures: dict[str, float] = {}
    with closing(Kuka(arm)) as kuka:
        there = kuka.flange_positions(joints.reshape(-1, arm.joints))
        for name, directions in (("alone_", map(encoder.decode_directions, embeddings)), ("", together)):
            read = np.angle(np.concatenate([*directions]))
            turned = np.angle(np.exp(1j * (read - joints.reshape(read.shape))))
            off = np.linalg.norm(kuka.flange_positions(read) - there, axis=1)
            figures |= {f"{name}joint_error_rad": float(np.abs(turned).mean()), f"{name}ee_error_m": float(off.mean())}
    return figures
