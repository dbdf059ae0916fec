from dataclasses import replace
from types import SimpleNamespace

import gymnasium as gym
import numpy as np
import pytest

from imitate.data.lerobot.dataset import LeRobotDataset
from imitate.embedding.trained_encoder import load_encoder
from imitate.envs import imagination
from imitate.envs.kuka import ASSETS
from imitate.envs.practice import (
    ASTRAY,
    FOUND,
    LEAST_ASTRAY,
    REACH,
    ROUND,
    STEPS,
    WRONG,
    Way,
    _astray,
    _away,
    _Walk,
    practise,
    rounds_of,
    towards,
)
from imitate.envs.robot import Robot
from imitate.errors import UserError
from imitate.reading.practice import KEPT, Experience, smoothed
from imitate.reading.recollection import recollect

JOINTS, DIM, LENGTH = 3, 8, 30


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def movement():
    """A smooth movement, and a world in which what is seen bends with the joints."""
    times = np.linspace(0, 2, LENGTH)[:, None]
    poses = np.sin(times + np.arange(JOINTS))
    weights = np.random.default_rng(1).normal(size=(JOINTS, DIM))
    return poses, lambda joints: 3 * np.tanh(joints @ weights / 2)


def test_poses_are_nearer_than_those_of_the_nearest_states(movement, rng):
    poses, see = movement
    experience = Experience(see(poses), JOINTS)
    visited = (poses[:, None] + rng.normal(0, 0.2, (LENGTH, 40, JOINTS))).reshape(-1, JOINTS)
    experience.add(see(visited), visited)
    found = np.abs(experience.poses() - poses).mean()
    apart = np.linalg.norm(see(visited)[None] - see(poses)[:, None], axis=2)
    nearest = np.abs(visited[apart.argmin(axis=1)] - poses).mean()
    assert found < 0.25 * nearest
    assert found < 0.02
    np.testing.assert_allclose(experience.apart[:, 0], apart.min(axis=1), atol=1e-6)


def test_experience_is_the_same_whenever_it_was_made(movement, rng):
    poses, see = movement
    visited = rng.uniform(-1, 1, (500, JOINTS))
    at_once, bit_by_bit = Experience(see(poses), JOINTS), Experience(see(poses), JOINTS)
    at_once.add(see(visited), visited)
    for part in np.array_split(visited, 7):
        bit_by_bit.add(see(part), part)
    np.testing.assert_allclose(at_once.apart, bit_by_bit.apart, atol=1e-6)
    np.testing.assert_allclose(at_once.poses(), bit_by_bit.poses(), atol=1e-6)


def test_what_was_come_near_is_told_frame_by_frame(movement, rng):
    poses, see = movement
    experience = Experience(see(poses), JOINTS)
    half = LENGTH // 2
    experience.add(see(poses[:half].repeat(20, axis=0)), poses[:half].repeat(20, axis=0))
    nearness = experience.nearness()
    assert nearness.shape == (LENGTH,)
    assert nearness[: half - 6].max() < 1e-3
    assert nearness[half + 6 :].min() > 0.3
    few = Experience(see(poses[:2]), JOINTS)
    few.add(see(poses[:1]), poses[:1])
    assert few.nearness()[0] < 1e-6 < few.nearness()[1]


def test_near_everywhere_is_not_found_where_a_pose_stands_between_two_that_look_alike(movement, rng):
    poses, see = movement
    half = LENGTH // 2
    visited = (poses[:, None] + rng.normal(0, 0.02, (LENGTH, 60, JOINTS))).reshape(-1, JOINTS)
    right, alike = Experience(see(poses), JOINTS), Experience(see(poses), JOINTS)
    right.add(see(visited), visited)
    elsewhere = np.repeat([0.0, 2.0], [60 * half, 60 * (LENGTH - half)])[:, None]  # the second half, at another pose
    alike.add(see(visited), visited + elsewhere)
    away = {}
    for name, one in (("right", right), ("alike", alike)):
        assert one.nearness().max() < FOUND
        away[name] = _away(one, one.poses())
    assert away["right"].max() < WRONG
    beside = slice(half - 3, half + 3)
    assert (away["alike"][beside] > WRONG).any()
    assert (_astray(away["alike"])[beside] == ASTRAY).any()  # there it goes on looking


def test_little_experience_is_some(movement):
    poses, see = movement
    experience = Experience(see(poses), JOINTS)
    with pytest.raises(UserError, match="no experience to read poses by, expected some states"):
        experience.poses()
    experience.add(see(poses[:1]), poses[:1])
    np.testing.assert_allclose(experience.poses(), np.repeat(poses[:1], LENGTH, axis=0), atol=1e-6)
    assert KEPT > 1
    assert np.isinf(experience.apart[:, 1]).all()


