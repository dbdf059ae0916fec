"""A dataset of one task: what the shipped demonstration shows, done again in other ways."""

import numpy as np

from imitate.data.lerobot.dataset import LeRobotDataset
from imitate.data.lerobot.writer import Episode, Layout, write_file, write_meta
from imitate.data.video.writer import Compression
from imitate.envs.cameras import CAMERAS
from imitate.envs.kuka import ASSETS, Kuka
from imitate.measuring.alignment import at_times

SIZE = 64
SPEEDS = (1.0, 0.5, 0.7, 1.5, 2.0)  # of the episodes that do it; the first is the demonstration itself
AWAY = 0.03  # rad that these go astray
REVERSED, FROZEN, OTHER = (len(SPEEDS) + k for k in range(3))  # those that do not


def shown():
    """(100, 7) rad of the shipped demonstration."""
    return LeRobotDataset(ASSETS / "demonstration").demonstration(0).joints


def trajectories():
    """Of each episode, (length, 7) rad."""
    rng, known = np.random.default_rng(0), shown()
    end = len(known) - 1
    ways = [at_times(known, np.linspace(0, end, round(len(known) / speed))) for speed in SPEEDS]
    for way in ways[1:]:
        bend = rng.uniform(-AWAY, AWAY, (2, way.shape[1]))
        way += bend[0] + (bend[1] - bend[0]) * np.linspace(0, 1, len(way))[:, None]
    return [*ways, known[::-1].copy(), np.repeat(known[40:41], 60, axis=0), known + np.linspace(0, 2, 100)[:, None]]


def write(folder):
    """Write the dataset; returns its trajectories."""
    ways = trajectories()
    camera, kuka = CAMERAS["front"], Kuka("iiwa", "velocity")
    try:
        episodes = [
            Episode({"front": kuka.film_at(way, camera, SIZE)}, {"action": way.astype(np.float32)}) for way in ways
        ]
    finally:
        kuka.close()
    layout = Layout(
        cameras=(camera,),
        image_size=SIZE,
        columns={"action": tuple(f"joint_{k}" for k in range(7))},
        fps=20,
        robot="iiwa",
        control="position",
        lengths=tuple(map(len, ways)),
        splits={"train": len(ways)},
        compression=Compression(0, "yuv444p"),
        episodes_a_file=3,
    )
    for file in range(layout.files):
        write_file(folder, layout, file, [episodes[number] for number in layout.episodes_of(file)])
    write_meta(folder, layout)
    return ways
