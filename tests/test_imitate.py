import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from imitate.data.domain import Domain
from imitate.data.lerobot.dataset import LeRobotDataset
from imitate.data.video.reader import read_video
from imitate.data.video.writer import Compression, write_video
from imitate.embedding.encoders import build_encoder
from imitate.embedding.pose_head import PoseHead
from imitate.embedding.trained_encoder import TrainedEncoder, load_encoder
from imitate.envs.kuka import ARMS, body_of
from imitate.envs.landmarks import number_of
from imitate.envs.scenes.scene import PLAIN
from imitate.errors import UserError
from imitate.keeping.runs import Stage, read_json
from imitate.pipelines import compression, evaluate, imitate, report
from imitate.pipelines.shared import reading
from imitate.pipelines.shared.policy import learned_with, robots_scene
from imitate.pipelines.shared.reading import GUESSES
from imitate.pipelines.shared.results import read_results
from imitate.pipelines.torturing.subject import IMITATE

pytestmark = pytest.mark.slow

FRAMES = 6
TRUE = ("ee_error_m", "joint_error_rad", "final_ee_error_m")


@pytest.fixture(scope="module")
def run(unlearned, tmp_path_factory):
    return shutil.copytree(unlearned, tmp_path_factory.mktemp("run") / "run")


@pytest.fixture(scope="module")
def video(run):
    """A bare video of the second test episode, twice as wide as the encoder's frames and of the wrong size."""
    dataset = LeRobotDataset(run / "record/dataset")
    frames = dataset.demonstration(dataset.split("test")[1]).frames
    wide = np.pad(frames.repeat(2, axis=1).repeat(2, axis=2), ((0, 0), (0, 0), (32, 32), (0, 0)))
    write_video(run / "my.mp4", wide, 20, Compression(0, "yuv444p"))
    return run / "my.mp4"


@pytest.fixture(scope="module")
def settings(run, video):
    return replace(IMITATE, run=run, demo=str(video), resize=True)


@pytest.fixture(scope="module")
def learned(settings):
    return imitate.run(settings)


def test_a_bare_video_is_imitated_without_a_truth_to_measure_by(learned):
    assert learned.folder.name.startswith("imitate-my-")
    for name in TRUE:
        assert [learned.metrics[f"{prefix}{name}"] for prefix in ("", "hold_still_", "random_")] == [None] * 3
    assert learned.metrics["embedding_distance"] > 0
    assert learned.metrics["env_steps"] == 64
    assert learned.metrics["direct_embedding_distance"] > 0
    assert "believed_ee_error_m" not in learned.metrics  # nobody knows
    assert np.shape(read_json(learned.path("poses.json"))["joints"]) == (FRAMES, 7)
    curve = read_json(learned.path("curve.json"))
    assert all(row.get("ee_error_m") is None and row["reward"] < 0 for row in curve)
    assert len(read_video(learned.path("side_by_side.mp4")).frames) == FRAMES
    assert learned.path("learning.png").is_file()


@pytest.mark.parametrize("form", ["difference", "progress"])
def test_a_policy_of_another_reward_is_measured_by_it(learned, settings, form):
    other = imitate.run(replace(settings, reward_form=form, name=form))
    first, others_first = (read_json(stage.path("curve.json"))[0]["reward"] for stage in (learned, other))
    assert others_first != pytest.approx(first, rel=0.1)  # a gain, where huber's is a distance
    rewards = np.array(read_json(other.path("rollout.json"))["reward"])
    assert rewards.sum() == pytest.approx(other.metrics["reward"], abs=1e-3)
    if form == "progress":  # in whole frames
        np.testing.assert_allclose(rewards / 0.1, np.round(rewards / 0.1), atol=1e-6)
    measured = evaluate.run(evaluate.Settings(run=settings.run, policy=form, name=f"evaluate-{form}"))
    assert measured.metrics["reward"] == pytest.approx(other.metrics["reward"])
    assert "report" in report.run(report.Settings(run=settings.run)).name
    with pytest.raises(UserError, match="unknown reward form 'vip': choose one of difference, huber, progress"):
        imitate.run(replace(settings, reward_form="vip", name="vip"))


