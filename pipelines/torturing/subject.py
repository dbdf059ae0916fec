"""What is tortured: a run of the real stages, so small that it is made in seconds."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from unittest.mock import patch

import numpy as np
from PIL import Image

from imitate.data.lerobot.dataset import LeRobotDataset
from imitate.data.video.writer import Compression, write_video
from imitate.policy.ppo import Learner

from .. import benchmark_follow, embed, evaluate, follow, imitate, record
from ..benchmarking import filming
from ..timing.subject import quiet

RECORD = record.Settings(
    train=3, validation=2, test=1, frames=14, held_out_frames=12, held_out_travel=0.0, image_size=32, workers=1
)
EMBED = embed.Settings(epochs=4, videos=3, batch=4, positive=2, device="cpu")
LEARNER = Learner(n_envs=2, n_steps=16, batch_size=16, n_epochs=1, width=16)
IMITATE = imitate.Settings(steps=64, practice=0, learner=LEARNER, workers=1, device="cpu")
FOLLOW = follow.Settings(demo="test:0", workers=1, device="cpu")
BENCHMARK = benchmark_follow.Settings(demos=1, conditions=("plain",), jobs=1)


@dataclass(frozen=True)
class Subject:
    """What all parts need.

    Attributes:
        folder: To work in.
        seed: Of everything random.
        kills: Of each stage.
        corruptions: Files that are damaged, one at a time.
        mistakes: Bad inputs.
        executions: Of the readers on mutated files.
        steps: Of the environments that are soaked.
        workers: Processes that soak.
        stages: That are killed, of ``kills.VICTIMS``; none: all.
    """

    folder: Path
    seed: int
    kills: int
    corruptions: int
    mistakes: int
    executions: int
    steps: int
    workers: int
    stages: tuple[str, ...] = ()

    @cached_property
    def run(self) -> Path:
        """A run in which each stage has finished, as a user has it."""
        run = self.folder / "whole"
        with quiet():
            record.run(replace(RECORD, run=run))
            embed.run(replace(EMBED, run=run))
            imitate.run(replace(IMITATE, run=run))
            evaluate.run(evaluate.Settings(run=run, device="cpu"))
            follow.run(replace(FOLLOW, run=run))
            with patch.object(filming, "RECORD", RECORD):  # which is no setting of that command
                benchmark_follow.run(replace(BENCHMARK, run=run))
        return run

    @cached_property
    def given(self) -> Path:
        """Files as a stranger gives them, of no finished stage: dataset, encoder, policy, settings, video, results."""
        folder = self.folder / "given"
        shutil.copytree(self.run / "record/dataset", folder / "dataset", ignore=shutil.ignore_patterns("cache"))
        shutil.copytree(self.run / "embed/encoder", folder / "encoder")
        for name in ("policy.zip", "config.json"):
            shutil.copyfile(self.run / "imitate" / name, folder / name)
        for name in ("any-video.csv", "any-video.json"):
            shutil.copyfile(self.run / "benchmark-follow" / name, folder / name)
        dataset = LeRobotDataset(folder / "dataset")
        frames = dataset.demonstration(dataset.split("test")[0]).frames
        write_video(folder / "demonstration.mp4", frames, round(dataset.fps), Compression(0, "yuv444p"))
        first, *others = map(Image.fromarray, frames)
        first.save(folder / "demonstration.webp", save_all=True, append_images=others, duration=50)  # read by Pillow
        return folder

    def random(self, part: str) -> np.random.Generator:
        """A generator for a part, the same whatever other parts there are."""
        return np.random.default_rng([self.seed, *part.encode()])
