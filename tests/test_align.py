"""Videos of one task, laid along each other."""

import csv
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tasks import REVERSED, SPEEDS, write

import imitate
from imitate.data.camera import Camera
from imitate.data.rendering import Rendering
from imitate.data.video.reader import read_video
from imitate.envs.kuka import ASSETS
from imitate.errors import UserError
from imitate.pipelines import align
from imitate.pipelines.shared.embedded import frames_of
from imitate.reward.frames import Frames

VIDEO = str(next((ASSETS / "demonstration").rglob("*.mp4")))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("task") / "dataset"
    write(folder)
    return folder


@pytest.fixture(scope="module")
def settings(dataset, tmp_path_factory):
    episodes = (f"{dataset}:{number}" for number in (*range(1, len(SPEEDS)), REVERSED))
    return align.Settings((VIDEO, *episodes), tmp_path_factory.mktemp("run"), encoder=ASSETS / "encoder")


@pytest.fixture(scope="module")
def stage(settings):
    return align.run(settings)


def test_other_speeds_are_laid_where_they_are(stage, monkeypatch):
    rows = list(csv.DictReader(stage.path("align.csv").open()))
    assert len(rows) == len(SPEEDS)
    for row in rows[:-1]:
        assert float(row["kendall_tau"]) > 0.95
        assert float(row["cycle_error"]) < 0.02
    assert float(rows[-1]["kendall_tau"]) < -0.95  # it goes backwards
    assert stage.metrics["kendall_tau"] > 0.95


def test_frames_are_matched_within_two_percent(settings, monkeypatch):
    """What is laid along the first, of which it is known where it belongs: the same movement at other speeds."""
    seen = []

    def drawn(names, ways, length):
        seen.extend(ways)
        return figure(names, ways, length)

    monkeypatch.setattr(align, "alignment_figure", drawn)
    align.run(align.Settings(settings.videos[:-1], settings.run, "again", settings.encoder))
    assert len(seen) == len(SPEEDS) - 1
    for path in seen:
        truth = np.linspace(0, 1, len(path))
        assert np.abs(path / 99 - truth).mean() <= 0.02


figure = align.alignment_figure


def test_the_page_opens_offline(stage):
    page = stage.path("align.html").read_text()
    assert page.count("data:video/mp4;base64,") == page.count("data:image/png;base64,") == 1
    assert "http" not in page.replace("http-equiv", "")
    assert stage.path("aligned.png").stat().st_size > 10_000


def test_a_video_beside_itself_and_one_that_was_made_anew(settings, tmp_path):
    mine = tmp_path / "_mine\udcff.mp4"  # a name that is no text, and that a legend would leave out
    shutil.copy(VIDEO, mine)
    wanted = align.Settings((str(mine), str(mine)), tmp_path / "run", encoder=settings.encoder)
    assert align.run(wanted).metrics == {
        "kendall_tau": pytest.approx(1, abs=0.01),
        "cycle_error": pytest.approx(0, abs=0.01),
    }
    imitate.write_video(mine, read_video(VIDEO).frames[::-1].copy(), 20, imitate.Compression(0, "yuv444p"))
    with pytest.raises(UserError, match="frames changed"):
        align.run(wanted)


def test_a_video_is_seen_as_the_encoder_saw_its_environment(encoder):
    rendering = Rendering("Some-v0", crop=(8, 4, 40, 36), height=64, width=64)
    own = replace(encoder, camera=Camera.unknown("render"), rendering=rendering)
    whole, part = (frames_of(VIDEO, Path("runs"), one) for one in (encoder, own))
    expected = Frames(crop=rendering.crop).seen(read_video(VIDEO).frames, encoder.image_size, VIDEO)
    assert (part == expected).all()
    assert (part != whole).any()


def test_what_can_not_be_aligned_is_one_line(tmp_path, settings, monkeypatch, capsys):
    for videos in ((), (VIDEO,), (VIDEO,) * 7):
        with pytest.raises(UserError, match=f"{len(videos)} videos, expected 2 to 6"):
            align.run(align.Settings(videos, tmp_path, encoder=settings.encoder))
    with pytest.raises(UserError, match=r"nothing\.mp4: no such"):
        align.run(align.Settings((VIDEO, "nothing.mp4"), tmp_path, encoder=settings.encoder))
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr(sys, "argv", ["imitate", VIDEO, VIDEO, "--run", str(tmp_path)])
    with pytest.raises(SystemExit) as stop:
        align.main()
    assert stop.value.code == 2
    assert "no encoder there" in capsys.readouterr().err
