"""Progress and reward of each frame of a dataset, by one of its episodes."""

import csv
import errno
import hashlib
import json
import shutil
import sys
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from tasks import FROZEN, OTHER, REVERSED, SPEEDS, write

from imitate.data.camera import Camera
from imitate.data.lerobot.dataset import LeRobotDataset
from imitate.data.lerobot.labelled import write_labelled
from imitate.data.rendering import Rendering
from imitate.envs.kuka import ASSETS
from imitate.errors import UserError
from imitate.measuring.progress import path_through
from imitate.pipelines import label
from imitate.pipelines.shared import embedded as embedded_module


def contents(folder):
    return {path: hashlib.sha256(path.read_bytes()).digest() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("task") / "dataset"
    write(folder)
    return folder


@pytest.fixture(scope="module")
def settings(folder, tmp_path_factory):
    made = tmp_path_factory.mktemp("label")
    return label.Settings(dataset=folder, run=made / "run", encoder=ASSETS / "encoder", cache=made / "cache")


@pytest.fixture(scope="module")
def stage(settings, folder):
    before = contents(folder)
    made = label.run(settings)
    assert contents(folder) == before  # the original is only read
    return made


def test_progress_follows_time_and_breaks_where_it_is_reversed_or_frozen(stage):
    """The encoder comes with the package: it has seen none of these episodes."""
    labelled = LeRobotDataset(stage.path("dataset"))
    for episode in range(len(SPEEDS)):
        progress = labelled.column("progress", [episode])[:, 0]
        truth = np.linspace(0, 1, len(progress))
        assert np.corrcoef(progress, truth)[0, 1] >= 0.95
        assert np.abs(progress - truth).mean() <= 0.02
    backwards = labelled.column("progress", [REVERSED])[:, 0]
    assert np.corrcoef(backwards, np.arange(len(backwards)))[0, 1] <= -0.95
    assert np.ptp(labelled.column("progress", [FROZEN])) <= 0.05


def test_a_reward_is_what_the_step_after_it_gains(stage):
    labelled = LeRobotDataset(stage.path("dataset"))
    for episode in (1, REVERSED):
        progress, reward = (labelled.column(name, [episode])[:, 0] for name in ("progress", "reward"))
        assert reward[:-1] == pytest.approx(np.diff(progress), abs=1e-6)
        assert reward[-1] == 0
    assert labelled.column("reward", [REVERSED]).sum() < -0.9


def test_the_odd_ones_come_first(stage):
    rows = list(csv.DictReader(stage.path("episodes.csv").open()))
    assert {int(row["episode"]) for row in rows[:3]} == {REVERSED, FROZEN, OTHER}
    assert int(rows[-1]["episode"]) == 0  # the demonstration itself
    assert {REVERSED, FROZEN} <= set(stage.metrics["odd"])
    assert not set(range(len(SPEEDS))) & set(stage.metrics["odd"])
    assert stage.path("progress.png").stat().st_size > 10_000


def test_the_copy_is_the_dataset_with_two_columns_more(stage, folder):
    original, copy = LeRobotDataset(folder), LeRobotDataset(stage.path("dataset"))
    assert set(copy.info["features"]) - set(original.info["features"]) == {"progress", "reward"}
    assert (copy.column("action") == original.column("action")).all()
    assert (copy.demonstration(3).frames == original.demonstration(3).frames).all()
    stats = json.loads(stage.path("dataset/meta/stats.json").read_text())
    assert stats["progress"]["max"] == pytest.approx([1.0], abs=0.02)
    assert stats["progress"]["count"] == [int(original.lengths.sum())]


def test_lerobots_table_has_the_same_progress(stage):
    table = pq.read_table(stage.path("dataset") / label.PROGRESS_FILE).to_pydict()
    labelled = LeRobotDataset(stage.path("dataset"))
    assert table["progress_sparse"] == table["progress_dense"] == labelled.column("progress")[:, 0].tolist()
    assert table["index"] == list(range(len(table["index"])))
    assert table["episode_index"] == np.repeat(np.arange(len(labelled)), labelled.lengths).tolist()


def test_labelled_twice_is_labelled_once(stage, settings, capsys):
    label.run(settings)
    assert "is labelled already" in capsys.readouterr().out


def test_columns_that_are_there_and_episodes_that_are_not(settings, stage):
    with pytest.raises(UserError, match="has a column 'action' already"):
        label.run(replace(settings, name="other", reward="action"))
    with pytest.raises(UserError, match="has a column 'progress' already"):
        label.run(replace(settings, name="other", dataset=stage.path("dataset")))
    with pytest.raises(UserError, match="no episode 99"):
        label.run(replace(settings, name="other", demo=99))
    for name in ("", "a/b"):
        with pytest.raises(UserError, match="expected a name without a slash"):
            label.run(replace(settings, name="other", progress=name))
    with pytest.raises(UserError, match="expected two columns"):
        label.run(replace(settings, name="other", reward="progress"))
    assert not (settings.run / "other").exists()


def test_a_disk_that_fills_leaves_nothing(folder, tmp_path, monkeypatch):
    dataset, before = LeRobotDataset(folder), contents(folder)

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device", str(tmp_path))

    monkeypatch.setattr(pq, "write_table", full)
    with pytest.raises(OSError, match="No space left"):
        write_labelled(dataset, tmp_path / "copy", {"progress": np.zeros(int(dataset.lengths.sum()), np.float32)})
    assert not list(tmp_path.iterdir())
    assert contents(folder) == before


def test_numbers_for_other_frames_are_refused(folder, tmp_path):
    dataset = LeRobotDataset(folder)
    frames = int(dataset.lengths.sum())
    for values, wrong in (
        (np.zeros(frames - 1, np.float32), "a number a frame"),
        (np.full(frames, np.nan), "progress"),
    ):
        with pytest.raises(UserError, match=wrong):
            write_labelled(dataset, tmp_path / "copy", {"progress": values.astype(np.float32)})
    (tmp_path / "copy").mkdir()
    with pytest.raises(UserError, match="there already"):
        write_labelled(dataset, tmp_path / "copy", {"progress": np.zeros(frames, np.float32)})


def test_the_original_is_not_written_to_by_default(settings, folder, tmp_path):
    before = contents(folder)
    stage = label.run(replace(settings, run=tmp_path / "run", cache=None))
    assert contents(folder) == before
    assert not stage.path("cache").exists()


def test_a_copy_within_the_original_is_refused(settings, folder):
    with pytest.raises(UserError, match="which is only read: choose a place outside it"):
        label.run(replace(settings, run=folder / "run"))
    assert not (folder / "run").exists()


def test_a_disk_that_fills_with_the_videos_leaves_nothing(folder, tmp_path, monkeypatch):
    dataset, copied = LeRobotDataset(folder), shutil.copyfile

    def full(source, target):
        if str(source).endswith(".mp4"):
            raise OSError(errno.ENOSPC, "No space left on device", str(target))
        return copied(source, target)

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(OSError, match="No space left") as raised:
        write_labelled(dataset, tmp_path / "copy", {"progress": np.zeros(int(dataset.lengths.sum()), np.float32)})
    assert raised.value.errno == errno.ENOSPC  # which a command tells in one line
    assert not list(tmp_path.iterdir())


def test_of_several_cameras_it_is_the_encoders(folder, encoder, monkeypatch):
    seen = []
    monkeypatch.setattr(embedded_module, "decoded_frames", lambda dataset, camera, *_: seen.append(camera) or frames)
    encoder = replace(encoder, camera=Camera.unknown("front"))
    dataset = LeRobotDataset(folder)
    frames = np.zeros((int(dataset.lengths.sum()), encoder.image_size, encoder.image_size, 3), np.uint8)
    other = {**dataset.info["features"]["observation.images.front"]}
    info = {"features": {"observation.images.aside": other, **dataset.info["features"]}, "cameras": []}
    monkeypatch.setattr(dataset, "info", dataset.info | info)
    monkeypatch.setattr(dataset, "_pictures", {"observation.images.aside": other, **dataset._pictures})
    embedded_module.View.of(dataset, encoder).embeddings(None)
    embedded_module.View.of(dataset, encoder, "aside").embeddings(None)
    assert seen == ["front", "aside"]


def test_an_encoder_of_other_pictures_is_refused(settings, folder, encoder):
    dataset, size = LeRobotDataset(folder), encoder.image_size
    with pytest.raises(UserError, match=f"image_size {size} != 64"):
        embedded_module.View.of(dataset, encoder)  # the arm's, of smaller pictures: scaled, they would be others
    play = replace(encoder, camera=Camera.unknown("render"), rendering=Rendering("Some-v0"))
    with pytest.raises(UserError, match="does not say where its camera"):
        embedded_module.View.of(dataset, play)
    dataset.info["rendering"] = Rendering("Other-v0").to_json()
    with pytest.raises(UserError, match="trained on the camera 'front', not on what Other-v0 renders"):
        embedded_module.View.of(dataset, replace(encoder, image_size=64))
    dataset.info["cameras"] = []
    with pytest.raises(UserError, match="environment Some-v0 != Other-v0"):
        embedded_module.View.of(dataset, play)


def test_a_copy_without_lerobots_table_does_not_appear(settings, tmp_path, monkeypatch):
    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device", "sarm_progress.parquet")

    monkeypatch.setattr(label, "_write_for_lerobot", full)
    with pytest.raises(OSError, match="No space left"):
        label.run(replace(settings, run=tmp_path / "run"))
    assert not (tmp_path / "run/label/dataset").exists()


def test_a_copy_holds_what_links_lead_to(folder, tmp_path):
    linked = tmp_path / "linked"
    shutil.copytree(folder, linked)
    shutil.move(linked / "videos", tmp_path / "elsewhere")
    (linked / "videos").symlink_to(tmp_path / "elsewhere")
    (linked / "circle").symlink_to(linked)
    dataset = LeRobotDataset(linked)
    write_labelled(dataset, tmp_path / "copy", {"progress": np.zeros(int(dataset.lengths.sum()), np.float32)})
    copied = LeRobotDataset(tmp_path / "copy")
    assert (copied.demonstration(1).frames == dataset.demonstration(1).frames).all()
    assert not (tmp_path / "copy/videos").is_symlink()


def test_without_an_encoder_it_says_how_to_get_one(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["imitate", str(folder), "--run", str(tmp_path)])
    with pytest.raises(SystemExit) as stop:
        label.main()
    assert stop.value.code == 2
    assert "imitate embed --dataset" in capsys.readouterr().err


def naive(own, reference, stiff):
    """What the best path costs, by trying all steps."""
    apart = np.linalg.norm(own[:, None] - reference[None], axis=2)
    among = np.sqrt(2 * np.square(reference - reference.mean(0)).sum(1).mean())
    places = np.arange(len(reference))
    step = stiff * among / max(len(reference) - 1, 1) * np.abs(places[:, None] - places)
    best = apart[0]
    for row in apart[1:]:
        best = row + (best[None] + step).min(axis=1)
    return best.min(), apart, step


@pytest.mark.parametrize("stiff", [0.0, 1.0, 5.0])
def test_the_path_is_the_best_there_is(stiff):
    rng = np.random.default_rng(0)
    for _ in range(30):
        reference = rng.normal(size=(rng.integers(1, 12), 3))
        own = rng.normal(size=(rng.integers(1, 12), 3))
        least, apart, step = naive(own, reference, stiff)
        path = path_through(own, reference, stiff)
        cost = apart[np.arange(len(own)), path].sum() + step[path[1:], path[:-1]].sum()
        assert cost == pytest.approx(least)
