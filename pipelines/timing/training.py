"""Rows of ``embed``: frames/s of training."""

from __future__ import annotations

from collections.abc import Iterator
from time import perf_counter

import numpy as np
import torch

from imitate.data.lerobot.dataset import LeRobotDataset
from imitate.embedding.device import mixed_precision
from imitate.embedding.objectives import OBJECTIVES
from imitate.embedding.preprocess import preprocess
from imitate.embedding.sampling import Epoch, Margins
from imitate.keeping.runs import Stage

from .. import embed
from ..embedding.data import Data, open_data, videos_of
from ..embedding.recorded import lessons_of
from ..embedding.training import fit_encoder
from .rows import Measure, Row, compare
from .subject import Subject, quiet


def embed_vs_limit(subject: Subject) -> Iterator[Row]:
    """Against the network's forward and backward pass on one batch that is in memory, and nothing else."""
    yield compare("embed_vs_limit", "frames/s", training(subject), _passes(subject), subject.repeats)


def embed_vs_paper(subject: Subject) -> Iterator[Row]:
    """Against the ``paper`` preset."""
    yield compare("embed_vs_paper", "frames/s", training(subject), training(subject, paper=True), subject.repeats)


def training(subject: Subject, paper: bool = False) -> Measure:
    """What trains an encoder with the default settings, or the paper's, from the start, and says how fast."""
    settings = subject.sizes.paper_embed if paper else subject.sizes.embed
    dataset, data = opened(subject, paper)
    stage = Stage(subject.folder / "embed")

    def rate() -> float:
        trained = subject.untrained(settings.encoder, dataset)
        with quiet():
            lessons = lessons_of(settings, data, trained, epoch_of(settings))
            return fit_encoder(lessons, stage, trained)["frames_per_second"]

    rate()  # the first steps choose kernels
    return rate


def opened(subject: Subject, paper: bool = False) -> tuple[LeRobotDataset, Data]:
    """What there is to train on."""
    dataset = subject.recording("paper" if paper else "training")
    with quiet():
        return dataset, open_data(dataset, dataset.camera().name, None, *videos_of(dataset))


def epoch_of(settings: embed.Settings) -> Epoch:
    """What is drawn anew each epoch."""
    return Epoch(settings.videos, settings.per_video, settings.passes, settings.batch)


def _passes(subject: Subject) -> Measure:
    """Forward and backward passes on the frames of one batch, in the precision of training."""
    settings, device = subject.sizes.embed, subject.device
    dataset, data = opened(subject)
    network = subject.untrained(settings.encoder, dataset).module.train()
    margins, sample = Margins(settings.positive, settings.negative), OBJECTIVES[settings.objective].sample
    batch = next(epoch_of(settings).batches(data.train, sample, margins, np.random.default_rng(0)))
    images = preprocess(torch.from_numpy(data.frames[batch.ravel()]).to(device))

    def rate() -> float:
        synchronize(device)
        start = perf_counter()
        for _ in range(settings.epochs):
            network.zero_grad(set_to_none=True)
            with mixed_precision(device):
                embeddings = network(images)
            embeddings.sum().backward()
        synchronize(device)
        return settings.epochs * len(images) / (perf_counter() - start)

    rate()
    return rate


def synchronize(device: torch.device) -> None:
    """Wait until a GPU has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
