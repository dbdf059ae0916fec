"""The encoder for the open world: it has to know what is the robot, and what is not, before it sees how it stands."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from imitate.embedding.encoders.layers import Seen, SpatialSoftmax, conv_bn, on_sphere

FREE = 24  # positions that no landmark is asked of


class Residual(nn.Module):
    """Two convolutions, and what went in (He et al., 2016).

    Args:
        width: Channels.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = conv_bn(width, width, 3, 1)
        self.second = nn.Sequential(nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (batch, width, h, w) to the same shape."""
        return functional.relu(x + self.second(self.first(x)), inplace=True)


class ResidualEncoder(nn.Module):
    """One trunk, two outputs: an embedding of how the robot stands, and where in the picture its parts are.

    Half of the way down in size the trunk sees what is near what, and comes back to where it is (Ronneberger et al.,
    2015). Each landmark is the mean of a map of its own (Levine et al., 2016). The embedding is made of these, of as
    many more positions that are asked of nothing, and of flattened channels, as that of ``ConvEncoder`` is: it is told
    to be the same whatever the camera, and landmarks are where this one sees them.

    Args:
        image_size: Pixels a side, at least 16.
        dim: Of the embedding.
        width: Channels at a quarter of the size; at an eighth there are twice as many.
        landmarks: That are found.
    """

    def __init__(self, image_size: int = 64, dim: int = 32, width: int = 48, landmarks: int = 0) -> None:
        super().__init__()
        self.landmarks = landmarks
        self.near = nn.Sequential(conv_bn(3, width, 8, 4, padding=2), Residual(width))
        self.far = nn.Sequential(conv_bn(width, 2 * width, 3, 2), Residual(2 * width), Residual(2 * width))
        self.back = nn.Conv2d(2 * width, width, 1)
        self.where = nn.Sequential(conv_bn(width, width, 3, 1), nn.Conv2d(width, landmarks + FREE, 1))
        self.positions = SpatialSoftmax()
        self.what = nn.Sequential(nn.Conv2d(2 * width, 32, 1), nn.Flatten())
        with torch.no_grad():
            maps = self.near.eval()(torch.zeros(1, 3, image_size, image_size))
            flat = self.what(self.far.eval()(maps)).shape[1]
        self.train()
        self.edge = 1 - 1 / maps.shape[-1]  # of the picture, where the middle of the last cell of a map is
        self.head = nn.Sequential(
            nn.Linear(2 * (landmarks + FREE) + flat, 512),
            nn.BatchNorm1d(512),
            nn.ReLU(inplace=True),
            nn.Linear(512, dim),
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map (batch, 3, size, size) in [-1, 1] to (batch, dim) of the set norm."""
        return self.look(images).embeddings

    def look(self, images: torch.Tensor) -> Seen:
        """All that is seen in (batch, 3, size, size) images in [-1, 1]."""
        near = self.near(images)
        far = self.far(near)
        back = functional.interpolate(self.back(far), near.shape[-2:], mode="nearest")
        positions = self.edge * self.positions(self.where(functional.relu(near + back)))
        features = torch.cat([positions, self.what(far).float()], dim=1)
        found = positions[:, : 2 * self.landmarks].unflatten(1, (self.landmarks, 2)) if self.landmarks else None
        return Seen(on_sphere(self.head(features)), found)
