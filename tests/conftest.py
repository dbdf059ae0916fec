import numpy as np
import pytest
import torch

from imitate.data.demonstration import Demonstration
from imitate.embedding.encoders import build_encoder
from imitate.embedding.trained_encoder import PoseHead, TrainedEncoder
from imitate.envs.cameras import CAMERAS
from imitate.envs.kuka import Kuka
from imitate.envs.trajectories import Babbling, random_trajectory
from imitate.keeping.runs import Stage
from imitate.pipelines import record

SIZE = 32


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
def unlearned(encoder, tmp_path_factory):
    """A run with a recording, two of its episodes of test, and an encoder, which has not learned. To be copied."""
    run = tmp_path_factory.mktemp("unlearned") / "run"
    record.run(
        record.Settings(
            run=run, train=1, validation=2, test=2, frames=4, held_out_frames=6, held_out_travel=0.0, image_size=SIZE,
            workers=1,
        )
    )  # fmt: skip
    embedded = Stage(run / "embed")
    embedded.begin({})
    encoder.save(embedded.path("encoder"))
    embedded.finish({})
    return run


@pytest.fixture(scope="session")
def subject(tmp_path_factory):
    """What is tortured, as little as shows something. Whoever changes its files puts them back."""
    from imitate.pipelines.torturing.subject import Subject  # most tests do without, and it imports every command

    made = Subject(
        tmp_path_factory.mktemp("subject").resolve(),
        seed=0,
        kills=1,
        corruptions=21,
        mistakes=20,
        executions=96,
        steps=200,
        workers=1,
    )
    assert made.run.is_dir()
    assert made.given.is_dir()
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
