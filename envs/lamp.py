"""The lamp of a room: from where it shines on an arm, as far as what is seen of the arm shows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from imitate.data.camera import Camera
from imitate.data.viewpoint import from_polar, vector_of

from .rendering.rasteriser import Rasteriser
from .scenes.light import Light
from .scenes.scene import PLAIN, Scene

HEIGHTS, APART = (15.0, 40.0, 65.0), 30.0  # degrees above ground of lamps that are tried, and from one to the next
NEARER = (12.0, 5.0)  # degrees that then are tried from the best, to all sides
SHARES = np.linspace(0.0, 0.9, 10)  # of all light that falls on what faces it, that the lamp may have
CLEARER = 0.7  # of the squares that are left: it is another lamp than in the plain scene if it leaves less
WHITE = 255.0


class Tried(NamedTuple):
    """A light, and what squares are left between what is seen and what would be."""

    left: float
    light: Light


@dataclass(frozen=True, eq=False)
class Surfaces:
    """What is seen of an arm, pixel by pixel.

    Attributes:
        white: Draws it in white.
        poses: (n, joints) that it is seen at, rad.
        camera: That sees it.
        where: (n, size, size) pixels in which one link is seen.
        links: (pixels,) which.
        seen: (pixels, 3) what is seen there.
        own: (pixels, 3) what the arm's colours would be in white light.
    """

    white: Rasteriser
    poses: NDArray[np.floating]
    camera: Camera
    where: NDArray[np.bool]
    links: NDArray[np.integer]
    seen: NDArray[np.floating]
    own: NDArray[np.floating]

    def lamp(self) -> Light:
        """Find the lamp, whatever colour each link may have: in a link, brighter and darker places tell (Lambert)."""
        usual = PLAIN.light
        if not len(self.links):
            return usual
        before = self._left(usual.direction, np.array([usual.strength / (usual.strength + usual.ambient_strength)]))
        best = self._tried(*_everywhere())
        for degrees in NEARER:
            best = self._tried(best.light.direction, *_about(best.light.direction, degrees))
        return best.light if best.left < CLEARER * before.left else usual

    def _tried(self, *directions: tuple[float, float, float]) -> Tried:
        return min((self._left(direction, SHARES) for direction in directions), key=lambda tried: tried.left)

    def _left(self, direction: tuple[float, float, float], shares: NDArray[np.floating]) -> Tried:
        """The best light of those from a direction, of which the lamp has some share."""
        lit = Scene("lit", light=replace(PLAIN.light, direction=direction, strength=1.0, ambient_strength=0.0))
        facing = self.white.draw(self.poses, self.camera, self.where.shape[1], (lit,))[self.where][:, 0] / WHITE
        squares = [self._squares(1 - share + share * facing) for share in shares]
        share = float(shares[int(np.argmin(squares))])
        light = replace(PLAIN.light, direction=direction, strength=share, ambient_strength=1 - share)
        return Tried(min(squares), light)

    def _squares(self, shade: NDArray[np.floating]) -> float:
        """What is left if each link is as bright, in each colour, as serves best."""
        expected = self.own * shade[:, None]
        count = int(self.links.max()) + 1
        both, square = (
            np.stack([np.bincount(self.links, of[:, k], count) for k in range(3)], axis=1)
            for of in (expected * self.seen, expected**2)
        )
        return float((self.seen**2).sum() - (both**2 / np.maximum(square, 1e-9)).sum())


def _everywhere() -> Iterator[tuple[float, float, float]]:
    """Directions all over the sky."""
    yield 0.0, 0.0, 1.0
    for height in np.radians(HEIGHTS):
        for azimuth in np.radians(np.arange(0.0, 360.0, APART / np.cos(height))):
            yield vector_of(from_polar(float(azimuth), float(height), 1.0))


def _about(direction: tuple[float, float, float], degrees: float) -> Iterator[tuple[float, float, float]]:
    """Directions so many degrees from one, above ground."""
    own = np.array(direction)
    across = np.cross(own, [0.0, 0.0, 1.0] if abs(own[2]) < 0.9 else [1.0, 0.0, 0.0])
    across /= np.linalg.norm(across)
    for angle in np.arange(0.0, 2 * np.pi, np.pi / 4):
        to = own + np.tan(np.radians(degrees)) * (np.cos(angle) * across + np.sin(angle) * np.cross(own, across))
        if to[2] > np.sin(np.radians(HEIGHTS[0] / 2)) * np.linalg.norm(to):
            yield vector_of(to / np.linalg.norm(to))
