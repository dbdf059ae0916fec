"""Where in the demonstrations environments are that know nothing of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imitate.errors import UserError
from imitate.reward.batches import Rows
from imitate.reward.contract import FOLLOWED

DRAWS = 0xD3  # what draws of demonstrations are told apart by from those of environments of the same seed


class Playback:
    """Which demonstration each of n environments follows, and at which frame of it it is.

    Args:
        lengths: Frames of each demonstration.
        number: n.

    Attributes:
        demonstration: (n,) indices.
        frame: (n,) that the last step was compared with.
        aim: (n,) that the next one is.
    """

    def __init__(self, lengths: Sequence[int], number: int) -> None:
        self._lengths = np.array(lengths)
        self._number = number
        self._rng = np.random.default_rng()
        self.demonstration, self.frame, self.aim = np.zeros((3, number), np.int64)

    def seed(self, seeds: Sequence[int | None]) -> None:
        """Of the draws to come, which have nothing to do with those of environments of these seeds. None: no change."""
        if known := [seed for seed in seeds if seed is not None]:
            self._rng = np.random.default_rng([*known, DRAWS])

    def begin(self, rows: Rows, chosen: Any = None) -> None:
        """Begin a demonstration in these rows (n,): the one that is chosen, or one each of theirs, or drawn.

        Raises:
            UserError: There is none of that index.
        """
        most = len(self._lengths) - 1
        if chosen is not None:
            indices = np.asarray(chosen)
            if indices.shape not in ((), (self._number,)):
                raise UserError(f"demonstration {chosen!r}, expected one index, or one each of {self._number}")
            if indices.dtype.kind not in "iu" or not (indices.min() >= 0 and indices.max() <= most):
                raise UserError(f"no demonstration {chosen!r}, expected 0 to {most}")
            self.demonstration[rows] = np.broadcast_to(indices, rows.shape)[rows]
        else:
            self.demonstration[rows] = self._rng.integers(most + 1, size=int(rows.sum()))
        self.frame[rows], self.aim[rows] = 0, 1

    def advance(self) -> None:
        """A step of all."""
        self.frame, self.aim = self.aim.copy(), self.aim + 1

    def aim_at(self, frames: NDArray[np.int64]) -> None:
        """Compare the next step with these frames (n,)."""
        self.aim = np.clip(frames, 0, self._lengths[self.demonstration] - 1)

    @property
    def ended(self) -> Rows:
        """(n,) whether that was the last frame."""
        return self.frame >= self._lengths[self.demonstration] - 1

    def infos(self) -> dict[str, NDArray[np.int64]]:
        """What is to be told of it, (n,) each."""
        return dict(zip(FOLLOWED, (self.demonstration.copy(), self.frame.copy()), strict=True))
