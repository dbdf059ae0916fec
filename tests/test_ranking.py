import numpy as np
import pytest

from imitate.measuring.ranking import (
    l2_distance,
    mean_rank_correlation,
    order_of_grades,
    over_pairs,
    rank_correlation,
    regret,
)
from imitate.reward.rewards import HuberReward

RNG = np.random.default_rng(0)
POSES = RNG.uniform(-1, 1, (200, 1))
OWN, TARGET = RNG.integers(0, 200, (2, 2000))
DISTANCE = np.abs(POSES[OWN] - POSES[TARGET]).mean(axis=1)


def test_the_true_pose_as_embedding_ranks_perfectly():
    reward = over_pairs(HuberReward().closeness, POSES, OWN, TARGET)
    assert rank_correlation(reward, DISTANCE) == pytest.approx(1.0)
    assert rank_correlation(-reward, DISTANCE) == pytest.approx(-1.0)
    assert mean_rank_correlation(reward, DISTANCE, TARGET) == pytest.approx(1.0)


def test_a_random_embedding_ranks_nothing():
    reward = over_pairs(HuberReward().closeness, RNG.normal(size=(200, 32)), OWN, TARGET)
    assert abs(rank_correlation(reward, DISTANCE)) < 0.1
    assert abs(mean_rank_correlation(reward, DISTANCE, TARGET)) < 0.1


def test_groups_need_not_be_comparable():
    group = np.repeat([0, 1], 50)
    distance = np.tile(np.arange(50.0), 2)
    reward = -distance - 1000 * group
    assert mean_rank_correlation(reward, distance, group) == pytest.approx(1.0)
    assert rank_correlation(reward, distance) < 0.6


def test_a_constant_reward_knows_nothing_and_a_constant_truth_asks_nothing():
    assert rank_correlation(np.ones(5), np.arange(5.0)) == 0.0
    assert np.isnan(rank_correlation(np.arange(5.0), np.ones(5)))
    group, distance = np.repeat([0, 1], 5), np.array([1.0] * 5 + [*range(5)])
    assert mean_rank_correlation(-distance, distance, group) == pytest.approx(1.0)
    assert np.isnan(mean_rank_correlation(distance, np.ones(10), group))


def test_pairs_in_chunks_equal_those_at_once(monkeypatch):
    embeddings = RNG.integers(0, 256, (200, 48), np.uint8)  # pixels
    whole = l2_distance(embeddings[OWN], embeddings[TARGET])
    monkeypatch.setattr("imitate.measuring.ranking.CHUNK", 48 * 7)
    np.testing.assert_array_equal(over_pairs(l2_distance, embeddings, OWN, TARGET), whole)


def test_the_order_of_grades():
    grade = np.tile(np.repeat([0, 1, 2], 4), 2)
    group = np.repeat([0, 1], 12)
    np.testing.assert_array_equal(order_of_grades(-grade - 10.0 * group, grade, group), [1.0, 1.0])
    np.testing.assert_array_equal(order_of_grades(grade * 1.0, grade, group), [0.0, 0.0])
    np.testing.assert_array_equal(order_of_grades(np.zeros(24), grade, group), [0.5, 0.5])
    blind_beyond_1 = -np.minimum(grade, 1.0)
    np.testing.assert_array_equal(order_of_grades(blind_beyond_1, grade, group), [1.0, 0.5])


def test_regret_is_what_whoever_maximises_the_reward_loses():
    rng = np.random.default_rng(0)
    distance, group = rng.uniform(size=2000), np.repeat(np.arange(200), 10)
    assert regret(-distance, distance, group) == 0
    assert regret(np.zeros(2000), distance, group) == pytest.approx(1)
    assert regret(rng.normal(size=2000), distance, group) == pytest.approx(1, abs=0.2)
    assert regret(distance, distance, group) > 1.5  # hacked: the farther, the better
    noisy = regret(-distance + rng.normal(0, 0.2, 2000), distance, group)
    assert 0.05 < noisy < 0.7
    assert np.isnan(regret(distance, np.ones(2000), group))
