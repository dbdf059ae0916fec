"""Videos of one task, laid along each other."""

import csv
import sys

import numpy as np
import pytest
from tasks import REVERSED, SPEEDS, write

from imitate.envs.kuka import ASSETS
from imitate.errors import UserError
from imitate.pipelines import align

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
    seen = {}
    monkeypatch.setattr(
        align, "alignment_figure", lambda ways, length, fps: seen.update(ways) or figure(ways, length, fps)
    )
    align.run(align.Settings(settings.videos[:-1], settings.run, "again", settings.encoder))
    for path in seen.values():
        truth = np.linspace(0, 1, len(path))
        assert np.abs(path / 99 - truth).mean() <= 0.02


figure = align.alignment_figure


def test_the_page_opens_offline(stage):
    page = stage.path("align.html").read_text()
    assert page.count("data:video/mp4;base64,") == page.count("data:image/png;base64,") == 1
    assert "http" not in page.replace("http-equiv", "")
    assert stage.path("aligned.png").stat().st_size > 10_000


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
