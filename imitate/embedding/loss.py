"""What an encoder's training makes small, and what is told of each step."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from imitate.embedding.trained_encoder import PoseHead

SPREAD_OF = 256  # embeddings: their distances are as many as their pairs


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


class Parts(NamedTuple):
    """A step's loss, scalars.

    Attributes:
        whole: What is minimised.
        contrastive: The objective's part.
        self_regression: The pose head's part, not yet weighed.
    """

    whole: torch.Tensor
    contrastive: torch.Tensor
    self_regression: torch.Tensor


class Loss:
    """The objective, and beside it the error of the pose head.

    Args:
        objective: From one tensor of embeddings a group to a loss.
        pose_head: Predicts the robot's joints; None: the objective stands alone.
        joints: (frames, joints) rad.
        self_regression: Weight of the pose head's error. At 0 the head learns to read an embedding that learns
            nothing of joints from it.
    """

    def __init__(
        self,
        objective: nn.Module,
        pose_head: PoseHead | None,
        joints: NDArray[np.floating] | None,
        self_regression: float,
    ) -> None:
        self.objective = objective
        self.pose_head, self.joints = pose_head, joints
        self.self_regression = self_regression

    def of(self, embeddings: torch.Tensor, indices: NDArray[np.int64]) -> Parts:
        """The loss of embeddings (groups * batch, dim) of the frames at ``indices`` (groups, batch)."""
        contrastive = self.objective(*embeddings.chunk(len(indices)))
        regression = self._regression(embeddings, indices.ravel())
        return Parts(contrastive + (self.self_regression or 1.0) * regression, contrastive, regression)

    def _regression(self, embeddings: torch.Tensor, indices: NDArray[np.int64]) -> torch.Tensor:
        device = embeddings.device
        if self.pose_head is None or self.joints is None:
            return torch.zeros((), device=device)
        angles = torch.from_numpy(np.asarray(self.joints[indices], np.float32)).to(device)
        target = torch.cat([angles.sin(), angles.cos()], dim=-1)
        known = embeddings if self.self_regression else embeddings.detach()
        return functional.mse_loss(self.pose_head(known), target)

    @torch.no_grad()
    def told(self, parts: Parts, embeddings: torch.Tensor, groups: int) -> tuple[Progress, float]:
        """What is told of a step, and the norm of its embeddings (groups * batch, dim)."""
        grouped = embeddings.chunk(groups)
        anchors = grouped[0] if len(grouped[0]) > 1 else embeddings  # of a single video, a group is a frame
        spread = torch.pdist(anchors[:SPREAD_OF]).mean()
        active = self.objective.active(*grouped)  # type: ignore[operator]
        told = torch.stack([*parts, active, spread, embeddings[0].norm()])
        *figures, norm = told.tolist()  # at once: a GPU is waited for only here
        return Progress(*figures), norm
