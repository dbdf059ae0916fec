import inspect
from contextlib import closing
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from imitate.data.demonstration import Demonstration
from imitate.data.lerobot.dataset import LeRobotDataset
from imitate.embedding.trained_encoder import TrainedEncoder, load_encoder
from imitate.envs.imagination import within_reach
from imitate.envs.kuka import Kuka
from imitate.envs.practice import Practised
from imitate.envs.robot import Robot
from imitate.errors import UserError
from imitate.keeping.runs import read_json
from imitate.pipelines import evaluate, imitate
from imitate.pipelines.shared import reading
from imitate.pipelines.shared.demo import load_demo
from imitate.pipelines.shared.policy import learned_with, reading_at_once
from imitate.pipelines.shared.reading import GUESSES, USUAL, Mind, Reading
from imitate.pipelines.torturing.subject import IMITATE
from imitate.reading.practice import smoothed

ROOT = Path(__file__).parents[1]


@pytest.fixture
def mind(unlearned, encoder):
    return Mind(encoder, "iiwa", unlearned, 0)


@pytest.fixture
def demonstration(mind):
    return load_demo("test:0", mind.run, mind.encoder)


def test_what_is_no_reading_is_refused():
    with pytest.raises(UserError, match="unknown guess 'luck': choose one of head, imagination, pixels, recordings"):
        Reading("luck")
    with pytest.raises(UserError, match="practice is -1"):
        Reading(practice=-1)


