"""An environment plays, films itself, and learns to see."""

import json
import shutil

import gymnasium as gym
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from gymnasium import spaces
from gymnasium.wrappers import AddRenderObservation, TransformObservation
from slider import FPS, Slider, picture

import imitate
from imitate.data.demonstration import Demonstration
from imitate.data.lerobot.dataset import LeRobotDataset
from imitate.data.rendering import Rendering
from imitate.embedding.trained_encoder import load_encoder
from imitate.envs.play import Playing, actions_of, play
from imitate.errors import UserError
from imitate.pipelines import embed
from imitate.pipelines.environments import fit as fit_module
from imitate.reward.filming import Filming
from imitate.reward.frames import Frames
from imitate.reward.video_reward import VideoReward, VideoRewardVector

TINY = {"steps": 240, "length": 12, "size": 16, "epochs": 30, "videos": 16, "batch": 16, "device": "cpu"}


def made(**settings):
    return gym.make("Slider-v0", render_mode="rgb_array", **settings)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fit") / "slider"
    imitate.fit(made(), run=folder, **TINY)
    return folder


@pytest.fixture(scope="module")
def fitted(run):
    return load_encoder(run / "embed/encoder")


@pytest.fixture(scope="module")
def demonstration():
    return Demonstration("pushed", np.stack([picture(place) for place in np.linspace(0.3, 0.8, 8)]), None)


def test_what_was_played_is_a_dataset_that_says_what_rendered_it(run):
    dataset = LeRobotDataset(run / "record/dataset")
    assert dataset.fps == FPS
    assert dataset.rendering.environment == "Slider-v0"
    assert not dataset.camera().known
    assert dataset.lengths.sum() - len(dataset) == TINY["steps"]
    assert len(dataset.split("validation")) == 2
    for episode in (0, len(dataset) - 1):
        actions = dataset.column("action", [episode])
        frames = dataset.demonstration(episode).frames
        assert len(frames) == len(actions) <= TINY["length"] + 1
        places = dataset.column("next.reward", [episode])[:-1, 0]  # after each action: what the environment pays
        np.testing.assert_allclose(places[1:], np.clip(places[:-1] + 0.1 * actions[1:-1, 0], 0, 1), atol=1e-5)
        bright = frames[1:, 8, :, 0].astype(float)
        whole = bright.sum(axis=1) >= bright.sum(axis=1).max() - 1  # the bar is in the middle
        centre = (bright @ np.arange(16))[whole] / bright.sum(axis=1)[whole]
        shown = (np.floor(places[whole] * 36) + 1.5 - 8) * 16 / 24  # 36 places of a bar of 4 columns, the middle 24
        np.testing.assert_allclose(centre, shown, atol=0.6)


def test_what_it_learned_tells_where_the_bar_is(fitted):
    places = np.linspace(0.3, 0.7, 9)
    frames = Frames().seen([picture(place) for place in places], 16, "bars")
    apart = np.linalg.norm(fitted.embed(frames)[:, None] - fitted.embed(frames), axis=-1)
    away = np.abs(places[:, None] - places)
    assert np.corrcoef(apart[~np.eye(9, dtype=bool)], away[~np.eye(9, dtype=bool)])[0, 1] > 0.5


def test_the_nearer_to_the_video_the_higher_the_reward(fitted, demonstration):
    env = VideoReward(made(), demonstration, fitted)
    rewards = []
    for place in (0.37, 0.5, 0.7):
        env.reset(seed=0, options={"place": place})
        rewards.append(env.step(np.zeros(1, np.float32))[1])
    assert rewards == sorted(rewards, reverse=True)


def test_what_is_there_is_not_made_again(run, capsys, monkeypatch):
    before = (run / "embed/encoder/encoder.safetensors").stat().st_mtime_ns
    env = made()
    monkeypatch.setattr(env, "step", None)
    imitate.fit(env, run=run, **TINY)
    assert (run / "embed/encoder/encoder.safetensors").stat().st_mtime_ns == before
    assert "trained already" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("make", "frames", "message"),
    [
        (lambda: made(actions=spaces.Discrete(3)), Frames(), r"rendered otherwise .settings \{\} != .*Discrete"),
        (made, Frames(crop=(0, 0, 20, 20)), r"crop None != \(0, 0, 20, 20\)"),
        (lambda: Slider("rgb_array"), Frames(), "environment Slider-v0 != Slider"),
    ],
)
def test_what_is_rendered_otherwise_is_refused(fitted, demonstration, make, frames, message):
    with pytest.raises(UserError, match=message):
        VideoReward(make(), demonstration, fitted, frames=frames)


