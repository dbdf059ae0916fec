import numpy as np
import pytest

from envs.cameras import CAMERAS
from envs.imagination import Imagination
from envs.kuka import Kuka
from imitate.errors import UserError
from imitate.pose_tracking import Tracking, first_pose, track

SECONDS = 0.05
WEIGHTS = np.random.default_rng(0).normal(0, 1, (3, 16))


def see(poses):
    """Of three joints, the last of which is hardly seen: a smooth embedding of norm 10."""
    seen = np.sin(np.asarray(poses) * [1.0, 1.0, 0.1] @ WEIGHTS)
    return 10 * seen / np.linalg.norm(seen, axis=1, keepdims=True)


def movement(length=60):
    time = np.linspace(0, np.pi, length)[:, None]
    return 0.4 + 0.5 * np.sin(time * [1.0, 0.7, 0.4]) * [1.0, -1.0, 0.5]


def test_a_movement_is_read_off_its_pictures():
    poses = movement()
    tracked = track(see(poses), see, poses[0], SECONDS)
    assert tracked.poses.shape == poses.shape
    assert tracked.apart.shape == (60,)
    still = np.abs(poses - poses[0]).mean(axis=0)
    errors = np.abs(tracked.poses - poses).mean(axis=0)
    assert (errors[:2] < 0.1 * still[:2]).all()
    assert errors[2] < still[2]  # what is hardly seen is not made up
    assert tracked.apart.mean() < 0.5


def test_noise_on_the_pictures_is_smoothed_away():
    poses, rng = movement(), np.random.default_rng(1)
    noisy = see(poses) + rng.normal(0, 0.5, (60, 16))
    tracked = track(noisy, see, poses[0], SECONDS)
    assert np.abs(tracked.poses - poses).mean(axis=0)[:2].max() < 0.05
    jerky = track(noisy, see, poses[0], SECONDS, Tracking(acceleration=100.0))
    assert np.abs(np.diff(tracked.poses, 2, axis=0)).mean() < 0.3 * np.abs(np.diff(jerky.poses, 2, axis=0)).mean()


def test_what_stands_still_is_left_alone():
    pose = np.array([0.2, -0.1, 0.3])
    tracked = track(np.repeat(see(pose[None]), 10, axis=0), see, pose, SECONDS)
    np.testing.assert_allclose(tracked.poses, np.repeat(pose[None], 10, axis=0), atol=1e-3)


def test_a_robot_that_is_not_there_is_told_from_one_that_is():
    poses = movement()
    lost = see(poses)
    lost[30:] = -lost[30:]  # no pose looks like that
    tracked = track(lost, see, poses[0], SECONDS)
    assert tracked.apart[:30].mean() < 0.5
    assert tracked.apart[31:].mean() > 5
    assert np.isfinite(tracked.poses).all()


def test_the_first_pose_is_found_around_a_guess():
    pose = np.array([[0.5, -0.3, 0.0]])
    found = first_pose(see(pose)[0], see, pose + 0.25, np.random.default_rng(0))
    assert np.abs(found - pose[0])[:2].max() < 0.05
    known = first_pose(see(pose)[0], see, np.concatenate([pose + 0.25, pose]), np.random.default_rng(0))
    np.testing.assert_array_equal(known, pose[0])


def test_the_robot_imagines_what_the_camera_would_see(encoder):
    poses = np.random.default_rng(0).uniform(-1, 1, (3, 7))
    kuka, imagined = Kuka(), Imagination(encoder)
    frames = []
    for pose in poses:
        kuka.reset(pose)
        frames.append(kuka.film(CAMERAS["front"], encoder.image_size))
    np.testing.assert_array_equal(imagined(poses), encoder.embed(np.stack(frames)))
    kuka.close()
    imagined.close()
    imagined.close()


def test_an_arm_that_is_not_there(encoder):
    with pytest.raises(UserError, match="unknown arm 'panda'"):
        Imagination(encoder, "panda")