@pytest.mark.parametrize("length", [2, 3, 4, 11, 30])
def test_a_parabola_is_smooth_already(length):
    times = np.arange(length, dtype=float)
    poses = np.stack([times**2, 1 - times], axis=1)
    np.testing.assert_allclose(smoothed(poses), poses, atol=1e-6)


def test_a_movement_is_remembered_where_its_frames_are_mistaken_for_others(rng):
    way = np.linspace(0, 1, LENGTH)[:, None] * np.ones(JOINTS)
    seen = rng.normal(size=(LENGTH, DIM))
    # Of each frame there is a likeness at the right pose, and a better one far away, elsewhere each time.
    own = np.concatenate([seen + 0.3 / np.sqrt(DIM), seen])
    joints = np.concatenate([way, way + rng.choice([-2, 2], (LENGTH, JOINTS))])
    assert np.abs(recollect(seen, own, joints) - way).max() < 0.05
    np.testing.assert_allclose(recollect(seen, own[:1], joints[:1]), np.repeat(way[:1], LENGTH, axis=0), atol=1e-9)


def test_towards_a_pose_it_turns_as_far_as_a_step_goes():
    actions = towards(np.array([0.05, -0.3, 1.0]), np.zeros(3))
    np.testing.assert_allclose(actions, [0.05 / REACH, -1, 1])
    assert actions.dtype == np.float32


def test_practice_is_of_whole_rounds():
    assert [rounds_of(steps) for steps in (1, ROUND, 3 * ROUND - 1, 3 * ROUND)] == [1, 1, 2, 3]
    assert 0 < LEAST_ASTRAY < ASTRAY


class Treadmill:
    """Environments in which a robot is at once where it wants to be, in episodes of so many steps."""

    num_envs = 8
    single_action_space = gym.spaces.Box(-1, 1, (JOINTS,))
    encoder = SimpleNamespace(dim=DIM)

    def __init__(self, steps):
        self.steps, self.taken, self.joints = steps, 0, np.zeros((self.num_envs, JOINTS))

    def observed(self):
        return np.concatenate([self.joints, self.joints, np.ones((self.num_envs, DIM))], axis=1).astype(np.float32)

    def reset(self, seed):
        return self.observed(), {"step": np.arange(self.num_envs)}

    def step(self, actions):
        self.joints, self.taken = self.joints + REACH * actions, self.taken + 1
        infos, ended = {"step": np.full(self.num_envs, 3)}, np.full(self.num_envs, self.taken % self.steps == 0)
        if ended.any():
            infos["final_obs"] = self.observed()
            self.joints = np.zeros_like(self.joints)
        return self.observed(), None, None, ended, infos


def test_robots_go_forth_and_back_in_time_each_on_its_way(rng):
    slow = np.linspace(0, 0.5, LENGTH)[:, None] * np.ones(JOINTS)
    sure = np.zeros(LENGTH)
    walk = _Walk(Treadmill(10**6), rng, 0)
    walk.met()
    for _ in range(4):
        walk.round([Way(slow, sure), Way(-slow, sure)])
    seen, joints = walk.met()
    assert seen.shape == (4 * STEPS * 8, DIM)
    ways = joints.reshape(-1, 8, JOINTS)[8:]  # when they have come there
    assert (ways[:, ::2] >= -1e-6).all()
    assert (ways[:, 1::2] <= 1e-6).all()
    turned = np.diff(ways[:, 0, 0])
    assert (turned > 1e-3).any()
    assert (turned < -1e-3).any()
    assert np.abs(joints).max() == pytest.approx(0.5, abs=0.05)  # up to the ends
    assert np.abs(ways).min() == pytest.approx(0.0, abs=0.05)


def test_robots_go_astray_by_as_much_as_they_are_told(rng):
    still = np.zeros((LENGTH, JOINTS))
    for astray in (0.02, 0.1):
        walk = _Walk(Treadmill(10**6), rng, 0)
        for _ in range(8):
            walk.round([Way(still, np.full(LENGTH, astray))])
        assert walk.met()[1].std() == pytest.approx(astray, rel=0.3)


