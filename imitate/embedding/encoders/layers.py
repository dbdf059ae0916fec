"""Layers that encoders share."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

NORM = 10.0  # of an embedding (section III.A of the paper)


class Seen(NamedTuple):
    """What an encoder sees in pictures.

    Attributes:
        embeddings: (batch, dim) of norm ``NORM``.
        landmarks: (batch, landmarks, 2) where the robot's parts are in the picture, from -1, its left and upper edge,
            to 1; None: the encoder does not find any.
    """

    embeddings: torch.Tensor
    landmarks: torch.Tensor | None = None


class SpatialSoftmax(nn.Module):
    """Where each channel looks: the expected position under a softmax over its pixels.

    From Levine et al., End-to-End Training of Deep Visuomotor Policies, section 5.1. Positions come with
    less than a pixel of error, which pooling would throw away.
    """

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Map (batch, channels, height, width) to (batch, 2 * channels), each in [-1, 1]."""
        height, width = maps.shape[-2:]
        pixels = maps.permute(0, 2, 3, 1).flatten(1, 2).float()  # (batch, pixels, channels): no copy in channels_last
        x = torch.linspace(-1, 1, width, device=maps.device)
        y = torch.linspace(-1, 1, height, device=maps.device)
        ones = torch.ones(height * width, device=maps.device)
        grid = torch.stack([ones, x.repeat(height), y.repeat_interleave(width)], dim=1)  # (pixels, 3)
        weights = (pixels - pixels.detach().amax(dim=1, keepdim=True)).exp()
        with torch.autocast(maps.device.type, enabled=False):
            moments = weights.transpose(1, 2) @ grid  # (batch, channels, 3)
        return (moments[..., 1:] / moments[..., :1]).flatten(1)


def on_sphere(vectors: torch.Tensor) -> torch.Tensor:
    """Scale (batch, dim) vectors to the L2 norm of embeddings (Ranjan et al., 2017), in float32."""
    return NORM * functional.normalize(vectors.float(), dim=-1)


def conv_bn(channels_in: int, channels: int, kernel: int, stride: int, padding: int | None = None) -> nn.Sequential:
    """A convolution with batch normalisation and ReLU; its padding keeps the size, up to the stride."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels, kernel, stride, kernel // 2 if padding is None else padding, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
    )
