"""Frames as a worse camera would have taken them, for an encoder that is to read such videos too."""

from __future__ import annotations

import torch

BRIGHTNESS, TINT = 0.3, 0.15  # at most so much more or less, of all colours and of each
SHIFT = 2  # pixels at most, to either side, and up or down
COVERED, BOX = 0.5, 0.3  # share of the frames with a box before them, and its longest side, of the frame's


def augment(frames: torch.Tensor) -> torch.Tensor:
    """Disturb each frame in its own way: other light, a camera that has moved, a grey box before the picture.

    All is drawn from PyTorch's generator of the CPU, whatever the device, so that a snapshot of it is enough to go on.

    Args:
        frames: (batch, height, width, 3) uint8.

    Returns:
        The same shape and type, anew.
    """
    height, width = frames.shape[1:3]
    rows, columns = _shifted(height, frames), _shifted(width, frames)
    every = torch.arange(len(frames), device=frames.device)[:, None, None]
    moved = frames[every, rows[:, :, None], columns[:, None, :]]
    lit = moved * _gains(frames)
    shaded = lit.round_().clamp_(0, 255).to(torch.uint8)
    shaded.masked_fill_(_boxes(height, width, frames)[..., None], 128)
    return shaded


def _shifted(size: int, frames: torch.Tensor) -> torch.Tensor:
    """(batch, size) which row, or column, each one shows: those at the edge again where the camera shows no more."""
    by = torch.randint(-SHIFT, SHIFT + 1, (len(frames), 1))
    return (torch.arange(size) + by).clamp_(0, size - 1).to(frames.device)


def _gains(frames: torch.Tensor) -> torch.Tensor:
    """(batch, 1, 1, 3) factors of the colours."""
    light = 1 + BRIGHTNESS * (2 * torch.rand(len(frames), 1, 1, 1) - 1)
    tint = 1 + TINT * (2 * torch.rand(len(frames), 1, 1, 3) - 1)
    return (light * tint).to(frames.device)


def _boxes(height: int, width: int, frames: torch.Tensor) -> torch.Tensor:
    """(batch, height, width) whether a box covers the pixel."""
    there = torch.rand(len(frames), 1, 1) < COVERED
    inside = []
    for size in (height, width):
        side = (BOX * size * torch.rand(len(frames), 1)).ceil()
        first = (torch.rand(len(frames), 1) * (size - side + 1)).floor()
        place = torch.arange(size)
        inside.append((place >= first) & (place < first + side))
    return (there & inside[0][:, :, None] & inside[1][:, None, :]).to(frames.device)
