"""Any function from frames to embeddings, in the place of a trained encoder."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imitate.data.camera import Camera
from imitate.errors import UserError
from imitate.keeping.finite import check_finite

Function = Callable[[NDArray[np.uint8]], Any]
UNSEEN = Camera.unknown("not told")


@dataclass
class AnyEncoder:
    """A function that embeds frames: somebody else's network, or the pixels themselves.

    Attributes:
        function: From (n, image_size, image_size, 3) uint8 to (n, dim).
        image_size: Pixels a side of the frames that it is given.
        dim: Of the embeddings.
        camera: That its frames must come from: it does not say.
        norm: Of the embeddings: not known.

    Raises:
        UserError: What the function makes of two black frames is no (2, dim) of finite numbers.
    """

    function: Function
    image_size: int
    dim: int = field(init=False)
    camera: Camera = UNSEEN
    norm: float = math.inf

    def __post_init__(self) -> None:
        black = np.zeros((2, self.image_size, self.image_size, 3), np.uint8)
        made = np.shape(self.function(black))
        if len(made) != 2 or made[0] != 2 or made[1] < 1:
            raise UserError(f"the encoder makes {made} of 2 frames {black.shape}, expected (2, dim): an embedding each")
        self.dim = made[1]
        self.embed(black)

    def embed(self, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Embed (n, image_size, image_size, 3) uint8 frames to (n, dim) float32.

        Raises:
            UserError: The function made something else of them.
        """
        made = np.asarray(self.function(frames))
        if made.shape != (len(frames), self.dim) or made.dtype.kind not in "fiu":
            expected = f"({len(frames)}, {self.dim}) numbers"
            raise UserError(f"the encoder makes {made.shape} {made.dtype} of {len(frames)} frames, expected {expected}")
        check_finite("an embedding", made, "expected numbers: mend the encoder")
        return made.astype(np.float32)
