"""Frames as a worse camera would have taken them, for an encoder that is to read such videos too."""

from __future__ import annotations

import torch

from imitate.data.domain import Domain, Range

SHIFT = 2  # pixels that a camera which can't be moved itself may have moved, to either side, and up or down
COVERED = 0.5  # share of the frames with a box before them
GREY = 0.5  # share of these boxes that are, and of no colour of their own
WORSE = Domain(light=(0.7, 1.3), tint=(0.85, 1.15), covered=(0.0, 0.3))  # that a recording is disturbed in


def augment(frames: torch.Tensor, domain: Domain = WORSE, shift: int = SHIFT, alike: bool = False) -> torch.Tensor:
    """Disturb each frame in its own way: other light, a camera that has moved, a box before the picture.

    All is drawn from PyTorch's generator of the CPU, whatever the device, so that a snapshot of it is enough to go on.

    Args:
        frames: (batch, height, width, 3) uint8.
        domain: How bright, how coloured and how much covered they may be.
        shift: Pixels that the camera has moved, at most.
        alike: Whether all in the same way, as those of one video.

    Returns:
        The same shape and type, anew.
    """
    each = frames[:1] if alike else frames  # what is drawn for one is broadcast to all
    height, width = frames.shape[1:3]
    lit = (_shifted(frames, len(each), shift) if shift else frames) * _gains(each, domain)
    shaded = lit.round_().clamp_(0, 255).to(torch.uint8)
    covered = _boxes(height, width, each, domain.covered)
    return torch.where(covered[..., None], _colours(each), shaded)


def _shifted(frames: torch.Tensor, ways: int, most: int) -> torch.Tensor:
    """What a camera shows that has moved in so many ways: at its edge the same again, where it shows no more."""
    places = []
    for size in frames.shape[1:3]:
        by = torch.randint(-most, most + 1, (ways, 1))
        places.append((torch.arange(size) + by).clamp_(0, size - 1).to(frames.device))
    rows, columns = places
    every = torch.arange(len(frames), device=frames.device)[:, None, None]
    return frames[every, rows[:, :, None], columns[:, None, :]]


def _gains(frames: torch.Tensor, domain: Domain) -> torch.Tensor:
    """(batch, 1, 1, 3) factors of the colours."""
    light = _between(domain.light, len(frames), 1, 1, 1)
    tint = _between(domain.tint, len(frames), 1, 1, 3)
    return (light * tint).to(frames.device)


def _between(ends: Range, *shape: int) -> torch.Tensor:
    """As often below 1 as above it, wherever it lies between the ends."""
    low, high = ends
    by = 2 * torch.rand(shape) - 1
    return torch.where(by < 0, 1 + by * (1 - low), 1 + by * (high - 1))


def _boxes(height: int, width: int, frames: torch.Tensor, sides: Range) -> torch.Tensor:
    """(batch, height, width) whether a box covers the pixel."""
    low, high = sides
    there = torch.rand(len(frames), 1, 1) < COVERED
    inside = []
    for size in (height, width):
        side = (size * (low + (high - low) * torch.rand(len(frames), 1))).ceil()
        first = (torch.rand(len(frames), 1) * (size - side + 1)).floor()
        place = torch.arange(size)
        inside.append((place >= first) & (place < first + side))
    return (there & inside[0][:, :, None] & inside[1][:, None, :]).to(frames.device)


def _colours(frames: torch.Tensor) -> torch.Tensor:
    """(batch, 1, 1, 3) uint8, of the boxes."""
    drawn = torch.randint(0, 256, (len(frames), 1, 1, 3))
    grey = torch.rand(len(frames), 1, 1, 1) < GREY
    return torch.where(grey, torch.full_like(drawn, 128), drawn).to(torch.uint8).to(frames.device)
