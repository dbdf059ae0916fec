import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from clips import encode
from stable_baselines3.common.vec_env import DummyVecEnv

from imitate.data.lerobot.dataset import LeRobotDataset
from imitate.data.video.reader import read_video
from imitate.data.video.writer import Compression, write_video
from imitate.embedding.trained_encoder import load_encoder
from imitate.envs.imagination import watch
from imitate.envs.kuka import ASSETS
from imitate.envs.practice import FOUND, REACH
from imitate.errors import UserError
from imitate.keeping.runs import Stage, kept_settings, read_json
from imitate.pipelines import follow, imitate
from imitate.pipelines.follow import Settings
from imitate.pipelines.shared.policy import LOST, single_env
from imitate.pipelines.shared.rollout import follower
from imitate.policy.ppo import Learner, build_ppo, save_policy


def test_each_joint_turns_to_where_it_is_to_be_next():
    poses = np.array([[0.0, 0.0], [0.05, -0.3], [0.1, -0.6]])
    env = SimpleNamespace(aim=1)
    act = follower(env, poses)
    observation = np.zeros(6, np.float32)
    np.testing.assert_allclose(act(observation), [0.05 / REACH, -1.0], rtol=1e-6)
    for env.aim in (2, 3):  # its last frame, and beyond
        np.testing.assert_allclose(act(observation), [0.1 / REACH, -1.0], rtol=1e-6)


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """The first frames of the demonstration that comes with the package, as a bare video."""
    frames = LeRobotDataset(ASSETS / "demonstration").demonstration(0).frames[:12]
    path = tmp_path_factory.mktemp("video") / "few.mp4"
    write_video(path, frames, 20, Compression(0, "yuv444p"))
    return path


@pytest.fixture(scope="module")
def reads():
    """What was read off demonstrations already."""
    return {}


@pytest.fixture(autouse=True)
def read_once(reads, monkeypatch):
    """Poses are read off each demonstration once, whoever follows it: it takes most of the time, and is the same."""

    def once(encoder, embeddings, arm, workers=0):
        shown = embeddings.tobytes(), arm
        if shown not in reads:
            reads[shown] = watch(encoder, embeddings, arm, workers)
        return reads[shown]

    monkeypatch.setattr("imitate.envs.imagination.watch", once)
    monkeypatch.setattr("imitate.envs.tcn_imitate.watch", once)  # of the first frame, where no poses are known


@pytest.mark.slow
def test_a_bare_video_is_followed_without_anything_learned(few, tmp_path, capsys):
    stage = follow.run(Settings(run=tmp_path / "new", demo=str(few)))
    assert stage.folder.name.startswith("follow-few-")
    assert stage.metrics["ee_error_m"] is None
    assert "believed_ee_error_m" not in stage.metrics
    assert stage.metrics["believed_embedding_distance"] < 1.5
    assert stage.metrics["embedding_distance"] < 0.5 * stage.metrics["random_embedding_distance"]
    assert np.shape(read_json(stage.path("poses.json"))["joints"]) == (12, 7)
    assert len(read_video(stage.path("side_by_side.mp4")).frames) == 12
    told = capsys.readouterr()
    assert f"read {few}: 12 frames in 0.60 s, 20 a second, 64x64\n" in told.out
    assert "embedding_distance" in told.out
    assert "ee_error_m" not in told.out  # a bare video has no poses to measure against
    assert "recognise" not in told.err
    follow.run(Settings(run=tmp_path / "new", demo=str(few)))
    again = capsys.readouterr().out
    assert "has followed already" in again
    assert "look at" in again


@pytest.mark.slow
def test_a_bare_video_is_followed_by_guesses_and_practice_and_nothing_is_imagined(few, tmp_path, monkeypatch, capsys):
    for imagines in ("imitate.envs.imagination.watch", "imitate.envs.tcn_imitate.watch"):
        monkeypatch.setattr(imagines, pytest.fail)
    stage = follow.run(Settings(run=tmp_path, demo=str(few), guess="head", practice=4096))
    metrics, poses = stage.metrics, read_json(stage.path("poses.json"))
    assert metrics["practised_embedding_distance"] < 0.7 * metrics["direct_embedding_distance"]
    assert metrics["practice_steps"] in (2048, 4096)
    assert np.abs(np.subtract(poses["joints"], poses["guessed"])).mean() > 0.02
    told = capsys.readouterr()
    assert "practises: a minute, or minutes" in told.out
    assert metrics["practice_apart"] < FOUND or "steps of practice, a frame of" in told.err


@pytest.mark.slow
def test_a_robot_need_not_wait_while_a_video_pauses(few, tmp_path):
    frames = read_video(few).frames
    write_video(tmp_path / "paused.mp4", np.insert(frames, [6] * 15, frames[6], axis=0), 20, Compression(0, "yuv444p"))
    steps = {}
    for clock in (True, False):
        stage = follow.run(Settings(run=tmp_path, name=f"{clock}", demo=str(tmp_path / "paused.mp4"), clock=clock))
        steps[clock] = read_json(stage.path("rollout.json"))["embedding_distance"]
        assert len(read_video(stage.path("side_by_side.mp4")).frames) == len(steps[clock]) + 1
    assert len(steps[True]) == 26
    assert len(steps[False]) < 20
    assert max(steps[False][-1], steps[True][-1]) < 3, "both come to the end"


