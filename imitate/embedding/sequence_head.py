"""What reads the robot's joints off a video: of one frame several poses may be it, of a movement seldom more."""

from __future__ import annotations

import torch
from torch import nn

from imitate.embedding.encoders.layers import NORM

REACHES = (1, 2, 4, 8, 16)  # frames to either side that each layer sees


class Glance(nn.Module):
    """What is so many frames before and after, and what went in.

    Args:
        width: Channels.
        reach: Frames to either side.
    """

    def __init__(self, width: int, reach: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(1, width)
        self.over_time = nn.Conv1d(width, width, 3, padding=reach, dilation=reach, padding_mode="replicate")
        self.out = nn.Conv1d(width, width, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (batch, width, length) to the same shape."""
        return x + self.out(self.over_time(self.norm(x)).relu())


class SequenceHead(nn.Module):
    """Sines and cosines of the joints from what is seen in all frames of a video, before and after.

    A single picture of an arm says which way a link points, but hardly whether towards the camera or away from it. How
    it goes on moving does: convolutions over time (Pavllo et al., 3D human pose estimation in video with temporal
    convolutions and semi-supervised training, 2019). What never changes, such as a room that misleads or links of
    another length, is known from the mean over the whole video.

    Args:
        dim: Of the embeddings.
        landmarks: That the encoder finds.
        joints: Number of joints.
        width: Channels.
    """

    def __init__(self, dim: int, landmarks: int, joints: int, width: int) -> None:
        super().__init__()
        self.joints, self.width = joints, width
        self.scale = dim**0.5 / NORM  # components of about 1
        self.into = nn.Conv1d(dim + 2 * landmarks + 2 * joints, width, 1)
        self.before = nn.Sequential(*(Glance(width, reach) for reach in REACHES))
        self.whole = nn.Linear(width, width)
        self.after = nn.Sequential(*(Glance(width, reach) for reach in REACHES))
        self.out = nn.Sequential(nn.GroupNorm(1, width), nn.ReLU(), nn.Conv1d(width, 2 * joints, 1))

    def forward(self, embeddings: torch.Tensor, landmarks: torch.Tensor, decoded: torch.Tensor) -> torch.Tensor:
        """What is thought of each frame, in the light of the others.

        Args:
            embeddings: (batch, length, dim).
            landmarks: (batch, length, landmarks, 2).
            decoded: (batch, length, 2 * joints) what the pose head says of each frame alone.

        Returns:
            (batch, length, 2 * joints): sines, then cosines.
        """
        x = self.into(torch.cat([embeddings * self.scale, landmarks.flatten(2), decoded], dim=2).transpose(1, 2))
        x = self.before(x)
        x = x + self.whole(x.relu().mean(dim=2))[:, :, None]
        return self.out(self.after(x)).transpose(1, 2)
