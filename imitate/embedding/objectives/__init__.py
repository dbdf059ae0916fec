"""Objectives: what pulls embeddings together and pushes them apart.

To add one: a module like ``triplet.py`` with a plain ``nn.Module`` over embeddings, a line here with the
sampler that feeds it, and a test.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import nn

from imitate.embedding.objectives.infonce import InfoNCE
from imitate.embedding.objectives.triplet import TripletLoss
from imitate.embedding.objectives.video_infonce import VideoInfoNCE
from imitate.embedding.sampling import Sampler, pairs, triplets, video_pairs


class Objective(NamedTuple):
    """A loss, and how its groups of frames are drawn.

    Attributes:
        setting: The name of the loss's one setting.
        loss: Takes one (batch, dim) tensor of embeddings for each group of frames.
        sample: Draws the groups: (groups, samples) indices of frames.
        whole: It draws all samples of a video into one column.
    """

    setting: str
    loss: type[nn.Module]
    sample: Sampler
    whole: bool = False


OBJECTIVES = {
    "triplet": Objective("margin", TripletLoss, triplets),
    "infonce": Objective("temperature", InfoNCE, pairs),
    "video_infonce": Objective("temperature", VideoInfoNCE, video_pairs, whole=True),
}
