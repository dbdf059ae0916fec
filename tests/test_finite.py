"""NaN and infinity stop whatever computes with them, in one line, and are never written."""

import copy
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from imitate.data.demonstration import Demonstration
from imitate.data.lerobot.dataset import LeRobotDataset
from imitate.data.lerobot.writer import Episode, write_file
from imitate.embedding.trained_encoder import load_encoder
from imitate.envs.kuka_env import KukaEnv
from imitate.envs.tcn_imitate import TCNImitateEnv, tcn_imitate_vector
from imitate.errors import UserError
from imitate.keeping.finite import check_finite, check_weights
from imitate.pipelines import record
from imitate.pipelines.torturing.subject import LEARNER, RECORD
from imitate.policy.ppo import Curve, build_ppo, load_policy, save_policy
from imitate.policy.vec_env import SB3VecEnv
from imitate.reward.following import Following
from imitate.reward.true_reward import TrueReward

BAD = (float("nan"), float("inf"), float("-inf"))
CPU = torch.device("cpu")


@pytest.mark.parametrize("bad", BAD)
def test_the_first_that_is_none_is_named(bad):
    values = np.zeros((2, 3))
    check_finite("a value", values, "look")
    values[1, 2] = bad
    with pytest.raises(UserError, match=rf"^a value became {bad} \(at \[1, 2\]\): look$"):
        check_finite("a value", values, "look")
    with pytest.raises(UserError, match=rf"^a value became {bad}"):
        check_finite("a value", bad, "look")
    check_weights("it", {"a": torch.zeros(3), "steps": torch.tensor(3)}, "look")
    with pytest.raises(UserError, match=r"^it: NaN or infinity in b: look$"):
        check_weights("it", {"a": torch.zeros(3), "b": torch.tensor([0.0, bad])}, "look")


def spoilt(encoder, part):
    other = copy.deepcopy(encoder)
    with torch.no_grad():
        next(getattr(other, part).parameters()).fill_(float("nan"))
    return other


def test_embeddings(encoder, demonstrations):
    with pytest.raises(UserError, match="an embedding became nan"):
        spoilt(encoder, "module").embed(demonstrations[0].frames)
    embeddings = encoder.embed(demonstrations[0].frames)
    with pytest.raises(UserError, match="a decoded joint became nan"):
        spoilt(encoder, "pose_head").decode_joints(embeddings)


@pytest.mark.parametrize("part", ["module", "pose_head"])
def test_an_encoder_is_neither_written_nor_read(encoder, tmp_path, part, monkeypatch):
    with pytest.raises(UserError, match=r"the encoder: NaN or infinity in .*: lower the learning rate"):
        spoilt(encoder, part).save(tmp_path / "encoder")
    assert not (tmp_path / "encoder").exists()
    monkeypatch.setattr("imitate.embedding.encoder_file.check_weights", lambda *args: None)
    spoilt(encoder, part).save(tmp_path / "encoder")
    monkeypatch.undo()
    with pytest.raises(UserError, match=r"encoder\.safetensors: NaN or infinity in"):
        load_encoder(tmp_path / "encoder")


@pytest.mark.parametrize("bad", BAD)
def test_actions(bad):
    env = KukaEnv(image_size=32)
    env.reset(seed=0)
    with pytest.raises(UserError, match="an action became"):
        env.step(np.array([0, 0, 0, bad, 0, 0, 0]))
    with pytest.raises(UserError, match="action of shape"):
        env.step(np.zeros(6))
    env.close()


def test_a_simulation_that_breaks_down(monkeypatch):
    env = KukaEnv(image_size=32)
    env.reset(seed=0)
    monkeypatch.setattr(env.kuka, "joint_states", lambda: (np.full(7, np.nan), np.zeros(7)))
    with pytest.raises(UserError, match=r"joints and velocities became nan .*the simulation became unstable"):
        env.step(np.zeros(7))
    env.close()


def nothing(moment):
    return np.full(len(moment.own), np.nan)


@pytest.mark.parametrize(
    ("reward", "message"),
    [
        (nothing, "a reward became nan"),
        (lambda moment: np.zeros((len(moment.own), 2)), r"rewards of shape \([12], 2\), expected \([12],\)"),
        (lambda moment: 0.0, r"rewards of shape \(\), expected"),
    ],
)
def test_rewards(encoder, demonstrations, reward, message):
    env = TCNImitateEnv(encoder, demonstrations, Following(reward))
    many = tcn_imitate_vector(2, encoder, demonstrations, Following(reward))
    for one, actions in ((env, np.zeros(7)), (many, np.zeros((2, 7)))):
        one.reset(seed=0)
        with pytest.raises(UserError, match=message):
            one.step(actions)
        one.close()


