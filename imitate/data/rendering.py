"""What an environment's pictures are made with: the contract of frames that no camera of ours took."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from typing import Any

from imitate.errors import UserError

ADDRESS = " at 0x"  # in what an object says of itself that says nothing


@dataclass(frozen=True)
class Rendering:
    """What an environment's pictures are made with.

    As a ``Camera`` of its pictures, a checkpoint and a dataset carry it, and an encoder refuses what is rendered
    otherwise. Of such pictures, the camera is unknown.

    Attributes:
        environment: Its id; where it has none, its class: what that was made with nobody says.
        settings: The keywords that it was made with, as JSON.
        key: Of the observation, where the pictures are taken from it; None: they are what it renders.
        crop: (left, top, right, bottom), pixels, of what is seen of them; None: all.
        height: Of a picture, pixels; 0: not known yet.
        width: Likewise.
    """

    environment: str
    settings: str = "{}"
    key: str | None = None
    crop: tuple[int, ...] | None = None
    height: int = 0
    width: int = 0

    @classmethod
    def of(cls, env: Any, key: str | None = None, crop: tuple[int, ...] | None = None) -> Rendering:
        """What an environment, or each of a vector environment, renders with."""
        with one_of(env) as one:
            core = one.unwrapped
        if core.spec is None:
            return cls(type(core).__name__, "{}", key, crop)
        settings = {name: value for name, value in core.spec.kwargs.items() if name != "render_mode"}
        return cls(core.spec.id, json.dumps(settings, sort_keys=True, default=_named), key, crop)

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return asdict(self) | {"crop": self.crop and list(self.crop)}

    @classmethod
    def from_json(cls, data: Any) -> Rendering:
        """Read what ``to_json`` wrote.

        Raises:
            UserError: ``data`` lacks a field, or has one that there is not.
        """
        try:
            crop = data.get("crop")
            return cls(**{**data, "crop": None if crop is None else tuple(map(int, crop))})
        except (AttributeError, TypeError, ValueError) as error:
            raise UserError(f"not what an environment renders with: {data!r} ({error})") from None

    def differences(self, other: Rendering) -> list[str]:
        """Name the fields, as far as they are known, in which two differ: ``"environment Reacher-v5 != Pusher-v5"``."""
        pairs = [(field.name, getattr(self, field.name), getattr(other, field.name)) for field in fields(self)]
        unlike = [(name, mine, theirs) for name, mine, theirs in pairs if mine != theirs and 0 not in (mine, theirs)]
        if json.loads(self.settings) == json.loads(other.settings):  # 0 is 0.0
            unlike = [pair for pair in unlike if pair[0] != "settings"]
        return [f"{name} {mine} != {theirs}" for name, mine, theirs in unlike]


@contextmanager
def one_of(env: Any) -> Iterator[Any]:
    """An environment, or one like those of a vector environment: itself, or, where they are in processes, a new one."""
    core = env.unwrapped
    if not hasattr(core, "env_fns"):
        yield env
    elif hasattr(core, "envs"):
        yield core.envs[0]
    else:  # of what they are can't leave their processes
        made = core.env_fns[0]()
        try:
            yield made
        finally:
            made.close()


def _named(value: Any) -> Any:
    """What JSON knows nothing of: arrays as lists, functions by name, and else what it says of itself.

    Of what says only where in memory it lies, no more than the class is known, and of that you are warned.
    """
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, set | frozenset):  # of which each process has an order of its own
        return sorted(map(repr, value))
    named = hasattr(value, "__qualname__")  # a function, a class
    said = f"{value.__module__}.{value.__qualname__}" if named else repr(value)
    if ("<" if named else ADDRESS) not in said:  # <lambda>, or one of a function's <locals>, may be any of several
        return said
    warnings.warn(
        f"an environment that is made with {said}: an encoder will know no more of that than its class, "
        f"{type(value).__name__}, and not refuse another one of it; give it a __repr__ that says what it is",
        stacklevel=2,
    )
    return type(value).__name__
