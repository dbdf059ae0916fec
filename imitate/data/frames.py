"""The decoded frames of a dataset, on disk as one memory-mapped array, built once.

Beside the array stands its digest: if it was damaged since, or is another array than the videos hold, these are decoded
again. They are checked themselves.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imitate.data.lerobot import LeRobotDataset
from imitate.errors import UserError, first_line
from imitate.manifest import damage, facts_of, verified
from imitate.runs import read_json, write_json, written_aside
from imitate.video import read_video


def decoded_frames(
    dataset: LeRobotDataset,
    camera: str,
    progress: Callable[[int], object] = lambda frames: None,
    image_size: int | None = None,
) -> NDArray[np.uint8]:
    """Return every frame of a dataset, decoding the videos the first time.

    Args:
        dataset: Of which the frames are.
        camera: Of which camera.
        progress: Called with the number of frames that were just decoded.
        image_size: Crop the middle of the frames and scale it to this, pixels a side; None leaves them as they are.

    Returns:
        (frames, size, size, 3) uint8, memory-mapped and read-only.

    Raises:
        UserError: A video is damaged, or not square where it is to be left as it is.
    """
    verified(dataset.folder)
    files = dataset.video_files(camera)
    size = image_size or dataset.image_size(camera)
    shape = (int(dataset.lengths.sum()), size, size, 3)
    name = f"{camera}-{image_size}" if image_size else camera
    path = dataset.folder / "cache" / f"{name}-{_fingerprint([p for p, _ in files])}.npy"
    if not _is_whole(path, shape):
        for stale in path.parent.glob(f"{name}-{16 * '[0-9a-f]'}.*"):
            stale.unlink()
        with written_aside(path) as aside:
            frames = np.lib.format.open_memmap(aside, "w+", np.uint8, shape)
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                for count in pool.map(lambda item: _decode(dataset, frames, image_size, *item), files):
                    progress(count)
            frames.flush()
            del frames
            facts = facts_of(aside)
        write_json(path.with_suffix(".json"), facts)
    return np.load(path, mmap_mode="r", allow_pickle=False)


def _is_whole(path: Path, shape: tuple[int, ...]) -> bool:
    """Whether the array is there, and is what was decoded."""
    if not path.is_file() or not path.with_suffix(".json").is_file():
        return False
    try:
        wrong = damage(path, read_json(path.with_suffix(".json")))
        if not wrong:
            kept = np.load(path, mmap_mode="r", allow_pickle=False)
            wrong = None if (kept.shape, kept.dtype) == (shape, np.uint8) else "another array"
    except (OSError, ValueError, LookupError, TypeError, AttributeError, EOFError) as error:
        wrong = first_line(error)
    if wrong:
        print(f"imitate: {path} is damaged ({wrong}): decoding the videos again", file=sys.stderr)
    return not wrong


def _decode(
    dataset: LeRobotDataset, frames: NDArray[np.uint8], image_size: int | None, path: Path, episodes: list[int]
) -> int:
    decoded, _ = read_video(path, image_size)
    first, end = dataset.starts[episodes[0]], dataset.starts[episodes[-1] + 1]
    if decoded.shape != (end - first, *frames.shape[1:]):
        raise UserError(f"{path}: frames {decoded.shape}, expected {(end - first, *frames.shape[1:])}: record it again")
    frames[first:end] = decoded
    return len(decoded)


def _fingerprint(paths: list[Path]) -> str:
    """Changes with the videos: their names, sizes and times of writing."""
    try:
        facts = [(str(p.name), p.stat().st_size, p.stat().st_mtime_ns) for p in paths]
    except FileNotFoundError as error:
        raise UserError(f"{error.filename}: no such video file: record it again") from None
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]
