"""What an encoder learns from a recording."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from imitate.embedding.augmentation import WORSE
from imitate.embedding.batch import Batch, recorded
from imitate.embedding.loss import Loss
from imitate.embedding.objectives import OBJECTIVES
from imitate.embedding.sampling import Epoch, Margins, Videos
from imitate.embedding.trained_encoder import TrainedEncoder
from imitate.embedding.training import Course

from .data import Data
from .training import Lessons

if TYPE_CHECKING:
    from ..embed import Settings


def lessons_of(settings: Settings, data: Data, trained: TrainedEncoder, epoch: Epoch) -> Lessons:
    """What is to be learned.

    Args:
        settings: Of the command.
        data: To train on.
        trained: The encoder that is trained.
        epoch: What is drawn anew each epoch.
    """
    chosen = OBJECTIVES[settings.objective]
    objective = chosen.loss(getattr(settings, chosen.setting))

    def batches(step: int) -> Iterator[Batch]:
        drawn = islice(_batches(settings, epoch, data.train), step, None)  # those before are drawn once more
        return recorded(data.frames, drawn, trained.device, data.poses.joints)

    return Lessons(
        settings.epochs * epoch.steps,
        batches,
        Loss(objective, trained.pose_head, settings.self_regression),
        Course((settings.noise, settings.noise), WORSE if settings.augment else None),
        settings.optimizer,
        settings.learning_rate,
    )


def _batches(settings: Settings, epoch: Epoch, videos: Videos) -> Iterator[NDArray[np.int64]]:
    """Draw the batches of all epochs, (groups, batch) indices of frames each."""
    rng = np.random.default_rng(settings.seed)
    sample = OBJECTIVES[settings.objective].sample
    for _ in range(settings.epochs):
        yield from epoch.batches(videos, sample, Margins(settings.positive, settings.negative), rng)
