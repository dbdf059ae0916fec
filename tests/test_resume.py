import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from dying import Harm, command, left_of

from envs.cameras import CAMERAS
from imitate.checkpoint import load_encoder
from imitate.data.lerobot import Episode, Layout, write_file, write_meta
from imitate.lock import hold
from imitate.manifest import SNAPSHOT
from imitate.ppo import Learner
from imitate.runs import Stage
from imitate.video import Compression, read_video, write_video
from pipelines import embed, imitate, record
from pipelines.torturing.outcome import differences

pytestmark = pytest.mark.slow

RECORD = "--train 120 --validation 2 --test 1 --frames 2 --held-out-frames 4 --held-out-travel 0 --image-size 16"
EMBED = "--epochs 8 --videos 4 --per-video 2 --batch 8"
IMITATE = "--steps 128 --learner.n-envs 2 --learner.n-steps 16 --learner.batch-size 16 --learner.n-epochs 2 --workers 2"
FRAMES, JOINTS = 12, 7
LINUX = sys.platform == "linux"


def harmed(kind, function, call, *words):
    """Run a command that comes to harm on its way. Whatever it started ends with it."""
    done = command(words, Harm(kind, function, call))
    assert done.code, f"{function} was not called {call} times"
    ends = time.monotonic() + 10
    while LINUX and left_of(done):
        assert time.monotonic() < ends, "its processes outlive it"
        time.sleep(0.02)
    return done


def killed(function, call, *words):
    done = harmed("SIGKILL", function, call, *words)
    assert done.code == -signal.SIGKILL, done.err[-2000:]


def one_line(done, code, *parts):
    """That it ended with one line, besides the bars that were drawn."""
    assert done.code == code, done.err[-3000:]
    assert "Traceback" not in done.err
    said = done.err.replace("\r", "\n").splitlines()
    (line,) = [line for line in said if line.strip() and "%|" not in line and "may mislead" not in line]
    assert re.match(r"imitate \w+: ", line)
    for part in parts:
        assert part in line, line


def goes_on(*words):
    done = command(words)
    assert done.code == 0, done.err[-3000:]


def dataset_at(folder):
    """A recording of noise, by a camera and of an arm that are known here."""
    rng = np.random.default_rng(0)
    layout = Layout(
        cameras=(CAMERAS["front"],),
        image_size=32,
        joint_names=tuple(f"joint_{k}" for k in range(JOINTS)),
        fps=20,
        robot="iiwa",
        control="velocity",
        lengths=(FRAMES,) * 8,
        splits={"train": 4, "validation": 2, "test": 2},
        compression=Compression(18, "yuv444p"),
    )
    episodes = []
    for _ in layout.lengths:
        pictures = rng.integers(0, 256, (FRAMES, 32, 32, 3), np.uint8)
        joints, velocities, actions = rng.normal(size=(3, FRAMES, JOINTS)).astype(np.float32)
        flange = rng.normal(size=(FRAMES, 3)).astype(np.float32)
        episodes.append(Episode({"front": pictures}, joints, velocities, flange, actions))
    write_file(folder, layout, 0, episodes)
    write_meta(folder, layout)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("resume")
    dataset_at(folder / "dataset")
    return folder / "dataset"


@pytest.fixture(scope="module")
def embedded(recorded, tmp_path_factory):
    """What an uninterrupted training makes."""
    settings = embed.Settings(
        run=tmp_path_factory.mktemp("whole"), dataset=recorded, epochs=8, videos=4, per_video=2, batch=8, device="cpu"
    )
    return embed.run(settings).folder


@pytest.fixture(scope="module")
def seen(encoder, tmp_path_factory):
    """A run with a recording and an encoder, which has not learned."""
    folder = tmp_path_factory.mktemp("seen")
    tiny = record.Settings(
        run=folder, train=1, validation=2, test=2, frames=4, held_out_frames=12, held_out_travel=0.0, image_size=32,
        workers=1,
    )  # fmt: skip
    record.run(tiny)
    encoder.save(folder / "embed" / "encoder")
    Stage(folder / "embed").finish({})
    return folder


@pytest.fixture(scope="module")
def imitated(seen, tmp_path_factory):
    """What an uninterrupted learner makes, in one process."""
    run = shutil.copytree(seen, tmp_path_factory.mktemp("whole") / "run")
    learner = Learner(n_envs=2, n_steps=16, batch_size=16, n_epochs=2)
    return imitate.run(imitate.Settings(run=run, steps=128, learner=learner, workers=1, device="cpu")).folder


