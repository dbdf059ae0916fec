"""Encoders: from preprocessed frames to embeddings of a fixed norm.

To add one: a module like ``conv.py`` whose class takes ``image_size`` and ``dim`` and maps
(batch, 3, size, size) to (batch, dim), a line here, and a test.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import nn

from imitate.embedding.encoders.conv import ConvEncoder
from imitate.embedding.encoders.inception import InceptionEncoder
from imitate.embedding.encoders.layers import Seen
from imitate.embedding.encoders.residual import ResidualEncoder
from imitate.errors import UserError, choose

ENCODERS: dict[str, Callable[..., nn.Module]] = {
    "conv": ConvEncoder,
    "inception": InceptionEncoder,
    "residual": ResidualEncoder,
    "shallow": partial(ConvEncoder, depth=1),
}


def build_encoder(name: str, image_size: int, dim: int = 32, landmarks: int = 0) -> nn.Module:
    """Make an untrained encoder.

    Args:
        name: One of ``ENCODERS``.
        image_size: Pixels a side.
        dim: Of the embedding.
        landmarks: That it finds beside.

    Raises:
        UserError: Unknown name, and the message lists the choices; or this one finds no landmarks.
    """
    kind = choose(ENCODERS, name, "encoder")
    if not landmarks:
        return kind(image_size=image_size, dim=dim)
    if kind is not ResidualEncoder:
        raise UserError(f"the encoder {name!r} finds no landmarks, expected residual")
    return ResidualEncoder(image_size=image_size, dim=dim, landmarks=landmarks)


def look(encoder: nn.Module, images: torch.Tensor) -> Seen:
    """All that an encoder sees in (batch, 3, size, size) images."""
    return encoder.look(images) if isinstance(encoder, ResidualEncoder) else Seen(encoder(images))
