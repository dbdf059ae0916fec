import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from envs.kuka import ASSETS
from imitate.data.lerobot import LeRobotDataset
from imitate.errors import UserError
from imitate.runs import Stage, read_json
from imitate.video import Compression, read_video, write_video
from pipelines import follow
from pipelines.follow import Settings
from pipelines.policy import LOST
from pipelines.rollout import REACH, follower


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


def test_a_bare_video_is_followed_without_anything_learned(few, tmp_path, capsys):
    stage = follow.run(Settings(run=tmp_path / "new", demo=str(few)))
    assert stage.folder.name.startswith("follow-few-")
    assert stage.metrics["ee_error_m"] is None
    assert "believed_ee_error_m" not in stage.metrics
    assert stage.metrics["believed_embedding_distance"] < 1.5
    assert stage.metrics["embedding_distance"] < 0.5 * stage.metrics["random_embedding_distance"]
    assert np.shape(read_json(stage.path("poses.json"))["joints"]) == (12, 7)
    assert len(read_video(stage.path("side_by_side.mp4"))[0]) == 12
    told = capsys.readouterr()
    assert "unknown" in told.out
    assert "recognise" not in told.err
    follow.run(Settings(run=tmp_path / "new", demo=str(few)))
    assert "has followed already" in capsys.readouterr().out


def test_a_robot_need_not_wait_while_a_video_pauses(few, tmp_path):
    frames = read_video(few)[0]
    write_video(tmp_path / "paused.mp4", np.insert(frames, [6] * 15, frames[6], axis=0), 20, Compression(0, "yuv444p"))
    steps = {}
    for clock in (True, False):
        stage = follow.run(Settings(run=tmp_path, name=f"{clock}", demo=str(tmp_path / "paused.mp4"), clock=clock))
        steps[clock] = read_json(stage.path("rollout.json"))["embedding_distance"]
        assert len(read_video(stage.path("side_by_side.mp4"))[0]) == len(steps[clock]) + 1
    assert len(steps[True]) == 26
    assert len(steps[False]) < 20
    assert max(steps[False][-1], steps[True][-1]) < 3, "both come to the end"


@pytest.mark.slow
def test_the_demonstration_that_comes_with_the_package_is_followed_from_afar(tmp_path):
    stage = follow.run(Settings(run=tmp_path, start_noise=0.3))
    assert stage.metrics["believed_ee_error_m"] < 0.03
    assert stage.metrics["ee_error_m"] < 0.05 < 0.2 * stage.metrics["hold_still_ee_error_m"]
    assert stage.metrics["joint_error_rad"] < 0.1


def test_a_run_with_an_encoder_of_its_own_uses_that(unlearned, tmp_path):
    run = Path(shutil.copytree(unlearned, tmp_path / "run"))
    stage = follow.run(Settings(run=run, demo="test:0"))
    assert stage.folder.name == "follow-test-0"
    assert stage.settings["encoder"] is None
    with pytest.raises(UserError, match=r"another camera|frames of"):
        follow.run(Settings(run=run))  # what comes with the package: of other pictures than this encoder knows
    assert not Stage(run / "follow").folder.exists()


def test_what_is_not_recognised_is_said(tmp_path, capsys):
    noise = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), np.uint8)
    write_video(tmp_path / "noise.mp4", noise, 20, Compression(0, "yuv444p"))
    stage = follow.run(Settings(run=tmp_path / "new", demo=str(tmp_path / "noise.mp4")))
    assert stage.metrics["believed_embedding_distance"] > LOST
    assert "the robot does not recognise itself in" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"seed": -1}, "seed -1"),
        ({"start_noise": 4.0}, "start_noise 4.0"),
        ({"arm": "panda"}, "unknown arm 'panda'"),
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
