from dataclasses import replace

import numpy as np
import pytest

from imitate.envs.kuka import Kuka
from imitate.errors import UserError
from imitate.pipelines.record import PRESETS, Settings, layout_of, record_episode

PAPER = PRESETS["paper"][1]
SMALL = Settings(train=3, validation=2, test=2, frames=6, held_out_frames=40, image_size=16)


@pytest.fixture(scope="module")
def kuka():
    arm = Kuka("iiwa")
    yield arm
    arm.close()


def test_test_episodes_are_the_same_however_many_are_trained_on(kuka):
    more = replace(SMALL, train=9, validation=4)
    for k in range(2):
        ours, theirs = record_episode(kuka, SMALL, 5 + k), record_episode(kuka, more, 13 + k)
        np.testing.assert_array_equal(ours.frames["front"], theirs.frames["front"])
        np.testing.assert_array_equal(ours.columns["action"], theirs.columns["action"])
    assert len(record_episode(kuka, SMALL, 2)) == 6
    assert len(record_episode(kuka, SMALL, 3)) == 40


def test_no_two_episodes_are_alike(kuka):
    episodes = [record_episode(kuka, replace(SMALL, seed=seed), number) for seed in (0, 1) for number in range(7)]
    starts = [tuple(episode.columns["observation.state"][0]) for episode in episodes]
    assert len(set(starts)) == 14


def test_held_out_demonstrations_move(kuka):
    far = replace(SMALL, held_out_travel=0.7)
    for episode in (3, 4, 5, 6):
        flange = record_episode(kuka, far, episode).columns["observation.flange"]
        assert np.linalg.norm(flange - flange[0], axis=1)[1:].mean() > 0.68  # it lags the drawn trajectory a little


@pytest.mark.slow
def test_a_demonstration_can_only_move_so_far(kuka):
    with pytest.raises(UserError, match=r"none of 1000 random trajectories of 40 frames moves 3.0 m: lower"):
        record_episode(kuka, replace(SMALL, held_out_travel=3.0), 4)


def test_files_of_large_pictures_hold_fewer_episodes():
    small, paper, huge = (layout_of(settings) for settings in (Settings(), PAPER, Settings(image_size=1024)))
    assert small.episodes_a_file == 50
    assert paper.episodes_a_file == 512 * 2**20 // (100 * 299 * 299 * 3) < 50
    assert huge.episodes_a_file == 1
    everything = [episode for file in range(paper.files) for episode in paper.episodes_of(file)]
    assert everything == list(range(205))


def test_another_renderer_films_the_same_episodes(kuka):
    theirs = replace(SMALL, renderer="tiny")
    (camera,) = layout_of(SMALL).cameras
    assert (camera.name, camera.renderer) == ("front", "raster")
    one, other = record_episode(kuka, SMALL, 0), record_episode(kuka, theirs, 0)
    np.testing.assert_array_equal(one.columns["observation.state"], other.columns["observation.state"])
    apart = np.abs(one.frames["front"].astype(int) - other.frames["front"]).mean(axis=(1, 2, 3))
    assert (apart > 0).all()
    assert (apart < 1).all()
    np.testing.assert_array_equal(one.frames["front"][-1], kuka.film(camera, SMALL.image_size))
