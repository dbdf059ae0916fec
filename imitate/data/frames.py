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
from imitate.lock import waited_for
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
    if _wrong(path, shape):
        path.parent.mkdir(exist_ok=True)
        with waited_for(path.parent):  # two networks may be trained on one dataset at a time
            wrong = _wrong(path, shape)
            if wrong and path.is_file():
                print(f"imitate: {path} is damaged ({wrong}): decoding the videos again", file=sys.stderr)
            if wrong:
                _decode_all(dataset, path, shape, files, image_size, progress)
    return np.load(path, mmap_mode="r", allow_pickle=False)


def _wrong(path: Path, shape: tuple[int, ...]) -> str | None:
    """In what the array is not what was decoded; None if it is."""
    if not path.is_file() or not path.with_suffix(".json").is_file():
        return "missing, or without its digest"
    try:
        wrong = damage(path, read_json(path.with_suffix(".json")))
        if not wrong:
            kept = np.load(path, mmap_mode="r", allow_pickle=False)
            wrong = None if (kept.shape, kept.dtype) == (shape, np.uint8) else "another array"
    except (OSError, ValueError, LookupError, TypeError, AttributeError, EOFError) as error:
        wrong = first_line(error)
    return wrong


def _decode_all(
    dataset: LeRobotDataset,
    path: Path,
    shape: tuple[int, ...],
    files: list[tuple[Path, list[int]]],
    image_size: int | None,
    progress: Callable[[int], object],
) -> None:
    for stale in path.parent.glob(f"{path.stem[:-16]}{16 * '[0-9a-f]'}.*"):
        stale.unlink()
    with written_aside(path) as aside:
        frames = np.lib.format.open_memmap(aside, "w+", np.uint8, shape)
        if hasattr(os, "posix_fallocate"):  # a full disk shows now: once the file is mapped, it kills the process
            with aside.open("rb+") as file:
                os.posix_fallocate(file.fileno(), 0, aside.stat().st_size)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for count in pool.map(lambda item: _decode(dataset, frames, image_size, *item), files):
                progress(count)
        frames.flush()
        facts = facts_of(aside)
    write_json(path.with_suffix(".json"), facts)


def _decode(
    dataset: LeRobotDataset, frames: NDArray[np.uint8], image_size: int | None, path: Path, episodes: list[int]
) -> int:
    decoded = read_video(path, image_size).frames
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
