"""Damage to the files of finished stages: the command that would use them must find it first."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from imitate.data.frame_cache import decoded_frames
from imitate.data.lerobot.dataset import LeRobotDataset
from imitate.data.lerobot.writer import VIDEO_PATH
from imitate.errors import UserError
from imitate.keeping.manifest import MANIFEST
from imitate.keeping.runs import read_json, write_json

from .. import benchmark_follow, embed, evaluate, follow, imitate, record, report
from ..timing.subject import quiet
from .damage import BYTES, draw, missing, written
from .subject import BENCHMARK, EMBED, FOLLOW, IMITATE, RECORD, Subject

AGAIN = "again"  # the stage that a later command would make
DATASET = "record/dataset"
VIDEO = "dataset/" + VIDEO_PATH.format(video_key="observation.images.front", chunk_index=0, file_index=0)


@dataclass(frozen=True)
class Kind:
    """Files of one kind, and the command that uses them.

    Attributes:
        files: A pattern in the run.
        use: Run that command.
        gone: Whether a missing file is damage too: a stage without a manifest is only unfinished.
    """

    files: str
    use: Callable[[Path], object]
    gone: bool = True


def _embed(run: Path) -> object:
    return embed.run(replace(EMBED, run=run, name=AGAIN))


def _imitate(run: Path) -> object:
    return imitate.run(replace(IMITATE, run=run, name=AGAIN))


def _evaluate(run: Path) -> object:
    return evaluate.run(evaluate.Settings(run=run, name=AGAIN, device="cpu"))


def _report(run: Path) -> object:
    return report.run(report.Settings(run=run, out=run / AGAIN / "report.html"))


def _follow(run: Path) -> object:
    return follow.run(replace(FOLLOW, run=run))


def _benchmark_follow(run: Path) -> object:
    return benchmark_follow.run(replace(BENCHMARK, run=run))


KINDS = {
    "video": Kind(f"{DATASET}/videos/**/*.mp4", _embed),
    "table": Kind(f"{DATASET}/data/**/*.parquet", _embed),
    "tables of the dataset": Kind(f"{DATASET}/meta/**/*.parquet", _embed),
    "JSON of the dataset": Kind(f"{DATASET}/meta/*.json", _embed),
    "settings of a recording": Kind("record/config.json", lambda run: record.run(replace(RECORD, run=run))),
    "weights": Kind("embed/encoder/encoder.safetensors", _imitate),
    "JSON of the encoder": Kind("embed/encoder/encoder.json", _imitate),
    "policy": Kind("imitate/policy.zip", _evaluate),
    "settings of a policy": Kind("imitate/config.json", _evaluate),
    "figures": Kind("imitate/metrics.json", _report),
    "steps and curves": Kind("imitate/[cr]*.json", _report),
    "figures of what was followed": Kind("follow-test-0/metrics.json", _follow),
    "settings of what was followed": Kind("follow-test-0/config.json", _follow),
    "rows of a benchmark": Kind("benchmark-follow/rows/*.json", _benchmark_follow),
    "pictures": Kind("embed/*.png", _report),
    "film": Kind("imitate/side_by_side.mp4", _report),
    "manifest of a recording": Kind(f"record/{MANIFEST}", _embed, gone=False),
    "manifest of an encoder": Kind(f"embed/{MANIFEST}", _imitate, gone=False),
    "manifest of a policy": Kind(f"imitate/{MANIFEST}", _evaluate, gone=False),
}


def corruptions(subject: Subject) -> dict[str, Any]:
    """Damage one file after the other, of each kind as many, and let the command that uses it find out."""
    rng = subject.random("corruptions")
    run = subject.run
    kinds: dict[str, dict[str, int]] = {
        name: {"tried": 0, "accepted": 0} for name in (*KINDS, "lies", "decoded frames")
    }
    accepted = []
    for number in range(subject.corruptions):
        name = list(kinds)[number % len(kinds)]
        if name == "decoded frames":
            taken, said = _decoded(run, rng), "the decoded frames"
        else:
            taken, said = _tried(run, KINDS[name], rng) if name in KINDS else _lied(run, rng)
        kinds[name]["tried"] += 1
        kinds[name]["accepted"] += taken
        accepted += [f"{name}: {said}"] if taken else []
        shutil.rmtree(run / AGAIN, ignore_errors=True)
    totals = {f"corruptions_{key}": sum(kind[key] for kind in kinds.values()) for key in ("tried", "accepted")}
    return {**totals, "corruption_kinds": kinds, "accepted": accepted}


def _tried(run: Path, kind: Kind, rng: np.random.Generator) -> tuple[bool, str]:
    """Damage a file, and say whether it was used all the same, and what was done to it."""
    files = sorted(run.glob(kind.files))
    file = files[int(rng.integers(len(files)))]
    damage = draw((*BYTES, missing) if kind.gone else BYTES, rng)
    with written(file, damage(file.read_bytes(), rng)):
        return _is_used(run, kind.use, {file, file.parent / MANIFEST}), f"{file.relative_to(run)} {damage.__name__}"


def _lied(run: Path, rng: np.random.Generator) -> tuple[bool, str]:
    """Let a manifest, whole in itself, say something else of a file."""
    use, name = [(_embed, "record"), (_imitate, "embed"), (_evaluate, "imitate")][int(rng.integers(3))]
    manifest = run / name / MANIFEST
    told = read_json(manifest)
    file = {"record": VIDEO, "embed": "encoder/encoder.safetensors", "imitate": "policy.zip"}[name]
    facts = told["artefacts"][file]
    fact = sorted(facts)[int(rng.integers(len(facts)))]
    facts[fact] = rng.bytes(32).hex() if fact == "sha256" else int(rng.integers(10**6))
    del told["sha256"]  # as older versions wrote it
    with written(manifest, b""):
        write_json(manifest, told)
        return _is_used(run, use, {manifest, run / name / file}), f"{fact} of {file}"


def _is_used(run: Path, use: Callable[[Path], object], named: set[Path]) -> bool:
    """Whether a command took what is damaged, rather than name it before it wrote anything."""
    try:
        with quiet():
            use(run)
    except UserError as error:
        return not any(str(path) in str(error) for path in named) or (run / AGAIN).exists()
    return True


def _decoded(run: Path, rng: np.random.Generator) -> bool:
    """Damage the frames that ``embed`` keeps, and say whether others than the videos' are read."""
    dataset = LeRobotDataset(run / DATASET)
    with quiet():
        expected = np.array(decoded_frames(dataset, dataset.camera().name))
        files = sorted(file for file in (dataset.folder / "cache").iterdir() if file.suffix in (".npy", ".json"))
        file = files[int(rng.integers(len(files)))]
        file.write_bytes(draw(BYTES, rng)(file.read_bytes(), rng) or b"")
        found = decoded_frames(dataset, dataset.camera().name)
    return not np.array_equal(expected, found)
