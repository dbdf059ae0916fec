"""The decoded frames of a dataset, on disk as one memory-mapped array, built once.

Beside the array stands its digest: if it was damaged since, or is another array than the dataset holds, its frames are
decoded again. They are checked themselves.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imitate.data.lerobot.dataset import LeRobotDataset
from imitate.data.lerobot.images import Part
from imitate.errors import UserError, first_line
from imitate.keeping.lock import waited_for
from imitate.keeping.manifest import damage, facts_of, verified
from imitate.keeping.runs import read_json, write_json, written_aside

READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)


def decoded_frames(
    dataset: LeRobotDataset,
    camera: str,
    progress: Callable[[int], object] = lambda frames: None,
    image_size: int | None = None,
    cache: Path | None = None,
) -> NDArray[np.uint8]:
    """Return every frame of a dataset, decoding them the first time.

    Args:
        dataset: Of which the frames are.
        camera: Of which camera.
        progress: Called with the number of frames that were just decoded.
        image_size: Crop the middle of the frames and scale it to this, pixels a side; None leaves them as they are.
        cache: The folder to keep them in, which several datasets may share; None: ``cache`` in the dataset's own.

    Returns:
        (frames, size, size, 3) uint8, memory-mapped and read-only.

    Raises:
        UserError: A file is damaged, the frames are not square where they are to be left as they are, or the folder
            can't be written.
    """
    verified(dataset.folder)
    size = image_size or dataset.image_size(camera)
    shape = (int(dataset.lengths.sum()), size, size, 3)
    name = f"{camera}@{image_size}" if image_size else camera
    path = (cache or dataset.folder / "cache") / f"{_owner(dataset, cache)}{name}-{_fingerprint(dataset, camera)}.npy"
    if _wrong(path, shape):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with waited_for(path.parent):  # two networks may be trained on one dataset at a time
                wrong = _wrong(path, shape)
                if wrong and path.is_file():
                    print(f"imitate: {path} is damaged ({wrong}): decoding the frames again", file=sys.stderr)
                if wrong:
                    parts = dataset.parts(camera, range(len(dataset)), image_size)
                    _decode_all(dataset.folder, path, shape, parts, progress)
        except OSError as error:
            if cache is not None or error.errno not in READ_ONLY:
                raise
            raise UserError(
                f"{dataset.folder}: its frames can't be kept there when they are decoded ({error.strerror}): name a "
                "folder for them with --cache"
            ) from None
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
    folder: Path, path: Path, shape: tuple[int, ...], parts: list[Part], progress: Callable[[int], object]
) -> None:
    for stale in path.parent.glob(f"{path.stem[:-16]}{16 * '[0-9a-f]'}.*"):
        stale.unlink()
    with written_aside(path) as aside:
        frames = np.lib.format.open_memmap(aside, "w+", np.uint8, shape)
        if hasattr(os, "posix_fallocate"):  # a full disk shows now: once the file is mapped, it kills the process
            with aside.open("rb+") as file:
                os.posix_fallocate(file.fileno(), 0, aside.stat().st_size)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for count in pool.map(lambda part: _decode(folder, frames, part), parts):
                progress(count)
        frames.flush()
        facts = facts_of(aside)
    write_json(path.with_suffix(".json"), facts)


def _decode(folder: Path, frames: NDArray[np.uint8], part: Part) -> int:
    count = 0
    for rows, pictures in part():
        if pictures.shape[1:] != frames.shape[1:]:
            raise UserError(
                f"{folder}: frames of {pictures.shape[1:]}, expected the {frames.shape[1:]} of its features"
            )
        frames[rows] = pictures
        count += len(rows)
    return count


def _owner(dataset: LeRobotDataset, cache: Path | None) -> str:
    """What tells the frames of a dataset from those of others in a folder that they share."""
    if cache is None:
        return ""
    folder = os.path.realpath(dataset.folder)
    return f"{re.sub(r'[^A-Za-z0-9.-]', '-', Path(folder).name)}-{hashlib.sha256(folder.encode()).hexdigest()[:8]}-"


def _fingerprint(dataset: LeRobotDataset, camera: str) -> str:
    """Changes with the pictures: their files' names, sizes and times of writing, and where each stands in them."""
    facts: list[object] = [dataset.picture_key(camera), dataset.lengths.tolist(), dataset.places.numbers.tolist()]
    for path, episodes in dataset.picture_files(camera).items():
        try:
            facts.append((path.name, path.stat().st_size, path.stat().st_mtime_ns, episodes))
        except FileNotFoundError:
            raise UserError(f"{path}: no such file: record it again, or fetch all of the dataset") from None
    digest = hashlib.sha256(repr(facts).encode())
    digest.update(dataset.times(camera, range(len(dataset))).tobytes())
    return digest.hexdigest()[:16]
