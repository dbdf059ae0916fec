"""Raw pixels, in the place of an embedding: nothing was learned, to be compared with what was."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from .layers import NORM

SIDE = 16  # pixels


class Thumbnail(nn.Module):
    """What is darker than white, in a small picture. Of the same norm as embeddings are."""

    dim = 3 * SIDE**2

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.Parameter(torch.tensor(NORM), requires_grad=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map (batch, 3, size, size) images in [-1, 1] to (batch, dim)."""
        return self.norm * functional.normalize(functional.adaptive_avg_pool2d(1 - images, SIDE).flatten(1).float())
