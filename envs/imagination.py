"""What the robot would see of itself."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from imitate.checkpoint import TrainedEncoder

from .kuka import Arm, Kuka


class Imagination:
    """Embeddings of the robot's own picture at any pose: it moves an arm of its own, which nobody else sees.

    Args:
        encoder: That embeds the pictures; its camera takes them.
        arm: One of ``ARMS``, or an arm of your own.

    Raises:
        UserError: An unknown arm, or a camera that cannot be had here.
    """

    def __init__(self, encoder: TrainedEncoder, arm: str | Arm = "iiwa") -> None:
        self._encoder, self._kuka = encoder, Kuka(arm)
        self._kuka.check_pictures(encoder.camera, encoder.image_size)

    def __call__(self, poses: NDArray[np.floating]) -> NDArray[np.float32]:
        """Embed what is seen at ``poses`` (n, joints), rad, as (n, dim)."""
        frames = []
        for pose in poses:
            self._kuka.reset(pose)
            frames.append(self._kuka.film(self._encoder.camera, self._encoder.image_size))
        return self._encoder.embed(np.stack(frames))

    def close(self) -> None:
        """Free the simulation. Doing so twice is fine."""
        self._kuka.close()
