import multiprocessing
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from filelock import FileLock
from threadpoolctl import threadpool_limits

from imitate.data.demonstration import Demonstration
from imitate.embedding.encoders import build_encoder
from imitate.embedding.pose_head import PoseHead
from imitate.embedding.trained_encoder import TrainedEncoder
from imitate.envs.cameras import CAMERAS
from imitate.envs.kuka import Kuka
from imitate.envs.trajectories import Babbling, random_trajectory
from imitate.keeping.runs import Stage
from imitate.keeping.workers import starting
from imitate.pipelines import record

SIZE = 32
BESIDE_OTHERS = "PYTEST_XDIST_WORKER" in os.environ

if BESIDE_OTHERS:  # a core each, for what they start too: threads that wait for one another on a busy core spin
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))
    torch.set_num_threads(1)
    threadpool_limits(1)

# Processes of tests are forked from one that has imported what takes seconds. A command of a user spawns them.
multiprocessing.set_start_method("forkserver")
multiprocessing.set_forkserver_preload(["torch._dynamo", "imitate.pipelines.benchmark_imitation", "tests.drawn"])
with starting():  # in this folder, where it finds what it is to import
    pass


LONGEST = (  # files, which processes take one after the other: begun last, one would go on alone
    "test_benchmark", "test_bench", "test_torture", "test_pipeline", "test_packaging", "test_resume", "test_interfaces",
    "test_mistakes", "test_benchmark_follow", "test_cli", "test_envs", "test_embed", "test_rasteriser", "test_docs",
)  # fmt: skip


def pytest_collection_modifyitems(items):
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(LONGEST)))


@pytest.fixture(autouse=True)
def threads():
    """What a test sets is not left to others: results are the same to the bit for one number of threads only."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def encoder():
    """A small untrained encoder: enough to test everything but learning."""
    torch.manual_seed(0)
    trained = TrainedEncoder("conv", build_encoder("conv", SIZE), SIZE, 32, CAMERAS["front"], PoseHead(32, 7))
    return trained.to(torch.device("cpu"))


@pytest.fixture(scope="session")
def made_once(tmp_path_factory):
    """Has a folder made by the first process that asks for it, and copies it for each."""
    together = tmp_path_factory.getbasetemp()
    together = together.parent if BESIDE_OTHERS else together

    def made(name, make):
        whole = together / f"{name}-whole"
        with FileLock(together / f"{name}.lock"):
            if not whole.is_dir():
                aside = together / f"{name}-aside"
                shutil.rmtree(aside, ignore_errors=True)
                aside.mkdir()
                make(aside.resolve())
                aside.rename(whole)
        return Path(shutil.copytree(whole, tmp_path_factory.mktemp(name), dirs_exist_ok=True)).resolve()

    return made


@pytest.fixture(scope="session")
def unlearned(encoder, made_once):
    """A run with a recording, two of its episodes of test, and an encoder, which has not learned. To be copied."""

    def make(run):
        record.run(
            record.Settings(
                run=run, train=1, validation=2, test=2, frames=4, held_out_frames=6, held_out_travel=0.0,
                image_size=SIZE, workers=1,
            )
        )  # fmt: skip
        embedded = Stage(run / "embed")
        embedded.begin({})
        encoder.save(embedded.path("encoder"))
        embedded.finish({})

    return made_once("unlearned", make)


@pytest.fixture(scope="session")
def subject(made_once):
    """What is tortured, as little as shows something. Whoever changes its files puts them back."""
    from imitate.pipelines.torturing.subject import Subject  # most tests do without, and it imports every command

    def of(folder):
        return Subject(
            folder, seed=0, kills=1, corruptions=21, mistakes=20, executions=96, steps=200, workers=1
        )  # fmt: skip

    def make(folder):
        made = of(folder)
        assert made.run.is_dir()
        assert made.given.is_dir()

    made = of(made_once("subject", make))
    vars(made).update(run=made.folder / "whole", given=made.folder / "given")  # which it need not make again
    return made


class Pixels(torch.nn.Module):
    """32 pixels of a frame: to the bit the same in a batch of any size, so that giving up can be compared."""

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(5.0))

    def forward(self, images):
        return self.scale * images[:, 0, 2::8, 2::4].flatten(1)


@pytest.fixture(scope="session")
def pixels():
    """An encoder whose embeddings are exact."""
    return TrainedEncoder("pixels", Pixels(), SIZE, 32, CAMERAS["front"])


def film(arm, length, seed):
    kuka = Kuka(arm)
    joints = random_trajectory(kuka.arm, Babbling(length), np.random.default_rng(seed))
    frames = []
    for pose in joints:
        kuka.reset(pose)
        frames.append(kuka.film(CAMERAS["front"], SIZE))
    kuka.close()
    return Demonstration(f"seed-{seed}", np.stack(frames), joints)


@pytest.fixture(scope="session")
def demonstrations():
    """Two demonstrations of different lengths."""
    return [film("iiwa", 12, 0), film("iiwa", 17, 1)]