class Mute:
    """Says of itself nothing but where it lies."""


def test_what_an_environment_is_made_with_is_known_as_far_as_it_says():
    one, other = (Rendering.of(made(actions=spaces.Discrete(number))) for number in (3, 4))
    assert one.differences(other)
    assert "Discrete(3)" in one.settings
    assert "test_fit.picture_of_one" in Rendering.of(made(own=picture_of_one, disable_env_checker=True)).settings
    assert json.loads(Rendering.of(made(own={"b", "a"}, disable_env_checker=True)).settings) == {"own": ["'a'", "'b'"]}
    with pytest.warns(UserWarning, match="know no more of that than its class, function"):
        Rendering.of(made(own=lambda: 1, disable_env_checker=True))
    with pytest.warns(UserWarning, match="know no more of that than its class, Mute"):
        assert json.loads(Rendering.of(made(own=Mute(), disable_env_checker=True)).settings) == {"own": "Mute"}


def picture_of_one():
    """A function that an environment is made with."""


def test_what_is_not_kept_is_not_named(capsys):
    imitate.fit(made(), **TINY | {"epochs": 1})
    assert capsys.readouterr().out == ""


def test_what_training_is_told_holds():
    told = {"objective": "infonce", "batch": 8}
    settings = fit_module._settings(3, "", told)
    assert (settings.objective, settings.per_video, settings.seed, settings.self_regression) == ("infonce", 8, 3, 0)
    assert fit_module._settings(0, "", {}).objective == "video_infonce"
    assert fit_module._settings(0, "[0:1]", {}) == embed.Settings()
    with pytest.raises(UserError, match="self_regression wants proprioception"):
        fit_module._settings(0, "", {"self_regression": 5})


def test_many_of_the_environment_are_accepted(fitted, demonstration):
    for kind in ("sync", "async"):
        envs = gym.make_vec("Slider-v0", 2, vectorization_mode=kind, render_mode="rgb_array")
        envs = VideoRewardVector(envs, demonstration, fitted)
        assert envs.reset(seed=0)[0] in envs.observation_space
        envs.close()


def test_an_encoder_of_a_camera_is_refused(encoder, demonstration):
    with pytest.raises(UserError, match="trained on the camera 'front', not on what Slider-v0 renders: fit one"):
        VideoReward(made(), demonstration, encoder)


def test_play_is_smooth_and_anywhere():
    space = spaces.Box(np.array([-1, 0, -np.inf]), np.array([1, 4, np.inf]), dtype=np.float32)
    actions = actions_of(space, 400, np.random.default_rng(0))
    assert actions.shape == (400, 3)
    assert all(action in space for action in actions)
    for column, (low, high) in zip(actions.T[:2], [(-1, 1), (0, 4)], strict=True):
        assert np.histogram(column, 4, (low, high))[0].min() > 40
        assert np.corrcoef(column[:-1], column[1:])[0, 1] > 0.4  # of white noise, 0.05 at most
    held = actions_of(spaces.Discrete(4, start=2), 400, np.random.default_rng(0))
    assert set(held) == {2, 3, 4, 5}
    assert 10 < (np.diff(held) != 0).sum() < 60


def test_actions_that_are_one_of_a_few_play_too():
    env = made(actions=spaces.Discrete(3))
    episodes = list(play(env, Filming(env, env.observation_space, Frames(), 16), Playing(50, 10, 0)))
    assert sum(len(episode) - 1 for episode in episodes) == 50
    assert {float(value) for episode in episodes for value in episode.columns["action"][:, 0]} == {0, 1, 2}