def test_a_recording_that_was_killed_goes_on(tmp_path):
    words = ["record", "--workers", "2", *RECORD.split(), "--run"]
    goes_on(*words, tmp_path / "whole")
    for where, count in (("tqdm.std:tqdm.update", 1), ("os:replace", 3), ("imitate.manifest:sha256", 2)):
        killed(where, count, *words, tmp_path / "run")
    goes_on(*words, tmp_path / "run")
    assert not differences(tmp_path / "run", tmp_path / "whole")


EMBED_POINTS = (
    ("torch.optim.lr_scheduler:OneCycleLR.step", 4),  # it is called once when made
    ("os:fsync", 4),  # a snapshot is written, but not in its place
    ("torch.optim:AdamW.step", 3),
    ("pipelines.embed:tsne_figure", 1),  # all is learned
    ("imitate.manifest:sha256", 3),
)


def test_a_training_that_was_killed_goes_on(recorded, embedded, tmp_path):
    words = ["embed", "--run", tmp_path, "--dataset", recorded, "--device", "cpu", *EMBED.split()]
    for where, count in EMBED_POINTS:
        killed(where, count, *words)
    goes_on(*words)
    assert not differences(tmp_path / "embed", embedded)
    assert not Stage(tmp_path / "embed").path(SNAPSHOT).exists()


IMITATE_POINTS = (
    ("stable_baselines3.common.on_policy_algorithm:OnPolicyAlgorithm.dump_logs", 2),  # between rollout and update
    ("imitate.wrappers:EmbeddingRewardVector.step", 21),  # within a rollout
    ("os:fsync", 2),
    ("pipelines.imitate:roll_out", 1),  # all is learned
)


def test_a_learner_that_was_killed_goes_on(seen, imitated, tmp_path):
    run = shutil.copytree(seen, tmp_path / "run")
    words = ["imitate", "--run", run, "--device", "cpu", *IMITATE.split()]
    for where, count in IMITATE_POINTS:
        killed(where, count, *words)
    goes_on(*words)
    assert not differences(run / "imitate", imitated)
    assert not Stage(run / "imitate").path(SNAPSHOT).exists()


BOTH = pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])


@BOTH
def test_a_training_that_is_told_to_stop_keeps_all(recorded, embedded, tmp_path, name, code):
    words = ["embed", "--run", tmp_path, "--dataset", recorded, "--device", "cpu", *EMBED.split()]
    step = "torch.optim:AdamW.step"
    one_line(harmed(name, step, 4, *words), code, f"stopped by {name}", "the same command goes on")
    assert not command(words, Harm("SIGKILL", step, 5)).code  # of eight steps, four are left
    assert not differences(tmp_path / "embed", embedded)


@BOTH
def test_a_learner_that_is_told_to_stop_keeps_all(seen, imitated, tmp_path, name, code):
    run = shutil.copytree(seen, tmp_path / "run")
    words = ["imitate", "--run", run, "--device", "cpu", *IMITATE.split()]
    step = "imitate.wrappers:EmbeddingRewardVector.step"
    one_line(harmed(name, step, 40, *words), code, f"stopped by {name}", "the same command goes on")
    assert not command(words, Harm("SIGKILL", step, 49)).code  # of four rollouts of 16 steps, two are done
    assert not differences(run / "imitate", imitated)


@BOTH
def test_a_recording_that_is_told_to_stop_keeps_what_it_has(tmp_path, name, code):
    words = ["record", "--run", tmp_path, "--workers", "2", *RECORD.split()]
    done = harmed(name, "tqdm.std:tqdm.update", 1, *words)
    one_line(done, code, f"stopped by {name}", "the same command goes on")
    assert list(tmp_path.rglob("*.parquet"))


