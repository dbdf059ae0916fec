import hashlib
import shutil
import subprocess
import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imitate.data.lerobot.dataset import LeRobotDataset
from imitate.data.video.reader import read_video
from imitate.embedding.trained_encoder import load_encoder
from imitate.keeping.runs import Stage, read_json
from imitate.pipelines.__main__ import main

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

ROOT = Path(__file__).resolve().parents[1]
TRAIN, VALIDATION, TEST, FRAMES, HELD_OUT = 300, 10, 2, 30, 60
PAPER = {
    "record": "--train 4 --validation 2 --test 1 --frames 16 --held-out-frames 12 --held-out-travel 0 --image-size 75",
    "embed": "--epochs 1 --videos 2 --per-video 8 --batch 8 --positive 2 --negative 8",
    "imitate": "--steps 200 --learner.n-steps 8 --learner.batch-size 64 --workers 2",
}  # the paper's settings but for their size; 75 pixels are the least that its encoder takes
RECORD = (
    f"--train {TRAIN} --validation {VALIDATION} --test {TEST} --frames {FRAMES} --held-out-frames {HELD_OUT} "
    "--image-size 48"
).split()
EMBED = ["--epochs", "250", "--videos", "96", "--batch", "96"]
IMITATE = ["--steps", "6144", "--practice", "6144"]


def command(name, run, *args, preset="default"):
    words = [sys.executable, "-m", "pipelines", name, preset, "--run", str(run), *args]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


def here(name, run, *args, preset="default"):
    """Run a command in this process, which has imported what takes seconds, and return what it said."""
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(StringIO()) as said:
        patch.setattr(sys, "argv", ["imitate", name, preset, "--run", str(run), *args])
        main()
    return said.getvalue()


def sums(folder):
    """sha256 of each file of a stage, without caches and logs."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and not {"cache", "tensorboard"} & set(path.relative_to(folder).parts)
    }


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run directory in which all commands have run, in their order."""
    folder = tmp_path_factory.mktemp("runs") / "small"
    command("record", folder, *RECORD)
    here("embed", folder, *EMBED)
    here("imitate", folder, *IMITATE)
    here("evaluate", folder)
    here("check_reward", folder, "--policy", "imitate", "--name", "check-reward")
    return folder


@pytest.mark.parametrize("name", ["record", "embed", "imitate", "evaluate", "check-reward"])
def test_the_manifest_names_all_that_was_made(run, name):
    artefacts = read_json(run / name / "manifest.json")["artefacts"]
    made = sums(run / name)
    del made["manifest.json"]
    assert {path: facts["sha256"] for path, facts in artefacts.items()} == made
    assert all(facts["bytes"] == (run / name / path).stat().st_size for path, facts in artefacts.items())
    assert {"config.json", "metrics.json"} <= set(artefacts)
    assert not [path for path in made if ".part" in path]


@pytest.mark.parametrize(
    "picture",
    [
        "record/contact_sheet.png",
        "embed/tsne.png",
        "embed/distances.png",
        "embed/reward.png",
        "check-reward/reward.png",
        "imitate/learning.png",
        "imitate/followed.png",
        "imitate/side_by_side.png",
        "imitate/side_by_side.gif",
        "evaluate/demonstration-0.png",
        "evaluate/demonstration-0.gif",
    ],
)
def test_there_is_something_to_look_at(run, picture):
    with Image.open(run / picture) as image:
        assert min(image.size) >= 200
        assert np.asarray(image.convert("RGB")).std() > 5
        if picture.endswith(".gif"):
            assert image.n_frames > HELD_OUT // 4  # every other one; Pillow joins equal ones


@pytest.mark.parametrize("video", ["imitate/side_by_side.mp4", "evaluate/demonstration-0.mp4"])
def test_the_video_shows_both_from_beginning_to_end(run, video):
    read = read_video(run / video)
    frames, fps = read.frames, read.timeline.rate
    assert len(frames) == HELD_OUT
    assert fps == pytest.approx(20)
    shown, robot = np.split(frames[:, 20:].astype(int), 2, axis=2)
    assert np.abs(shown[0] - robot[0]).mean() < 2  # the robot starts where the demonstration does
    assert np.abs(shown[0] - shown[-1]).mean() > 1
    assert np.abs(robot[0] - robot[-1]).mean() > 1


def test_what_was_recorded_is_a_dataset(run):
    dataset = LeRobotDataset(run / "record" / "dataset")
    assert dataset.lengths.tolist() == [FRAMES] * TRAIN + [HELD_OUT] * (VALIDATION + TEST)
    assert [len(dataset.split(name)) for name in ("train", "validation", "test")] == [TRAIN, VALIDATION, TEST]
    joints = dataset.joints()
    assert np.isfinite(joints).all()
    assert np.abs(np.diff(joints[:FRAMES], axis=0)).max() > 0.01
    metrics = Stage(run / "record").metrics
    assert (metrics["episodes"], metrics["frames"]) == (len(dataset), dataset.lengths.sum())


def test_the_encoder_beats_pixels_and_no_training(run):
    metrics = Stage(run / "embed").metrics
    for name in ("retrieval_ee_error_m", "retrieval_joint_error_rad"):
        assert metrics[name] < metrics[f"untrained_{name}"]
    assert metrics["pose_spearman_joint"] > metrics["pixels_pose_spearman_joint"]
    assert metrics["triplets"] == 1000
    trained = load_encoder(run / "embed" / "encoder")
    frames = LeRobotDataset(run / "record" / "dataset").demonstration(TRAIN).frames
    np.testing.assert_allclose(np.linalg.norm(trained.embed(frames), axis=1), 10.0, rtol=1e-4)