def test_where_an_episode_ended_is_met_too(rng):
    walk = _Walk(Treadmill(16), rng, 0)
    walk.round([Way(np.zeros((LENGTH, JOINTS)), np.zeros(LENGTH))])
    assert len(walk.met()[0]) == 8 * (1 + STEPS + STEPS // 16)
    assert len(walk._met) == 0


@pytest.fixture(scope="module")
def misread():
    """The shipped demonstration, the beginning of it, with poses as wrong as a pose head's."""
    shown = LeRobotDataset(ASSETS / "demonstration").demonstration(0)
    shown = replace(shown, frames=shown.frames[:30], joints=shown.joints[:30])
    wrong = np.random.default_rng(0).normal(0, 0.15, 7)
    return replace(shown, believed=shown.joints + wrong)


@pytest.mark.slow
def test_practice_finds_what_was_misread_and_imagines_nothing(misread, monkeypatch):
    monkeypatch.setattr(imagination, "Imagination", pytest.fail)
    encoder = load_encoder(ASSETS / "encoder")

    def tell(poses):
        return {"joint_error_rad": float(np.abs(poses - misread.joints).mean())}

    practice = practise(misread, encoder, Robot(), 8192, tell=tell)
    assert 0 < practice.steps <= 8192
    assert [row["steps"] for row in practice.curve] == list(range(ROUND, practice.steps + 1, ROUND))
    last = {"steps": practice.steps, "seconds": practice.seconds, "apart": practice.apart}
    assert practice.curve[-1] == last | tell(practice.demonstration.believed)
    later = practice.put_before([{"steps": 64.0, "seconds": 1.0, "reward": -0.1}])
    assert later[:-1] == practice.curve
    assert later[-1] == {"steps": practice.steps + 64.0, "seconds": practice.seconds + 1.0, "reward": -0.1}
    assert practice.metrics() == {
        "practice_steps": practice.steps,
        "practice_seconds": practice.seconds,
        "practice_apart": practice.apart,
    }
    found = practice.demonstration
    before, after = (np.abs(one.believed - one.joints).mean() for one in (misread, found))
    assert before > 0.05
    assert after < 0.4 * before


@pytest.mark.slow
def test_practice_asks_for_no_truth_and_is_the_same_in_any_number_of_processes(misread):
    encoder, bare = load_encoder(ASSETS / "encoder"), replace(misread, joints=None)
    practices = [practise(bare, encoder, Robot(), 3 * ROUND, *of) for of in ((0, 0), (2, 0), (0, 1))]
    found, again, other = (practice.demonstration.believed for practice in practices)
    assert practices[0].steps == practices[1].steps
    assert np.abs(found - misread.joints).mean() < 0.6 * np.abs(misread.believed - misread.joints).mean()
    np.testing.assert_allclose(again, found, atol=1e-3)
    assert not np.array_equal(other, found)


@pytest.mark.slow
def test_practice_ends_when_each_frame_was_come_near(misread, monkeypatch):
    monkeypatch.setattr("imitate.envs.practice.FOUND", 100.0)
    monkeypatch.setattr(Experience, "expected", lambda self, poses: np.zeros(len(poses)))
    practice = practise(misread, load_encoder(ASSETS / "encoder"), Robot(), 3 * ROUND)
    assert practice.steps == ROUND
    assert len(practice.curve) == 1


@pytest.mark.slow
def test_poses_that_look_less_like_the_video_than_the_guess_are_not_believed(misread, monkeypatch):
    monkeypatch.setattr(Experience, "poses", lambda self: misread.joints + 0.3)
    right = replace(misread, believed=misread.joints)
    practice = practise(right, load_encoder(ASSETS / "encoder"), Robot(), 3 * ROUND)
    np.testing.assert_array_equal(practice.demonstration.believed, misread.joints)
    assert practice.apart < FOUND
    assert not practice.found


@pytest.mark.slow
@pytest.mark.parametrize(("length", "control"), [(2, "velocity"), (3, "velocity"), (12, "torque")])
def test_short_demonstrations_are_practised_by_any_control_until_they_are_found(misread, monkeypatch, length, control):
    monkeypatch.setattr("imitate.envs.practice.FOUND", 0.0)  # never
    shown = {name: getattr(misread, name)[:length] for name in ("frames", "joints", "believed")}
    robot = Robot(control=control, start_noise=0.2)
    practice = practise(replace(misread, **shown), load_encoder(ASSETS / "encoder"), robot, ROUND)
    assert practice.steps == ROUND
    assert practice.apart > 0
    assert practice.demonstration.believed.shape == (length, 7)
    assert np.isfinite(practice.demonstration.believed).all()


@pytest.mark.slow
def test_where_a_demonstration_truly_starts_is_not_looked_at(misread):
    encoder = load_encoder(ASSETS / "encoder")
    found, bare = (
        practise(one, encoder, Robot(), ROUND).demonstration for one in (misread, replace(misread, joints=None))
    )
    np.testing.assert_array_equal(found.believed, bare.believed)
    assert found.joints is misread.joints


def test_no_practice_is_refused(misread, encoder):
    with pytest.raises(UserError, match="0 steps of practice, expected 1 or more"):
        practise(misread, encoder, Robot(), 0)


def test_nothing_is_practised_where_nothing_is_guessed(misread, encoder):
    with pytest.raises(UserError, match="no poses to begin with, expected guesses: `believed`"):
        practise(replace(misread, believed=None), encoder, Robot(), 1)
