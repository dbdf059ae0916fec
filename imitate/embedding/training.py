"""The fit loop of an encoder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.optim.lr_scheduler import LRScheduler

from imitate.embedding.augmentation import augment
from imitate.embedding.device import mixed_precision
from imitate.embedding.loss import Loss, Progress
from imitate.embedding.preprocess import preprocess
from imitate.embedding.trained_encoder import PoseHead
from imitate.errors import UserError

PATIENCE = 50  # steps that embeddings may all be alike before a run counts as collapsed
COPIED = 10_000  # frames at once
ALIKE = 0.005  # of the norm: the least mean distance between embeddings of a batch


class Collapsed(UserError):
    """All frames get the same embedding: the run is lost."""


class Grain:
    """Gaussian noise for batches of frames.

    Drawn once, twice as much as a batch needs, and taken from another place of it for each: no two batches get the same
    on the same pixels. Drawn anew, it would take a fifth of a step.

    Args:
        deviation: Its standard deviation.
    """

    def __init__(self, deviation: float) -> None:
        self.deviation = deviation
        self._drawn = torch.empty(0)
        self._before = torch.empty(0)

    def add_to(self, frames: torch.Tensor) -> None:
        """Add it to a batch, in place. It should be contiguous in memory."""
        count = frames.numel()
        if len(self._drawn) < 2 * count:
            self._draw(2 * count, frames.device)
        first = int(torch.randint(len(self._drawn) - count, ()))
        frames.add_(self._drawn[first : first + count].view(frames.shape), alpha=self.deviation)

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
        noise: Standard deviation of Gaussian noise on the frames, whose pixels are in [-1, 1].
        augmented: Whether frames are disturbed as ``augment`` does.

    Attributes:
        alike: For how many steps all embeddings have been alike.
    """

    def __init__(self, noise: float = 0.0, augmented: bool = False) -> None:
        self.grain = Grain(noise)
        self.augmented = augmented
        self.alike = 0

    def disturbed(self, frames: torch.Tensor) -> torch.Tensor:
        """What the encoder sees of frames (batch, size, size, 3) uint8: (batch, 3, size, size)."""
        images = preprocess(augment(frames) if self.augmented else frames)
        if self.grain.deviation:
            self.grain.add_to(images.permute(0, 2, 3, 1))  # as it lies in memory
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


def reader(frames: NDArray[np.uint8], device: torch.device, room: int) -> Callable[[NDArray[np.int64]], torch.Tensor]:
    """Return what reads frames by their indices onto a device.

    Args:
        frames: (frames, height, width, 3) uint8.
        device: Where they are wanted.
        room: Bytes that frames may take there. If all fit, they are copied once, and a batch never leaves the device.
    """
    if frames.nbytes > room:
        return lambda indices: torch.from_numpy(frames[indices]).to(device, non_blocking=True)
    there = torch.empty(frames.shape, dtype=torch.uint8, device=device)
    for first in range(0, len(frames), COPIED):
        there[first : first + COPIED] = torch.from_numpy(np.array(frames[first : first + COPIED]))
    return lambda indices: there[torch.from_numpy(indices).to(device)]


def _room(device: torch.device) -> int:
    """Half of what is free on a GPU. In main memory frames lie already: the system keeps what is read of a file."""
    return torch.cuda.mem_get_info(device)[0] // 2 if device.type == "cuda" else 0


def fit(
    encoder: nn.Module,
    objective: nn.Module,
    frames: NDArray[np.uint8],
    batches: Iterable[NDArray[np.int64]],
    optimizer: torch.optim.Optimizer,
    scheduler: LRScheduler,
    pose_head: PoseHead | None = None,
    joints: NDArray[np.floating] | None = None,
    self_regression: float = 0.0,
    course: Course | None = None,
) -> Iterator[Progress]:
    """Train, yielding after each step.

    What is trained may be saved there. To go on, restore it, with the course and PyTorch's generator, and leave out the
    batches that were.

    Args:
        encoder: From frames to embeddings.
        objective: From one tensor of embeddings a group to a loss.
        frames: (frames, height, width, 3) uint8; only the frames of a batch are read.
        batches: (groups, batch) indices of frames.
        optimizer: Over the parameters of encoder and pose head.
        scheduler: Stepped after each step.
        pose_head: Predicts the robot's joints.
        joints: (frames, joints) rad.
        self_regression: Weight of the pose head's error. At 0 the head learns to read an embedding that learns
            nothing of joints from it.
        course: Of the training; None: a new one, of frames as they are.

    Raises:
        Collapsed: All embeddings are alike, or the loss is no number.
    """
    device = next(encoder.parameters()).device
    read = reader(frames, device, _room(device))
    course = course or Course()
    loss = Loss(objective, pose_head, joints, self_regression)
    encoder.train()
    for indices in batches:
        images = course.disturbed(read(indices.ravel()))
        with mixed_precision(device):
            embeddings = encoder(images)  # (groups * batch, dim), float32
        parts = loss.of(embeddings, indices)
        _descend(parts.whole, optimizer, scheduler)
        progress, norm = loss.told(parts, embeddings, len(indices))
        course.check(progress, norm)
        yield progress
    encoder.eval()


def _descend(loss: torch.Tensor, optimizer: torch.optim.Optimizer, scheduler: LRScheduler) -> None:
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    scheduler.step()