@pytest.mark.parametrize("kept", [0, 1])
def test_learning_that_spoils_a_policy_is_undone(settings, kept, monkeypatch):
    """It begins with taking the poses, and is there again; a learning rate of 1 leads it far away."""
    wild = replace(settings.learner, learning_rate=1.0, anneal=False)
    earned, is_as_it_began = iter([kept, 0.5]), []  # it earns so much after, and before
    keep_the_better = imitate.keep_the_better

    def watched(model, begun, *args):
        found = keep_the_better(model, begun, *args)
        is_as_it_began.append(all(torch.equal(begun[k], value) for k, value in model.policy.state_dict().items()))
        return found

    monkeypatch.setattr(imitate, "keep_the_better", watched)
    monkeypatch.setattr(imitate, "_earned", lambda settings, env, model: next(earned))
    metrics = imitate.run(replace(settings, name=f"imitate-wild-{kept}", learner=wild)).metrics
    assert metrics["learned_kept"] == kept
    moved = abs(metrics["reward"] - metrics["direct_reward"]) / abs(metrics["direct_reward"])
    assert is_as_it_began == [not kept]
    assert moved > 0.01 if kept else moved < 0.01


def test_a_run_may_be_moved_and_named_otherwise(run, settings, tmp_path, monkeypatch, capsys):
    shutil.copytree(run, tmp_path / "before")
    monkeypatch.chdir(tmp_path)
    there = replace(settings, run=Path("before"), encoder=tmp_path / "before" / "embed" / "encoder", name="mine")
    assert imitate.run(there).settings["encoder"] == "embed/encoder"
    Path("before").rename("after")
    Path("link").symlink_to("after")
    for name, eyes in (("after", "link"), ("link", "after"), (tmp_path / "after", "after")):
        imitate.run(replace(there, run=Path(name), encoder=Path(eyes) / "embed" / "encoder"))
        assert "has learned already" in capsys.readouterr().out
        stage = evaluate.run(evaluate.Settings(run=Path(name), policy="mine", name="evaluate"))
        assert stage.metrics["reward"] == pytest.approx(Stage(Path("after/mine")).metrics["reward"])


def test_what_has_learned_already_simulates_nothing(learned, settings, capsys, monkeypatch):
    monkeypatch.setitem(GUESSES, "imagination", replace(GUESSES["imagination"], watch=pytest.fail))
    monkeypatch.setattr(imitate, "single_env", pytest.fail)
    imitate.run(settings)
    assert "has learned already" in capsys.readouterr().out


