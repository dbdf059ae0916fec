"""Rows of ``record``: frames/s, everything that the stage does included."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from itertools import pairwise
from time import perf_counter

from imitate.data.lerobot.dataset import LeRobotDataset

from .. import record
from .bare import Bare, Played
from .rows import Row, compare
from .subject import Subject, quiet


def record_vs_limit(subject: Subject) -> Iterator[Row]:
    """The whole recording of a run, against the same episodes, played again by the bare simulation."""
    yield _against_bare(subject, "record_vs_limit")


def record_vs_tiny(subject: Subject) -> Iterator[Row]:
    """The same, but against the bare simulation that is drawn by PyBullet's renderer."""
    yield _against_bare(subject, "record_vs_tiny", renderer="tiny")


def _against_bare(subject: Subject, name: str, **drawn: str) -> Row:
    whole = subject.sizes.recipes["default"].record
    settings = replace(whole, run=subject.folder / "record-whole", workers=subject.workers)
    with quiet():
        stage = record.run(settings)
    dataset = LeRobotDataset(stage.path("dataset"))
    camera = replace(dataset.camera(), **drawn)  # type: ignore[arg-type]
    with closing(Bare(_played(dataset), settings.arm, camera, settings.image_size, subject.workers)) as bare:
        return compare(name, "frames/s", partial(_rate, settings), bare, subject.repeats)


def growth_record_processes(subject: Subject) -> Iterator[Row]:
    """Against one process (or the first number of them), with as many episodes for each process."""
    first, *more = (partial(_rate, _settings(subject, n)) for n in subject.processes)
    for processes, rate in zip(subject.processes[1:], more, strict=True):
        yield compare(f"growth_record_processes_{processes}", "frames/s", rate, first, subject.repeats)


def _settings(subject: Subject, workers: int) -> record.Settings:
    """As many episodes for each process, so that files of them are dealt out evenly."""
    sizes = subject.sizes.record
    train = sizes.train * workers - sizes.validation - sizes.test
    return replace(sizes, run=subject.folder / f"record-{workers}", train=max(train, 1), workers=workers)


def _rate(settings: record.Settings) -> float:
    shutil.rmtree(settings.run, ignore_errors=True)
    start = perf_counter()
    with quiet():
        stage = record.run(settings)
    return stage.metrics["frames"] / (perf_counter() - start)


def _played(dataset: LeRobotDataset) -> list[Played]:
    joints, actions, starts = dataset.joints(), dataset.column("action"), dataset.starts
    return [Played(joints[a], actions[a : b - 1]) for a, b in pairwise(starts)]
