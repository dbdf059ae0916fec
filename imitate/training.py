"""The fit loop of an encoder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional
from torch.optim.lr_scheduler import LRScheduler

from imitate.checkpoint import PoseHead
from imitate.device import mixed_precision
from imitate.errors import UserError
from imitate.preprocess import preprocess

PATIENCE = 50  # steps that embeddings may all be alike before a run counts as collapsed
ALIKE = 0.005  # of the norm: the least mean distance between embeddings of a batch


class Progress(NamedTuple):
    """One optimiser step.

    Attributes:
        loss: What was minimised.
        contrastive: The objective's part.
        self_regression: The pose head's part, mean squared error of sines and cosines.
        active: Share of the samples that still teach the objective something.
        spread: Mean distance between the anchors' embeddings.
    """

    loss: float
    contrastive: float
    self_regression: float
    active: float
    spread: float


class Collapsed(UserError):
    """All frames get the same embedding: the run is lost."""


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
    noise: float = 0.0,
) -> Iterator[Progress]:
    """Train, yielding after each step.

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
        noise: Standard deviation of Gaussian noise on the frames, whose pixels are in [-1, 1].

    Raises:
        Collapsed: All embeddings are alike, or the loss is no number.
    """
    device = next(encoder.parameters()).device
    alike = 0
    encoder.train()
    for indices in batches:
        flat = indices.ravel()
        images = preprocess(torch.from_numpy(frames[flat]).to(device, non_blocking=True))
        if noise:
            by_pixel = images.permute(0, 2, 3, 1)  # as it lies in memory, which is five times as fast to draw
            by_pixel += noise * torch.randn(by_pixel.shape, device=device)
        with mixed_precision(device):
            embeddings = encoder(images)  # (groups * batch, dim), float32
        groups = embeddings.chunk(len(indices))
        contrastive = objective(*groups)
        regression = torch.zeros((), device=device)
        if pose_head is not None and joints is not None:
            angles = torch.from_numpy(np.asarray(joints[flat], np.float32)).to(device)
            target = torch.cat([angles.sin(), angles.cos()], dim=-1)
            seen = embeddings if self_regression else embeddings.detach()
            regression = functional.mse_loss(pose_head(seen), target)
        loss = contrastive + (self_regression or 1.0) * regression
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        scheduler.step()
        with torch.no_grad():
            spread = torch.pdist(groups[0][:256]).mean()
            norm = embeddings[0].norm()
            active = objective.active(*groups)  # type: ignore[operator]
        progress = Progress(*(x.item() for x in (loss, contrastive, regression, active, spread)))
        if not np.isfinite(progress.loss):
            raise Collapsed(f"the loss became {progress.loss}: lower the learning rate")
        alike = alike + 1 if progress.spread < ALIKE * float(norm) else 0
        if alike >= PATIENCE:
            raise Collapsed(
                f"collapsed: for {alike} steps all embeddings were alike (mean distance {progress.spread:.4f}, "
                f"share of active samples {progress.active:.2f}): lower the learning rate, or use infonce"
            )
        yield progress
    encoder.eval()
