import numpy as np
import pytest

from imitate.rewards import HuberReward


def test_formula():
    own, target = np.array([[3.0, 0.0]], np.float32), np.array([[0.0, 4.0]], np.float32)
    reward = HuberReward(alpha=2.0, beta=3.0, gamma=11.0, scale=0.1)
    assert reward(own, target)[0] == pytest.approx(-0.1 * (2.0 * 25.0 + 3.0 * 6.0))


def test_best_where_the_embeddings_meet_and_falling_with_distance():
    target = np.zeros((50, 4), np.float32)
    own = target.copy()
    own[:, 0] = np.linspace(0, 20, 50)
    rewards = HuberReward()(own, target)
    assert (np.diff(rewards) < 0).all()
    assert rewards[0] == pytest.approx(-0.01 * 0.001**0.5)
