"""Where an environment's pictures come from, and what of them an encoder is shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from imitate.data.video.display import middle
from imitate.errors import UserError

Picture = NDArray[np.uint8]
LARGEST = 4096  # pixels a side of what an encoder is shown
RENDERS = 'expected "rgb_array": make it with that'
PICTURES = "expected pictures (height, width, 3) uint8"


@dataclass(frozen=True)
class Frames:
    """Where an environment's pictures come from, and what of them is seen: the middle, scaled to the encoder's size.

    Attributes:
        key: Of the environment's observation, a Dict; None: they are what it renders.
        crop: (left, top, right, bottom), pixels: only that part of them, and of the demonstration. None: all.
        size: Pixels a side of what an encoder is shown that is a function; None: as many as there are. A trained one
            has its own.

    Raises:
        UserError: A crop that leaves nothing, or no size.
    """

    key: str | None = None
    crop: tuple[int, int, int, int] | None = None
    size: int | None = None

    def __post_init__(self) -> None:
        if self.size is not None and (not isinstance(self.size, int | np.integer) or not 1 <= self.size <= LARGEST):
            raise UserError(f"size is {self.size!r}, expected 1 to {LARGEST} pixels a side")
        if self.crop is None:
            return
        if len(self.crop) != 4 or not all(isinstance(edge, int | np.integer) for edge in self.crop):
            raise UserError(f"crop is {self.crop!r}, expected left, top, right and bottom, in pixels")
        left, top, right, bottom = self.crop
        if not (0 <= left < right and 0 <= top < bottom):
            raise UserError(f"crop is {self.crop!r}, expected 0 <= left < right and 0 <= top < bottom")
        object.__setattr__(self, "crop", tuple(map(int, self.crop)))  # of a list, or of NumPy's, too

    def check(self, env: Any, space: spaces.Space) -> None:
        """Refuse an environment without such pictures.

        Args:
            env: The environment, or a vector environment.
            space: What one environment observes.

        Raises:
            UserError: It renders none, or observes none under that key.
        """
        if self.key is None:
            if env.render_mode != "rgb_array":
                raise UserError(f"{env}: its render mode is {env.render_mode}, {RENDERS}")
        elif not isinstance(space, spaces.Dict) or self.key not in space.spaces:
            raise UserError(f"{env} observes no {self.key!r}, expected a Dict with the pictures under that key")

    def seen(self, pictures: Sequence[Any] | NDArray[Any], size: int, who: Any) -> Picture:
        """What an encoder is shown of pictures of any size, (n, size, size, 3) uint8.

        Args:
            pictures: (n, height, width, 3) uint8, or n pictures.
            size: Pixels a side.
            who: Took them, for the message.

        Raises:
            UserError: They are no pictures, or are cropped to more than there is.
        """
        return np.stack([self._seen(picture, size, who) for picture in pictures])

    def _seen(self, picture: Any, size: int, who: Any) -> Picture:
        picture = np.asarray(picture)
        if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8:
            found = "nothing" if picture.dtype == object else f"{picture.shape} {picture.dtype}"
            raise UserError(f"{who}: a picture of {found}, {PICTURES}")
        if self.crop is not None:
            left, top, right, bottom = self.crop
            height, width = picture.shape[:2]
            if right > width or bottom > height:
                raise UserError(f"{who}: pictures of {width}x{height}, expected those that hold the crop {self.crop}")
            picture = picture[top:bottom, left:right]
        return picture if picture.shape[:2] == (size, size) else middle(picture, size)


def check_frames(frames: Any) -> None:
    """Refuse what does not say where pictures come from, such as the name of a key.

    Raises:
        UserError: It is no ``Frames``.
    """
    if not isinstance(frames, Frames):
        raise UserError(f"frames of type {type(frames).__name__}, expected imitate.Frames")
