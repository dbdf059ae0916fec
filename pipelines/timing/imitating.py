"""Rows of ``imitate``: steps/s of all environments, with the updates of PPO."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from copy import deepcopy
from dataclasses import fields, replace
from functools import partial
from time import perf_counter

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import SubprocVecEnv, VecEnv
from torch import nn

from imitate.data.demonstration import Demonstration
from imitate.embedding.encoders import build_encoder
from imitate.embedding.trained_encoder import TrainedEncoder
from imitate.envs.cameras import CAMERAS
from imitate.envs.kuka_env import KukaEnv, Reference
from imitate.envs.paper_arm import PAPER_ARM
from imitate.envs.robot import Robot
from imitate.keeping.snapshot import Snapshots
from imitate.policy.ppo import Curve, build_ppo
from imitate.reward.wrapper import EmbeddingReward

from .. import imitate
from ..shared.learning import Boundaries
from .bare import Bare, Played
from .rows import Measure, Row, compare
from .subject import EMBED, Subject

EPISODE = 100  # frames of the demonstrations


def imitate_vs_limit(subject: Subject) -> Iterator[Row]:
    """Against the bare simulation, on all cores, moving as a policy that has learned nothing does.

    It follows the demonstration, but for the noise by which it explores; and so does the bare simulation.
    """
    yield _against_bare(subject, "imitate_vs_limit")


def imitate_vs_tiny(subject: Subject) -> Iterator[Row]:
    """The same, but against the bare simulation that is drawn by PyBullet's renderer."""
    yield _against_bare(subject, "imitate_vs_tiny", renderer="tiny")