def test_what_practice_found_is_not_looked_for_again_by_a_command_that_was_killed(settings, monkeypatch):
    wanted, looked = replace(settings, practice=2048, name="killed"), []
    practise = reading.practise
    monkeypatch.setattr(reading, "practise", lambda *args: looked.append(1) or practise(*args))
    with monkeypatch.context() as killed:
        killed.setattr(imitate, "learn", lambda *args: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            imitate.run(wanted)
    folder = settings.run / "killed"
    found = read_json(folder / "practice.json")
    with pytest.raises(UserError, match="was made with other settings"):
        imitate.run(replace(wanted, seed=1))
    stage = imitate.run(wanted)
    assert looked == [1]
    assert not (folder / "practice.json").exists()
    assert read_json(folder / "poses.json")["joints"] == found["poses"]
    curve = read_json(folder / "curve.json")
    assert [row["steps"] for row in curve] == [0, 2048, 2080, 2112]
    assert stage.metrics["practice_steps"] == 2048


def test_a_policy_acts_where_it_has_learned(learned, monkeypatch):
    """In the scene that its seed drew, and beside what the demonstration looks like there."""
    assert learned_with(learned).robot.surroundings == PLAIN
    settings = learned.settings | {"scene": "random", "translate": True}
    monkeypatch.setattr(Stage, "settings", property(lambda _: settings))
    robot = learned_with(learned).robot
    assert robot.translates
    assert robot.surroundings == robots_scene("random", settings["seed"]) != PLAIN


def test_a_demonstration_from_another_room_is_learned_as_it_would_look_here(run, settings, tmp_path):
    """Nothing is practised, which would compare what is seen in two rooms; and it is evaluated as it was learned."""
    torch.manual_seed(0)
    own = load_encoder(run / "embed" / "encoder")
    module = build_encoder("residual", own.image_size, 32, number_of(ARMS["iiwa"], body_of(ARMS["iiwa"].file)))
    TrainedEncoder("residual", module, own.image_size, 32, own.camera, PoseHead(32, 7), domain=Domain()).save(
        tmp_path / "blind"
    )
    asked = replace(settings, encoder=tmp_path / "blind", guess="head", practice=None, scene="table", translate=True)
    stage = imitate.run(replace(asked, name="elsewhere"))
    assert stage.metrics["practice_steps"] == 0
    again = evaluate.run(evaluate.Settings(run=run, policy="elsewhere", name="evaluate-elsewhere"))
    assert again.metrics["reward"] == pytest.approx(stage.metrics["reward"])
    across = imitate.run(replace(asked, name="across", translate=False, practice=0))
    assert across.metrics["hold_still_embedding_distance"] != stage.metrics["hold_still_embedding_distance"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"scene": "nowhere"}, "unknown scene 'nowhere': choose one of plain, random, table"),
        ({"scene": "table"}, "scene 'table': this encoder was trained in the plain one, expected that, or an encoder"),
        ({"translate": True, "practice": 5}, "practice compares across rooms, which translate is not to"),
    ],
)
def test_where_nobody_can_learn_is_one_line(settings, changed, message):
    with pytest.raises(UserError, match=message):
        imitate.run(replace(settings, name="nowhere", **changed))
    assert not (settings.run / "nowhere").exists()


def test_a_scene_wants_an_encoder_before_one_is_trained(tmp_path):
    with pytest.raises(UserError, match="scene is table, but there is no encoder: name one of 'embed open'"):
        imitate.run(imitate.Settings(run=tmp_path / "new", scene="table"))
    assert not (tmp_path / "new").exists()


def test_a_bare_video_has_no_truth_for_an_oracle(settings):
    with pytest.raises(UserError, match="the oracle needs a demonstration whose poses are known"):
        imitate.run(replace(settings, oracle=True, name="oracle"))
    assert not (settings.run / "oracle").exists()


def test_a_policy_is_evaluated_on_several_demonstrations(learned, video):
    wanted = evaluate.Settings(
        run=learned.folder.parent, policy=learned.folder.name, demos=("test:0", "test:1", str(video)), seeds=(0, 1),
        start_noise=0.2,
    )  # fmt: skip
    stage = evaluate.run(wanted)
    assert stage.folder.name.startswith("evaluate-test-0-test-1-my-")
    rows = stage.metrics["runs"]
    assert [(row["demo"], row["seed"]) for row in rows] == [(demo, seed) for demo in wanted.demos for seed in (0, 1)]
    assert rows[0]["ee_error_m"] != rows[1]["ee_error_m"]  # another start
    assert all(row["ee_error_m"] is None for row in rows[4:])
    assert stage.metrics["ee_error_m"] == pytest.approx(np.median([row["ee_error_m"] for row in rows[:4]]))
    assert stage.metrics["embedding_distance"] == pytest.approx(np.median([row["embedding_distance"] for row in rows]))
    for number in range(3):
        assert len(read_video(stage.path(f"demonstration-{number}.mp4")).frames) == FRAMES


def test_compression_moves_embeddings_the_more_the_stronger_it_is(run, tmp_path):
    out = tmp_path / "compression.csv"
    compression.run(compression.Settings(run=run, episodes=1, crfs=(0, 45), out=out))
    written = read_results(out)
    assert written.about["frames"] == FRAMES
    assert [(row["pixels"], row["crf"]) for row in written.rows] == [
        ("yuv444p", 0), ("yuv444p", 45), ("yuv420p", 0), ("yuv420p", 45)
    ]  # fmt: skip
    lossless, strong = written.rows[:2]
    assert lossless["bytes_per_frame"] > strong["bytes_per_frame"]
    assert 0 < lossless["embedding_moved_steps"] < strong["embedding_moved_steps"]
