"""To see as a teacher does."""

from __future__ import annotations

import torch
from torch import nn


class Likeness(nn.Module):
    r"""Half of the squared distance of each embedding from that which a teacher has of the same moment.

    .. math:: L = \tfrac{1}{2} \|a_i - t_i\|^2

    A network learns what another knows by having its outputs (Hinton et al., 2015). Here the teacher sees the moment as
    it knows it, and the student as nobody has arranged it: what is learned is to see through the rest, as time
    contrast between two views does, with a second view that says what there is to be seen.
    """

    def forward(self, student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
        """Mean loss of (batch, dim) embeddings."""
        return 0.5 * (student - teacher).square().sum(dim=1).mean()

    def active(self, student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
        """Share of the embeddings that another of the teacher's is nearer to than their own."""
        own = torch.arange(len(student), device=student.device)
        return (torch.cdist(student, teacher).argmin(dim=1) != own).float().mean()
