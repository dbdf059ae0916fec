"""What reads the robot's joints off an embedding."""

from __future__ import annotations

import torch
from torch import nn

from imitate.embedding.encoders.layers import NORM


class PoseHead(nn.Sequential):
    """Self-regression: sines and cosines of the robot's own joints from an embedding.

    The robot knows its joints while it babbles (Sermanet et al., 2017, section III.C). Learned together with the
    time-contrastive objective, it keeps what time alone would let the embedding forget; the plain time-contrastive
    network has one that only reads.

    Args:
        dim: Of the embedding.
        joints: Number of joints.
    """

    def __init__(self, dim: int, joints: int) -> None:
        super().__init__(nn.Linear(dim, 256), nn.ReLU(), nn.Linear(256, 2 * joints))
        self.joints = joints
        self.scale = dim**0.5 / NORM  # components of about 1

    def forward(self, embeddings: torch.Tensor) -> torch.Tensor:
        """Map (batch, dim) to (batch, 2 * joints): sines, then cosines."""
        return super().forward(embeddings * self.scale)

    def angles(self, embeddings: torch.Tensor) -> torch.Tensor:
        """Map (batch, dim) to (batch, joints), rad."""
        sines, cosines = self(embeddings).chunk(2, dim=-1)
        return torch.atan2(sines, cosines)
