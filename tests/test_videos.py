"""A folder of videos becomes a dataset that everything else takes."""

import csv
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
from slider import picture

import imitate
from imitate.data.lerobot import writer
from imitate.data.lerobot.dataset import LeRobotDataset
from imitate.errors import UserError
from imitate.pipelines import embed, label, record, retrieve
from imitate.pipelines.shared import pieces
from imitate.pipelines.videos import recording
from imitate.pipelines.videos.recording import Settings

NAMES = ["push 1.mp4", "push 2.mp4", "push 10.mov", "Push 11.MP4", "push 12.mkv", "push 13.mp4", "push 14.mp4"]
RATES = [20, 20, 10, 20, 40, 20, 20]  # frames a second


def pushed(rate, seconds=1.2, start=0.2):
    return np.stack([picture(place) for place in np.linspace(start, 0.9, round(rate * seconds))])


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips") / "clips"
    for k, (name, rate) in enumerate(zip(NAMES, RATES, strict=True)):
        imitate.write_video(folder / name, pushed(rate, start=0.1 + 0.02 * k), rate)
    (folder / "notes.txt").write_text("no video")
    (folder / ".hidden.mp4").write_bytes(b"")
    (folder / "a folder.mp4").mkdir()
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return tmp_path_factory.mktemp("videos") / "run"


@pytest.fixture(scope="module")
def recorded(clips, run):
    return record.run_any(Settings(run=run, videos=clips, image_size=16))


