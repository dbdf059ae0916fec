import numpy as np
import pytest
import torch

from envs.cameras import CAMERAS
from envs.kuka import Kuka
from envs.trajectories import Babbling, random_trajectory
from imitate.checkpoint import PoseHead, TrainedEncoder
from imitate.demonstration import Demonstration
from imitate.encoders import build_encoder

SIZE = 32


@pytest.fixture(scope="session")
def encoder():
    """A small untrained encoder: enough to test everything but learning."""
    torch.manual_seed(0)
    trained = TrainedEncoder("conv", build_encoder("conv", SIZE), SIZE, 32, CAMERAS["front"], PoseHead(32, 7))
    return trained.to(torch.device("cpu"))


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
