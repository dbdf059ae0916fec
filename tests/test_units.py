"""Which entries of a state are joints, and in what unit: names and ranges tell."""

import numpy as np
import pyarrow as pa
import pytest
from drafts import draft

from imitate.data.lerobot.dataset import LeRobotDataset
from imitate.data.lerobot.units import Choice, State, UnitsError, entry_names
from imitate.envs.kuka import ARMS
from imitate.errors import UserError

STATE = "observation.state"
OURS = [f"joint_{k + 1}" for k in range(3)] + [f"joint_{k + 1}.velocity" for k in range(3)]
ALOHA = ["left_waist", "left_shoulder", "left_elbow", "left_forearm_roll", "left_wrist_angle", "left_wrist_rotate"]
SO101 = ["shoulder_pan.pos", "shoulder_lift.pos", "elbow_flex.pos", "wrist_flex.pos", "wrist_roll.pos", "gripper.pos"]


def state_of(names, choice=None, width=None):
    return State.of("a state", names, len(names) if width is None else width, choice or Choice())


def opened(tmp_path, states, names, choice=None, lengths=(5, 4, 6)):
    """A dataset with (frames, entries) states."""
    made = draft(lengths, states=states.shape[1], names=names)
    made.tables[0, 0][STATE] = pa.array(list(states.astype(np.float32)))
    folder = tmp_path / "dataset"
    return LeRobotDataset(folder if folder.exists() else made.save(folder), choice or Choice())


def waves(*amplitudes, frames=15):
    return np.sin(np.arange(frames)[:, None] + np.arange(len(amplitudes))) * amplitudes


@pytest.mark.parametrize(
    ("names", "left_out"),
    [
        (OURS, OURS[3:]),
        (ALOHA, []),
        (SO101, ["gripper.pos"]),
        (["joint_0", "vel_0", "joint_1", "qvel1"], ["vel_0", "qvel1"]),
        (["j1", "j1_effort", "j1_torque", "j1_current"], ["j1_effort", "j1_torque", "j1_current"]),
        (["waist", "x", "y", "z", "qx", "qy", "qz", "qw"], ["x", "y", "z", "qx", "qy", "qz", "qw"]),
        (["waist", "ee.x", "eef_pos_0", "tcp_roll", "effector0"], ["ee.x", "eef_pos_0", "tcp_roll", "effector0"]),
        (["wrist_roll", "roll", "head_yaw", "yaw", "pitch"], ["roll", "yaw", "pitch"]),
        (["arm.q0", "gripperWidth", "rot6d_0", "base_lift_mm"], ["gripperWidth", "rot6d_0", "base_lift_mm"]),
        (["x.vel", "y.vel", "theta.vel", "arm"], ["x.vel", "y.vel", "theta.vel"]),
        (["theta_1", "theta_2", "motor_1", "0"], []),
        (["j1", "x", "y", "z", "rx", "ry", "rz", "gripper"], ["x", "y", "z", "rx", "ry", "rz", "gripper"]),
        (["j1", "left_rx", "left_roll", "rot_0", "posx"], ["left_rx", "left_roll", "rot_0", "posx"]),
        (["j1", "q_x", "q_y", "q_z", "q_w", "w", "quatW"], ["q_x", "q_y", "q_z", "q_w", "w", "quatW"]),
        (["j1", "orientation_w", "rotmat_8", "rot_6d_0", "r6d_5"], ["orientation_w", "rotmat_8", "rot_6d_0", "r6d_5"]),
        (["j1", "endpose_1", "endeffector_0", "eff"], ["endpose_1", "endeffector_0", "eff"]),
        (["j1", "lift", "torso_lift_joint", "height"], ["lift", "torso_lift_joint", "height"]),
        (["j1", "q_dot", "contact", "is_grasped"], ["q_dot", "contact", "is_grasped"]),
        (["j1", "m1.rpm", "m1.pwm", "m1.raw", "encoder_1"], ["m1.rpm", "m1.pwm", "m1.raw", "encoder_1"]),
        (["j1", "slider", "rail", "linear_actuator", "prismatic"], ["slider", "rail", "linear_actuator", "prismatic"]),
    ],
)  # fmt: skip
def test_names_tell_what_is_no_joint(names, left_out):
    assert list(state_of(names).left_out) == left_out


