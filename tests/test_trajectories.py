import numpy as np
import pytest

from imitate.envs.kuka import ARMS, CONTROL_HZ
from imitate.envs.trajectories import Babbling, random_trajectory


@pytest.mark.parametrize("arm", ARMS)
@pytest.mark.parametrize("via_points", [0, 1, 4])
def test_inside_the_range_and_the_speed_limit(arm, via_points):
    lower, upper = np.array(ARMS[arm].lower), np.array(ARMS[arm].upper)
    for seed in range(20):
        babbling = Babbling(frames=60, via_points=via_points)
        poses = random_trajectory(ARMS[arm], babbling, np.random.default_rng(seed))
        assert poses.shape == (60, len(lower))
        assert (poses >= lower - 1e-9).all()
        assert (poses <= upper + 1e-9).all()
        assert np.abs(np.diff(poses, axis=0)).max() * CONTROL_HZ <= babbling.max_velocity + 1e-9


def test_smooth_and_at_rest_at_both_ends():
    poses = random_trajectory(ARMS["iiwa"], Babbling(100, via_points=3), np.random.default_rng(0))
    velocities = np.diff(poses, axis=0)
    assert np.abs(velocities[[0, -1]]).max() < 0.01 * np.abs(velocities).max()
    assert np.abs(np.diff(velocities, axis=0)).max() < 0.3 * np.abs(velocities).max()


def test_without_via_points_it_is_minimum_jerk():
    poses = random_trajectory(ARMS["iiwa"], Babbling(101), np.random.default_rng(3))
    t = np.linspace(0, 1, 101)[:, None]
    expected = poses[0] + (poses[-1] - poses[0]) * (10 * t**3 - 15 * t**4 + 6 * t**5)
    np.testing.assert_allclose(poses, expected, atol=1e-9)


def test_equal_seeds_give_equal_trajectories():
    draw = [random_trajectory(ARMS["iiwa"], Babbling(50, 2), np.random.default_rng(s)) for s in (1, 1, 2)]
    np.testing.assert_array_equal(draw[0], draw[1])
    assert np.abs(draw[0] - draw[2]).max() > 0.1
