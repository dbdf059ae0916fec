import shutil

import numpy as np
import pytest

from envs.cameras import CAMERAS
from imitate.data.lerobot import Episode, Layout, write_file, write_meta
from imitate.errors import UserError
from imitate.runs import Stage
from imitate.video import Compression
from pipelines import embed

FRAMES, JOINTS = 12, 7
LAYOUT = Layout(
    cameras=(CAMERAS["front"],),
    image_size=32,
    joint_names=tuple(f"joint_{k}" for k in range(JOINTS)),
    fps=20,
    robot="iiwa",
    control="velocity",
    lengths=(FRAMES,) * 8,
    splits={"train": 4, "validation": 2, "test": 2},
    compression=Compression(18, "yuv444p"),
)


def random_episode(rng):
    pictures = rng.integers(0, 256, (FRAMES, 32, 32, 3), np.uint8)
    joints, velocities, actions = rng.normal(size=(3, FRAMES, JOINTS)).astype(np.float32)
    return Episode({"front": pictures}, joints, velocities, rng.normal(size=(FRAMES, 3)).astype(np.float32), actions)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recorded") / "dataset"
    rng = np.random.default_rng(0)
    write_file(folder, LAYOUT, 0, [random_episode(rng) for _ in LAYOUT.lengths])
    write_meta(folder, LAYOUT)
    return folder


@pytest.fixture
def dataset(recorded, tmp_path):
    return shutil.copytree(recorded, tmp_path / "dataset")


@pytest.fixture
def tiny(dataset, tmp_path):
    return embed.Settings(run=tmp_path / "run", dataset=dataset, epochs=2, videos=4, per_video=2, batch=8)


def test_what_is_trained_is_said_before_anything_is_decoded(tiny, dataset, capsys):
    assert embed.run(tiny).finished
    shutil.rmtree(dataset)
    capsys.readouterr()
    assert embed.run(tiny).finished
    assert capsys.readouterr().out == f"{tiny.run / 'embed'} is trained already\n"


def test_other_settings_are_refused_before_anything_is_decoded(tiny, dataset):
    embed.run(tiny)
    shutil.rmtree(dataset)
    changed = embed.Settings(run=tiny.run, dataset=dataset, epochs=3)
    with pytest.raises(UserError, match="epochs was 2, is now 3"):
        embed.run(changed)


def test_a_damaged_dataset_leaves_no_stage(tiny, dataset):
    video = next(dataset.rglob("*.mp4"))
    video.write_bytes(video.read_bytes()[:1000])
    with pytest.raises(UserError, match=r"file-000\.mp4: not a readable video"):
        embed.run(tiny)
    assert not Stage(tiny.run / "embed").folder.exists()
