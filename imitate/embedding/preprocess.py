"""From frames to what an encoder sees: the one function that training and reward both use."""

from __future__ import annotations

import torch


def preprocess(frames: torch.Tensor) -> torch.Tensor:
    """Map frames to [-1, 1], channels first.

    The range is that of Inception-v3's ImageNet weights (``(x - 0.5) / 0.5``), so that it serves both encoders.

    Args:
        frames: (batch, height, width, 3) uint8.

    Returns:
        (batch, 3, height, width) float32 in the channels_last memory format (a view of the same order).
    """
    return frames.permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0)
