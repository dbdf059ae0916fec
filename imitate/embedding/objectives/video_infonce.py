"""Softmax over distances, of each video for itself."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional


class VideoInfoNCE(nn.Module):
    r"""Find each anchor's positive among the positives of the same video only.

    As ``InfoNCE``, but nothing is gained by telling videos apart: where something differs from episode to episode and
    stays the same within each, such as a target's place, ``InfoNCE`` learns little else.

    .. math:: L = -\log \frac{e^{-\|a_i - p_i\|^2 / \tau}}{\sum_{j \in video(i)} e^{-\|a_i - p_j\|^2 / \tau}}

    Args:
        temperature: :math:`\tau`, in squared distance.
    """

    def __init__(self, temperature: float = 10.0) -> None:
        super().__init__()
        self.temperature = temperature

    def forward(self, *groups: torch.Tensor) -> torch.Tensor:
        """Mean loss of (videos, dim) embeddings: a group for each of n anchors of a video, then for each positive."""
        logits, own = self._logits(groups)
        rows, columns = (functional.cross_entropy(one.flatten(0, 1), own) for one in (logits, logits.mT))
        return 0.5 * (rows + columns)

    def active(self, *groups: torch.Tensor) -> torch.Tensor:
        """Share of the anchors whose nearest positive in their video is not their own."""
        logits, own = self._logits(groups)
        return (logits.flatten(0, 1).argmax(dim=1) != own).float().mean()

    def _logits(self, groups: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, torch.Tensor]:
        """(videos, n, n) of anchors and positives, and which is each anchor's own: (videos * n,)."""
        anchors, positives = torch.stack(groups, dim=1).chunk(2, dim=1)  # (videos, n, dim)
        videos, number = anchors.shape[:2]
        own = torch.arange(number, device=anchors.device).repeat(videos)
        return -torch.cdist(anchors, positives).square() / self.temperature, own
