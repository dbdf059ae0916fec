"""What an encoder sees in a step of its training, and what is known of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

COPIED = 10_000  # frames at once


class Batch(NamedTuple):
    """Frames of a step, group after group: anchors, positives, and negatives where the objective has some.

    Attributes:
        frames: (groups * batch, height, width, 3) uint8, on the device of the encoder.
        groups: Of them.
        joints: (groups * batch, joints) rad; None: unknown.
        landmarks: (groups * batch, landmarks, 2) where the robot's parts are in the picture, from -1, its left and
            upper edge, to 1; NaN: this one is not there. None: unknown.
        taught: (batch, dim) embeddings that a teacher has of the same moments: one more group, for the objective; None:
            nobody teaches.
    """

    frames: torch.Tensor
    groups: int
    joints: NDArray[np.floating] | None = None
    landmarks: NDArray[np.floating] | None = None
    taught: torch.Tensor | None = None


def recorded(
    frames: NDArray[np.uint8],
    batches: Iterable[NDArray[np.int64]],
    device: torch.device,
    joints: NDArray[np.floating] | None = None,
) -> Iterator[Batch]:
    """Batches of recorded frames.

    Args:
        frames: (frames, height, width, 3) uint8; only the frames of a batch are read.
        batches: (groups, batch) indices of frames.
        device: Where they are wanted.
        joints: (frames, joints) rad.
    """
    read = reader(frames, device, _room(device))
    for indices in batches:
        rows = indices.ravel()
        yield Batch(read(rows), len(indices), None if joints is None else joints[rows])


def reader(frames: NDArray[np.uint8], device: torch.device, room: int) -> Callable[[NDArray[np.int64]], torch.Tensor]:
    """Return what reads frames by their indices onto a device.

    Args:
        frames: (frames, height, width, 3) uint8.
        device: Where they are wanted.
        room: Bytes that frames may take there. If all fit, they are copied once, and a batch never leaves the device.
    """
    if frames.nbytes > room:
        return lambda indices: torch.from_numpy(frames[indices]).to(device, non_blocking=True)
    there = torch.empty(frames.shape, dtype=torch.uint8, device=device)
    for first in range(0, len(frames), COPIED):
        there[first : first + COPIED] = torch.from_numpy(np.array(frames[first : first + COPIED]))
    return lambda indices: there[torch.from_numpy(indices).to(device)]


def _room(device: torch.device) -> int:
    """Half of what is free on a GPU. In main memory frames lie already: the system keeps what is read of a file."""
    return torch.cuda.mem_get_info(device)[0] // 2 if device.type == "cuda" else 0