def test_the_reward_ranks_poses_better_than_pixels_and_no_training(run):
    metrics = Stage(run / "check-reward").metrics
    for name in ("demo_spearman_joint", "random_poses_spearman_joint", "near_spearman_joint"):
        assert metrics[f"true_{name}"] >= metrics[name] > metrics[f"untrained_{name}"]
    assert metrics["demo_spearman_joint"] > metrics["pixels_demo_spearman_joint"]
    assert metrics["kendall_tau"] > 0.9
    assert metrics["alignment_error"] < 0.05
    assert metrics["policy_spearman_joint"] > 0
    embedded = Stage(run / "embed").metrics  # the same check, at the end of embed
    for name in ("near_spearman_joint", "near_spearman_ee", "kendall_tau", "alignment_error"):
        assert embedded[name] == pytest.approx(metrics[name])


def test_the_policy_imitates(run):
    metrics = Stage(run / "imitate").metrics
    assert metrics["ee_error_m"] < metrics["hold_still_ee_error_m"]
    assert metrics["ee_error_m"] < metrics["random_ee_error_m"]
    assert metrics["reward"] > metrics["hold_still_reward"]
    assert metrics["env_steps"] == int(IMITATE[1])
    steps = read_json(run / "imitate" / "rollout.json")
    assert len(steps["ee_error_m"]) == len(steps["embedding_distance"]) == HELD_OUT - 1
    assert np.mean(steps["ee_error_m"]) == pytest.approx(metrics["ee_error_m"], abs=1e-4)
    curve = read_json(run / "imitate" / "curve.json")
    practised = metrics["practice_steps"] // 2048
    assert [row["steps"] for row in curve] == [2048 * k for k in range(practised + 4)]
    assert ["reward" in row for row in curve] == [False] * (practised + 1) + [True] * 3
    assert curve[practised]["ee_error_m"] == pytest.approx(metrics["believed_ee_error_m"], abs=1e-6)
    for way in ("", "practised_"):
        assert metrics[f"{way}reward"] > metrics["direct_reward"]  # than the poses as they were read, taken
    assert metrics["reward"] > 1.02 * metrics["practised_reward"]  # which it began with, all but exactly


def test_evaluation_measures_what_learning_did(run):
    learned, evaluated = Stage(run / "imitate").metrics, Stage(run / "evaluate").metrics
    for name in ("ee_error_m", "hold_still_ee_error_m", "random_ee_error_m"):
        assert evaluated[name] == pytest.approx(learned[name], abs=1e-6)


def test_what_is_done_is_not_done_again(run):
    before = sums(run)
    assert "is recorded already" in here("record", run, *RECORD)
    assert "is trained already" in here("embed", run, *EMBED)
    assert "has learned already" in here("imitate", run, *IMITATE)
    assert "is evaluated already" in here("evaluate", run)
    assert "is checked already" in here("check_reward", run, "--policy", "imitate", "--name", "check-reward")
    assert sums(run) == before


def test_an_interrupted_recording_goes_on_and_gives_equal_bytes(run, tmp_path):
    original, again = run / "record", tmp_path / "again" / "record"
    shutil.copytree(original, again, ignore=shutil.ignore_patterns("cache"))
    videos = sorted(again.glob("dataset/videos/*/*/*.mp4"))
    tables = sorted(again.glob("dataset/data/*/*.parquet"))
    (again / "manifest.json").unlink()
    shutil.rmtree(again / "dataset" / "meta")
    for file, (video, table) in enumerate(zip(videos, tables, strict=True)):
        if file != 3:  # as if it had been killed over that one
            Stage(again).note(str(file), [video, table])
    tables[3].unlink()
    videos[3].write_bytes(videos[3].read_bytes()[:1000])
    flipped = bytearray(videos[1].read_bytes())  # and what it had made were damaged since
    flipped[len(flipped) // 2] ^= 1
    videos[1].write_bytes(flipped)
    tables[4].unlink()
    untouched = videos[2]
    written = untouched.stat().st_mtime_ns
    here("record", again.parent, *RECORD)
    expected, made = sums(original), sums(again)
    for name in ("metrics.json", "manifest.json", "config.json"):  # measured times and versions
        expected.pop(name)
        made.pop(name)
    assert made == expected
    assert untouched.stat().st_mtime_ns == written


def test_the_papers_settings_run(tmp_path):
    folder = tmp_path / "paper"
    for name, args in PAPER.items():
        here(name, folder, *args.split(), preset="paper")
    dataset = LeRobotDataset(folder / "record" / "dataset")
    assert dataset.joints().shape[1] == 12
    trained = load_encoder(folder / "embed" / "encoder")
    assert (trained.name, trained.image_size) == ("inception", 75)
    made = {name: Stage(folder / name) for name in PAPER}
    assert all(stage.finished for stage in made.values())
    learned = made["imitate"].settings
    assert (learned["arm"], learned["control"], learned["learner"]["gamma"]) == ("iiwa_gripper", "torque", 0.99)
    assert made["imitate"].metrics["env_steps"] == 128  # whole rollouts of 16 x 8
    assert made["imitate"].metrics["ee_error_m"] > 0
