"""``compression``: what H.264 does to the embedding, to choose the recording's quality by.

Renders validation poses anew, compresses them at several qualities, and compares how far that moves their
embeddings with how far one frame to the next does.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imitate.data.lerobot.dataset import LeRobotDataset
from imitate.data.video.reader import read_video
from imitate.data.video.writer import Compression, write_video
from imitate.embedding.trained_encoder import TrainedEncoder, load_encoder
from imitate.envs.kuka import ARMS, CONTROL_HZ, Kuka
from imitate.errors import MANY, UserError, check_bounds
from imitate.keeping.lock import held
from imitate.keeping.runs import Stage, git_commit

from .shared.cli import STARTS_OVER, command, command_line
from .shared.results import Results, Rows, about, check_out, write_results


@dataclass(frozen=True)
class Settings:
    """What is measured on what."""

    run: Path = Path("runs/default")
    """A run with a trained encoder."""
    episodes: int = 10
    """Validation episodes."""
    crfs: tuple[int, ...] = (0, 10, 14, 18, 23, 28)
    """Constant rate factors."""
    out: Path = Path("results/compression.csv")
    """The table that the figures go to, what is no row beside it as JSON."""


PRESETS = {"default": ("yuv444p and yuv420p at six qualities.", Settings())}


def run(settings: Settings) -> None:
    """Measure, print a table, write it."""
    check_bounds(settings, episodes=(1, MANY), crfs=(0, 51))
    if not settings.crfs:
        raise UserError("no crfs, expected at least one")
    check_out(settings.out)
    encoder = load_encoder(Stage(settings.run / "embed").path("encoder"))
    dataset = LeRobotDataset(settings.run / "record" / "dataset")
    robot = dataset.info["robot_type"]
    if robot not in ARMS:
        raise UserError(f"{dataset.folder}: robot {robot!r} can't be rendered here")
    kuka = Kuka(robot)
    poses = dataset.joints(dataset.split("validation")[: settings.episodes])
    raw = kuka.film_at(poses, encoder.camera, encoder.image_size)
    kuka.close()
    with held(settings.out.parent):
        rows = _measured(raw, encoder, settings.crfs)
        said = about(command_line("compression", settings)) | {"git_commit": git_commit(), "frames": len(raw)}
        write_results(settings.out, Results(rows, said))


def _measured(raw: NDArray[np.uint8], encoder: TrainedEncoder, crfs: Sequence[int]) -> Rows:
    embedded = encoder.embed(raw)
    step = float(np.linalg.norm(np.diff(embedded, axis=0), axis=1).mean())
    rows = []
    print(f"{'pixels':10}{'crf':>4}{'bytes a frame':>15}{'moved, in steps from frame to frame':>37}")
    with tempfile.TemporaryDirectory() as folder:
        for pixels in ("yuv444p", "yuv420p"):
            for crf in crfs:
                path = Path(folder) / "video.mp4"
                write_video(path, raw, CONTROL_HZ, Compression(crf, pixels))
                moved = np.linalg.norm(encoder.embed(read_video(path).frames) - embedded, axis=1).mean()
                row = {
                    "pixels": pixels,
                    "crf": crf,
                    "bytes_per_frame": path.stat().st_size / len(raw),
                    "embedding_moved_steps": float(moved) / step,
                }
                rows.append(row)
                print(f"{pixels:10}{crf:4}{row['bytes_per_frame']:15.0f}{row['embedding_moved_steps']:37.3f}")
    return rows


def main() -> None:
    """Run from the command line."""
    command("compression", PRESETS, run, STARTS_OVER)


if __name__ == "__main__":
    main()
