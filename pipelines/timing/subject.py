"""What is measured: the stages with their own settings, at a size that takes seconds."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from imitate.data.lerobot.dataset import LeRobotDataset
from imitate.embedding.encoders import build_encoder
from imitate.embedding.pose_head import PoseHead
from imitate.embedding.trained_encoder import TrainedEncoder
from imitate.policy.ppo import Learner

from .. import embed, imitate, record
from ..embed import Settings as Embed
from ..imitate import Settings as Imitate
from ..record import Settings as Record

RECORD, EMBED, IMITATE = (module.PRESETS["default"][1] for module in (record, embed, imitate))
PAPER_RECORD, PAPER_EMBED, PAPER = (module.PRESETS["paper"][1] for module in (record, embed, imitate))


@dataclass(frozen=True)
class Recipe:
    """The settings of all stages."""

    record: Record
    embed: Embed
    imitate: Imitate

    @classmethod
    def of(cls, preset: str) -> Recipe:
        """Those of a preset that all have."""
        return cls(record.PRESETS[preset][1], embed.PRESETS[preset][1], imitate.PRESETS[preset][1])


@dataclass(frozen=True)
class Sizes:
    """How much of each stage is measured at once: its settings.

    Attributes:
        record: The default's; ``train`` is of one process.
        embed: The default's, fewer epochs.
        imitate: The default's; ``steps`` are those of all environments between two updates.
        paper_record: What the paper's encoder is trained on here.
        paper_embed: The paper's, a single batch.
        paper: The paper's; ``steps`` are those of all environments between two updates.
        recipes: Whole ones: the ``default``, and ``thorough``.
    """

    record: Record
    embed: Embed
    imitate: Imitate
    paper_record: Record
    paper_embed: Embed
    paper: Imitate
    recipes: Mapping[str, Recipe]

    def learner(self, envs: int = 0) -> Learner:
        """The default's, of so many environments (0: its own), with as many steps in all between two updates."""
        own = self.imitate.learner
        envs = envs or own.n_envs
        return replace(own, n_envs=envs, n_steps=max(2, self.imitate.steps // envs))


FULL = Sizes(
    record=replace(RECORD, train=400, validation=2, test=1),
    embed=replace(EMBED, epochs=60),
    imitate=replace(IMITATE, steps=IMITATE.learner.n_envs * IMITATE.learner.n_steps),
    paper_record=replace(PAPER_RECORD, train=4, validation=2, test=1, frames=40, held_out_frames=40),
    paper_embed=replace(PAPER_EMBED, epochs=1, videos=4, per_video=16, passes=1),
    paper=replace(PAPER, steps=PAPER.learner.batch_size),
    recipes={name: Recipe.of(name) for name in ("default", "thorough")},
)
SHORT = {"train": 3, "validation": 2, "test": 1, "frames": 34, "held_out_frames": 34, "held_out_travel": 0.0}
QUICK_RECIPE = Recipe(
    replace(RECORD, **SHORT | {"test": 3}, image_size=32),
    replace(EMBED, epochs=2, videos=4, batch=4),
    replace(IMITATE, steps=32, observe_pose=False, midway=0.0, learner=Learner(n_envs=4, n_steps=8, batch_size=16)),
)
QUICK = Sizes(
    record=replace(RECORD, **SHORT, image_size=32),
    embed=replace(EMBED, epochs=2, videos=4, batch=4),
    imitate=replace(IMITATE, steps=32, practice=0, learner=Learner(n_envs=4, batch_size=16, n_epochs=2)),
    paper_record=replace(PAPER_RECORD, **SHORT, image_size=75),
    paper_embed=replace(PAPER_EMBED, epochs=1, videos=2, per_video=1, passes=1, batch=2),
    paper=replace(PAPER, steps=4),
    recipes=dict.fromkeys(("default", "thorough"), QUICK_RECIPE),
)


@dataclass(frozen=True)
class Subject:
    """What all rows need.

    Attributes:
        sizes: Of the stages.
        folder: To work in.
        repeats: Of each measurement.
        workers: Processes.
        device: Of the encoder.
        processes: Numbers of them that are compared with the first.
        envs: Numbers of environments that are compared with the first.
        episodes: Numbers of recorded episodes that are compared with the first.
    """

    sizes: Sizes
    folder: Path
    repeats: int
    workers: int
    device: torch.device
    processes: tuple[int, ...]
    envs: tuple[int, ...]
    episodes: tuple[int, ...]

    def recording(self, name: str = "training") -> LeRobotDataset:
        """For ``training``, or that of the ``paper``, or for ``imitating``: recorded when first asked for."""
        wanted = {
            "training": self.sizes.record,
            "paper": self.sizes.paper_record,
            "imitating": replace(self.sizes.record, train=1),
        }[name]
        with quiet():
            stage = record.run(replace(wanted, run=self.folder / name))
        return LeRobotDataset(stage.path("dataset"))

    def untrained(self, name: str, dataset: LeRobotDataset) -> TrainedEncoder:
        """An encoder for its frames, no slower than one that has learned."""
        camera = dataset.camera()
        size = dataset.image_size(camera.name)
        torch.manual_seed(0)
        module = build_encoder(name, size, EMBED.dim)
        head = PoseHead(EMBED.dim, dataset.joints([0]).shape[1])
        return TrainedEncoder(name, module, size, EMBED.dim, camera, head).to(self.device)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what the stages print out of the table."""
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        yield
