"""``label``: how far each frame of a dataset has come in what one of its episodes shows, as columns of a copy.

Progress and reward stand in the copy as columns, and once more in the table that lerobot's reward-aware behaviour
cloning (``RABCWeights``) reads. No simulator is asked for: any LeRobotDataset will do, and an encoder of its pictures.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from imitate.data.lerobot.dataset import LeRobotDataset
from imitate.data.lerobot.labelled import check_labels, write_labelled
from imitate.embedding.device import pick_device
from imitate.embedding.trained_encoder import load_encoder
from imitate.errors import UserError
from imitate.keeping.manifest import sha256
from imitate.keeping.runs import Stage, kept_settings, written_aside
from imitate.measuring.figures import progress_figure, save_figure
from imitate.measuring.progress import path_through
from imitate.measuring.ranking import l2_distance, mean_distance, rank_correlation

from .shared.cli import STARTS_OVER, command
from .shared.embedded import View, cache_of, trained_on
from .shared.results import rounded, write_csv

PROGRESS_FILE = "sarm_progress.parquet"  # what lerobot calls it, in a dataset's folder
DRAWN = 40  # episodes, the odd ones first
ALONE = "dataset"  # the setting that needs no name
ODD = 0.5  # rank correlation of progress with time, below which an episode does something else


@dataclass(frozen=True)
class Settings:
    """What is labelled, by what."""

    dataset: Path | None = None
    """A LeRobotDataset v3.0 folder; None: what the run's encoder was trained on."""
    demo: int = 0
    """The number of the episode that shows how it is done, from first frame to last."""
    run: Path = Path("runs/default")
    """The run directory."""
    name: str = "label"
    """The stage's folder in it: the copy is dataset, in that."""
    encoder: Path | None = None
    """The folder of a trained encoder; None: the run's own."""
    camera: str | None = None
    """Which of the dataset's cameras; None: that which the encoder knows, or the first."""
    progress: str = "progress"
    """The column of how far a frame has come, 0 to 1."""
    reward: str = "reward"
    """The column of what the step after it gains; what a step back loses, and 0 at an episode's end."""
    cache: Path | None = None
    """The folder to keep decoded frames in; None: where embed has kept them, or nowhere."""
    device: str = "auto"
    """auto, cpu or cuda."""


PRESETS = {"default": ("Progress and reward of each frame, in a copy of the dataset.", Settings())}


def run(settings: Settings) -> Stage:
    """Label a copy of the dataset, and draw it."""
    if settings.progress == settings.reward:
        raise UserError(f"progress and reward are both {settings.progress!r}, expected two columns")
    device = pick_device(settings.device)
    folder = settings.encoder or trained_on(settings.run).path("encoder")
    encoder = load_encoder(folder, device)
    dataset = LeRobotDataset(settings.dataset or trained_on(settings.run).dataset)
    stage = Stage.named(settings.run, settings.name)
    copy = stage.path("dataset")
    check_labels(dataset, (settings.progress, settings.reward), copy)
    view = View.of(dataset, encoder, settings.camera)
    demo = dataset.episode(settings.demo)
    if dataset.lengths[demo] < 2:
        raise UserError(
            f"{dataset.folder}: episode {settings.demo} has one frame, expected a demonstration of 2 or more"
        )
    wanted = kept_settings(settings) | {"encoder_sha256": sha256(folder / "encoder.safetensors")}
    if not stage.begin(wanted):
        print(f"{stage.folder} is labelled already")
        return stage
    with cache_of(dataset, settings.cache, stage) as cache:
        embeddings = view.embeddings(cache)
    each = [progress_of(one, embeddings[demo]) for one in embeddings]
    gains = [np.append(np.diff(progress), 0.0).astype(np.float32) for progress in each]
    columns = {settings.progress: np.concatenate(each), settings.reward: np.concatenate(gains)}
    write_labelled(dataset, copy, columns, partial(_write_for_lerobot, dataset, each))
    rows = [{**name, **_row(each[k], embeddings[k], embeddings[demo])} for k, name in enumerate(dataset.called())]
    order = sorted(range(len(rows)), key=lambda k: (rows[k]["follows_time"] >= ODD, -rows[k]["odd"]))
    write_csv(stage.path("episodes.csv"), rounded([rows[k] for k in order]))
    drawn = order[:DRAWN]
    titles = [f"episode {rows[k]['episode']}: {rows[k]['odd']:.2f}" for k in drawn]
    save_figure(stage.path("progress.png"), progress_figure([each[k] for k in drawn], titles, dataset.fps))
    others = [row for k, row in enumerate(rows) if k != demo] or rows
    odd = [row["episode"] for row in rows if not row["follows_time"] >= ODD]
    stage.finish(
        {
            "episodes": len(rows),
            "follows_time": float(np.median([row["follows_time"] for row in others])),
            "ends_at": float(np.median([row["ends_at"] for row in others])),
            "odd": odd,
        }
    )
    print(f"labelled {len(rows)} episodes in {copy}; look at {stage.path('progress.png')}, the odd ones first")
    if odd:
        print(f"progress hardly follows time in {len(odd)} of them: {', '.join(map(str, odd[:10]))}")
    return stage


def progress_of(embeddings: NDArray[np.float32], reference: NDArray[np.float32]) -> NDArray[np.float32]:
    """How far (n, dim) frames have come in (length, dim) of a demonstration: (n,), 0 to 1."""
    return (path_through(embeddings, reference) / (len(reference) - 1)).astype(np.float32)


def _row(progress: NDArray, own: NDArray, reference: NDArray) -> dict[str, Any]:
    """What an episode came to.

    ``odd`` is how far its frames are from those of the demonstration that they are matched to, in mean distances of two
    of the demonstration's own.
    """
    at = (progress * (len(reference) - 1)).round().astype(int)
    apart = float(l2_distance(own, reference[at]).mean())
    among = mean_distance(reference)
    moves = np.ptp(progress) > 0
    return {
        "frames": len(progress),
        "odd": apart / among if among else float("nan"),
        "follows_time": rank_correlation(progress, -np.arange(len(progress), dtype=np.float64)) if moves else 0.0,
        "ends_at": float(progress[-1]),
        "farthest": float(progress.max()),
    }


def _write_for_lerobot(dataset: LeRobotDataset, each: list[NDArray[np.float32]], folder: Path) -> None:
    """The table that lerobot's ``RABCWeights`` takes as ``progress_path``, in the folder of the copy."""
    index = dataset.column("index") if dataset.has("index") else np.arange(dataset.lengths.sum())[:, None]
    progress = np.concatenate(each)
    table = {
        "index": pa.array(np.asarray(index[:, 0], np.int64)),
        "episode_index": pa.array(np.repeat(dataset.places.numbers, dataset.lengths)),
        "frame_index": pa.array(np.concatenate([np.arange(length) for length in dataset.lengths])),
        "progress_sparse": pa.array(progress),
        "progress_dense": pa.array(progress),
    }
    with written_aside(folder / PROGRESS_FILE) as aside:
        pq.write_table(pa.table(table), aside)


def main() -> None:
    """Run from the command line."""
    command("label", PRESETS, run, STARTS_OVER, ALONE)


if __name__ == "__main__":
    main()