@pytest.fixture
def envs(encoder, demonstrations):
    made = SB3VecEnv(tcn_imitate_vector(2, encoder, demonstrations))
    yield made
    made.close()


def test_true_rewards(envs, monkeypatch):
    inner = envs.env
    inner.reset(seed=0)
    step = inner.step

    def broken(actions):
        *rest, infos = step(actions)
        return *rest, infos | {"env_reward": np.array([0.0, np.nan])}

    monkeypatch.setattr(inner, "step", broken)
    with pytest.raises(UserError, match="a true reward became nan"):
        TrueReward(inner).step(np.zeros((2, 7)))


def test_actions_of_a_policy(envs):
    with pytest.raises(UserError, match=r"an action of the policy became nan .*lower the learning rate"):
        envs.step(np.full((2, 7), np.nan))


def test_a_policy_whose_weights_break_stops_and_is_not_written(envs, tmp_path):
    """Whatever the loss was: the update that broke them is the last."""
    model = build_ppo(LEARNER, envs, 0, CPU)
    train, updates = model.train, []

    def broken():
        train()
        updates.append(None)
        if len(updates) == 2:
            with torch.no_grad():
                model.policy.log_std[0] = float("nan")

    model.train = broken
    curve = Curve()
    with pytest.raises(UserError, match=r"^the policy: NaN or infinity in log_std: lower the learning rate$"):
        model.learn(64, callback=curve)
    assert len(updates) == len(curve.rows) == 2
    with pytest.raises(UserError, match="the policy: NaN or infinity"):
        save_policy(model, tmp_path / "policy.zip")
    assert not list(tmp_path.iterdir())


def test_the_last_update_counts_too(envs):
    model = build_ppo(LEARNER, envs, 0, CPU)

    def broken():
        with torch.no_grad():
            model.policy.log_std[0] = float("inf")

    model.train = broken
    with pytest.raises(UserError, match="the policy: NaN or infinity in log_std"):
        model.learn(16, callback=Curve())


def test_a_policy_of_nan_is_not_read(envs, tmp_path, monkeypatch):
    model = build_ppo(LEARNER, envs, 0, CPU)
    with torch.no_grad():
        model.policy.log_std[0] = float("nan")
    monkeypatch.setattr("imitate.policy.ppo.check_policy", lambda model: None)
    save_policy(model, tmp_path / "policy.zip")
    with pytest.raises(UserError, match=r"policy\.zip: NaN or infinity in log_std: damaged"):
        load_policy(build_ppo(LEARNER, envs, 1, CPU), tmp_path / "policy.zip")


@pytest.mark.parametrize("bad", BAD)
def test_poses_of_a_demonstration(demonstrations, bad):
    joints = demonstrations[0].joints.copy()
    joints[3, 2] = bad
    with pytest.raises(UserError, match=r"demonstration x: a joint became .* \(at \[3, 2\]\)"):
        Demonstration("x", demonstrations[0].frames, joints)


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    run = tmp_path_factory.mktemp("run")
    record.run(replace(RECORD, run=run))
    return run / "record/dataset"


@pytest.mark.parametrize("name", ["observation.state", "observation.flange", "action"])
def test_what_is_recorded(tmp_path, name):
    layout = record.layout_of(RECORD)
    columns = {key: np.zeros((4, len(names)), np.float32) for key, names in layout.columns.items()}
    episode = Episode({"front": np.zeros((4, 32, 32, 3), np.uint8)}, columns)
    columns[name][2, 1] = np.nan
    episodes = [episode] * len(layout.episodes_of(0))
    with pytest.raises(UserError, match=rf"{name} of episode 0 became nan \(at \[2, 1\]\): the simulation"):
        write_file(tmp_path / "dataset", layout, 0, episodes)
    assert not (tmp_path / "dataset").exists()


def test_what_is_read_of_a_dataset(recording, tmp_path, monkeypatch):
    folder = shutil.copytree(recording, tmp_path / "given")
    monkeypatch.setattr("imitate.data.lerobot.writer.check_finite", lambda *args: None)
    layout = record.layout_of(RECORD)
    dataset = LeRobotDataset(folder)
    episodes = []
    for number in layout.episodes_of(0):
        columns = {name: dataset.column(name, [number]).copy() for name in layout.columns}
        episodes.append(Episode({"front": dataset.demonstration(number).frames}, columns))
    episodes[2].columns["observation.state"][1, 0] = np.inf
    write_file(folder, layout, 0, episodes)
    monkeypatch.undo()
    dataset = LeRobotDataset(folder)
    with pytest.raises(UserError, match=r"file-000\.parquet: 'observation\.state' of episode 2 became inf"):
        dataset.joints()
    assert np.isfinite(dataset.joints([1, 3])).all()