@pytest.mark.parametrize(
    ("names", "left_out"),
    [
        ([f"lbr_iiwa_joint_{k}" for k in range(1, 8)], []),
        ([name.replace(".pos", "") for name in SO101], ["gripper"]),
        ([f"main_{name}" for name in SO101], ["main_gripper.pos"]),
        ([name.replace("left", side) for side in ("left", "right") for name in [*ALOHA, "left_gripper"]],
         ["left_gripper", "right_gripper"]),
        ([*(f"panda_joint{k}" for k in range(1, 8)), "panda_finger_joint1"], ["panda_finger_joint1"]),
        (["shoulder_pan_joint", "shoulder_lift_joint", "elbow_joint", "wrist_1_joint", "wrist_3_joint"], []),
        ([f"joint{k}" for k in range(1, 8)], []),
        ([f"left_{name}" for name in ("s0", "s1", "e0", "e1", "w0", "w1", "w2")], []),
        (["kLeftShoulderPitch", "kLeftShoulderRoll", "kLeftShoulderYaw", "kLeftElbow", "kLeftWristRoll", "kWaistYaw",
          "kLeftHandIndex0"], []),
        ([f"{finger}_finger_joint_{k}" for finger in ("thumb", "index", "middle", "ring") for k in range(4)], []),
        ([*(f"arm_{name}" for name in SO101), "x.vel", "y.vel", "theta.vel"],
         ["arm_gripper.pos", "x.vel", "y.vel", "theta.vel"]),
    ],
)  # fmt: skip
def test_robots_as_people_have_them(names, left_out):
    state = state_of(names)
    assert list(state.left_out) == left_out
    assert list(state.taken) == [name for name in names if name not in left_out]


@pytest.mark.parametrize("arm", ARMS)
def test_all_joints_of_our_own_recordings_are_taken(arm):
    names = [f"joint_{k + 1}" for k in range(ARMS[arm].joints)]
    assert list(state_of([*names, *(f"{name}.velocity" for name in names)]).taken) == names


@pytest.mark.parametrize(
    "names",
    [
        ["x", "y", "z", "rx", "ry", "rz", "gripper"],
        ["x", "y", "z", "q_x", "q_y", "q_z", "q_w"],
        ["position_x", "position_y", "position_z", *(f"orientation_{axis}" for axis in "xyzw")],
        [f"rotmat_{k}" for k in range(9)],
        ["lift", "q_dot", "height", "contact"],
        ["x", "y", "z", "a", "b", "c", "gripper"],
        ["x", "y", "theta"],
        ["pos_0", "pos_1", "pos_2", "rpy_0", "rpy_1", "rpy_2"],
        ["p_0", "p_1", "p_2", *(f"rot6d_{k}" for k in range(6))],
        [*(f"ee_pos_{k}" for k in range(3)), *(f"what_{k}" for k in range(3))],
    ],
)
def test_a_place_is_not_taken_for_joints(names):
    with pytest.raises(UnitsError, match=r"by the names.*--joints NAME \.\.\. chooses") as raised:
        state_of(names)
    assert names[0] in str(raised.value)
    assert state_of(names, Choice((names[-1],))).taken == (names[-1],)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (["a", "b"], ("a", "b")),
        ({"motors": ["a", "b"]}, ("a", "b")),
        ({"left": ["a"], "right": ["b"]}, ("a", "b")),
        ({"b": 1, "a": 0}, ("a", "b")),
        ([["a", "b"]], ("a", "b")),
        (["qpos"], ("0", "1")),
        (["a", "a"], ("0", "1")),
        (None, ("0", "1")),
        ("ab", ("0", "1")),
        (7, ("0", "1")),
        ({}, ("0", "1")),
    ],
)
def test_names_stand_in_many_forms(said, expected):
    assert entry_names(said, 2) == expected


