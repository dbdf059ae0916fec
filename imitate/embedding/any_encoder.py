"""Any function from frames to embeddings, in the place of a trained encoder."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imitate.data.camera import Camera
from imitate.embedding.trained_encoder import CHUNK
from imitate.errors import UserError, first_line
from imitate.keeping.finite import check_finite

ROUNDED = 0.02  # of an embedding's norm: by what it may differ as others are embedded beside it, in half precision
Function = Callable[[NDArray[np.uint8]], Any]
UNSEEN = Camera.unknown("not told")


@dataclass
class AnyEncoder:
    """A function that embeds frames: somebody else's network, or the pixels themselves.

    Attributes:
        function: From (n, image_size, image_size, 3) uint8 to (n, dim): an array, or a tensor on any device.
        shown: (2, image_size, image_size, 3) uint8 that it will have to embed: two unlike each other, that it
            is tried on.
        image_size: Pixels a side of the frames that it is given.
        dim: Of the embeddings.
        camera: That its frames must come from: it does not say.
        norm: Of the embeddings: not known.

    Raises:
        UserError: What the function makes of two of these is no (2, dim) of finite numbers; or of one, alone, another.
    """

    function: Function
    shown: NDArray[np.uint8]
    image_size: int = field(init=False)
    dim: int = field(init=False)
    camera: Camera = UNSEEN
    norm: float = math.inf

    def __post_init__(self) -> None:
        two, self.image_size = self.shown, self.shown.shape[1]
        made = self._made(two)
        if made.ndim != 2 or len(made) != 2 or made.shape[1] < 1:
            raise UserError(
                f"the encoder makes {made.shape} of 2 frames {two.shape}, expected (2, dim): an embedding each"
            )
        self.dim = made.shape[1]
        check_alone(self.embed(two), np.concatenate([self.embed(two[:1]), self.embed(two[1:])]))

    def embed(self, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Embed (n, image_size, image_size, 3) uint8 frames to (n, dim) float32.

        Raises:
            UserError: The function made something else of them.
        """
        out = np.empty((len(frames), self.dim), np.float32)
        for first in range(0, len(frames), CHUNK):
            few = frames[first : first + CHUNK]
            made = self._made(few)
            if made.shape != (len(few), self.dim):
                raise UserError(f"the encoder makes {made.shape} of {len(few)} frames, expected {(len(few), self.dim)}")
            out[first : first + CHUNK] = made
        check_finite("an embedding", out, "expected numbers: mend the encoder")
        return out

    def _made(self, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        made = self.function(frames)
        if hasattr(made, "detach"):  # a tensor, of whatever precision
            made = made.detach().float().cpu().numpy()
        try:
            array = np.asarray(made)
            if np.iscomplexobj(array):
                raise TypeError("complex ones")
            with np.errstate(over="ignore"):  # what is too large is found as infinity
                return array.astype(np.float32)
        except (TypeError, ValueError) as error:
            raise UserError(f"the encoder makes no numbers of {len(frames)} frames ({first_line(error)})") from None


def check_alone(beside: NDArray[np.float32], alone: NDArray[np.float32]) -> None:
    """Refuse an encoder that sees a frame otherwise alone than beside another, as batch normalisation in training does.

    A demonstration is embedded as a whole, an environment frame by frame: they would not be alike where they are.

    Args:
        beside: (n, dim) embeddings of frames, of one call.
        alone: (n, dim) of the same, of a call each.

    Raises:
        UserError: It does.
    """
    if np.linalg.norm(alone - beside, axis=1).max() > ROUNDED * np.linalg.norm(beside, axis=1).max():
        raise UserError(
            "the encoder embeds a frame otherwise alone than beside another, expected the same: if it is a network in "
            "training, call its .eval()"
        )
