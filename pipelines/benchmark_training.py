"""``benchmark_training``: what an encoder's training costs, and what it is worth; to choose the defaults by.

Each variant changes the default recording or encoder in one thing. Its encoder is a stage of its own, so that an
interrupted benchmark goes on with what is missing. What it is worth is how far off the robot is when it takes the poses
that it reads with it off the validation demonstrations: those that are reported play no part.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imitate.data.demonstration import Demonstration
from imitate.data.lerobot.dataset import LeRobotDataset
from imitate.embedding.device import pick_device
from imitate.embedding.trained_encoder import TrainedEncoder, load_encoder
from imitate.envs.imagination import watch
from imitate.envs.kuka import Kuka
from imitate.errors import check_bounds, choose
from imitate.keeping.lock import held
from imitate.keeping.runs import git_commit
from imitate.measuring.metrics import SUCCESS_M

from . import embed, record
from .shared.cli import command, command_line
from .shared.results import Results, Rows, about, check_out, write_results


@dataclass(frozen=True)
class Variant:
    """What is changed of the default settings.

    Attributes:
        record: Of the recording.
        embed: Of the encoder's training.
    """

    record: Mapping[str, Any] = field(default_factory=dict)
    embed: Mapping[str, Any] = field(default_factory=dict)


VARIANTS = {
    "default": Variant(),
    **{f"epochs-{n}": Variant(embed={"epochs": n}) for n in (200, 400, 1600)},
    **{f"episodes-{n}": Variant(record={"train": n}) for n in (300, 3000)},
    **{f"batch-{n}": Variant(embed={"videos": n, "batch": n}) for n in (72, 288)},
    "encoder-conv": Variant(embed={"encoder": "conv"}),
}


@dataclass(frozen=True)
class Settings:
    """What is trained, and on what it is measured."""

    run: Path = Path("runs/benchmark-training")
    """The run directory; each recording has one of its own in it."""
    variants: tuple[str, ...] = tuple(VARIANTS)
    """Of the list that this command prints when it does not know one."""
    demos: int = 20
    """Validation demonstrations whose poses are read."""
    device: str = "auto"
    """auto, cpu or cuda."""
    out: Path | None = None
    """Another table for the figures, such as results/training.csv, what is no row beside it as JSON; None: the run's
    own."""


PRESETS = {"default": ("One setting changed at a time.", Settings())}


def run(settings: Settings) -> Rows:
    """Train what is missing, measure, print, write."""
    check_bounds(settings, demos=(1, record.PRESETS["default"][1].validation))
    pick_device(settings.device)
    variants = {name: choose(VARIANTS, name, "variant") for name in settings.variants}
    out = settings.out or settings.run / "training.csv"
    check_out(out)
    rows: Rows = []
    settings.run.mkdir(parents=True, exist_ok=True)
    with held(settings.run):
        print(f"{'':20}{'train, s':>10}{'read, s':>9}{'flange, cm':>12}{'joints, rad':>13}{'within 5 cm':>13}")
        for name, variant in variants.items():
            rows.append({"variant": name, **_measured(settings, name, variant)})
            row = rows[-1]
            print(
                f"{name:20}{row['train_seconds']:10.0f}{row['read_seconds']:9.1f}{100 * row['ee_error_m']:12.2f}"
                f"{row['joint_error_rad']:13.3f}{row['success']:13.2f}",
                flush=True,
            )
        said = about(command_line("benchmark-training", settings))
        write_results(out, Results(rows, said | {"git_commit": git_commit(), "demonstrations": settings.demos}))
    print(f"in {out}")
    return rows


def _measured(settings: Settings, name: str, variant: Variant) -> dict[str, Any]:
    recording = replace(record.PRESETS["default"][1], **variant.record)
    folder = settings.run / f"episodes-{recording.train}"
    record.run(replace(recording, run=folder))
    wanted = replace(embed.PRESETS["default"][1], run=folder, name=f"embed-{name}", device=settings.device)
    wanted = replace(wanted, **variant.embed)
    stage = embed.run(wanted)
    encoder = load_encoder(stage.path("encoder"), pick_device(settings.device))
    dataset = LeRobotDataset(folder / "record" / "dataset")
    shown = dataset.demonstrations(dataset.split("validation")[: settings.demos], encoder.camera.name)
    start = perf_counter()
    errors = _errors(encoder, shown)
    seconds = (perf_counter() - start) / len(shown)
    return {
        "episodes": recording.train,
        "epochs": wanted.epochs,
        "batch": wanted.batch,
        "encoder": wanted.encoder,
        "train_seconds": stage.metrics["train_seconds"],
        "read_seconds": seconds,
        "ee_error_m": float(np.median(errors[:, 0])),
        "ee_error_m_mean": float(errors[:, 0].mean()),
        "joint_error_rad": float(np.median(errors[:, 1])),
        "success": float((errors[:, 0] < SUCCESS_M).mean()),
        "retrieval_ee_error_m": stage.metrics["retrieval_ee_error_m"],
    }


def _errors(encoder: TrainedEncoder, shown: Sequence[Demonstration]) -> NDArray[np.float64]:
    """How far the poses read off demonstrations are from the true ones: (n, 2), of the flange, m, and joints, rad."""
    errors = np.empty((len(shown), 2))
    with closing(Kuka()) as kuka:
        for k, demonstration in enumerate(shown):
            assert demonstration.joints is not None  # it is recorded
            read = watch(encoder, encoder.embed(demonstration.frames), workers=os.cpu_count() or 1).poses
            apart = kuka.flange_positions(read) - kuka.flange_positions(demonstration.joints)
            errors[k] = np.linalg.norm(apart, axis=1).mean(), np.abs(read - demonstration.joints).mean()
    return errors


def main() -> None:
    """Run from the command line."""
    command("benchmark-training", PRESETS, run)


if __name__ == "__main__":
    main()
