"""The small convolutional encoder: fast on two CPU cores."""

from __future__ import annotations

import torch
from torch import nn

from imitate.embedding.encoders.layers import SpatialSoftmax, conv_bn, on_sphere


class ConvEncoder(nn.Module):
    """A stem of large patches, then two readings of the same maps: where things are, and what stands there.

    A spatial softmax finds the arm's parts to less than a pixel; flattened channels keep what a single
    position per channel can't say, such as how a joint is bent. On a CPU the cost is in touching large maps
    rather than in multiplying, so that the stem goes down to a quarter of the size at once.

    Args:
        image_size: Pixels a side, at least 16.
        dim: Of the embedding.
        width: Channels.
        depth: Convolutions before the two readings, the stem's included.
    """

    def __init__(self, image_size: int = 64, dim: int = 32, width: int = 48, depth: int = 2) -> None:
        super().__init__()
        deeper = (conv_bn(width, width, 3, 1) for _ in range(depth - 1))
        self.maps = nn.Sequential(conv_bn(3, width, 8, 4, padding=2), *deeper)
        self.where = nn.Sequential(nn.Conv2d(width, 32, 1), SpatialSoftmax())
        self.what = nn.Sequential(conv_bn(width, 64, 3, 2), nn.Conv2d(64, 16, 1), nn.Flatten())
        with torch.no_grad():
            maps = self.maps.eval()(torch.zeros(1, 3, image_size, image_size))
            features = sum(branch.eval()(maps).shape[1] for branch in (self.where, self.what))
        self.train()
        self.head = nn.Sequential(
            nn.Linear(features, 256), nn.BatchNorm1d(256), nn.ReLU(inplace=True), nn.Linear(256, dim)
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map (batch, 3, size, size) in [-1, 1] to (batch, dim) of the set norm."""
        maps = self.maps(images)
        features = torch.cat([self.where(maps), self.what(maps).float()], dim=1)
        return on_sphere(self.head(features))