@pytest.mark.slow
def test_the_demonstration_that_comes_with_the_package_is_followed_from_afar(tmp_path):
    stage = follow.run(Settings(run=tmp_path, start_noise=0.3))
    assert stage.metrics["believed_ee_error_m"] < 0.03
    assert stage.metrics["ee_error_m"] < 0.05 < 0.2 * stage.metrics["hold_still_ee_error_m"]
    assert stage.metrics["joint_error_rad"] < 0.1


def learned_nothing(folder, eyes, **changed):
    """A policy that begins with taking the poses that were read, and has not gone on."""
    settings = imitate.Settings(episodes=1, learner=Learner(n_steps=8, batch_size=8, width=8), **changed)
    shown = LeRobotDataset(ASSETS / "demonstration").demonstration(0)
    shown = replace(shown, believed=shown.joints)
    env = single_env(eyes, shown, imitate.robot_of(settings), imitate.following_of(settings))
    stage = Stage(folder)
    stage.begin(kept_settings(settings))
    envs = DummyVecEnv([lambda: env])
    model = build_ppo(settings.learner, envs, 0, torch.device("cpu"), dim=eyes.dim, lookahead=settings.lookahead)
    save_policy(model, stage.path("policy.zip"))
    stage.finish({})
    env.close()


@pytest.mark.slow
def test_a_policy_for_any_demonstration_follows_where_there_is_one(few, tmp_path, monkeypatch):
    eyes = load_encoder(ASSETS / "encoder")
    shipped = tmp_path / "assets"
    shutil.copytree(ASSETS / "encoder", shipped / "encoder")
    monkeypatch.setattr("imitate.pipelines.shared.policy.ASSETS", shipped)
    settings = Settings(run=tmp_path / "run", demo=str(few))

    def followed(name, **changed):
        stage = follow.run(replace(settings, name=name, **changed))
        return stage.config["settings"]["policy_sha256"], stage.metrics["embedding_distance"]

    none, direct = followed("no-policy-there")
    learned_nothing(shipped / "policy", eyes)
    sha256, distance = followed("with-the-packages")
    assert none is None
    assert len(sha256) == 64
    assert distance == pytest.approx(direct, rel=0.2)
    assert distance != direct
    assert followed("directly", policy="direct") == (None, direct)
    assert followed("with-another-encoder", encoder=shipped / "encoder") == (None, direct)
    learned_nothing(settings.run / "own", eyes, encoder=shipped / "encoder")
    assert followed("with-its-own", policy="own") == (sha256, distance)
    learned_nothing(settings.run / "far-sighted", eyes, encoder=shipped / "encoder", lookahead=2)
    assert followed("looking-ahead", policy="far-sighted")[1] == pytest.approx(direct, rel=0.2)
    for changed, message in (
        ({"policy": "no"}, "no: no finished policy there"),
        ({"policy": "own", "encoder": shipped / "encoder"}, "policy 'own' was learned with its own encoder"),
        (
            {"policy": "own", "arm": "iiwa_gripper"},
            "own encoder and the arm iiwa: expected no --encoder, and that arm, not iiwa_gripper",
        ),
    ):
        with pytest.raises(UserError, match=message):
            follow.run(replace(settings, name="refused", **changed))
    assert not (settings.run / "refused").exists()


@pytest.mark.slow
def test_a_run_with_an_encoder_of_its_own_uses_that(unlearned, tmp_path):
    run = Path(shutil.copytree(unlearned, tmp_path / "run"))
    stage = follow.run(Settings(run=run, demo="test:0"))
    assert stage.folder.name == "follow-test-0"
    assert stage.settings["encoder"] is None
    with pytest.raises(UserError, match=r"another camera|frames of"):
        follow.run(Settings(run=run))  # what comes with the package: of other pictures than this encoder knows
    assert not Stage(run / "follow").folder.exists()


@pytest.mark.slow
def test_what_is_not_recognised_is_said(tmp_path, capsys):
    noise = np.random.default_rng(0).integers(0, 256, (4, 96, 96, 3), np.uint8)
    encode(tmp_path / "noise.mp4", noise, rate=10, matrix=(-1, 0, 0, -1))
    stage = follow.run(Settings(run=tmp_path / "new", demo=str(tmp_path / "noise.mp4"), resize=True))
    assert stage.metrics["believed_embedding_distance"] > LOST
    found = "turned by 180 degrees{0}its middle scaled to 64x64{0}followed at 20 a second: 8 frames"
    told = capsys.readouterr()
    assert "the robot does not recognise itself in noise" in told.err
    assert f"In the file: {found.format(', ')}\n" in told.err
    assert f"noise.mp4: 4 frames in 0.40 s, 10 a second, 96x96; {found.format('; ')}\n" in told.out


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"seed": -1}, "seed is -1, expected 0 to 4294967295"),
        ({"start_noise": 4.0}, "start_noise is 4.0, expected 0 to pi rad"),
        ({"arm": "ur5"}, "unknown arm 'ur5'"),
        ({"arm": "panda"}, "the encoder was trained on the arm iiwa, expected panda: name one of that"),
        ({"arm": "iiwa_gripper"}, "trained on an arm of 7 joints, expected the 12"),
        ({"demo": "no.mp4"}, "no.mp4: no such video file"),
        ({"demo": "test:0"}, "has recorded nothing yet: run 'record' first"),
        ({"demo": "test:-1"}, "expected the number of an episode, such as 'test:3'"),
        ({"name": "record"}, "stage name 'record': expected another"),
        ({"encoder": Path("no")}, "no such file"),
    ],
)
def test_what_cannot_be_followed(tmp_path, changed, message):
    with pytest.raises(UserError, match=message):
        follow.run(Settings(**{"run": tmp_path / "new", **changed}))
    assert not (tmp_path / "new").exists()
