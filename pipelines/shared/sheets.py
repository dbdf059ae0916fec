"""What a recording looks like, on one picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from imitate.data.lerobot.dataset import LeRobotDataset
from imitate.measuring.contact_sheet import contact_sheet


def episodes_sheet(dataset: LeRobotDataset, path: Path, episodes: int = 4, columns: int = 10) -> None:
    """One row an episode, evenly spaced frames: of the first episodes, and of the last, which are to test with.

    Of neighbours, so that a few of many video files are decoded.
    """
    shown = sorted({*range(min(episodes, len(dataset))), *range(max(0, len(dataset) - episodes), len(dataset))})
    rows = []
    for demonstration in dataset.demonstrations(shown):
        frames = demonstration.frames
        rows.append(frames[np.linspace(0, len(frames) - 1, columns).astype(int)])
    contact_sheet(path, rows, [f"episode {episode}" for episode in shown])
