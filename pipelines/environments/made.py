"""An environment of anybody's, as a command line names it."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import gymnasium as gym

from imitate.data.rendering import Rendering
from imitate.errors import UserError, first_line
from imitate.reward.environment import check_environment
from imitate.reward.filming import Filming
from imitate.reward.frames import Frames


@dataclass(frozen=True)
class Made:
    """Which environment, and what is seen of it."""

    env: str = ""
    """Its id, as gymnasium.make takes it: Reacher-v5; or panda_gym:PandaReach-v3, where a module is to be imported."""
    env_kwargs: tuple[str, ...] = ()
    """Keywords that it is made with, as width=128 height=128: values are JSON, or else text."""
    key: str | None = None
    """Of its observation, where the pictures are taken from that; None: they are what it renders."""
    crop: tuple[int, int, int, int] | None = None
    """Left, top, right and bottom, pixels, of what is seen of them; None: all."""
    fps: int | None = None
    """Its steps a second; None: what it says itself, its render_fps."""

    @classmethod
    def like(cls, rendering: Rendering, fps: int | None) -> dict[str, Any]:
        """The settings of an environment that renders so."""
        made = json.loads(rendering.settings)
        kwargs = tuple(f"{name}={json.dumps(value)}" for name, value in made.items())
        crop = None if rendering.crop is None else tuple(rendering.crop)
        return {"env": rendering.environment, "env_kwargs": kwargs, "key": rendering.key, "crop": crop, "fps": fps}

    @property
    def frames(self) -> Frames:
        """Where the pictures come from."""
        return Frames(self.key, self.crop)

    def make(self) -> gym.Env:
        """Make it. Whatever it raises from then on is a ``UserError`` that names the place.

        Raises:
            UserError: There is none of that id, it lacks a package, or it takes no such keywords.
        """
        return Foreign(self._make(), self.env)

    def _make(self) -> gym.Env:
        if not self.env:
            raise UserError("env is empty, expected the id of an environment: --env Reacher-v5")
        keywords = dict(map(_keyword, self.env_kwargs))
        if (here := os.getcwd()) not in sys.path:  # a user's module may lie there, as scripts find it
            sys.path.append(here)
        if self.key is None:
            keywords.setdefault("render_mode", "rgb_array")
        try:
            return gym.make(self.env, **keywords)
        except Exception as error:  # of whatever kind: it is somebody else's code
            raise UserError(f"env {self.env!r} can't be made: {_said(error)}") from None

    def check(self) -> Rendering:
        """What it renders with, once it has rendered something.

        Raises:
            UserError: It can't be made, or no picture of it be taken.
        """
        env = self._make()
        check_environment(env)
        try:
            filming = Filming(env, env.observation_space, self.frames, 16)
            observation, _ = env.reset(seed=0)
            filming.one(observation)
        except UserError:
            raise
        except Exception as error:
            screen = "; without a screen, MuJoCo wants MUJOCO_GL=osmesa or MUJOCO_GL=egl"
            drawn = any("mujoco" in one.__module__ for one in type(env.unwrapped).__mro__)
            advice = screen if drawn else ""
            raise UserError(f"env {self.env!r} can't be rendered: {_said(error)}{advice}") from None
        finally:
            env.close()
        height, width = filming.shape
        made = Rendering.of(env, self.key, self.crop)
        return Rendering(made.environment, made.settings, made.key, made.crop, height, width)


def _keyword(text: str) -> tuple[str, Any]:
    """A keyword and its value."""
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise UserError(f"env_kwargs {text!r}, expected a name, an equals sign and a value: width=128")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


class Foreign(gym.Wrapper):
    """An environment, somebody else's code, of which what it raises is told in one line, with the place in it.

    Args:
        env: The environment.
        name: What the user calls it.
    """

    def __init__(self, env: gym.Env, name: str) -> None:
        super().__init__(env)
        self._name = name

    def reset(self, **settings: Any) -> Any:
        """Reset it."""
        with self._told():
            return self.env.reset(**settings)

    def step(self, action: Any) -> Any:
        """Step it."""
        with self._told():
            return self.env.step(action)

    def render(self) -> Any:
        """Render it."""
        with self._told():
            return self.env.render()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (UserError, OSError, MemoryError):
            raise
        except Exception as error:
            places = traceback.extract_tb(error.__traceback__)
            own = [place for place in places[2:] if "site-packages" not in place.filename]  # beyond this wrapper
            at = (own or places)[-1]
            raise UserError(f"env {self._name!r} broke off: {_said(error)} ({at.filename}, line {at.lineno})") from None


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {first_line(error)}"
