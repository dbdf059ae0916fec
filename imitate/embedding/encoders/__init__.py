"""Encoders: from preprocessed frames to embeddings of a fixed norm.

To add one: a module like ``conv.py`` whose class takes ``image_size`` and ``dim`` and maps
(batch, 3, size, size) to (batch, dim), a line here, and a test.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import nn

from imitate.embedding.encoders.conv import ConvEncoder
from imitate.embedding.encoders.inception import InceptionEncoder
from imitate.errors import choose

ENCODERS: dict[str, Callable[..., nn.Module]] = {
    "conv": ConvEncoder,
    "inception": InceptionEncoder,
    "shallow": partial(ConvEncoder, depth=1),
}


def build_encoder(name: str, image_size: int, dim: int = 32) -> nn.Module:
    """Make an untrained encoder.

    Raises:
        UserError: Unknown name; the message lists the choices.
    """
    return choose(ENCODERS, name, "encoder")(image_size=image_size, dim=dim)
