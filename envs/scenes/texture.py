"""Patterns of colours: of a floor, of a table, of a background."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imitate.errors import SEED, UserError, check_bounds, choose, first_line

Colour = tuple[float, float, float]
Stamp = tuple[str, int, int]  # of a file: its place, when it was changed, and its size
Floats = NDArray[np.float64]

LATTICE, OCTAVES = 64, 4  # numbers a side of what noise is made of, and how often it is laid over itself
RINGS = 6.0  # of a board, a period
PICTURE_SIDE = 1024  # pixels: a larger picture is made smaller


@dataclass(frozen=True)
class Texture:
    """Colours of a plane: of a background, which is as high as the picture, from its lower left corner on.

    Attributes:
        kind: One of ``TEXTURES``.
        first: Red, green and blue, 0 to 1.
        second: What the pattern goes over into.
        period: How far apart what repeats itself is, m; of a background, in heights of the picture.
        turned: About the plane's normal, rad.
        seed: Of what is random in it.
        file: Of a picture, PNG or JPEG, which repeats itself too. It is read when it is drawn.

    Raises:
        UserError: An unknown kind, or what is no colour or no length.
    """

    kind: str = "plain"
    first: Colour = (1.0, 1.0, 1.0)
    second: Colour = (0.5, 0.5, 0.5)
    period: float = 1.0
    turned: float = 0.0
    seed: int = 0
    file: str = ""

    def __post_init__(self) -> None:
        for name in ("kind", "file"):
            if not isinstance(value := getattr(self, name), str) or "\0" in value:
                raise UserError(f"texture's {name} is {value!r}, expected a text")
        choose(TEXTURES, self.kind, "texture")
        check_colours(first=self.first, second=self.second)
        check_bounds(self, "texture's ", period=(1e-3, 1e3), turned=(-100.0, 100.0), seed=SEED)
        if (self.kind == "picture") != bool(self.file):
            raise UserError(f"texture {self.kind!r} of file {self.file!r}: expected a picture and its file, or neither")

    def at(self, points: Floats) -> Floats:
        """Colours (n, 3), 0 to 1, at points (n, 2) of the plane.

        Raises:
            UserError: A picture is missing, or can't be read.
        """
        c, s = np.cos(self.turned), np.sin(self.turned)
        turned = points @ np.array([[c, -s], [s, c]]) / self.period
        if self.kind == "picture":
            return _picture(turned, self.file)
        share = TEXTURES[self.kind](turned, self.seed)[:, None]
        return (1 - share) * np.array(self.first) + share * np.array(self.second)


def check_vector(name: str, vector: tuple[float, ...], length: int) -> None:
    """Refuse what is no vector of that length.

    Raises:
        UserError: It is none; the message has its name.
    """
    if not isinstance(vector, tuple) or len(vector) != length or not all(isinstance(x, int | float) for x in vector):
        raise UserError(f"{name} is {vector!r}, expected a tuple of {length} numbers")


def check_colours(**colours: Colour) -> None:
    """Refuse what is no colour.

    Raises:
        UserError: One is none; the message has its name.
    """
    for name, colour in colours.items():
        shares = colour if isinstance(colour, tuple) and len(colour) == 3 else (None,)
        if not all(isinstance(share, int | float) and 0 <= share <= 1 for share in shares):
            raise UserError(f"colour {name} is {colour!r}, expected a tuple of red, green and blue, each 0 to 1")


def _plain(points: Floats, seed: int) -> Floats:
    return np.zeros(len(points))


def _gradient(points: Floats, seed: int) -> Floats:
    """There, and in the next period back."""
    return 1.0 - np.abs(1.0 - points[:, 1] % 2.0)


def _checker(points: Floats, seed: int) -> Floats:
    return np.floor(2 * points).sum(axis=1) % 2


def _stripes(points: Floats, seed: int) -> Floats:
    return np.floor(2 * points[:, 0]) % 2


def _noise(points: Floats, seed: int) -> Floats:
    """Value noise, laid over itself at twice the frequency and half the height each time (Perlin, 1985)."""
    from scipy import ndimage  # which takes a tenth of a second, and plain scenes have no noise

    lattice = np.random.default_rng(seed).random((LATTICE, LATTICE))
    total = np.zeros(len(points))
    for octave in range(OCTAVES):
        where = (points * 2**octave).T
        total += ndimage.map_coordinates(lattice, where, order=1, mode="grid-wrap") / 2 ** (octave + 1)
    return np.clip((total - 0.2) / 0.6, 0.0, 1.0)


def _wood(points: Floats, seed: int) -> Floats:
    """Rings of a trunk, cut along it: stripes that wander."""
    rings = RINGS * points[:, 0] + 2 * _noise(points * (0.5, 0.1), seed)
    return 0.5 - 0.5 * np.cos(2 * np.pi * rings)


TEXTURES: dict[str, Callable[[Floats, int], Floats]] = {
    "checker": _checker,
    "gradient": _gradient,
    "noise": _noise,
    "picture": _plain,  # whose colours stand in its file
    "plain": _plain,
    "stripes": _stripes,
    "wood": _wood,
}


def _picture(points: Floats, file: str) -> Floats:
    """Colours of a picture whose height is 1, its lower left corner at the origin."""
    pixels = _pixels(file)
    height = len(pixels)
    columns = np.floor(points[:, 0] * height).astype(int) % pixels.shape[1]
    rows = (height - 1 - np.floor(points[:, 1] * height)).astype(int) % height
    return pixels[rows, columns] / 255.0


def _pixels(file: str) -> NDArray[np.uint8]:
    return _read(*stamp(file))


def stamp(file: str) -> Stamp:
    """What tells that a file has changed.

    Raises:
        UserError: There is none.
    """
    try:
        path = Path(file).resolve()
        facts = path.stat()
        if not path.is_file():
            raise FileNotFoundError
    except OSError:
        raise UserError(f"{file}: no such picture, expected a PNG or JPEG file for a texture") from None
    return str(path), facts.st_mtime_ns, facts.st_size


@lru_cache(maxsize=16)
def _read(file: str, changed: int, size: int) -> NDArray[np.uint8]:
    """The pixels of a file, (height, width, 3), as long as it is the same."""
    try:
        with Image.open(file, formats=("PNG", "JPEG")) as picture:
            if picture.mode.startswith(("I", "F")):
                raise ValueError("16 bits a colour, expected 8")
            if picture.has_transparency_data and np.asarray(picture.convert("RGBA"))[..., 3].min() < 255:
                raise ValueError("parts of it are transparent")
            picture.thumbnail((PICTURE_SIDE, PICTURE_SIDE))
            return np.asarray(picture.convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UserError(f"{file}: not a PNG or JPEG picture that can be read ({first_line(error)})") from None
