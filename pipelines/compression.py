"""``compression``: what H.264 does to the embedding, to choose the recording's quality by.

Renders validation poses anew, compresses them at several qualities, and compares how far that moves their
embeddings with how far one frame to the next does.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imitate.data.lerobot.dataset import LeRobotDataset
from imitate.data.video.reader import read_video
from imitate.data.video.writer import Compression, write_video
from imitate.embedding.trained_encoder import TrainedEncoder, load_encoder
from imitate.envs.kuka import ARMS, CONTROL_HZ, Kuka
from imitate.errors import MANY, UserError, check_bounds
from imitate.keeping.lock import held
from imitate.keeping.runs import Stage, write_json

from .shared.cli import STARTS_OVER, command, command_line


@dataclass(frozen=True)
class Settings:
    """What is measured on what."""

    run: Path = Path("runs/default")
    """A run with a trained encoder."""
    episodes: int = 10
    """Validation episodes."""
    crfs: tuple[int, ...] = (0, 10, 14, 18, 23, 28)
    """Constant rate factors."""
    out: Path = Path("results/compression.json")
    """Where the figures go."""


PRESETS = {"default": ("yuv444p and yuv420p at six qualities.", Settings())}


def run(settings: Settings) -> None:
    """Measure, print a table, write it."""
    check_bounds(settings, episodes=(1, MANY), crfs=(0, 51))
    if not settings.crfs:
        raise UserError("no crfs, expected at least one")
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
        write_json(settings.out, {"command": command_line("compression", settings), "frames": len(raw), "rows": rows})


def _measured(raw: NDArray[np.uint8], encoder: TrainedEncoder, crfs: Sequence[int]) -> list[dict[str, Any]]:
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
