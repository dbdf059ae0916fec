"""What an encoder's training makes small, and what is told of each step."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from imitate.embedding.batch import Batch
from imitate.embedding.encoders.layers import Seen
from imitate.embedding.pose_head import PoseHead

SPREAD_OF = 256  # embeddings: their distances are as many as their pairs
NEAR = 0.05  # of a landmark, in half sides of the picture: what it is off by counts squared up to there


class Progress(NamedTuple):
    """One optimiser step.

    Attributes:
        loss: What was minimised.
        contrastive: The objective's part.
        self_regression: The pose head's part, mean squared error of sines and cosines.
        landmarks: The landmarks' part (Huber, of half sides of the picture).
        active: Share of the samples that still teach the objective something.
        spread: Mean distance between the anchors' embeddings.
    """

    loss: float
    contrastive: float
    self_regression: float
    landmarks: float
    active: float
    spread: float


class Parts(NamedTuple):
    """A step's loss, scalars.

    Attributes:
        whole: What is minimised.
        contrastive: The objective's part.
        self_regression: The pose head's part, not yet weighed.
        landmarks: Theirs, not yet weighed.
    """

    whole: torch.Tensor
    contrastive: torch.Tensor
    self_regression: torch.Tensor
    landmarks: torch.Tensor


class Loss:
    """The objective, and beside it the errors of the pose head, and of the landmarks.

    Args:
        objective: From one tensor of embeddings a group to a loss.
        pose_head: Predicts the robot's joints; None: it does not.
        self_regression: Weight of the pose head's error. At 0 the head learns to read an embedding that learns
            nothing of joints from it.
        landmark_weight: Of what the landmarks are off by, where the encoder finds some.
    """

    def __init__(
        self,
        objective: nn.Module,
        pose_head: PoseHead | None = None,
        self_regression: float = 0.0,
        landmark_weight: float = 0.0,
    ) -> None:
        self.objective = objective
        self.pose_head = pose_head
        self.self_regression, self.landmark_weight = self_regression, landmark_weight

    def of(self, seen: Seen, batch: Batch) -> Parts:
        """The loss of what was seen of a batch."""
        contrastive = self.objective(*_grouped(seen.embeddings, batch))
        regression, landmarks = self._regression(seen, batch), _landmarks(seen, batch)
        whole = contrastive + (self.self_regression or 1.0) * regression + self.landmark_weight * landmarks
        return Parts(whole, contrastive, regression, landmarks)

    def _regression(self, seen: Seen, batch: Batch) -> torch.Tensor:
        if self.pose_head is None or batch.joints is None:
            return seen.embeddings.new_zeros(())
        angles = _beside(seen.embeddings, batch.joints)
        target = torch.cat([angles.sin(), angles.cos()], dim=-1)
        known = seen.embeddings if self.self_regression else seen.embeddings.detach()
        return functional.mse_loss(self.pose_head(known), target)

    @torch.no_grad()
    def told(self, parts: Parts, embeddings: torch.Tensor, batch: Batch) -> tuple[Progress, float]:
        """What is told of a step, and the norm of its embeddings (groups * batch, dim)."""
        grouped = _grouped(embeddings, batch)
        anchors = grouped[0] if len(grouped[0]) > 1 else embeddings  # of a single video, a group is a frame
        spread = torch.pdist(anchors[:SPREAD_OF]).mean()
        active = self.objective.active(*grouped)  # type: ignore[operator]
        told = torch.stack([*parts, active, spread, embeddings[0].norm()])
        *figures, norm = told.tolist()  # at once: a GPU is waited for only here
        return Progress(*figures), norm


def _grouped(embeddings: torch.Tensor, batch: Batch) -> tuple[torch.Tensor, ...]:
    """What the objective is of: one (batch, dim) tensor a group."""
    own = embeddings.chunk(batch.groups)
    return own if batch.taught is None else (*own, batch.taught)


def _landmarks(seen: Seen, batch: Batch) -> torch.Tensor:
    """What they are off by; of one that is outside the picture, it need only be known on which side."""
    if seen.landmarks is None or batch.landmarks is None:
        return seen.embeddings.new_zeros(())
    known = _beside(seen.embeddings, batch.landmarks).clamp(-1, 1)  # NaN stays NaN
    there = known.isfinite()
    return functional.huber_loss(seen.landmarks[there], known[there], delta=NEAR)


def _beside(tensor: torch.Tensor, values: NDArray[np.floating]) -> torch.Tensor:
    """Values on the device of a tensor, in float32."""
    return torch.from_numpy(np.asarray(values, np.float32)).to(tensor.device)
