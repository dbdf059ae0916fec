import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from dying import Harm, command, left_of
from noise import LAYOUT, write_noise
from safetensors import safe_open

from imitate.data.video.reader import read_video
from imitate.data.video.writer import Compression, write_video
from imitate.embedding.trained_encoder import load_encoder
from imitate.keeping.lock import hold
from imitate.keeping.manifest import SNAPSHOT
from imitate.keeping.runs import Stage
from imitate.keeping.snapshot import Snapshot
from imitate.pipelines import embed, imitate
from imitate.pipelines.shared.cli import changed
from imitate.pipelines.shared.cli import words as said
from imitate.pipelines.torturing.outcome import differences
from imitate.pipelines.torturing.subject import IMITATE

pytestmark = pytest.mark.slow

RECORD = "--train 500 --validation 2 --test 1 --frames 2 --held-out-frames 4 --held-out-travel 0 --image-size 16"
TRAINED = embed.Settings(epochs=12, videos=4, per_video=2, batch=8, augment=True, device="cpu")
LEARNED = replace(IMITATE, steps=224)
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


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Of an arm that is not known here, so that no reward is checked, which takes longer than all else."""
    folder = tmp_path_factory.mktemp("resume") / "dataset"
    write_noise(folder, replace(LAYOUT, robot="toy"))
    return folder


@pytest.fixture(scope="module")
def embedded(recorded, tmp_path_factory):
    """What an uninterrupted training makes."""
    return embed.run(replace(TRAINED, run=tmp_path_factory.mktemp("whole"), dataset=recorded)).folder


@pytest.fixture(scope="module")
def imitated(unlearned, tmp_path_factory):
    """What an uninterrupted learner makes, in one process."""
    run = shutil.copytree(unlearned, tmp_path_factory.mktemp("whole") / "run")
    return imitate.run(replace(LEARNED, run=run)).folder


def snapshot_of(folder):
    """What a stage would go on with."""
    with safe_open(folder / SNAPSHOT, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return Snapshot(file.metadata()["tree"], tensors).unpacked()


def test_a_recording_goes_on_whatever_happens_to_it(tmp_path):
    words = ["record", "--workers", "2", *RECORD.split(), "--run"]
    goes_on(*words, tmp_path / "whole")
    words.append(tmp_path / "run")
    file_is_done = "tqdm.std:tqdm.update"
    killed(file_is_done, 1, *words)
    one_line(harmed("SIGINT", file_is_done, 1, *words), 130, "stopped by SIGINT", "the same command goes on")
    files = len(list(tmp_path.glob("run/**/data/**/*.parquet")))
    assert 2 <= files < len(list(tmp_path.glob("whole/**/data/**/*.parquet")))
    one_line(harmed("worker", file_is_done, 1, *words), 2, "of 2 was killed by SIGKILL", "the same command goes on")
    for where, count in (("os:replace", 3), ("imitate.keeping.manifest:sha256", 2)):
        killed(where, count, *words)
    goes_on(*words)
    assert not differences(tmp_path / "run", tmp_path / "whole")


def test_a_training_goes_on_whatever_happens_to_it(recorded, embedded, tmp_path):
    words = ["embed", "--run", tmp_path, "--dataset", recorded, *said(changed(TRAINED))]
    folder, step = tmp_path / "embed", "torch.optim:AdamW.step"
    killed("torch.optim.lr_scheduler:OneCycleLR.step", 4, *words)  # in the third step: it is called once when made
    killed("os:fsync", 4, *words)  # a snapshot is written, but not in its place
    killed(step, 3, *words)
    assert snapshot_of(folder)["step"] == 2 + 3 + 2
    for name, code in (("SIGINT", 130), ("SIGTERM", 143)):
        one_line(harmed(name, step, 2, *words), code, f"stopped by {name}", "the same command goes on")
    assert snapshot_of(folder)["step"] == 7 + 2 + 2
    before = (folder / SNAPSHOT).read_bytes()
    one_line(command(words, file_bytes=len(before) // 2), 2, f"{folder / SNAPSHOT}: File too large")
    assert (folder / SNAPSHOT).read_bytes() == before
    killed("imitate.pipelines.embed:tsne_figure", 1, *words)  # all is learned
    killed("imitate.keeping.manifest:sha256", 3, *words)
    assert not command(words, Harm("SIGKILL", step, 1)).code  # nothing is learned again
    assert not differences(folder, embedded)
    assert not (folder / SNAPSHOT).exists()


def test_a_learner_goes_on_whatever_happens_to_it(unlearned, imitated, tmp_path):
    run = shutil.copytree(unlearned, tmp_path / "run")
    words = ["imitate", "--run", run, *said(changed(replace(LEARNED, workers=2)))]
    folder, step = run / "imitate", "imitate.reward.vector_wrapper:EmbeddingRewardVector.step"
    killed("stable_baselines3.common.on_policy_algorithm:OnPolicyAlgorithm.dump_logs", 2, *words)  # before the update
    killed(step, 21, *words)  # within the second rollout of 16 steps in two environments
    killed("os:fsync", 2, *words)
    assert snapshot_of(folder)["learner"]["num_timesteps"] == 2 * 32
    for name, code in (("SIGINT", 130), ("SIGTERM", 143)):
        one_line(harmed(name, step, 20, *words), code, f"stopped by {name}", "the same command goes on")
    died = "of 2 of the environments was killed by SIGKILL"
    one_line(harmed("worker", step, 20, *words), 2, "worker process", died, "the same command goes on")
    assert snapshot_of(folder)["learner"]["num_timesteps"] == 5 * 32
    killed("imitate.pipelines.shared.outcome:roll_out", 1, *words)  # all is learned
    assert not command(words, Harm("SIGKILL", step, 1)).code  # nothing is learned again
    assert not differences(folder, imitated)
    assert not (folder / SNAPSHOT).exists()


def test_half_a_training_does_not_go_on_with_something_else(recorded, unlearned, tmp_path):
    dataset, run = shutil.copytree(recorded, tmp_path / "dataset"), shutil.copytree(unlearned, tmp_path / "run")
    embedding = ["embed", "--run", tmp_path, "--dataset", dataset, *said(changed(TRAINED))]
    imitating = ["imitate", "--run", run, *said(changed(replace(LEARNED, workers=2)))]
    killed("torch.optim:AdamW.step", 4, *embedding)
    killed("imitate.reward.vector_wrapper:EmbeddingRewardVector.step", 21, *imitating)
    video = next(dataset.rglob("*.mp4"))
    read = read_video(video)
    frames, fps = read.frames, read.timeline.rate
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


def test_a_stage_that_another_process_works_on_is_refused(recorded, tmp_path):
    hold(tmp_path / "embed")
    before = list((tmp_path / "embed").iterdir())
    done = command(["embed", "--run", tmp_path, "--dataset", recorded, *said(changed(TRAINED))])
    one_line(done, 2, f"{tmp_path / 'embed'}: another process is working on it")
    assert list((tmp_path / "embed").iterdir()) == before


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
    words = ["embed", "--run", run, "--dataset", dataset, *said(changed(TRAINED))]
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