def test_joints_are_chosen_by_name_and_in_that_order():
    assert state_of(SO101, Choice(("wrist_roll.pos", "gripper.pos"))).chosen == (4, 5)
    assert state_of(None, Choice(("2", "0")), width=3).chosen == (2, 0)
    with pytest.raises(UserError, match=r"no entry 'wrist' among them: choose joints of shoulder_pan\.pos, "):
        state_of(SO101, Choice(("wrist",)))
    with pytest.raises(UserError, match="no entry '3' among them: choose joints of 0, 1, 2"):
        state_of(None, Choice(("3",)), width=3)
    with pytest.raises(UserError, match="joints are 1 1, expected each once"):
        state_of(None, Choice(("1", "1")), width=3)


def test_a_state_without_joints_says_so():
    with pytest.raises(UnitsError, match=r"no joint angles by the names x, y, z: .*--joints NAME \.\.\. chooses"):
        state_of(["x", "y", "z"])


@pytest.mark.parametrize(
    ("names", "choice", "message"),
    [
        (["pan_deg", "tilt.deg"], Choice(), r"pan_deg, tilt\.deg can't be in rad, by the name: .*--degrees converts"),
        (["panDegrees", "tilt"], Choice(), "panDegrees can't be in rad"),
        (["pan_rad", "tilt"], Choice(degrees=True), "pan_rad can't be in degrees, by the name: "),
        (["pan_percent", "tilt"], Choice(), "pan_percent can't be in rad"),
        (["pan_ticks", "tilt"], Choice(degrees=True), "pan_ticks can't be in degrees"),
    ],
)
def test_names_tell_the_unit(names, choice, message):
    with pytest.raises(UnitsError, match=message):
        state_of(names, choice)


def test_what_can_not_be_an_angle_is_named_with_its_range(tmp_path, capsys):
    states = waves(1.0, 80.0, 0.5, 49.5)
    with pytest.raises(UnitsError) as raised:
        opened(tmp_path, states, ["a", "b", "c", "d"]).joints()
    line = str(raised.value)
    assert len(line.splitlines()) == 1
    assert "observation.state: b (-80 to 79.2), d (-49.5 to " in line
    assert "can't be angles in rad" in line
    for way_out in ("--degrees", "--joints NAME", "--self-regression 0"):
        assert way_out in line
    chosen = opened(tmp_path, states, None, Choice(("c", "a"))).joints()
    np.testing.assert_array_equal(chosen, states.astype(np.float32)[:, [2, 0]])
    assert "b (-80 to 79.2), d (" in capsys.readouterr().err  # the others make these doubtful


def test_a_quiet_episode_is_judged_by_those_beside_it(tmp_path):
    states = waves(1.0, 1.0)
    states[10:] *= 60.0
    dataset = opened(tmp_path, states, None)
    for read in (lambda: dataset.joints([0]), lambda: dataset.demonstration(0)):
        with pytest.raises(UnitsError, match="can't be angles in rad"):
            read()


def test_degrees_are_the_same_joints_as_in_rad(tmp_path):
    states = waves(2.0, 1.0, 3.0)
    dataset = opened(tmp_path, np.rad2deg(states), None, Choice(degrees=True))
    np.testing.assert_allclose(dataset.joints(), states, atol=1e-6)
    np.testing.assert_allclose(dataset.demonstration(1).joints, states[5:9], atol=1e-6)


@pytest.mark.parametrize(
    ("amplitude", "message"),
    [(2.9, "nothing beyond 2.9: it is in rad already, or hardly moves in degrees: leave --degrees out"),
     (1000.0, r"0 \(.*\) can't be angles in degrees: ")],
)  # fmt: skip
def test_what_can_not_be_degrees_is_refused(tmp_path, amplitude, message):
    with pytest.raises(UnitsError, match=message):
        opened(tmp_path, waves(amplitude), None, Choice(degrees=True)).joints()


def test_numbers_without_a_unit_are_left_alone(tmp_path):
    """Joints turn further than once, and what is no joint may be as large as it likes."""
    states = np.hstack([waves(12.0), waves(500.0)])
    dataset = opened(tmp_path, states, ["wheel", "wheel.velocity"])
    np.testing.assert_array_equal(dataset.joints()[:, 0], states[:, 0].astype(np.float32))
    assert dataset.state().left_out == ("wheel.velocity",)
