"""A film: what an arm exposes to a camera, developed many at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from imitate.data.camera import Camera

if TYPE_CHECKING:
    from .kuka import Kuka

DEVELOPED_BYTES = 2**24  # of pictures, as they were drawn or as they are kept, that are developed at once


class Film:
    """What ``Kuka.expose`` returns, one after the other, developed many at once but never more than memory holds.

    Args:
        kuka: That develops it.
        camera: That exposes it.
        size: Pixels a side of the frames.
        length: Frames.
    """

    def __init__(self, kuka: Kuka, camera: Camera, size: int, length: int) -> None:
        self._kuka, self._camera, self._size = kuka, camera, size
        self._frames = np.empty((length, size, size, 3), np.uint8)
        self._done = 0
        self._exposed: list[NDArray] = []

    def add(self, exposed: NDArray) -> None:
        """The next one."""
        self._exposed.append(exposed)
        if len(self._exposed) * max(exposed.nbytes, self._frames[0].nbytes) >= DEVELOPED_BYTES:
            self._develop()

    def frames(self) -> NDArray[np.uint8]:
        """All of them: (length, size, size, 3), uint8."""
        self._develop()
        return self._frames

    def _develop(self) -> None:
        if self._exposed:
            end = self._done + len(self._exposed)
            self._frames[self._done : end] = self._kuka.develop(self._exposed, self._camera, self._size)
            self._done = end
            self._exposed.clear()


def columns_of(names: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """What an arm of these joints records beside pictures, by the names of the entries: rad and rad/s; m; what it did.

    An action is what was done at a frame, in [-1, 1]: zero at the last.
    """
    velocities = tuple(f"{name}.velocity" for name in names)
    return {"observation.state": names + velocities, "observation.flange": ("x", "y", "z"), "action": names}
