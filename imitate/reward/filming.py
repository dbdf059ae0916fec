"""Pictures of an environment as an encoder sees them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector import SyncVectorEnv

from imitate.errors import UserError
from imitate.reward.batches import Rows
from imitate.reward.frames import PICTURES, Frames, Picture

SLACK = 0.02  # of the shape of pictures that are scaled
BLANK = 1000  # pictures on end that show nothing: more than anything is out of sight


@dataclass(frozen=True)
class Sample:
    """Pictures that are to show the same part of the world as others.

    Attributes:
        name: What they are called.
        height: Pixels.
        width: Pixels.
        exact: Whether the others must be of the same size, and not only of the same shape.
        seen: Whether, if they are of the encoder's size, they may be what it sees already, as those of a recording of
            its own are, of whatever shape they were before.
    """

    name: str
    height: int
    width: int
    exact: bool = False
    seen: bool = False


class Filming:
    """Pictures of an environment, or of a vector environment, all of one size.

    Args:
        env: That is filmed.
        space: What one environment observes.
        frames: Where the pictures come from.
        size: Pixels a side of what an encoder sees.
        samples: Other pictures, which are to show the same part of the world.

    Attributes:
        frames: Where the pictures come from.
        size: Pixels a side of what an encoder sees.
        shape: Height and width of the pictures, before anything is cropped; empty, until there was one.

    Raises:
        UserError: It renders none, or observes none.
    """

    def __init__(
        self, env: Any, space: spaces.Space, frames: Frames, size: int, samples: tuple[Sample, ...] = ()
    ) -> None:
        frames.check(env, space)
        self.frames = frames
        self.size = size
        self._env, self._samples = env, samples
        self.shape: tuple[int, ...] = ()
        self._blank = np.zeros(getattr(env, "num_envs", 1), np.int64)  # pictures of one colour on end, of each

    def one(self, observation: Any) -> Picture:
        """(size, size, 3) uint8 of what is observed now, or as it looks now."""
        return self.develop([self._taken(observation)])[0]

    def all(self, observation: Any) -> Picture:
        """(num_envs, size, size, 3) uint8 of a batch, or as all look now."""
        return self.develop(self._taken(observation))

    def some(self, observation: Any, rows: Rows) -> Picture:
        """(n, size, size, 3) uint8 of these rows of a batch, or as these look now."""
        core = self._env.unwrapped
        if self.frames.key is None and isinstance(core, SyncVectorEnv):
            return self.develop([rendered(env) for env, wanted in zip(core.envs, rows, strict=True) if wanted], rows)
        taken = self._taken(observation)
        return self.develop([picture for picture, wanted in zip(taken, rows, strict=True) if wanted], rows)

    def develop(self, pictures: Any, rows: Rows | None = None) -> Picture:
        """(n, size, size, 3) uint8 of n pictures, of these rows (num_envs,) of environments, or of all.

        Raises:
            UserError: They are none, of another size than the first, or show another part of the world than samples.
        """
        if pictures is None:
            raise UserError(f"{self._env} renders nothing, {PICTURES}")
        seen = self.frames.seen(pictures, self.size, self._env)
        self._check_blank(seen, rows)
        shapes = {np.shape(picture)[:2] for picture in pictures}
        if not self.shape:
            self.shape = next(iter(shapes))
            self._compare()
        if wrong := shapes - {self.shape}:
            raise UserError(f"{self._env}: a picture of {wrong.pop()}, expected {self.shape}, as they were before")
        return seen

    def _check_blank(self, seen: Picture, rows: Rows | None) -> None:
        """Refuse an environment that has ceased to draw: a blank picture may be right, many on end are not."""
        which = np.arange(len(self._blank)) if rows is None else np.flatnonzero(rows)
        blank = (seen == seen[:, :1, :1]).all(axis=(1, 2, 3))
        self._blank[which] = np.where(blank, self._blank[which] + 1, 0)
        if self._blank.max() >= BLANK:
            who = self._env if len(self._blank) == 1 else f"{self._env}, environment {self._blank.argmax()}"
            raise UserError(
                f"{who}: {BLANK} pictures on end of one colour, expected some that show something: it draws nothing, "
                "looks elsewhere, or has lost what it draws with"
            )

    def _compare(self) -> None:
        """Refuse to be compared with what shows another part of the world."""
        height, width = self.shape
        for sample in self._samples:
            (high, wide), wanted = (sample.height, sample.width), f"{self._env}: pictures of {width}x{height}"
            if (sample.exact or self.frames.crop is not None) and (high, wide) != (height, width):
                raise UserError(f"{wanted} beside {sample.name} of {wide}x{high}, expected the same size")
            seen = sample.seen and (high, wide) == (self.size, self.size)
            if not seen and abs(height / width - high / wide) > SLACK * high / wide:
                raise UserError(f"{wanted} beside {sample.name} of {wide}x{high}, expected the same shape")

    def _taken(self, observation: Any) -> Any:
        if self.frames.key is not None:
            return observation[self.frames.key]
        core = self._env.unwrapped
        return [rendered(env) for env in core.envs] if isinstance(core, SyncVectorEnv) else rendered(self._env)


def rendered(env: Any) -> Any:
    """What an environment looks like now.

    One of MuJoCo's draws in whichever context of OpenGL is current, and nothing where that was closed with another
    environment: its own is made current first, which Gymnasium leaves out.
    """
    viewer = getattr(getattr(env.unwrapped, "mujoco_renderer", None), "viewer", None)
    if hasattr(viewer, "make_context_current"):
        viewer.make_context_current()  # type: ignore[union-attr]
    return env.render()
