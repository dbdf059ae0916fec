"""In-batch softmax over distances."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional


class InfoNCE(nn.Module):
    r"""Find each anchor's positive among the positives of the whole batch (van den Oord et al., 2018).

    .. math:: L = -\log \frac{e^{-\|a_i - p_i\|^2 / \tau}}{\sum_j e^{-\|a_i - p_j\|^2 / \tau}}

    Squared L2 distances, as in the reward, instead of inner products; symmetric in anchors and positives.

    Args:
        temperature: :math:`\tau`, in squared distance.
    """

    def __init__(self, temperature: float = 10.0) -> None:
        super().__init__()
        self.temperature = temperature

    def forward(self, anchor: torch.Tensor, positive: torch.Tensor) -> torch.Tensor:
        """Mean loss of pairs of (batch, dim) embeddings."""
        logits = self._logits(anchor, positive)
        own = torch.arange(len(anchor), device=anchor.device)
        return 0.5 * (functional.cross_entropy(logits, own) + functional.cross_entropy(logits.T, own))

    def active(self, anchor: torch.Tensor, positive: torch.Tensor) -> torch.Tensor:
        """Share of the anchors whose nearest positive is not their own."""
        own = torch.arange(len(anchor), device=anchor.device)
        return (self._logits(anchor, positive).argmax(dim=1) != own).float().mean()

    def _logits(self, anchor: torch.Tensor, positive: torch.Tensor) -> torch.Tensor:
        return -torch.cdist(anchor, positive).square() / self.temperature
