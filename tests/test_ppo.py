import base64
import json
import tempfile
import zipfile
from copy import deepcopy
from dataclasses import replace
from functools import partial

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv

from imitate.envs.control import CONTROLS
from imitate.envs.kuka import ASSETS
from imitate.envs.practice import REACH
from imitate.envs.tcn_imitate import TCNImitateEnv, tcn_imitate_vector
from imitate.errors import UserError
from imitate.keeping.runs import Stage
from imitate.keeping.snapshot import Snapshot, random_states, restore_random_states
from imitate.pipelines.shared.learning import keep_the_better
from imitate.pipelines.shared.policy import learned_with, load
from imitate.policy.network import ImitationFeatures
from imitate.policy.ppo import (
    Curve,
    Learner,
    NoOptimizer,
    build_ppo,
    load_policy,
    save_policy,
)
from imitate.policy.state import learner_state, restore_learner
from imitate.policy.vec_env import SB3VecEnv

CPU = torch.device("cpu")
SMALL = Learner(n_envs=2, n_steps=8, batch_size=8, n_epochs=1, width=16)


@pytest.fixture
def env(encoder, demonstrations):
    env = SB3VecEnv(tcn_imitate_vector(2, encoder, demonstrations))
    yield env
    env.close()


def test_a_model_without_tensorboard_leaves_no_folder_behind(env, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    build_ppo(SMALL, env, 0, CPU).learn(16)
    assert not list(tmp_path.glob("SB3*"))


def test_features_are_the_body_the_difference_and_the_target(env):
    features = ImitationFeatures(env.observation_space, joints=7, dim=32)
    observation = torch.randn(3, 14 + 64)
    out = features(observation)
    own, target = observation[:, 14:46], observation[:, 46:]
    torch.testing.assert_close(out[:, :14], observation[:, :14])
    torch.testing.assert_close(out[:, 14:46], 0.2 * (target - own))
    torch.testing.assert_close(out[:, 46:], 0.2 * target)


def test_of_several_frames_ahead_the_next_pose_is_the_last_feature(env):
    space = spaces.Box(-1, 1, (14 + 2 * 7 + 32 + 2 * 32,))
    features = ImitationFeatures(space, joints=7, dim=32, lookahead=2)
    observation = torch.randn(3, *space.shape)
    out = features(observation)
    joints, poses = observation[:, :7], observation[:, 14:28]
    own, targets = observation[:, 28:60], observation[:, 60:]
    assert out.shape == (3, features.features_dim)
    torch.testing.assert_close(out[:, 14:46], 0.2 * (targets[:, 32:] - own))
    torch.testing.assert_close(out[:, 46:78], 0.2 * (targets[:, :32] - own))
    torch.testing.assert_close(out[:, 78:142], 0.2 * targets)
    torch.testing.assert_close(out[:, 142:149], 10 * (poses[:, 7:] - joints))
    torch.testing.assert_close(out[:, 149:], 10 * (poses[:, :7] - joints))


@pytest.mark.parametrize("better", [True, False])
def test_of_what_a_policy_was_and_what_it_has_become_the_better_is_kept(env, better, capsys):
    model = build_ppo(SMALL, env, 0, CPU)
    begun = deepcopy(model.policy.state_dict())
    model.learn(32)
    learned = deepcopy(model.policy.state_dict())
    bias = "value_net.bias"
    assert not torch.equal(begun[bias], learned[bias])

    def earned(model):
        return float(torch.equal(model.policy.state_dict()[bias], learned[bias]) == better)

    assert keep_the_better(model, begun, earned) == better
    for name, value in model.policy.state_dict().items():
        assert torch.equal(value, (learned if better else begun)[name])
    assert ("which it goes back to" in capsys.readouterr().err) != better


def test_observations_that_do_not_fit_are_refused(env):
    with pytest.raises(
        UserError,
        match=r"observations of 78 for 7 joints, embeddings of 20 and a lookahead of 1, expected 54, or .* 61",
    ):
        build_ppo(SMALL, env, 0, CPU, dim=20)


def test_a_full_action_is_what_the_features_say_it_is():
    assert pytest.approx(1 / REACH) == ImitationFeatures.POSE_SCALE


@pytest.mark.parametrize(("control", "lookahead"), [*((control, 1) for control in CONTROLS), ("velocity", 3)])
def test_a_policy_that_observes_poses_begins_with_taking_them(encoder, demonstrations, control, lookahead):
    shown = [replace(one, believed=one.joints) for one in demonstrations]
    env = SB3VecEnv(tcn_imitate_vector(2, encoder, shown, control=control, observe_pose=True, lookahead=lookahead))
    model = build_ppo(SMALL, env, 0, CPU, lookahead=lookahead)
    features = model.policy.extract_features(torch.from_numpy(observation := env.reset()))
    np.testing.assert_allclose(features[:, -7:].detach(), 10 * (observation[:, 14:21] - observation[:, :7]), atol=1e-5)
    errors = []
    for _ in range(30):
        observation, _, _, infos = env.step(model.predict(observation, deterministic=True)[0])
        errors += [info["joint_error_rad"] for info in infos]
    env.close()
    assert np.mean(errors) < 0.05  # rad; holding still it is 0.3


def test_a_policy_that_observes_poses_goes_on_from_its_state_and_comes_back_from_its_file(
    encoder, demonstrations, tmp_path
):
    shown = [replace(one, believed=one.joints) for one in demonstrations]
    env = SB3VecEnv(tcn_imitate_vector(2, encoder, shown, observe_pose=True))
    model = build_ppo(SMALL, env, 0, CPU).learn(32)
    save_policy(model, tmp_path / "policy.zip")
    restored = build_ppo(SMALL, env, 1, CPU)
    restore_learner(restored, learner_state(model))
    observation = env.reset()
    for other in (load_policy(build_ppo(SMALL, env, 1, CPU), tmp_path / "policy.zip"), restored):
        np.testing.assert_array_equal(
            model.predict(observation, deterministic=True)[0], other.predict(observation, deterministic=True)[0]
        )
    env.close()


def test_a_policy_round_trip_acts_alike(env, tmp_path):
    model = build_ppo(SMALL, env, 0, CPU).learn(32)
    save_policy(model, tmp_path / "policy.zip")
    other = load_policy(build_ppo(SMALL, env, 1, CPU), tmp_path / "policy.zip")
    observation = env.reset()
    np.testing.assert_array_equal(
        model.predict(observation, deterministic=True)[0], other.predict(observation, deterministic=True)[0]
    )


def test_equal_seeds_learn_alike(env):
    weights = []
    for _ in range(2):
        curve = Curve()
        model = build_ppo(SMALL, env, 0, CPU).learn(32, callback=curve)
        weights.append(torch.cat([p.detach().flatten() for p in model.policy.parameters()]))
        assert [row["steps"] for row in curve.rows] == [16, 32]
        assert all(row["ee_error_m"] > 0 for row in curve.rows)
    assert torch.equal(*weights)


def test_a_learner_goes_on_from_its_state(env, tmp_path):
    whole = build_ppo(SMALL, env, 0, CPU).learn(64, callback=Curve())
    save_policy(whole, tmp_path / "whole.zip")
    kept = []

    class Keep(Curve):
        def _on_rollout_start(self):
            if self.num_timesteps == 32:
                tree = [learner_state(self.model), env.state(), self.state(), random_states()]
                kept.append(Snapshot.of(tree).unpacked())

    build_ppo(SMALL, env, 0, CPU).learn(64, callback=Keep())
    model, curve = build_ppo(SMALL, env, 0, CPU), Curve()
    learner, at, rows, generators = kept[0]
    for restore, state in (
        (partial(restore_learner, model), learner), (env.restore, at), (curve.restore, rows),
        (restore_random_states, generators),
    ):  # fmt: skip
        restore(state)
    model.learn(64 - model.num_timesteps, callback=curve, reset_num_timesteps=False)
    save_policy(model, tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == (tmp_path / "whole.zip").read_bytes()
    assert [row["steps"] for row in curve.rows] == [16, 32, 48, 64]


def test_the_saved_policy_is_one_that_sb3_loads(env, tmp_path):
    model = build_ppo(SMALL, env, 0, CPU).learn(32)
    save_policy(model, tmp_path / "policy.zip")
    with zipfile.ZipFile(tmp_path / "policy.zip") as file:
        assert all(info.date_time == (1980, 1, 1, 0, 0, 0) for info in file.infolist())
        assert b" at 0x" not in file.read("data")
    loaded = PPO.load(tmp_path / "policy.zip")
    observation = env.reset()
    np.testing.assert_array_equal(
        model.predict(observation, deterministic=True)[0], loaded.predict(observation, deterministic=True)[0]
    )
    assert (loaded.num_timesteps, loaded.gamma) == (32, SMALL.gamma)


def test_a_policy_that_only_acts_has_no_optimiser_and_acts_alike(env, tmp_path):
    model = build_ppo(SMALL, env, 0, CPU).learn(32)
    save_policy(model, tmp_path / "policy.zip")
    acting = load_policy(build_ppo(SMALL, env, 1, CPU, learns=False), tmp_path / "policy.zip")
    assert isinstance(acting.policy.optimizer, NoOptimizer)
    observation = env.reset()
    np.testing.assert_array_equal(
        model.predict(observation, deterministic=True)[0], acting.predict(observation, deterministic=True)[0]
    )


@pytest.mark.slow
def test_the_shipped_policy_is_one_that_sb3_loads_and_tells_nothing_of_where_it_was_made():
    shipped = ASSETS / "policy" / "policy.zip"
    how = learned_with(Stage(shipped.parent))
    loaded = PPO.load(shipped, device=CPU)
    env = TCNImitateEnv(robot=how.robot, following=how.following)
    model = load(how, env, shipped)
    observation = env.reset(seed=0)[0]
    np.testing.assert_array_equal(
        model.predict(observation, deterministic=True)[0], loaded.predict(observation, deterministic=True)[0]
    )
    assert loaded.lr_schedule(0.5) == how.learner.learning_rate / 2
    env.close()
    with zipfile.ZipFile(shipped) as file:
        values = [value for value in json.loads(file.read("data")).values() if isinstance(value, dict)]
    pickled = [base64.b64decode(value[":serialized:"]) for value in values if ":serialized:" in value]
    assert pickled
    assert not any(b".py" in text for text in pickled)


class Planted:
    def __reduce__(self):
        return (open, ("planted", "w"))


def test_code_in_a_policy_does_not_run(env, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = build_ppo(SMALL, env, 0, CPU)
    save_policy(model, tmp_path / "policy.zip")
    torch.save(Planted(), "policy.pth")
    hostile = tmp_path / "hostile.zip"
    with zipfile.ZipFile("policy.zip") as source, zipfile.ZipFile(hostile, "w") as target:
        for name in source.namelist():
            target.writestr(name, (tmp_path / "policy.pth").read_bytes() if name == "policy.pth" else source.read(name))
    with pytest.raises(UserError, match="damaged"):
        load_policy(model, hostile)
    assert not (tmp_path / "planted").exists()


@pytest.mark.parametrize("content", [b"", b"junk"])
def test_a_damaged_policy_is_named(env, tmp_path, content):
    path = tmp_path / "policy.zip"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"policy\.zip: damaged"):
        load_policy(build_ppo(SMALL, env, 0, CPU), path)
    with pytest.raises(UserError, match="no such policy"):
        load_policy(build_ppo(SMALL, env, 0, CPU), tmp_path / "none.zip")


@pytest.mark.parametrize(("name", "value"), [("gamma", 1.5), ("n_epochs", 0), ("width", 0), ("clip_range", -1.0)])
def test_settings_out_of_bounds_are_named(name, value):
    with pytest.raises(UserError, match=f"learner.{name} is {value}, expected"):
        Learner(**{name: value})


@pytest.fixture
def policy(env, tmp_path):
    save_policy(build_ppo(SMALL, env, 0, CPU), tmp_path / "policy.zip")
    return tmp_path / "policy.zip"


def rezipped(path, compression=zipfile.ZIP_STORED, **more):
    """The same members in another way, and others beside them."""
    with zipfile.ZipFile(path) as source:
        members = {name: source.read(name) for name in source.namelist()}
    with zipfile.ZipFile(path, "w", compression) as target:
        for name, content in (members | more).items():
            target.writestr(name, content)


def test_a_member_that_would_grow_is_not_unpacked(env, policy):
    rezipped(policy, zipfile.ZIP_DEFLATED, **{"bomb.bin": bytes(10_000_000)})
    assert policy.stat().st_size < 5_000_000
    with pytest.raises(UserError, match=r"policy\.zip: damaged, .* in it is compressed"):
        load_policy(build_ppo(SMALL, env, 0, CPU), policy)


@pytest.mark.parametrize("name", ["env.pth", "rollout_buffer.pth", "policy.log_std.pth", "../policy.pth", "learn.pth"])
def test_a_member_sets_nothing_but_the_policy(env, policy, name):
    with zipfile.ZipFile(policy) as archive:
        content = archive.read("policy.pth")
    rezipped(policy, **{name: content})
    with pytest.raises(UserError, match=r"policy\.zip: damaged, .*, or none of policy, policy\.optimizer"):
        load_policy(build_ppo(SMALL, env, 0, CPU), policy)


def test_members_in_another_order_are_the_same_policy(env, policy):
    straight, other = (build_ppo(SMALL, env, seed, CPU) for seed in (1, 2))
    load_policy(straight, policy)
    rezipped(policy)
    before = other.policy.state_dict()["action_net.weight"].clone()
    load_policy(other, policy)
    found = other.policy.state_dict()
    assert not torch.equal(found["action_net.weight"], before)
    for name, weights in straight.policy.state_dict().items():
        assert torch.equal(found[name], weights), name


class Reaching(gym.Env):
    """Joints that are to be where the target is: the embedding is the joints themselves."""

    def __init__(self) -> None:
        self.observation_space = spaces.Box(-10, 10, (8,), np.float32)
        self.action_space = spaces.Box(-1, 1, (2,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._joints, self._target = self.np_random.uniform(-1, 1, (2, 2))
        self._steps = 0
        return self._seen(np.zeros(2)), {}

    def step(self, action):
        self._joints = self._joints + 0.2 * action
        self._steps += 1
        away = np.linalg.norm(self._target - self._joints)
        return self._seen(0.2 * action), -float(away), False, self._steps == 10, {}

    def _seen(self, velocities):
        return np.concatenate([self._joints, velocities, self._joints, self._target]).astype(np.float32)


@pytest.mark.slow
def test_a_policy_that_begins_with_nothing_learns_from_the_reward_alone():
    learner = Learner(n_envs=8, n_steps=32, batch_size=128, learning_rate=3e-3, log_std=-1.0, width=32)
    env = DummyVecEnv([Reaching] * learner.n_envs)
    curve = Curve()
    build_ppo(learner, env, 0, CPU, dim=2).learn(8_192, curve)
    rewards = [row["reward"] for row in curve.rows]
    assert np.mean(rewards[-5:]) > 0.7 * np.mean(rewards[:5])
