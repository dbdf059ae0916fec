"""Pictures of an arm at any pose. Processes that only take them import this, and no network: they start at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from imitate.data.camera import Camera

from .kuka import Arm, Kuka


class Pictures:
    """Pictures of an arm of its own. It ends at the last pose that it was asked for."""

    def __init__(self, arm: Arm, camera: Camera, size: int) -> None:
        self._kuka, self._camera, self._size = Kuka(arm), camera, size

    def __call__(self, poses: NDArray[np.floating]) -> NDArray[np.uint8]:
        """Take one at each of ``poses`` (n, joints), rad: (n, size, size, 3)."""
        return self._kuka.film_at(poses, self._camera, self._size)

    def close(self) -> None:
        """Free the simulation. Doing so twice is fine."""
        self._kuka.close()
