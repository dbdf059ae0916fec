"""Numbers that must be numbers: NaN and infinity spread through all that is computed from them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from imitate.errors import UserError

if TYPE_CHECKING:  # processes that only simulate start without PyTorch
    import torch


def check_finite(what: str, values: NDArray[np.floating] | float, advice: str) -> None:
    """Stop at the first NaN or infinity.

    Args:
        what: The values are, for the message.
        values: Of any shape.
        advice: What to do.

    Raises:
        UserError: One is not finite.
    """
    if not np.isfinite(values).all():
        array = np.atleast_1d(values)
        place = np.argwhere(~np.isfinite(array))[0]
        raise UserError(f"{what} became {array[tuple(place)]} (at {place.tolist()}): {advice}")


def check_weights(what: str, state: Mapping[str, torch.Tensor], advice: str) -> None:
    """Stop at weights that are NaN or infinite.

    Args:
        what: The weights are of, for the message.
        state: A ``state_dict``.
        advice: What to do.

    Raises:
        UserError: One is not finite.
    """
    for name, tensor in state.items():
        if not tensor.isfinite().all():
            raise UserError(f"{what}: NaN or infinity in {name}: {advice}")
