"""A teacher: an encoder that sees the robot in the plain scene, of which another learns what there is to be seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from imitate.data.camera import Camera
from imitate.embedding.trained_encoder import TrainedEncoder, load_encoder
from imitate.envs.kuka import ASSETS, Arm, body_of
from imitate.envs.rendering.rasteriser import Rasteriser
from imitate.errors import UserError
from imitate.keeping.manifest import sha256


class Teacher:
    """It says how it would embed the plain frame of a pose.

    Args:
        folder: Of the encoder; None: that which comes with the package.
        arm: That it sees.
        camera: That filmed what it knows.
        dim: Of the embeddings that are wanted.
        device: That it computes on.

    Attributes:
        encoder: It itself.
        sha256: Of its weights.

    Raises:
        UserError: It knows another camera or arm, or its embeddings are of another dim.
    """

    def __init__(self, folder: Path | None, arm: Arm, camera: Camera, dim: int, device: torch.device) -> None:
        folder = folder or ASSETS / "encoder"
        self.encoder: TrainedEncoder = load_encoder(folder, device)
        self.sha256 = sha256(folder / "encoder.safetensors")
        if self.encoder.dim != dim:
            raise UserError(f"teacher {folder}: its dim is {self.encoder.dim}, expected {dim}")
        try:
            self.encoder.check_camera(camera, self.encoder.image_size)
            self.encoder.check_arm(arm)
        except UserError as error:
            raise UserError(f"teacher {folder}: {error}") from None
        self._rasteriser = Rasteriser(body_of(arm.file), threads=1)

    def draw(self, poses: NDArray[np.floating]) -> NDArray[np.uint8]:
        """Plain frames (n, size, size, 3) of poses (n, joints), rad, as it knows them."""
        return self._rasteriser.draw(poses, self.encoder.camera, self.encoder.image_size)

    def embed(self, frames: NDArray[np.uint8]) -> torch.Tensor:
        """Its embeddings (n, dim) of what it drew, on its device."""
        return torch.from_numpy(self.encoder.embed(frames)).to(self.encoder.device)
