"""The profile: which part of a stage takes what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any
from unittest.mock import patch

import torch
from stable_baselines3 import PPO
from stable_baselines3.common.policies import ActorCriticPolicy

import imitate.data.lerobot.writer
import imitate.embedding.batch
import imitate.embedding.training
from imitate.embedding.objectives import OBJECTIVES
from imitate.embedding.sampling import Epoch
from imitate.embedding.trained_encoder import TrainedEncoder
from imitate.envs import kuka, vector
from imitate.envs.bullet import Bullet
from imitate.envs.rendering.rasteriser import Rasteriser
from imitate.keeping.runs import Stage, read_json, write_json

from .. import record
from ..embedding.recorded import lessons_of
from ..embedding.training import fit_encoder
from .imitating import learning
from .stopwatch import REST, Call, Stopwatch
from .subject import Subject, quiet
from .training import epoch_of, opened, synchronize

SIMULATION = (
    Call(Bullet, "drive_velocities", "physics"),
    Call(Bullet, "step", "physics"),
    Call(Bullet, "draw", "render"),
    Call(kuka, "block_means", "render"),
    Call(Rasteriser, "draw", "render"),
)
OPTIMIZERS = {"adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}
WAITING = "waiting"


@dataclass(frozen=True)
class Part:
    """A part of a stage.

    Attributes:
        stage: Of which it is one.
        part: What it is.
        seconds: That it took, of what was measured.
        share: Of the stage's time.
    """

    stage: str
    part: str
    seconds: float
    share: float


def profile_record(subject: Subject) -> list[Part]:
    """One file of episodes, in this process."""
    settings, watch = subject.sizes.record, Stopwatch()
    calls = [
        *SIMULATION,
        Call(imitate.data.lerobot.writer, "write_video", "encode video"),
        Call(record, "write_file", "write tables"),
    ]
    with watch.watching(calls), watch.part(REST):
        record.record_file(settings, record.layout_of(settings), Stage(subject.folder / "profile-record"), 0)
    return _parts("record", watch.seconds)


def profile_embed(subject: Subject) -> list[Part]:
    """Training, after a first time that warms up."""
    settings, watch = subject.sizes.embed, Stopwatch(partial(synchronize, subject.device))
    dataset, data = opened(subject)
    calls = [
        Call(Epoch, "batches", "gather batch"),
        Call(imitate.embedding.training, "preprocess", "gather batch"),
        Call(imitate.embedding.training.Grain, "add_to", "noise"),
        Call(type(subject.untrained(settings.encoder, dataset).module), "forward", "forward"),
        Call(OBJECTIVES[settings.objective].loss, "forward", "forward"),
        Call(torch.Tensor, "backward", "backward"),
        Call(OPTIMIZERS[settings.optimizer], "step", "optimizer"),
    ]
    reader = imitate.embedding.batch.reader

    def watched_reader(*args: Any) -> Any:
        return watch.around(reader(*args), "gather batch")

    stage = Stage(subject.folder / "profile-embed")

    def fit() -> None:
        trained = subject.untrained(settings.encoder, dataset)
        fit_encoder(lessons_of(settings, data, trained, epoch_of(settings)), stage, trained)

    with quiet():
        fit()
        with (
            patch.object(imitate.embedding.batch, "reader", watched_reader),
            watch.watching(calls),
            watch.part(REST),
        ):
            fit()
    return _parts("embed", watch.seconds)


def profile_imitate(subject: Subject) -> list[Part]:
    """The steps between two updates, and the update.

    The main process waits while the workers step; what they were busy with meanwhile is their mean. The time that the
    main process waited beyond that is for passing actions and frames, and for the slowest worker.
    """
    watch = Stopwatch(partial(synchronize, subject.device))
    calls = [
        Call(vector.KukaVectorEnv, "_run", WAITING),
        Call(TrainedEncoder, "embed", "encoder"),
        Call(ActorCriticPolicy, "forward", "policy"),
        Call(ActorCriticPolicy, "predict_values", "policy"),
        Call(PPO, "train", "PPO update"),
    ]
    told = subject.folder / "profile-imitate"
    with (
        patch.object(vector, "_Rows", partial(WatchedRows, told)),
        learning(subject) as rate,
        watch.watching(calls),
        watch.part(REST),
    ):
        rate()
    steps = subject.sizes.learner().n_steps
    workers = [read_json(path) for path in told.iterdir()]
    each = {part: [w["seconds"].get(part, 0.0) / w["steps"] for w in workers] for part in ("physics", "render", REST)}
    busy = {part: steps * mean(values) for part, values in each.items()}
    passing = max(0.0, watch.seconds.pop(WAITING) - sum(busy.values()))
    busy["rest of the workers"] = busy.pop(REST)
    return _parts("imitate", watch.seconds | busy | {"passing between processes": passing})


class WatchedRows:
    """The environments of a worker process, which tells in a file what its steps took."""

    def __init__(self, folder: Path, raw: dict[str, Any], rows: slice, kwargs: dict[str, Any], apart: bool) -> None:
        self._told = folder / f"{rows.start}.json"
        self._rows = vector._Rows(raw, rows, kwargs, apart)
        self._watch = Stopwatch()
        self._watching = self._watch.watching([Call(vector._Rows, "step", REST), *SIMULATION])
        self._watching.__enter__()

    def __call__(self, *question: Any) -> Any:
        """As those do."""
        return self._rows(*question)

    def close(self) -> None:
        """As those do."""
        self._watching.__exit__(None, None, None)
        self._rows.close()
        write_json(self._told, {"seconds": self._watch.seconds, "steps": self._watch.calls[REST]})


def _parts(stage: str, seconds: Mapping[str, float]) -> list[Part]:
    ordered = sorted(seconds.items(), key=lambda item: (item[0] == REST, -item[1]))
    return [Part(stage, name, value, value / sum(seconds.values())) for name, value in ordered]


PROFILES = {function.__name__: function for function in (profile_record, profile_embed, profile_imitate)}
