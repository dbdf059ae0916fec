"""Everything that is in a picture beside the arm."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from typing import Any, get_args, get_type_hints

from imitate.errors import UserError

from .light import Light
from .table import Table
from .texture import Colour, Texture, check_colours
from .thing import Thing

MOST_THINGS = 100


@dataclass(frozen=True)
class Scene:
    """Everything that is in a picture beside the arm. Only our own renderer draws another than the plain one.

    Attributes:
        name: What it is called.
        light: That falls on it, and on the arm.
        background: Behind all.
        floor: As far as the eye sees; None: there is none. Beneath the table, or at the height of the arm's base.
        table: That the arm stands on; None: none.
        clutter: What lies around.
        links: Colours that the arm's links have in turn, from the base on; empty: its own.
        smooth: Shade the arm as if it were round between its edges, instead of flat.

    Raises:
        UserError: Something in it is not what it should be.
    """

    name: str
    light: Light = field(default_factory=Light)
    background: Texture = field(default_factory=Texture)
    floor: Texture | None = None
    table: Table | None = None
    clutter: tuple[Thing, ...] = ()
    links: tuple[Colour, ...] = ()
    smooth: bool = False

    def __post_init__(self) -> None:
        own = (self.name, str), (self.light, Light), (self.background, Texture)
        if not all(isinstance(value, kind) for value, kind in own):
            raise UserError(f"scene {self.name!r}: expected a name, a Light and a Texture behind")
        if len(self.clutter) > MOST_THINGS:
            raise UserError(f"scene {self.name!r} has {len(self.clutter)} things, expected {MOST_THINGS} at most")
        check_colours(**{f"colour {k} of the links": colour for k, colour in enumerate(self.links)})

    def to_json(self) -> str:
        """Of all its fields."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Scene:
        """Read what ``to_json`` wrote.

        Raises:
            UserError: It is no scene.
        """
        try:
            data = json.loads(text)
            if not isinstance(data, dict):
                raise TypeError("expected its fields by their names")
            scene: Scene = _built(cls, data)
        except (TypeError, ValueError, KeyError, AttributeError, RecursionError) as error:
            raise UserError(f"not a scene: {text[:100]!r} ({error})") from None
        return scene


def _built(kind: Any, data: Any) -> Any:
    """A value of a type, from what JSON makes of it."""
    if data is None:
        return None
    parts = [part for part in get_args(kind) if part is not type(None)]
    if isinstance(data, list):
        return tuple(_built(parts[0], value) for value in data)
    own = next((part for part in (kind, *parts) if is_dataclass(part)), None)
    if own is None:
        return data
    hints = get_type_hints(own)
    known = {part.name for part in fields(own)}
    if not isinstance(data, dict) or set(data) != known:
        raise TypeError(f"expected {', '.join(sorted(known))}")
    return own(**{name: _built(hints[name], value) for name, value in data.items()})  # type: ignore[operator]


PLAIN = Scene("plain")
