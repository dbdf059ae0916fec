"""The paper's loss."""

from __future__ import annotations

import torch
from torch import nn


class TripletLoss(nn.Module):
    r"""Triplet loss of time-contrastive networks (section II.A of the paper; Sermanet et al., 2017).

    .. math:: L = \max(0, \delta + \|a - p\|^2 - \|a - n\|^2)

    The paper prints it without the maximum, as it is commonly written; without it a triplet that is far
    apart already would go on being pushed.

    Args:
        margin: :math:`\delta`, in squared distance.
    """

    def __init__(self, margin: float = 2.0) -> None:
        super().__init__()
        self.margin = margin

    def forward(self, anchor: torch.Tensor, positive: torch.Tensor, negative: torch.Tensor) -> torch.Tensor:
        """Mean loss of triplets of (batch, dim) embeddings."""
        return self.violations(anchor, positive, negative).clamp(min=0).mean()

    def active(self, anchor: torch.Tensor, positive: torch.Tensor, negative: torch.Tensor) -> torch.Tensor:
        """Share of the triplets that do not fulfil the margin, and so teach something."""
        return (self.violations(anchor, positive, negative) > 0).float().mean()

    def violations(self, anchor: torch.Tensor, positive: torch.Tensor, negative: torch.Tensor) -> torch.Tensor:
        """(batch,) how far each triplet is from fulfilling the margin; negative where it does."""
        near = (anchor - positive).square().sum(dim=-1)
        far = (anchor - negative).square().sum(dim=-1)
        return self.margin + near - far
