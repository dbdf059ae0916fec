"""The frames of other episodes that look most like one, and labels that are carried over."""

import csv
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from tasks import OTHER, REVERSED, SPEEDS, write

from imitate.data.lerobot.dataset import LeRobotDataset
from imitate.embedding.trained_encoder import load_encoder
from imitate.envs.kuka import ASSETS
from imitate.errors import UserError
from imitate.pipelines import retrieve
from imitate.pipelines.shared.embedded import View, frames_of

VIDEO = str(next((ASSETS / "demonstration").rglob("*.mp4")))
PHASES = {"reach": 0.0, "lift": 0.3, "lower": 0.7}  # where each begins, as a share of the movement


@pytest.fixture(scope="module")
def lengths(dataset):
    return dataset[1]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("task") / "dataset"
    return folder, [len(way) for way in write(folder)]


@pytest.fixture(scope="module")
def settings(dataset, tmp_path_factory):
    run = tmp_path_factory.mktemp("run")
    return retrieve.Settings(f"{dataset[0]}:0@60", dataset[0], run=run, encoder=ASSETS / "encoder", cache=run / "cache")


def written(path, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("episode", "frame", "label"), *rows])
    return path


def starts(episode, length):
    return [(episode, round(share * (length - 1)), name) for name, share in PHASES.items()]


def test_the_nearest_frames_are_of_the_same_moment(settings, lengths):
    stage = retrieve.run(settings)
    rows = list(csv.DictReader(stage.path("nearest.csv").open()))
    assert "0" not in {row["episode"] for row in rows}  # which the frame is of
    found = {int(row["episode"]): int(row["frame"]) for row in rows}
    for episode in range(1, len(SPEEDS)):
        assert found[episode] / (lengths[episode] - 1) == pytest.approx(60 / 99, abs=0.03)
    assert found[REVERSED] == pytest.approx(99 - 60, abs=2)
    assert float(rows[-1]["distance"]) > 5 * float(rows[1]["distance"])
    assert int(rows[-1]["episode"]) in (OTHER, OTHER - 1)
    assert stage.path("nearest.png").stat().st_size > 5000


def test_a_video_is_looked_for_too(settings):
    stage = retrieve.run(replace(settings, frame=f"{VIDEO}@60", name="of-video", episodes=1))
    (row,) = csv.DictReader(stage.path("nearest.csv").open())
    assert (row["episode"], int(row["frame"])) == ("0", pytest.approx(60, abs=1))


def test_labels_of_one_episode_are_carried_over(settings, lengths, tmp_path):
    labels = written(tmp_path / "labels.csv", starts(0, lengths[0]))
    stage = retrieve.run(replace(settings, frame="", labels=labels, name="labels"))
    rows = list(csv.DictReader(stage.path("labels.csv").open()))
    for episode in range(len(SPEEDS)):
        own = {row["label"]: int(row["frame"]) for row in rows if int(row["episode"]) == episode}
        for name, share in PHASES.items():
            assert own[name] / (lengths[episode] - 1) == pytest.approx(share, abs=0.04)
    assert stage.metrics["one_shot_accuracy"] is None
    backwards = [row["label"] for row in rows if int(row["episode"]) == REVERSED]
    assert backwards == list(PHASES)[::-1]


def test_few_labels_are_right_of_others(settings, lengths, tmp_path, capsys):
    rows = [row for episode in (0, 1, 3) for row in starts(episode, lengths[episode])]
    stage = retrieve.run(replace(settings, frame="", labels=written(tmp_path / "labels.csv", rows), name="few"))
    assert stage.metrics["one_shot_accuracy"] > 0.95
    assert "the others are right in" in capsys.readouterr().out


def test_labels_are_looked_at_again_and_kept_as_they_are(settings, lengths, tmp_path):
    labels = written(tmp_path / "labels.csv", [(0, 0, "01"), (0, 50, "true")])
    wanted = replace(settings, frame="", labels=labels, name="again")
    rows = list(csv.DictReader(retrieve.run(wanted).path("labels.csv").open()))
    assert {row["label"] for row in rows} == {"01", "true"}
    written(labels, [(0, 0, "02")])
    with pytest.raises(UserError, match="labels changed"):
        retrieve.run(wanted)


def test_frames_are_counted_as_the_dataset_does(settings, dataset, tmp_path):
    """At another rate than that of videos."""
    faster = tmp_path / "faster"
    shutil.copytree(dataset[0], faster, ignore=lambda at, names: {"cache"} & set(names))
    info = json.loads((faster / "meta/info.json").read_text())
    (faster / "meta/info.json").write_text(json.dumps({**info, "fps": 40}))
    view = View.of(LeRobotDataset(faster), load_encoder(ASSETS / "encoder"))
    frames = frames_of(f"{faster}:1", tmp_path, view.encoder)
    assert len(frames) == dataset[1][1]
    assert (frames == view.frames(1)).all()
    assert (frames == LeRobotDataset(dataset[0]).demonstration(1).frames).all()


def test_a_dataset_of_one_episode_has_no_others(settings, tmp_path):
    with pytest.raises(UserError, match="no other episode than the frame's own"):
        retrieve.run(replace(settings, frame=f"{ASSETS / 'demonstration'}:0@3", dataset=ASSETS / "demonstration"))


def test_accuracy_is_that_of_other_labels():
    line = np.linspace(0, 9, 10)[:, None].astype(np.float32)
    known = {0: ["a"] * 5 + ["b"] * 5, 1: ["a"] * 4 + ["b"] * 6}
    carried, accuracy = retrieve.carry_over(known, [line, line, line + 0.1])
    assert accuracy == pytest.approx(0.9)
    assert carried[2] == known[0]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"frame": ""}, "frame is empty, expected one to look for"),
        ({"frame": VIDEO}, "expected a video or an episode, @ and a frame's number"),
        ({"frame": f"{VIDEO}@-1"}, "expected a video or an episode"),
        ({"frame": f"{VIDEO}@100"}, "has no frame 100, expected 0 to 99"),
        ({"episodes": 0}, "episodes is 0"),
    ],
)
def test_what_can_not_be_looked_for_is_one_line(settings, changed, message):
    with pytest.raises(UserError, match=message):
        retrieve.run(replace(settings, name="wrong", **changed))
    assert not (settings.run / "wrong").exists()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "no label in it"),
        ([(0, 3, "late")], "episode 0 begins with no label: say that of frame 0"),
        ([(0, 0, "reach"), (0, 100, "late")], "episode 0 has no frame 100"),
        ([(99, 0, "reach")], "no episode 99"),
        ([(0, 0.5, "half")], "expected an episode's number, a frame's, and a label"),
        ([(0, 0, "")], "expected an episode's number, a frame's, and a label"),
        ([(0, 0, "a"), (0, 0, "b")], "frame 0 of episode 0 comes twice"),
    ],
)
def test_labels_that_can_not_be_are_one_line(settings, tmp_path, rows, message):
    labels = written(tmp_path / "labels.csv", rows)
    with pytest.raises(UserError, match=message):
        retrieve.run(replace(settings, frame="", labels=labels, name="wrong"))
    assert not (settings.run / "wrong").exists()