def _against_bare(subject: Subject, name: str, **drawn: str) -> Row:
    settings, dataset = subject.sizes.imitate, subject.recording("imitating")
    shown, rng, camera = dataset.split("test")[:1], np.random.default_rng(0), dataset.camera()
    joints, actions = dataset.joints(shown), dataset.column("action", shown)[:-1]
    episodes = []
    for _ in range(subject.workers * -(-settings.steps // (len(joints) * subject.workers))):
        noise = np.exp(settings.learner.log_std) * rng.standard_normal(actions.shape)
        episodes.append(Played(joints[0], np.clip(actions + noise, -1, 1)))
    size = dataset.image_size(camera.name)
    bare = Bare(episodes, settings.arm, replace(camera, **drawn), size, subject.workers)  # type: ignore[arg-type]

    def limit() -> float:
        return bare() * len(actions) / len(joints)  # an episode has a picture more than it has steps

    with closing(bare), learning(subject) as ours:
        return compare(name, "steps/s", ours, limit, subject.repeats)


def imitate_vs_single(subject: Subject) -> Iterator[Row]:
    """Against a call of the encoder for each environment."""
    with learning(subject) as ours, learning(subject, single=True) as one_by_one:
        yield compare("imitate_vs_single", "steps/s", ours, one_by_one, subject.repeats)


def imitate_vs_paper(subject: Subject) -> Iterator[Row]:
    """Against the paper's recipe: original meshes, 299x299, Inception, a process an environment, with its encoder.

    In the precision of all networks here, which is bfloat16 where that is faster; and in the paper's.
    """
    for name, full_precision in (("imitate_vs_paper", False), ("imitate_vs_paper_float32", True)):
        with learning(subject) as ours, _paper(subject, full_precision) as paper:
            yield compare(name, "steps/s", ours, paper, subject.repeats)


def growth_imitate_processes(subject: Subject) -> Iterator[Row]:
    """Against one process, or the first number of them."""
    with learning(subject, workers=subject.processes[0]) as first:
        for n in subject.processes[1:]:
            with learning(subject, workers=n) as more:
                yield compare(f"growth_imitate_processes_{n}", "steps/s", more, first, subject.repeats)


def growth_imitate_envs(subject: Subject) -> Iterator[Row]:
    """Against 16 environments, or the first number of them, with as many steps in all between two updates."""
    with learning(subject, envs=subject.envs[0]) as first:
        for n in subject.envs[1:]:
            with learning(subject, envs=n) as more:
                yield compare(f"growth_imitate_envs_{n}", "steps/s", more, first, subject.repeats)


@contextmanager
def learning(subject: Subject, envs: int = 0, workers: int = 0, single: bool = False) -> Iterator[Measure]:
    """What learns for the steps between two updates, and the update, and says how fast.

    The environments are there before: a training run makes them once.

    Args:
        subject: That learns.
        envs: Environments; 0: as many as by default.
        workers: Processes; 0: as many as the subject has.
        single: Embed the frames of each environment by themselves.
    """
    settings, dataset = subject.sizes.imitate, subject.recording("imitating")
    settings = replace(settings, learner=subject.sizes.learner(envs), workers=workers or subject.workers)
    encoder = subject.untrained(subject.sizes.embed.encoder, dataset)
    demonstration = dataset.demonstration(dataset.split("test")[0])
    # Poses are read once, before the first step, and with an encoder that knows something: not asked for here.
    demonstration = replace(demonstration, believed=demonstration.joints)
    own = OneByOne.of(encoder) if single else encoder
    with closing(imitate.learning_env(settings, own, [demonstration])) as env:
        snapshots = Snapshots(subject.folder / "snapshot.safetensors", "nothing")
        yield _updates(settings, env, subject, partial(Boundaries, snapshots, env))


class OneByOne(TrainedEncoder):
    """An encoder that embeds one frame a call."""

    @classmethod
    def of(cls, encoder: TrainedEncoder) -> OneByOne:
        """The same network."""
        return cls(**{field.name: getattr(encoder, field.name) for field in fields(TrainedEncoder)})

    def embed(self, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Embed (n, size, size, 3) frames in n calls."""
        return np.concatenate([super(OneByOne, self).embed(frame[None]) for frame in frames])


@contextmanager
def _paper(subject: Subject, full_precision: bool) -> Iterator[Measure]:
    """One environment a core, where the paper had 16 in all: more than one a core would only wait for each other.

    As many gradient steps a step as the paper's: each of its four batches an update is a whole rollout here.
    """
    settings, size = subject.sizes.paper, subject.sizes.paper_record.image_size
    n = subject.workers
    n_steps = max(2, settings.steps // n)
    learner = replace(settings.learner, n_envs=n, n_steps=n_steps, batch_size=n * n_steps)
    env = SubprocVecEnv([partial(paper_env, size, str(subject.device), full_precision)] * n, start_method="spawn")
    try:
        yield _updates(replace(settings, learner=learner), env, subject)
    finally:
        env.close()


class FullPrecision(nn.Module):
    """A network that computes in float32, as PyTorch does where nothing else is asked for."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """As the network's own."""
        with torch.autocast(images.device.type, enabled=False):
            return self.network(images)


def paper_env(size: int, device: str, full_precision: bool) -> gym.Env:
    """The environment of the paper's recipe. What it is to follow does not matter for how long it takes."""
    torch.set_num_threads(1)
    camera = CAMERAS["front_aliased"]
    network = build_encoder("inception", size)
    network = FullPrecision(network) if full_precision else network
    encoder = TrainedEncoder("inception", network, size, 32, camera).to(torch.device(device))
    still = Reference.from_joints(np.zeros((EPISODE, PAPER_ARM.joints)))
    env = KukaEnv([still], Robot(PAPER_ARM, imitate.PRESETS["paper"][1].control, camera, size))
    return EmbeddingReward(env, encoder, [Demonstration("black", np.zeros((2, size, size, 3), np.uint8), None)])


def _updates(
    settings: imitate.Settings,
    env: VecEnv,
    subject: Subject,
    boundaries: Callable[[Curve, Callable[[], bool]], Boundaries] | None = None,
) -> Measure:
    """What steps and updates once, after a first time in which processes start and kernels are chosen.

    It begins each time with a policy that has learned nothing.
    """
    learner = settings.learner
    model = build_ppo(learner, env, settings.seed, torch.device("cpu"), subject.folder / "tensorboard", EMBED.dim)
    steps = learner.n_envs * learner.n_steps
    untrained = deepcopy(model.get_parameters())

    def rate() -> float:
        curve = Curve()
        callbacks: list[BaseCallback] = [curve, boundaries(curve, lambda: False)] if boundaries else [curve]
        model.set_parameters(untrained)  # type: ignore[arg-type]
        start = perf_counter()
        model.learn(steps, callback=callbacks, reset_num_timesteps=False)
        return steps / (perf_counter() - start)

    rate()
    return rate