def test_half_a_training_does_not_go_on_with_something_else(recorded, seen, tmp_path):
    dataset, run = shutil.copytree(recorded, tmp_path / "dataset"), shutil.copytree(seen, tmp_path / "run")
    embedding = ["embed", "--run", tmp_path, "--dataset", dataset, "--device", "cpu", *EMBED.split()]
    imitating = ["imitate", "--run", run, "--device", "cpu", *IMITATE.split()]
    killed("torch.optim:AdamW.step", 4, *embedding)
    killed("imitate.wrappers:EmbeddingRewardVector.step", 21, *imitating)
    video = next(dataset.rglob("*.mp4"))
    frames, fps = read_video(video)
    write_video(video, frames // 2, round(fps), Compression(18, "yuv444p"))
    other = load_encoder(run / "embed" / "encoder")
    other.module.load_state_dict({name: value * 2 for name, value in other.module.state_dict().items()})
    other.save(run / "embed" / "encoder")
    Stage(run / "embed").finish({})  # made anew, rather than damaged
    for words, folder in ((embedding, tmp_path / "embed"), (imitating, run / "imitate")):
        path = folder / SNAPSHOT
        before = path.read_bytes()
        one_line(command(words), 2, f"{path}: what it was begun with was made anew since")
        assert path.read_bytes() == before


def test_a_worker_of_a_learner_that_dies_is_named(seen, imitated, tmp_path):
    run = shutil.copytree(seen, tmp_path / "run")
    words = ["imitate", "--run", run, "--device", "cpu", *IMITATE.split()]
    done = harmed("worker", "imitate.wrappers:EmbeddingRewardVector.step", 40, *words)
    one_line(done, 2, "worker process", "of 2 of the environments was killed by SIGKILL", "the same command goes on")
    goes_on(*words)
    assert not differences(run / "imitate", imitated)


def test_a_worker_of_a_recording_that_dies_is_named(tmp_path):
    words = ["record", "--run", tmp_path, "--workers", "2", *RECORD.split()]
    one_line(harmed("worker", "tqdm.std:tqdm.update", 1, *words), 2, "of 2 was killed by SIGKILL")


def test_a_stage_that_another_process_works_on_is_refused(recorded, tmp_path):
    hold(tmp_path / "embed")
    before = list((tmp_path / "embed").iterdir())
    done = command(["embed", "--run", tmp_path, "--dataset", recorded, *EMBED.split()])
    one_line(done, 2, f"{tmp_path / 'embed'}: another process is working on it")
    assert list((tmp_path / "embed").iterdir()) == before


def test_a_limit_of_the_size_of_files_leaves_what_was_there(recorded, embedded, tmp_path):
    words = ["embed", "--run", tmp_path, "--dataset", recorded, "--device", "cpu", *EMBED.split()]
    killed("torch.optim:AdamW.step", 4, *words)
    snapshot = tmp_path / "embed" / SNAPSHOT
    before = snapshot.read_bytes()
    one_line(command(words, file_bytes=len(before) // 2), 2, f"{snapshot}: File too large")
    assert snapshot.read_bytes() == before
    goes_on(*words)
    assert not differences(tmp_path / "embed", embedded)


@pytest.fixture
def small_disk(tmp_path):
    """Mounts a file system of so many bytes, and takes it away afterwards."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(options):
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True)
        if done.returncode:
            pytest.skip("needs the right to mount a file system")
        return folder

    yield mount
    subprocess.run(["umount", folder], capture_output=True)


def test_a_full_disk_leaves_what_was_there(recorded, embedded, small_disk):
    run = small_disk("size=100M")
    dataset = shutil.copytree(recorded, run / "dataset", ignore=shutil.ignore_patterns("cache"))
    words = ["embed", "--run", run, "--dataset", dataset, "--device", "cpu", *EMBED.split()]
    small_disk(f"remount,size={shutil.disk_usage(run).used + 64 * 1024}")
    one_line(command(words), 2, f"{dataset}/cache/front-", "No space left on device")
    small_disk("remount,size=100M")
    killed("torch.optim:AdamW.step", 4, *words)
    snapshot = run / "embed" / SNAPSHOT
    before = snapshot.read_bytes()
    used = shutil.disk_usage(run).used + len(before) // 2
    small_disk(f"remount,size={used}")
    one_line(command(words), 2, f"{snapshot}: No space left on device")
    assert snapshot.read_bytes() == before
    small_disk("remount,ro")
    one_line(command(words), 2, f"{run / 'embed'} can't be written (Read-only file system)")
    small_disk("remount,rw,size=100M")
    goes_on(*words)
    assert differences(run / "embed", embedded) == ["config.json"]  # which says where the dataset is
