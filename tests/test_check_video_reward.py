"""What is said of a reward from a video before anything learns from it."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from slider import Slider, picture

import imitate
from imitate.data.demonstration import Demonstration
from imitate.errors import UserError


class Still(Slider):
    """One without a reward of its own."""

    def step(self, action):
        observation, _, *others = super().step(action)
        return observation, 0.0, *others


@pytest.fixture(scope="module")
def demonstration():
    return Demonstration("pushed", np.stack([picture(place) for place in np.linspace(0.3, 0.7, 14)]), None)


def place(frames):
    """What there is to be known."""
    bright = frames[:, 0, :, 0].astype(float)
    middle = (bright * np.arange(bright.shape[1])).sum(axis=1) / np.maximum(bright.sum(axis=1), 1)
    return middle[:, None]


def blind(frames):
    return np.zeros((len(frames), 3))


def confused(frames):
    """No two frames look alike."""
    return np.stack([np.random.default_rng(list(frame.tobytes())).normal(size=8) for frame in frames])


def test_what_tells_where_the_bar_is_is_worth_learning_from(demonstration):
    report = imitate.check_reward(Slider("rgb_array"), demonstration, place)
    assert list(report.figures) == ["encoder", "pixels"]
    figures = report.figures["encoder"]
    assert figures["before_play"] > 0.8
    assert report.weakness == ""
    assert figures["grades_in_order"] > 0.95
    assert figures["clips_spearman"] > 0.9
    assert abs(figures["env_spearman"]) <= 1
    assert "Spearman" in str(report)
    assert report.figures["pixels"]["clips_spearman"] < figures["clips_spearman"]


def test_a_video_of_another_scene_is_told(demonstration):
    rng = np.random.default_rng(0)
    foreign = Demonstration("foreign", rng.integers(100, 200, demonstration.frames.shape, np.uint8), None)
    fading = np.linspace(60, 200, 14).astype(np.uint8)[:, None, None, None]
    grey = Demonstration("grey", np.broadcast_to(fading, demonstration.frames.shape).copy(), None)

    def pixels(frames):
        return frames[:, ::3, ::3].reshape(len(frames), -1) / 255

    for shown in (foreign, grey):
        report = imitate.check_reward(Slider("rgb_array"), shown, pixels)
        assert "nothing in play looks like the demonstration" in report.weakness
    good = imitate.check_reward(Slider("rgb_array"), demonstration, pixels)
    assert "nothing in play" not in good.weakness


@pytest.mark.parametrize("encoder", [blind, confused])
def test_what_tells_nothing_is_not(demonstration, encoder):
    report = imitate.check_reward(Slider("rgb_array"), demonstration, encoder)
    figures = report.figures["encoder"]
    assert figures["before_play"] == pytest.approx(0.5, abs=0.15)
    assert figures["grades_in_order"] == pytest.approx(0.5, abs=0.2)
    assert "before_play is 0." in report.weakness
    assert "0.8 expected" in report.weakness
    assert "raw pixels do better" in report.weakness
    assert "it may mislead: " in str(report)


def test_a_video_that_stands_still_throughout_is_said_to():
    still = Demonstration("stays", np.stack([picture(0.5)] * 10), None)
    assert "the video stands still" in imitate.check_reward(Slider("rgb_array"), still, place).weakness


def test_a_slow_video_moves_all_the_same():
    slow = Demonstration("slow", np.stack([picture(at) for at in np.linspace(0.1, 0.9, 200)]), None)
    assert np.isfinite(imitate.check_reward(Slider("rgb_array"), slow, place).figures["encoder"]["grades_in_order"])


def test_a_video_that_stands_still_for_long_is_judged_by_where_it_moves():
    places = [*np.linspace(0.3, 0.7, 9), *[0.7] * 40]
    noise = np.random.default_rng(0).integers(0, 9, (len(places), *picture(0).shape), np.uint8)
    still = Demonstration("stays", np.maximum(np.stack([picture(at) for at in places]), noise), None)

    def brightest(frames):
        return frames.mean(axis=(1, 3)).argmax(axis=1)[:, None]

    figures = imitate.check_reward(Slider("rgb_array"), still, brightest).figures["encoder"]
    assert figures["grades_in_order"] > 0.9


def test_a_reward_of_the_environments_own_is_ranked_by(demonstration):
    class Known(Slider):
        def step(self, action):
            observation, _, *others = super().step(action)
            return observation, -abs(self.place - 0.7), *others

    last = Demonstration("stays", np.stack([picture(0.7)] * 6), None)
    good = imitate.check_reward(Known("rgb_array"), last, place).figures["encoder"]
    assert good["env_spearman"] > 0.9

    class Wrong(Known):
        def step(self, action):
            observation, reward, *others = super().step(action)
            return observation, -reward, *others

    report = imitate.check_reward(Wrong("rgb_array"), last, place)
    assert report.figures["encoder"]["env_spearman"] < -0.9
    assert "falls where the environment's own reward rises" in report.weakness
    none = imitate.check_reward(Still("rgb_array"), demonstration, place).figures["encoder"]
    assert np.isnan(none["env_spearman"])


def test_a_trained_encoder_stands_beside_an_untrained_one(demonstration, tmp_path):
    gym.register("Checked-v0", Slider)
    env = gym.make("Checked-v0", render_mode="rgb_array")
    tiny = {"steps": 120, "length": 12, "size": 16, "epochs": 2, "videos": 8, "batch": 8, "device": "cpu"}
    encoder = imitate.fit(env, **tiny)
    report = imitate.check_reward(env, demonstration, encoder, episodes=5)
    assert list(report.figures) == ["encoder", "untrained", "pixels"]


def test_what_can_not_be_is_one_line(demonstration):
    with pytest.raises(UserError, match="its render mode is None"):
        imitate.check_reward(Slider(), demonstration, place)
    with pytest.raises(UserError, match="episodes is 0, expected 1 or more"):
        imitate.check_reward(Slider("rgb_array"), demonstration, place, episodes=0)
    with pytest.raises(UserError, match="2 demonstrations, expected one"):
        imitate.check_reward(Slider("rgb_array"), [demonstration] * 2, place)
    with pytest.raises(UserError, match="expected a Box or Discrete"):
        imitate.check_reward(Slider("rgb_array", actions=spaces.MultiBinary(2)), demonstration, place)
