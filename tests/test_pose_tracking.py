import numpy as np
import pytest

from imitate.envs.cameras import CAMERAS
from imitate.envs.imagination import Imagination
from imitate.envs.kuka import Kuka
from imitate.errors import UserError
from imitate.reading import pose_tracking
from imitate.reading.pose_tracking import Tracking, first_pose, read_poses, refine, track

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


def test_each_of_several_poses_is_approached_by_itself():
    poses = movement()[::6]
    guesses = poses + np.random.default_rng(0).normal(0, 0.15, poses.shape)
    near = pose_tracking.approach(see(poses), see, guesses)
    assert (near.apart < np.linalg.norm(see(guesses) - see(poses), axis=1)).all()
    assert near.apart.mean() < 0.1 * np.linalg.norm(see(guesses) - see(poses), axis=1).mean()
    np.testing.assert_allclose(near.apart, np.linalg.norm(see(near.poses) - see(poses), axis=1))
    alone = [pose_tracking.approach(see(p[None]), see, g[None]).poses[0] for p, g in zip(poses, guesses, strict=True)]
    np.testing.assert_allclose(near.poses, alone)
    known = pose_tracking.approach(see(poses), see, poses)
    np.testing.assert_array_equal(known.poses, poses)


@pytest.mark.parametrize("length", [1, 2, 7, 8])
def test_what_joints_change_is_interpolated(length):
    poses = movement()[:length]
    seen, every = pose_tracking._look(see, poses, 0.03)
    again, second = pose_tracking._look(see, poses, 0.03, 2)
    np.testing.assert_array_equal(again, seen)
    measured = [*range(0, length, 2), length - 1]
    np.testing.assert_allclose(second[measured], every[measured])
    np.testing.assert_allclose(second, every, atol=0.02 * np.abs(every).max())


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
    found, apart = first_pose(see(pose)[0], see, pose + 0.25, np.random.default_rng(0))
    assert np.abs(found - pose[0])[:2].max() < 0.05
    assert apart == pytest.approx(np.linalg.norm(see(found[None]) - see(pose)))
    known, apart = first_pose(see(pose)[0], see, np.concatenate([pose + 0.25, pose]), np.random.default_rng(0))
    np.testing.assert_array_equal(known, pose[0])
    assert apart < 1e-9


def test_linear_pictures_are_smoothed_as_by_least_squares():
    """What the filter and the smoother find is then what makes states and pictures together most likely."""
    length, joints, dim = 12, 2, 5
    rng = np.random.default_rng(0)
    matrix = rng.normal(0, 3, (dim, joints))
    embeddings = rng.normal(0, 1, (length, dim))
    start, how = np.array([0.3, -0.2]), Tracking(acceleration=2.0, noise=0.7, doubt=np.inf)
    tracked = track(embeddings, lambda poses: poses @ matrix.T, start, SECONDS, how)
    eye = np.eye(joints)
    move = np.block([[eye, SECONDS * eye], [0 * eye, eye]])
    pushed = how.acceleration**2 * np.block(
        [[SECONDS**3 / 3 * eye, SECONDS**2 / 2 * eye], [SECONDS**2 / 2 * eye, SECONDS * eye]]
    )
    first = np.diag([pose_tracking.POSE**-1.0] * joints + [pose_tracking.VELOCITY**-1.0] * joints)
    white = np.linalg.inv(np.linalg.cholesky(pushed))
    rows, values = np.zeros((0, 2 * joints * length)), np.zeros(0)

    def state(t):
        return np.eye(2 * joints * length)[2 * joints * t : 2 * joints * (t + 1)]

    for t in range(length):
        moved = first @ state(0) if t == 0 else white @ (state(t) - move @ state(t - 1))
        rows = np.concatenate([rows, moved, matrix @ state(t)[:joints] / how.noise])
        expected = first @ np.concatenate([start, np.zeros(joints)]) if t == 0 else np.zeros(2 * joints)
        values = np.concatenate([values, expected, embeddings[t] / how.noise])
    likeliest = np.linalg.lstsq(rows, values)[0].reshape(length, 2, joints)[:, 0]
    np.testing.assert_allclose(tracked.poses, likeliest, atol=1e-9)


def test_what_was_read_roughly_is_refined():
    poses = movement()
    rough = poses + 0.1 * np.sin(np.linspace(0, 3, 60))[:, None] * [1.0, -1.0, 0.5]
    refined = refine(see(poses), see, rough, SECONDS, Tracking(noise=0.3, turn=0.03))
    assert np.abs(refined.poses - poses)[:, :2].mean() < 0.2 * np.abs(rough - poses)[:, :2].mean()
    np.testing.assert_allclose(refined.apart, np.linalg.norm(see(refined.poses) - see(poses), axis=1))


def test_what_refining_would_make_worse_stays(monkeypatch):
    poses = movement()
    guesses, embeddings = poses + 0.2, see(poses)
    read = read_poses(embeddings, see, guesses, SECONDS)
    monkeypatch.setattr(
        pose_tracking, "refine", lambda *args: pose_tracking.Tracked(np.zeros_like(poses), np.full(60, 9.0))
    )
    unrefined = read_poses(embeddings, see, guesses, SECONDS)
    assert read.apart.mean() < unrefined.apart.mean() < 1


def test_a_movement_is_read_though_most_guesses_at_its_poses_are_wrong():
    poses = movement()
    guesses = np.full_like(poses, 3.0)
    looked_at = np.linspace(0, 59, pose_tracking.ANCHORS).astype(int)
    guesses[looked_at[2]] = poses[looked_at[2]] + 0.1
    tracked = read_poses(see(poses), see, guesses, SECONDS)
    assert np.abs(tracked.poses - poses)[:, :2].mean() < 0.03
    assert tracked.apart.mean() < 0.5


def rapidly(poses):
    """As ``see``, but changing faster with the pose: one who looks away for a moment is lost."""
    seen = np.sin(2.5 * np.asarray(poses) * [1.0, 1.0, 0.1] @ WEIGHTS)
    return 10 * seen / np.linalg.norm(seen, axis=1, keepdims=True)


def sudden():
    """From 6 rad/s to rest: faster at first than a filter expects."""
    time = SECONDS * np.arange(60)[:, None]
    return 0.2 + 2 * (1 - np.exp(-3 * time)) * [1.0, -0.6, 0.3]


def test_a_movement_that_was_lost_is_found_again():
    poses = sudden()
    found = read_poses(rapidly(poses), rapidly, poses + 0.1, SECONDS)
    assert np.abs(found.poses - poses)[:, :2].mean() < 0.01
    np.testing.assert_allclose(found.apart, np.linalg.norm(rapidly(found.poses) - rapidly(poses), axis=1))
    lost = read_poses(rapidly(poses), rapidly, poses + 0.1, SECONDS, again=0)  # at the beginning, where it is fastest
    assert lost.apart[:3].mean() > 3 * found.apart[:3].mean()


def test_what_searching_again_would_make_worse_stays():
    """Two halves that are far apart: whoever follows the one has lost the other."""
    poses = np.concatenate([movement(40), movement(15) - 2.5])
    read = read_poses(rapidly(poses), rapidly, poses + 0.1, SECONDS)
    assert np.abs(read.poses - poses)[:35, :2].mean() < 0.05
    assert read.apart[42:].mean() > 1
    once = read_poses(rapidly(poses), rapidly, poses + 0.1, SECONDS, again=0)
    np.testing.assert_array_equal(once.poses, read.poses)


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
    with pytest.raises(UserError, match="unknown arm 'ur5'"):
        Imagination(encoder, "ur5")