def test_who_follows_at_once_practises_where_nothing_is_imagined():
    assert reading_at_once(None, None, None) == Reading("imagination", 0)
    assert reading_at_once("pixels", None, None) == Reading("pixels", 0)
    assert reading_at_once("imagination", 4096, None).steps() == 4096
    assert reading_at_once("head", None, None).steps() == Reading("head").steps() == GUESSES["head"].steps > 0
    assert reading_at_once("head", 0, None).steps() == 0
    assert Reading("head").steps(3 * USUAL) == 3 * Reading("head").steps(USUAL // 2)
    assert Reading("head", 10).steps(3 * USUAL) == 10


def test_a_guess_by_the_head_is_what_it_decodes(mind, demonstration):
    decoded = mind.encoder.decode_joints(mind.encoder.embed(demonstration.frames))
    found = Reading("head").guessed(demonstration, mind).believed
    np.testing.assert_array_equal(found, within_reach(smoothed(decoded), "iiwa"))
    with pytest.raises(UserError, match="this encoder has no pose head, expected one that was trained with joints"):
        Reading("head").check(replace(mind.encoder, pose_head=None), mind.run)


def test_no_robot_is_set_down_beyond_its_reach():
    far = np.array([[-9.0] * 7, [0.0] * 7, [9.0] * 7])
    near = within_reach(far, "iiwa")
    assert np.abs(near).max() < 4
    np.testing.assert_array_equal(near[1], far[1])
    np.testing.assert_array_equal(within_reach(near, "iiwa"), near)


def test_a_guess_by_recordings_is_of_poses_in_them(mind, demonstration, monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(
        reading, "recollect", lambda seen, own, joints: asked.append((seen, own, joints)) or seen[:, :7]
    )
    Reading("recordings").guessed(demonstration, mind)
    ((seen, own, joints),) = asked
    assert len(seen) == len(demonstration)
    assert len(own) == len(joints) > 1
    filmed = load_demo("train:0", mind.run, mind.encoder)
    np.testing.assert_array_equal(joints[0], filmed.joints[0].astype(joints.dtype))
    np.testing.assert_allclose(own[0], mind.encoder.embed(filmed.frames[:1])[0], atol=1e-5)
    with pytest.raises(UserError, match="has none: run 'record' first, or choose another guess"):
        Reading("recordings").check(mind.encoder, tmp_path)
    dataset = mind.run / "record" / "dataset"
    first, held_out = (LeRobotDataset(dataset).split(split)[0] for split in ("train", "test"))
    for known in ("train:0", f"{dataset}:{first}"):
        with pytest.raises(UserError, match=f"{known} is one of them, expected a demonstration that is not"):
            Reading("recordings").check(mind.encoder, mind.run, ["test:0", f"{dataset}:{held_out}", known])


def test_what_is_not_practised_stays_as_it_was_guessed(mind, demonstration):
    read = Reading("head", 0).read(demonstration, Robot(), mind, 0)
    np.testing.assert_array_equal(read.demonstration.believed, read.guessed)
    assert read.practised.steps == 0


def test_what_practice_found_is_kept_for_a_command_that_is_killed_after_it(
    mind, demonstration, monkeypatch, tmp_path, capsys
):
    asked, kept, way = [], tmp_path / "practice.json", Reading("head", 2048)
    guessed = way.guessed(demonstration, mind)

    def practise(one, encoder, robot, steps, workers, seed, tell):
        asked.append(steps)
        found = one.believed + 0.1
        curve = [{"steps": steps, "seconds": 1.5, "apart": 0.7} | tell(found)]
        return Practised(replace(one, believed=found), steps, 1.5, 0.7, False, curve)

    monkeypatch.setattr(reading, "practise", practise)
    awake = replace(mind, workers=1)
    first, again = (way.practised(guessed, Robot(), awake, 0, kept) for _ in range(2))
    assert asked == [2048]
    np.testing.assert_array_equal(first.demonstration.believed, again.demonstration.believed)
    assert first[1:] == again[1:]
    assert first[1:4] == (2048, 1.5, 0.7)
    before, row = first.curve
    assert before["steps"] == 0
    assert row["joint_error_rad"] != before["joint_error_rad"] > 0
    assert row["joint_error_rad"] == pytest.approx(np.abs(first.demonstration.believed - demonstration.joints).mean())
    assert row["ee_error_m"] > 0
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith(f"imitate: after 2048 steps of practice, a frame of {demonstration.name} is still 0.7 from")
    assert "practise longer with --practice" in said
    way.practised(replace(guessed, believed=guessed.believed + 1e-9), Robot(), awake, 0, kept)
    assert asked == [2048, 2048]  # of another guess


@pytest.mark.parametrize("of", ["imitate", "follow", "benchmark_follow"])
def test_how_long_it_practises_at_most_is_what_is_said(of):
    for text in (inspect.getsource(import_module(f"imitate.pipelines.{of}")), (ROOT / "docs/practice.md").read_text()):
        for most in {guess.steps for guess in GUESSES.values()}:
            assert f"{most:,}" in text


@pytest.mark.slow
@pytest.mark.parametrize("guess", ["head", "recordings"])
def test_a_policy_is_learned_without_imagining_anything(unlearned, guess, monkeypatch):
    monkeypatch.setitem(GUESSES, "imagination", replace(GUESSES["imagination"], watch=pytest.fail))
    stage = imitate.run(replace(IMITATE, run=unlearned, name=f"by-{guess}", guess=guess, practice=2048, demo="test:0"))
    for way in ("", "direct_", "practised_"):
        assert stage.metrics[f"{way}ee_error_m"] > 0
    assert stage.metrics["direct_ee_error_m"] != stage.metrics["practised_ee_error_m"]
    assert stage.metrics["practice_steps"] == 2048
    kept = read_json(stage.path("poses.json"))
    assert np.shape(kept["guessed"]) == np.shape(kept["joints"])
    monkeypatch.setattr(reading, "practise", pytest.fail)  # evaluated with the poses that it was learned with
    evaluated = evaluate.run(evaluate.Settings(run=unlearned, policy=stage.folder.name, name=f"again-{guess}"))
    for name in ("ee_error_m", "direct_ee_error_m", "practised_ee_error_m"):
        assert evaluated.metrics[name] == pytest.approx(stage.metrics[name], abs=1e-9)
    policy, eyes = learned_with(stage), load_encoder(unlearned / "embed" / "encoder")
    shown = load_demo("test:0", unlearned, eyes)
    other = replace(shown, frames=shown.frames[::-1].copy())  # another video, of the same name and length
    monkeypatch.setattr(reading, "practise", lambda one, *_: Practised(one))
    mind = Mind(eyes, "iiwa", unlearned, 1)
    believed = [policy.read("test:0", one, mind).demonstration.believed for one in (shown, other)]
    np.testing.assert_array_equal(believed[0], kept["joints"])
    assert np.abs(believed[1] - believed[0]).max() > 0.1


def test_many_demonstrations_are_not_practised():
    with pytest.raises(UserError, match="practice is for one demonstration, not for many episodes"):
        imitate.check(imitate.Settings(episodes=2, practice=2048))
    assert imitate.reading_of(imitate.Settings(episodes=2)).steps() == 0


def test_practice_that_nobody_would_look_at_is_refused():
    with pytest.raises(UserError, match="practice finds poses, which are neither observed nor started at"):
        imitate.check(imitate.Settings(practice=2048, observe_pose=False, midway=0.0))


def test_poses_are_read_by_raw_pixels_too(mind, demonstration, monkeypatch):
    """In the plain scene pixels will do: the network is asked for the guess alone."""
    frames, poses = demonstration.frames[:12], demonstration.joints[:12]
    monkeypatch.setattr(TrainedEncoder, "decode_joints", lambda *_: poses + 0.1)
    read = GUESSES["pixels"].watch(Demonstration("shown", frames, None), mind).poses
    with closing(Kuka()) as kuka:
        read, off, true = (kuka.flange_positions(at) for at in (read, poses + 0.1, poses))
    assert np.linalg.norm(read - true, axis=1).mean() < 0.5 * np.linalg.norm(off - true, axis=1).mean()
