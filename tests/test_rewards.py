from dataclasses import replace

import numpy as np
import pytest

from imitate.errors import UserError
from imitate.reward.rewards import FORMS, DifferenceReward, HuberReward, Moment, ProgressReward, reward_of

RNG = np.random.default_rng(0)
SHOWN = RNG.normal(size=(30, 4)).astype(np.float32)  # a demonstration
PATH = RNG.normal(size=(20, 4)).astype(np.float32)  # where a robot went


def moments(path, target):
    """Each step of a path as a robot of its own."""
    steps = len(path) - 1
    return Moment(path[:-1], path[1:], np.broadcast_to(target, (steps, path.shape[1])), [SHOWN] * steps)


def test_formula():
    own, target = np.array([[3.0, 0.0]], np.float32), np.array([[0.0, 4.0]], np.float32)
    reward = HuberReward(alpha=2.0, beta=3.0, gamma=11.0, scale=0.1)
    moment = Moment(own + 7, own, target, [target])
    assert reward(moment)[0] == pytest.approx(-0.1 * (2.0 * 25.0 + 3.0 * 6.0))
    assert replace(reward, bonus=1.0)(moment)[0] == pytest.approx(reward(moment)[0] + 1.0)


def test_best_where_the_embeddings_meet_and_falling_with_distance():
    target = np.zeros((50, 4), np.float32)
    own = target.copy()
    own[:, 0] = np.linspace(0, 20, 50)
    rewards = HuberReward()(Moment(own, own, target, [SHOWN] * 50))
    assert (np.diff(rewards) < 0).all()
    assert rewards[0] == pytest.approx(-0.01 * 0.001**0.5)


def test_the_difference_is_how_much_nearer_a_step_came():
    rewards = DifferenceReward(HuberReward(0.0, 1.0, 0.0, 0.1))(moments(PATH, SHOWN[7]))
    distances = np.linalg.norm(PATH - SHOWN[7], axis=1)
    np.testing.assert_allclose(rewards, -0.1 * np.diff(distances), rtol=1e-5)
    np.testing.assert_allclose(rewards.sum(), 0.1 * (distances[0] - distances[-1]), rtol=1e-5)


def test_the_difference_is_of_the_frame_of_the_step_and_of_any_huber_reward():
    huber = HuberReward(2.0, 0.5, 0.1, 0.3, bonus=0.7)
    moment = moments(PATH, SHOWN[1:20])
    expected = 0.7 + huber.closeness(PATH[1:], SHOWN[1:20]) - huber.closeness(PATH[:-1], SHOWN[1:20])
    np.testing.assert_allclose(DifferenceReward(huber)(moment), expected)


def test_progress_is_how_many_frames_of_the_demonstration_a_step_advanced():
    frames = np.array([0, 1, 2, 5, 5, 3, 29])
    rewards = ProgressReward()(moments(SHOWN[frames] + np.float32(1e-3), SHOWN[0]))
    np.testing.assert_allclose(rewards, 0.1 * np.diff(frames))
    assert rewards.sum() == pytest.approx(2.9)
    np.testing.assert_allclose(ProgressReward(0.5, bonus=1.0)(moments(SHOWN[frames], SHOWN[0])), 1 + 5 * rewards)


def test_going_back_and_forth_earns_nothing_whatever_the_clock_says():
    there_and_back = np.concatenate([PATH, PATH[::-1]])
    early, late = (ProgressReward()(moments(there_and_back, SHOWN[step])) for step in (0, 25))
    np.testing.assert_array_equal(early, late)
    assert np.abs(early).max() > 0
    assert early.sum() == pytest.approx(0.0)


def test_each_robot_advances_in_its_own_demonstration():
    moment = Moment(SHOWN[[3, 3]], SHOWN[[4, 4]], SHOWN[[0, 0]], [SHOWN, SHOWN[::-1]])
    np.testing.assert_allclose(ProgressReward()(moment), [0.1, -0.1])


@pytest.mark.parametrize("form", FORMS)
def test_every_form_has_the_scale_and_the_bonus(form):
    moment = moments(PATH, SHOWN[1:20])
    once, twice = (reward_of(form, HuberReward(scale=scale))(moment) for scale in (0.01, 0.02))
    np.testing.assert_allclose(twice, 2 * once)
    np.testing.assert_allclose(reward_of(form, HuberReward(bonus=0.3))(moment), once + 0.3)
    assert once.shape == (19,)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: HuberReward(alpha=-1.0), "reward.alpha is -1.0, expected a number of 0 or more"),
        (lambda: ProgressReward(scale=float("nan")), "reward.scale is nan, expected a number of 0 or more"),
        (lambda: ProgressReward(bonus=float("inf")), "reward.bonus is inf, expected a number"),
        (
            lambda: reward_of("vip", HuberReward()),
            "unknown reward form 'vip': choose one of difference, huber, progress",
        ),
    ],
)
def test_what_can_be_no_reward_is_refused(make, message):
    with pytest.raises(UserError, match=message):
        make()
