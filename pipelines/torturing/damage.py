"""What happens to bytes: cut, flipped, wiped, mixed up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

Damage = Callable[[bytes, np.random.Generator], bytes | None]  # to None where the file is gone


def flipped(content: bytes, rng: np.random.Generator) -> bytes:
    """One bit is another."""
    changed = bytearray(content)
    changed[rng.integers(len(changed))] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def truncated(content: bytes, rng: np.random.Generator) -> bytes:
    """The end is missing."""
    return content[: rng.integers(len(content))]


def wiped(content: bytes, rng: np.random.Generator) -> bytes:
    """A part is zeros, or ones where it was zeros: a block of the disk that was never written."""
    first = int(rng.integers(len(content)))
    end = first + int(rng.integers(1, 512))
    part = content[first:end]
    return content[:first] + (bytes(len(part)) if any(part) else b"\xff" * len(part)) + content[end:]


def lengthened(content: bytes, rng: np.random.Generator) -> bytes:
    """There is more at the end."""
    return content + rng.bytes(int(rng.integers(1, 512)))


def doubled(content: bytes, rng: np.random.Generator) -> bytes:
    """A part stands there twice."""
    end = int(rng.integers(1, len(content) + 1))
    return content[:end] + content[int(rng.integers(end)) :]


def missing(content: bytes, rng: np.random.Generator) -> None:
    """The file is gone."""


BYTES: tuple[Damage, ...] = (flipped, truncated, wiped, lengthened, doubled)


def draw(choices: tuple[Damage, ...], rng: np.random.Generator) -> Damage:
    """One of them."""
    return choices[int(rng.integers(len(choices)))]


@contextmanager
def written(path: Path, content: bytes | None) -> Iterator[None]:
    """Put other content in a file's place for a while; None: no file."""
    before = path.read_bytes()
    try:
        if content is None:
            path.unlink()
        else:
            path.write_bytes(content)
        yield
    finally:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(before)