def test_each_is_an_episode_of_its_name_in_order_as_people_count(recorded, clips):
    dataset = LeRobotDataset(recorded.path("dataset"))
    assert [one["name"] for one in dataset.called()] == NAMES
    assert dataset.fps == 20
    assert dataset.lengths.tolist() == [24] * 7  # whatever their own rate
    assert not dataset.camera().known
    for k in (0, 4):
        expected = imitate.demonstration_from_video(clips / NAMES[k], 20, 16).frames
        assert (dataset.demonstration(k).frames == expected).all()
    assert list(dataset.split("validation")) == [5, 6]
    assert pq.read_table(recorded.path("dataset/meta/tasks.parquet"))["task"].to_pylist() == ["video"]
    with recorded.path("videos.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["video"] for row in rows] == NAMES
    assert {row["seconds"] for row in rows} == {"1.2"}
    assert recorded.path("contact_sheet.png").stat().st_size > 1000
    assert not recorded.path(pieces.PIECES).exists()


def test_it_goes_on_where_it_was_stopped(recorded, clips, tmp_path, monkeypatch):
    read, before = [], recording.demonstration_from_video

    def stopping(path, *of):
        read.append(path.name)
        if len(read) == 4:
            raise KeyboardInterrupt
        return before(path, *of)

    monkeypatch.setattr(recording, "demonstration_from_video", stopping)
    settings = Settings(run=tmp_path, videos=clips, image_size=16)
    with pytest.raises(KeyboardInterrupt):
        recording.run(settings)
    stage = recording.run(settings)
    assert read == NAMES[:4] + NAMES[3:]
    made, whole = (LeRobotDataset(of.path("dataset")) for of in (stage, recorded))
    assert (made.demonstration(1).frames == whole.demonstration(1).frames).all()
    assert stage.path("videos.csv").read_text() == recorded.path("videos.csv").read_text()


def test_videos_are_learned_from_and_labelled_by_name(recorded, run, clips, capsys):
    embed.run(embed.Settings(run=run, epochs=40, device="cpu", self_regression=0, videos=5, batch=16))
    label.run(label.Settings(run=run, device="cpu"))
    with (run / "label/episodes.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["name"] for row in rows} == set(NAMES)
    assert np.median([float(row["follows_time"]) for row in rows]) > 0.9
    assert [one["name"] for one in LeRobotDataset(run / "label/dataset").called()] == NAMES
    retrieve.run(retrieve.Settings(run=run, frame=f"{clips / NAMES[1]}@0", device="cpu"))
    with (run / "retrieve/nearest.csv").open() as file:
        nearest = list(csv.DictReader(file))
    assert {row["name"] for row in nearest} == set(NAMES)
    assert record.run_any(Settings(run=run, videos=clips, image_size=16)).finished
    assert "is recorded already" in capsys.readouterr().out


def test_other_videos_are_not_recorded_beside_an_encoder_of_earlier_ones(recorded, run, clips, tmp_path):
    moved = tmp_path / "run"
    shutil.copytree(run / "record", moved / "record")
    embed.run(embed.Settings(run=moved, epochs=1, device="cpu", self_regression=0, videos=5, batch=16))
    shutil.rmtree(moved / "record")
    with pytest.raises(UserError, match="run/embed: an encoder of an earlier recording, which is gone"):
        recording.run(Settings(run=moved, videos=clips, image_size=16))


def test_long_videos_share_no_file(recorded, clips, tmp_path, monkeypatch):
    """A file is held in memory while it is written."""
    monkeypatch.setattr(writer, "FILE_BYTES", 2 * 24 * 16 * 16 * 3)  # two of these
    dataset = LeRobotDataset(recording.run(Settings(run=tmp_path, videos=clips, image_size=16)).path("dataset"))
    assert len(dataset.picture_files("video")) == 4
    whole = LeRobotDataset(recorded.path("dataset"))
    assert (dataset.demonstration(6).frames == whole.demonstration(6).frames).all()


def test_a_video_of_another_content_is_another(recorded, run, clips):
    path = clips / NAMES[2]
    before = path.read_bytes()
    path.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
    with pytest.raises(UserError, match="made of 7 videos, others than the 7 in"):
        recording.run(Settings(run=run, videos=clips, image_size=16))
    path.write_bytes(before)


def test_other_shapes_are_told(clips, tmp_path, capsys):
    folder = tmp_path / "clips"
    folder.mkdir()
    for name in NAMES[:5]:
        (folder / name).write_bytes((clips / name).read_bytes())
    imitate.write_video(folder / "tall.mp4", pushed(20).transpose(0, 2, 1, 3), 20)
    recording.run(Settings(run=tmp_path / "run", videos=folder, image_size=16))
    assert "they are of 2 shapes, 40x24, 24x40: the middle is kept of each" in capsys.readouterr().out


def test_what_can_not_be_recorded_is_told_before_anything_is_written(clips, tmp_path):
    run = tmp_path / "run"
    with pytest.raises(UserError, match="videos is empty, expected the folder"):
        recording.run(Settings(run=run))
    with pytest.raises(UserError, match="nothing here: no such folder of videos"):
        recording.run(Settings(run=run, videos=tmp_path / "nothing here"))
    few = tmp_path / "few"
    few.mkdir()
    with pytest.raises(UserError, match=r"few: 0 videos, expected 6 or more, of .*\.mp4"):
        recording.run(Settings(run=run, videos=few))
    assert not run.exists()


def test_what_one_broken_video_stops_goes_on_without_it(clips, tmp_path):
    folder, run = tmp_path / "clips", tmp_path / "run"
    folder.mkdir()
    for name in NAMES:
        (folder / name).write_bytes((clips / name).read_bytes())
    (folder / "push 3.mp4").write_bytes(b"no video at all")
    with pytest.raises(UserError, match=r"push 3\.mp4"):
        recording.run(Settings(run=run, videos=folder, image_size=16))
    assert not (run / "record/dataset").exists()
    (folder / "push 3.mp4").unlink()
    dataset = LeRobotDataset(recording.run(Settings(run=run, videos=folder, image_size=16)).path("dataset"))
    assert [one["name"] for one in dataset.called()] == NAMES
    (folder / NAMES[-1]).unlink()
    with pytest.raises(UserError, match=r"made of 7 videos, others than the 6 in .*clips now: choose another run"):
        recording.run(Settings(run=run, videos=folder, image_size=16))
