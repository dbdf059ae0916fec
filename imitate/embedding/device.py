"""Where and in which precision networks run."""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch

from imitate.errors import UserError

DEVICES = ("auto", "cpu", "cuda")


def pick_device(name: str = "auto") -> torch.device:
    """The device of that name; ``auto`` is a GPU when there is one.

    Raises:
        UserError: Unknown name, or there is no GPU.
    """
    if name not in DEVICES:
        raise UserError(f"unknown device {name!r}: choose one of {', '.join(DEVICES)}")
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("device 'cuda': PyTorch finds no GPU here: use --device auto or --device cpu")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def mixed_precision(device: torch.device) -> AbstractContextManager:
    """Autocast to bfloat16 where the device computes in it faster than in float32, else change nothing.

    bfloat16 has the range of float32, so that no gradient scaling is needed.
    """
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        fast = torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return torch.autocast(device.type, torch.bfloat16, enabled=fast)
