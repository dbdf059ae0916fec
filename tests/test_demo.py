from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from drafts import SIDE, draft, numbers_in

from imitate.data.camera import Camera
from imitate.data.demonstration import Demonstration, demonstration_from_video
from imitate.data.lerobot.dataset import LeRobotDataset
from imitate.data.video.writer import Compression, write_video
from imitate.errors import UserError
from imitate.pipelines import imitate
from imitate.pipelines.shared.demo import (
    READ,
    as_if_read,
    kept_demo,
    load_demo,
    parse_demo,
    say_what_was_read,
    stage_name,
)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a/clip.mp4", "b/clip.mp4"),
        ("clip.mp4", "clip.mov"),
        ("my clip.mp4", "my-clip.mp4"),
        ("demos/x:3", "other/x:3"),
        ("demos/x.y:3", "demos/x.y:4"),
        ("demos/test:3", "test:3"),
    ],
)
def test_each_demonstration_has_a_folder_of_its_own(one, other):
    assert stage_name("imitate", [one]) != stage_name("imitate", [other])


def test_a_folder_is_called_what_it_is_of(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert stage_name("imitate", ["test:3"]) == "imitate-test-3"
    assert stage_name("evaluate", ["test:3", "train:12"]) == "evaluate-test-3-train-12"
    assert stage_name("imitate", ["my.mp4"]).startswith("imitate-my-")
    assert stage_name("imitate", ["my.mp4"]) == stage_name("imitate", [f"{tmp_path}/./my.mp4"])


def test_a_kept_demonstration_is_found_from_anywhere(tmp_path, monkeypatch):
    (tmp_path / "there" / "dataset").mkdir(parents=True)
    (tmp_path / "there" / "my.mp4").touch()
    monkeypatch.chdir(tmp_path / "there")
    kept = [kept_demo(text) for text in ("test:3", "my.mp4", "dataset:2")]
    assert kept == ["test:3", f"{tmp_path}/there/my.mp4", f"{tmp_path}/there/dataset:2"]
    monkeypatch.chdir(tmp_path)
    assert [kept_demo(text) for text in kept] == kept


@pytest.mark.parametrize("rate", [10, 20, 30, 40])
def test_of_a_video_at_another_rate_the_nearest_frames_are_followed(tmp_path, rate):
    frames = np.stack([np.full((16, 16, 3), 30 * k, np.uint8) for k in range(8)])
    write_video(tmp_path / "a.mp4", frames, rate, Compression(0, "yuv444p"))
    demonstration = demonstration_from_video(tmp_path / "a.mp4", 20)
    assert (demonstration.name, demonstration.joints) == ("a", None)
    assert len(demonstration) == np.ceil(8 * 20 / rate)
    seen = demonstration.frames[:, 0, 0, 0] / 30  # number of the frame
    meant = np.minimum(np.arange(len(demonstration)) * rate / 20, 7)
    assert np.abs(seen - meant).max() <= 0.5 + 0.1


@pytest.mark.parametrize("rate", [5, 10, 20, 29.97, 30, 50])
def test_of_a_dataset_at_another_rate_the_frames_shown_then_are_followed_with_their_poses(tmp_path, rate, capsys):
    made, first, length = draft(fps=rate, lengths=(5, 40)), 5, 40
    folder = made.save(tmp_path / "dataset")
    encoder = SimpleNamespace(
        rendering=None, camera=Camera.unknown("up"), image_size=SIDE, any_scene=False, check_camera=lambda *what: None
    )
    demonstration = load_demo(f"{folder}:1", tmp_path, encoder)
    shown = np.array(numbers_in(demonstration.frames)) - first
    times = np.arange(len(shown)) / 20
    assert len(shown) == np.ceil(length / rate * 20 - 1e-6)
    np.testing.assert_array_equal(shown, np.floor(times * rate + 1e-6))
    np.testing.assert_array_equal(demonstration.joints, LeRobotDataset(folder).joints([1])[shown])
    say_what_was_read("it", demonstration)
    said = f"read it: 40 frames in {length / rate:.2f} s, {rate:.4g} a second"
    followed = f"; followed at 20 a second: {len(shown)} frames" if rate != 20 else ""
    assert capsys.readouterr().out == f"{said}, {SIDE}x{SIDE}{followed}\n"


@pytest.mark.parametrize(
    ("rate", "message"), [(1e-9, "too large a video: frames "), (1e9, r"0\.000 s long, expected more than the")]
)
def test_a_dataset_of_an_absurd_rate_is_refused(rate, message):
    with pytest.raises(UserError, match=message):
        Demonstration("episode-0", np.zeros((4, 2, 2, 3), np.uint8), None).followed(rate, 20)


def test_it_is_as_wrong_about_all_demonstrations_as_about_some_that_it_reads():
    rng = np.random.default_rng(0)
    practised = [Demonstration(str(k), np.zeros((n, 2, 2, 3), np.uint8), rng.normal(size=(n, 7)))
                 for k, n in enumerate([4, 8] * READ)]  # fmt: skip
    read: list[int] = []

    def reads(one):
        read.append(len(one))
        return replace(one, believed=one.joints + 0.01 * len(read))

    shown = as_if_read(practised, practised, reads, seed=0)
    assert read == [4, 8] * (READ // 2)
    wrong = [one.believed - one.joints for one in shown]
    numbers = [round(float(w[0, 0]) * 100) for w in wrong]  # of the reading that each is as wrong as
    assert len(set(numbers)) > READ // 2
    assert set(numbers) <= set(range(1, READ + 1))
    for one, w, number in zip(shown, wrong, numbers, strict=True):
        assert w.shape == one.joints.shape
        np.testing.assert_allclose(w, 0.01 * number, atol=1e-9)
    read.clear()
    again = as_if_read(practised, practised, reads, seed=0)
    assert all(np.array_equal(a.believed, b.believed) for a, b in zip(shown, again, strict=True))


def test_it_is_as_wrong_as_about_examples_of_others():
    own, others = (Demonstration("", np.zeros((n, 2, 2, 3), np.uint8), np.ones((n, 7))) for n in (4, 6))
    (shown,) = as_if_read([own], [others], lambda one: replace(one, believed=one.joints + 0.1 * len(one)), seed=0)
    np.testing.assert_allclose(shown.believed - own.joints, 0.6)


def test_the_paper_simulates_in_16_processes():
    paper = imitate.PRESETS["paper"][1]
    assert paper.workers == paper.learner.n_envs == 16


def test_the_name_of_a_video_needs_no_ending(tmp_path):
    write_video(tmp_path / "clip", np.zeros((3, 32, 32, 3), np.uint8), 20, Compression(0, "yuv444p"))
    assert parse_demo(str(tmp_path / "clip")) == (str(tmp_path / "clip"), None)
    with pytest.raises(UserError, match=r"a folder, expected a video file: of pictures, make one with ffmpeg"):
        parse_demo(str(tmp_path))
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta/info.json").write_text("{}")
    with pytest.raises(UserError, match=rf"a dataset, expected one of its episodes, such as '{tmp_path}:0'"):
        parse_demo(str(tmp_path))
