"""The paper's encoder: the first layers of Inception-v3, and a spatial softmax on top.

The trunk is written here, rather than taken from torchvision, so that neither torchvision nor a download is
needed; its parameters bear torchvision's names, so that torchvision's ImageNet ``state_dict`` loads.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional

from imitate.embedding.encoders.layers import SpatialSoftmax, conv_bn, on_sphere
from imitate.errors import UserError, first_line

TRUNK = (
    "Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "Conv2d_3b_1x1", "Conv2d_4a_3x3",
    "Mixed_5b", "Mixed_5c", "Mixed_5d",
)  # fmt: skip
SMALLEST = 75  # pixels a side that Inception-v3 takes


class BasicConv(nn.Module):
    """Convolution, batch normalisation, ReLU (torchvision's ``BasicConv2d``)."""

    def __init__(self, channels_in: int, channels: int, kernel: int, stride: int = 1, padding: int = 0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(channels, eps=0.001)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (batch, channels_in, h, w) to (batch, channels, h', w')."""
        return functional.relu(self.bn(self.conv(x)), inplace=True)


class InceptionA(nn.Module):
    """Four branches side by side (figure 5 of Szegedy et al., 2016)."""

    def __init__(self, channels_in: int, pool_channels: int) -> None:
        super().__init__()
        self.branch1x1 = BasicConv(channels_in, 64, 1)
        self.branch5x5_1 = BasicConv(channels_in, 48, 1)
        self.branch5x5_2 = BasicConv(48, 64, 5, padding=2)
        self.branch3x3dbl_1 = BasicConv(channels_in, 64, 1)
        self.branch3x3dbl_2 = BasicConv(64, 96, 3, padding=1)
        self.branch3x3dbl_3 = BasicConv(96, 96, 3, padding=1)
        self.branch_pool = BasicConv(channels_in, pool_channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (batch, channels_in, h, w) to (batch, 224 + pool_channels, h, w)."""
        pooled = functional.avg_pool2d(x, kernel_size=3, stride=1, padding=1)
        branches = [
            self.branch1x1(x),
            self.branch5x5_2(self.branch5x5_1(x)),
            self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x))),
            self.branch_pool(pooled),
        ]
        return torch.cat(branches, dim=1)


class InceptionEncoder(nn.Module):
    """Inception-v3 up to Mixed_5d, two convolutions, spatial softmax, two fully connected layers.

    Section III.A of the paper. Trained on 299x299 pixels there.

    Args:
        image_size: Pixels a side, at least 75.
        dim: Of the embedding.
    """

    def __init__(self, image_size: int = 299, dim: int = 32) -> None:
        super().__init__()
        if image_size < SMALLEST:
            raise UserError(f"the inception encoder takes images of at least {SMALLEST} pixels, got {image_size}")
        self.Conv2d_1a_3x3 = BasicConv(3, 32, 3, stride=2)
        self.Conv2d_2a_3x3 = BasicConv(32, 32, 3)
        self.Conv2d_2b_3x3 = BasicConv(32, 64, 3, padding=1)
        self.Conv2d_3b_1x1 = BasicConv(64, 80, 1)
        self.Conv2d_4a_3x3 = BasicConv(80, 192, 3)
        self.Mixed_5b = InceptionA(192, pool_channels=32)
        self.Mixed_5c = InceptionA(256, pool_channels=64)
        self.Mixed_5d = InceptionA(288, pool_channels=64)
        self.convolutions = nn.Sequential(conv_bn(288, 100, 3, 1), conv_bn(100, 20, 3, 1))
        self.positions = SpatialSoftmax()
        self.head = nn.Sequential(nn.Linear(40, 100), nn.ReLU(inplace=True), nn.Linear(100, dim))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map (batch, 3, size, size) in [-1, 1] to (batch, dim) of norm 10."""
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(images)))
        x = functional.max_pool2d(x, kernel_size=3, stride=2)
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x))
        x = functional.max_pool2d(x, kernel_size=3, stride=2)
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(x)))
        features = self.positions(self.convolutions(x))
        return on_sphere(self.head(features))

    def load_imagenet(self, path: Path) -> None:
        """Load the trunk from torchvision's ``inception_v3`` weights.

        Args:
            path: A ``state_dict`` saved by ``torch.save`` (torchvision's own file) or as safetensors. Code in
                the file is never run.

        Raises:
            UserError: It can't be read, or lacks a parameter of the trunk.
        """
        if not path.is_file():
            raise UserError(f"{path}: no such weights file")
        try:
            if path.suffix == ".safetensors":
                state = load_file(path)
            else:
                state = torch.load(path, map_location="cpu", weights_only=True)
            trunk = {key: value for key, value in state.items() if key.split(".")[0] in TRUNK}
        except Exception as error:  # whatever a damaged or hostile file makes the readers raise
            raise UserError(f"{path}: not a readable state_dict ({first_line(error)})") from None
        own = {key for key in self.state_dict() if key.split(".")[0] in TRUNK}
        missing = sorted(key for key in own - set(trunk) if not key.endswith("num_batches_tracked"))
        if missing:
            raise UserError(f"{path}: lacks {len(missing)} parameters of Inception-v3, such as {missing[0]}")
        try:
            self.load_state_dict(trunk, strict=False)
        except RuntimeError as error:
            raise UserError(f"{path}: {str(error).splitlines()[-1].strip()}") from None
