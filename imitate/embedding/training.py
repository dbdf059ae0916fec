"""The fit loop of an encoder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.optim.lr_scheduler import LRScheduler

from imitate.data.domain import Domain, Range
from imitate.embedding.augmentation import SHIFT, augment
from imitate.embedding.batch import Batch
from imitate.embedding.device import mixed_precision
from imitate.embedding.encoders import look
from imitate.embedding.loss import Loss, Progress
from imitate.embedding.preprocess import preprocess
from imitate.errors import UserError

HALF = 127.5  # of what a pixel may be: 1, as an encoder sees it
PATIENCE = 50  # steps that embeddings may all be alike before a run counts as collapsed
ALIKE = 0.005  # of the norm: the least mean distance between embeddings of a batch


class Collapsed(UserError):
    """All frames get the same embedding: the run is lost."""


class Grain:
    """Gaussian noise for batches of frames.

    Drawn once, twice as much as a batch needs, and taken from another place of it for each: no two batches get the same
    on the same pixels. Drawn anew, it would take a fifth of a step.

    Args:
        deviation: Its standard deviation, from the least to the most that a frame may have.
    """

    def __init__(self, deviation: Range) -> None:
        self.deviation = deviation
        self._drawn = torch.empty(0)
        self._before = torch.empty(0)

    def add_to(self, frames: torch.Tensor, alike: bool = False) -> None:
        """Add it to a batch, in place, as strong in all if they are alike. It should be contiguous in memory."""
        count, (least, most) = frames.numel(), self.deviation
        if len(self._drawn) < 2 * count:
            self._draw(2 * count, frames.device)
        first = int(torch.randint(len(self._drawn) - count, ()))
        drawn = self._drawn[first : first + count].view(frames.shape)
        if least == most:
            frames.add_(drawn, alpha=most)
        else:
            own = least + (most - least) * torch.rand(1 if alike else len(frames), 1, 1, 1)
            frames.addcmul_(drawn, own.to(frames.device))

    def _draw(self, count: int, device: torch.device) -> None:
        cuda = device.type == "cuda"
        self._before = torch.cuda.get_rng_state(device) if cuda else torch.get_rng_state()
        self._drawn = torch.randn(count, device=device)

    def state(self) -> dict[str, Any]:
        """What the same noise is drawn from again: it may be hundreds of times larger itself."""
        return {"before": self._before, "count": len(self._drawn)}

    def restore(self, state: dict[str, Any], device: torch.device) -> None:
        """Draw the noise that the state is of. The generators are as they were, afterwards."""
        if not state["count"]:
            return
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            if device.type == "cuda":
                torch.cuda.set_rng_state(state["before"], device)
            else:
                torch.set_rng_state(state["before"])
            self._draw(state["count"], device)


class Course:
    """A training, while it lasts: what is no part of encoder, optimiser or schedule, but goes on from step to step.

    Args:
        noise: Standard deviation of Gaussian noise on the frames, whose pixels are in [-1, 1]: its least and its most.
        domain: In which frames are disturbed, as ``augment`` does; None: they are not.
        shift: Pixels that they are moved by then, at most.

    Attributes:
        alike: For how many steps all embeddings have been alike.
    """

    def __init__(self, noise: Range = (0.0, 0.0), domain: Domain | None = None, shift: int = SHIFT) -> None:
        self.grain = Grain(noise)
        self.domain, self.shift = domain, shift
        self.alike = 0

    @classmethod
    def within(cls, domain: Domain) -> Course:
        """Of frames that differ as far as a domain goes, and that a camera has moved already."""
        least, most = domain.noise
        return cls((least / HALF, most / HALF), domain, shift=0)

    def disturbed(self, frames: torch.Tensor, alike: bool = False) -> torch.Tensor:
        """What the encoder sees of frames (batch, size, size, 3) uint8: (batch, 3, size, size).

        Args:
            frames: Of which each is disturbed in its own way.
            alike: All in the same way instead, as those of one video, but for the noise of each.
        """
        images = preprocess(frames if self.domain is None else augment(frames, self.domain, self.shift, alike))
        if self.grain.deviation[1]:
            self.grain.add_to(images.permute(0, 2, 3, 1), alike)  # as it lies in memory
        return images

    def check(self, progress: Progress, norm: float) -> None:
        """Stop a training that is lost.

        Args:
            progress: The last step.
            norm: Of its embeddings.

        Raises:
            Collapsed: All embeddings are alike, or the loss is no number.
        """
        if not np.isfinite(progress.loss):
            raise Collapsed(f"the loss became {progress.loss}: lower the learning rate")
        self.alike = self.alike + 1 if progress.spread < ALIKE * norm else 0
        if self.alike >= PATIENCE:
            raise Collapsed(
                f"collapsed: for {self.alike} steps all embeddings were alike (mean distance {progress.spread:.4f}, "
                f"share of active samples {progress.active:.2f}): lower the learning rate, or use infonce"
            )

    def state(self) -> dict[str, Any]:
        """For ``restore``."""
        return {"alike": self.alike, "grain": self.grain.state()}

    def restore(self, state: dict[str, Any], device: torch.device) -> None:
        """Go on from a state, on the device of the encoder."""
        self.alike = state["alike"]
        self.grain.restore(state["grain"], device)


def fit(
    encoder: nn.Module,
    loss: Loss,
    batches: Iterable[Batch],
    optimizer: torch.optim.Optimizer,
    scheduler: LRScheduler,
    course: Course | None = None,
) -> Iterator[Progress]:
    """Train, yielding after each step.

    What is trained may be saved there. To go on, restore it, with the course and PyTorch's generator, and leave out the
    batches that were.

    Args:
        encoder: From frames to embeddings.
        loss: What is made small.
        batches: To train on.
        optimizer: Over the parameters of encoder and pose head.
        scheduler: Stepped after each step.
        course: Of the training; None: a new one, of frames as they are.

    Raises:
        Collapsed: All embeddings are alike, or the loss is no number.
    """
    device = next(encoder.parameters()).device
    course = course or Course()
    encoder.train()
    for batch in batches:
        images = course.disturbed(batch.frames)
        with mixed_precision(device):
            seen = look(encoder, images)  # of all groups, float32
        parts = loss.of(seen, batch)
        _descend(parts.whole, optimizer, scheduler)
        progress, norm = loss.told(parts, seen.embeddings, batch)
        course.check(progress, norm)
        yield progress
    encoder.eval()


def _descend(loss: torch.Tensor, optimizer: torch.optim.Optimizer, scheduler: LRScheduler) -> None:
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    scheduler.step()
