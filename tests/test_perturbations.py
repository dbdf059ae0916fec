import numpy as np
import pytest

from imitate.envs.kuka import ARMS, Kuka
from imitate.envs.perturbations import flange_graded, joint_graded, one_joint_moved, random_poses

DEGREES = np.array([2.0, 5.0, 10.0, 20.0, 40.0])
METRES = np.array([0.01, 0.02, 0.05, 0.10, 0.20])
ARM = ARMS["iiwa"]


def poses(arm, number=10):
    return random_poses(arm, number, np.random.default_rng(0))


@pytest.mark.parametrize("name", ARMS)
def test_all_poses_are_in_the_range_of_the_arm(name):
    arm, rng = ARMS[name], np.random.default_rng(1)
    for pose in [*poses(arm), np.array(arm.lower), np.array(arm.upper)]:
        for found in (joint_graded(arm, pose, DEGREES, 6, rng), one_joint_moved(arm, pose, DEGREES, rng)):
            assert (found >= np.array(arm.lower) - 1e-9).all()
            assert (found <= np.array(arm.upper) + 1e-9).all()


def test_joints_are_as_far_as_the_grade_says():
    for pose in poses(ARM):
        found = joint_graded(ARM, pose, DEGREES, 6, np.random.default_rng(1))
        assert found.shape == (5, 6, 7)
        far = np.degrees(np.abs(found - pose).mean(axis=2))
        np.testing.assert_allclose(far, np.repeat(DEGREES[:, None], 6, axis=1))
        assert np.abs(found - pose)[-1].std(axis=1).min() > 0.01  # not all joints by the same


def test_the_flange_is_as_far_as_the_grade_says():
    kuka = Kuka("iiwa")
    for pose in poses(ARM, 5):
        found = flange_graded(kuka, pose, METRES, 4, np.random.default_rng(1))
        assert found.shape == (5, 4, 7)
        far = np.linalg.norm(kuka.flange_positions(found.reshape(-1, 7)) - kuka.flange_positions(pose[None]), axis=1)
        np.testing.assert_allclose(far.reshape(5, 4), np.repeat(METRES[:, None], 4, axis=1), atol=0.0005)
    kuka.close()


def test_one_joint_moves_alone():
    for pose in poses(ARM):
        moved = one_joint_moved(ARM, pose, DEGREES, np.random.default_rng(1)) - pose  # (joints, sizes, joints)
        for joint in range(7):
            np.testing.assert_allclose(np.abs(moved[joint, :, joint]), np.radians(DEGREES))
        assert np.count_nonzero(np.abs(moved) > 1e-12) == 7 * 5


def test_a_recorded_pose_just_beyond_its_range_stays_where_it_is():
    pose = np.array(ARM.upper) + 0.01
    moved = one_joint_moved(ARM, pose, DEGREES, np.random.default_rng(1)) - pose
    np.testing.assert_allclose(np.abs(moved).sum(axis=2), np.radians(DEGREES)[None].repeat(7, axis=0), atol=1e-9)


def test_equal_seeds_give_equal_poses():
    pose = poses(ARM)[0]
    first, again = (joint_graded(ARM, pose, DEGREES, 3, np.random.default_rng(7)) for _ in range(2))
    np.testing.assert_array_equal(first, again)