@pytest.mark.parametrize(
    ("make", "settings", "message"),
    [
        (lambda: gym.make("Slider-v0"), {}, 'its render mode is None, expected "rgb_array"'),
        (lambda: made(actions=spaces.MultiDiscrete([2, 2])), {}, "actions of MultiDiscrete.*, expected a Box or Discr"),
        (made, {"steps": 0}, "steps is 0, expected 1 to"),
        (made, {"steps": 245.0}, "steps is 245.0, expected a whole number"),
        (made, {"dataset": "x"}, "fit says itself what dataset is: leave it out"),
        (made, {"size": 8}, "image_size is 8, expected 16 to 1024"),
        (made, {"steps": 5}, "1 episodes of play, expected 6 or more: raise steps, or lower length"),
        (made, {"fps": 12.5}, r"12\.5 steps of the environment a second, expected a whole number: say fps"),
        (made, {"fps": float("nan")}, "fps is nan, expected steps of the environment a second, more than 0"),
        (made, {"epoch": 3}, "fit knows no epoch: expected its own settings, or those of embed"),
        (made, {"epochs": 0}, "epochs is 0, expected 1 to"),
        (made, {"epochs": "2"}, "settings of training: .*'str'"),
        (lambda: "Slider-v0", {}, "an environment of type str, expected one that is made: gymnasium.make"),
        (lambda: made, {}, "an environment of type function, expected one that is made"),
        (made, {"frames": Frames("pixels")}, "observes no 'pixels'"),
        (made, {"frames": "pixels"}, "frames of type str, expected imitate.Frames"),
        (made, {"size": 2000}, "image_size is 2000, expected 16 to 1024"),
        (made, {"proprioception": "joints"}, "the observation is no Dict, expected entries as .0:4."),
        (made, {"proprioception": "[0:9]"}, r"expected entries of \[0:2\]"),
    ],
)
def test_what_can_not_be_is_one_line(make, settings, message, tmp_path):
    with pytest.raises(UserError, match=message) as raised:
        imitate.fit(make(), run=tmp_path / "run", **(TINY | settings))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "settings", [{"length": 11}, {"size": 24}, {"epochs": 3}, {"frames": Frames(crop=(0, 0, 9, 9))}]
)
def test_what_is_there_is_not_taken_for_something_else(run, settings):
    with pytest.raises(UserError, match="was made with other settings"):
        imitate.fit(made(), run=run, **(TINY | settings))


def test_what_is_felt_may_be_in_any_unit(tmp_path):
    """Of an environment, it is no joint angle, and so of any size."""
    far = TransformObservation(made(), lambda felt: 50 * felt, spaces.Box(-50, 50, (2,), np.float64))
    imitate.fit(far, proprioception="[0:1]", run=tmp_path / "run", **(TINY | {"epochs": 1}))
    dataset = LeRobotDataset(tmp_path / "run/record/dataset")
    assert np.abs(dataset.column("observation.state")).max() > 4 * np.pi
    assert dataset.demonstration(0).joints is None


def test_an_encoder_of_play_that_is_gone_is_not_taken(run, tmp_path):
    moved = shutil.copytree(run, tmp_path / "run")
    shutil.rmtree(moved / "record")
    with pytest.raises(UserError, match="run/embed: an encoder of an earlier recording, which is gone: delete it"):
        imitate.fit(made(), run=moved, **(TINY | {"size": 24}))


def test_a_part_of_an_observation_is_seen_too(tmp_path):
    env = AddRenderObservation(made(), render_only=False, render_key="seen", obs_key="felt")
    frames = Frames("seen", crop=[np.int64(8), 0, 32, 24])
    encoder = imitate.fit(env, frames=frames, run=tmp_path / "run", **(TINY | {"epochs": 1}))
    kept = load_encoder(tmp_path / "run/embed/encoder").rendering
    assert encoder.rendering == kept
    assert (kept.key, kept.crop, kept.height, kept.width) == ("seen", (8, 0, 32, 24), 24, 40)


def test_columns_of_one_entry_are_numbers_as_lerobot_reads_them(run):
    schema = pq.read_schema(next((run / "record/dataset/data").rglob("*.parquet")))
    assert {schema.field(name).type for name in ("action", "next.reward")} == {pa.float32()}
    dataset = LeRobotDataset(run / "record/dataset")
    assert dataset.column("next.reward").shape == dataset.column("action").shape == (dataset.lengths.sum(), 1)
