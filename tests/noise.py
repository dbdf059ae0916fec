"""Datasets of noise, where it does not matter what is seen."""

import numpy as np

from imitate.data.lerobot.writer import Episode, Layout, write_file, write_meta
from imitate.data.video.writer import Compression
from imitate.envs.cameras import CAMERAS
from imitate.envs.film import columns_of

FRAMES, JOINTS = 12, 7
LAYOUT = Layout(
    cameras=(CAMERAS["front"],),
    image_size=32,
    columns=columns_of(tuple(f"joint_{k}" for k in range(JOINTS))),
    fps=20,
    robot="iiwa",
    control="velocity",
    lengths=(FRAMES,) * 8,
    splits={"train": 4, "validation": 2, "test": 2},
    compression=Compression(18, "yuv444p"),
)


def noise(layout, length, rng):
    """An episode."""
    size = layout.image_size
    frames = {camera.name: rng.integers(0, 256, (length, size, size, 3), np.uint8) for camera in layout.cameras}
    columns = {name: rng.normal(size=(length, len(names))).astype(np.float32) for name, names in layout.columns.items()}
    return Episode(frames, columns)


def write_noise(folder, layout=LAYOUT):
    """A dataset, in one file."""
    rng = np.random.default_rng(0)
    write_file(folder, layout, 0, [noise(layout, length, rng) for length in layout.lengths])
    write_meta(folder, layout)
