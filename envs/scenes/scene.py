"""Everything that is in a picture beside the arm."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from functools import cached_property
from typing import Any, get_args, get_type_hints

from imitate.errors import UserError

from .light import Light
from .table import Table
from .texture import Colour, Texture, check_colours
from .thing import Thing

MOST_THINGS = 100
Things = tuple[Thing, ...]
Colours = tuple[Colour, ...]


@dataclass(frozen=True)
class Scene:
    """Everything that is in a picture beside the arm. Only our own renderer draws another than the plain one.

    Attributes:
        name: What it is called, which does not make it another one.
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

    name: str = field(compare=False)
    light: Light = field(default_factory=Light)
    background: Texture = field(default_factory=Texture)
    floor: Texture | None = None
    table: Table | None = None
    clutter: Things = ()
    links: Colours = ()
    smooth: bool = False

    def __post_init__(self) -> None:
        parts: dict[str, tuple[type, ...]] = {
            "name": (str,), "light": (Light,), "background": (Texture,), "floor": (Texture, type(None)),
            "table": (Table, type(None)), "clutter": (tuple,), "links": (tuple,), "smooth": (bool,),
        }  # fmt: skip
        for part, kinds in parts.items():
            if not isinstance(getattr(self, part), kinds):
                expected = " or ".join(kind.__name__ for kind in kinds)
                raise UserError(f"{part} of a scene is {getattr(self, part)!r}, expected a {expected}")
        if not all(isinstance(thing, Thing) for thing in self.clutter):
            raise UserError(f"clutter of scene {self.name!r} is {self.clutter}, expected things")
        if len(self.clutter) > MOST_THINGS:
            raise UserError(f"scene {self.name!r} has {len(self.clutter)} things, expected {MOST_THINGS} at most")
        check_colours(**{f"{k} of the links": colour for k, colour in enumerate(self.links)})

    @cached_property
    def files(self) -> tuple[str, ...]:
        """Of the pictures in it."""
        textures = (self.background, self.floor, self.table and self.table.texture)
        return tuple(texture.file for texture in textures if texture and texture.file)

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
        except (TypeError, ValueError, LookupError, AttributeError, RecursionError, OverflowError) as error:
            raise UserError(f"not a scene: {text[:100]!r} ({error})") from None
        return scene


def _built(kind: Any, data: Any) -> Any:
    """A value of a type, from what JSON makes of it."""
    parts = [part for part in get_args(kind) if part is not type(None)]
    if data is None and len(parts) < len(get_args(kind)):
        return None
    if isinstance(data, list):
        return tuple(_built(parts[0], value) for value in data)
    own = next((part for part in (kind, *parts) if is_dataclass(part)), None)
    if own is None:
        wanted = (int, float) if kind is float else kind
        if not isinstance(data, wanted) or (isinstance(data, bool) and kind is not bool):
            raise TypeError(f"{data!r}, expected a {kind.__name__}")
        return data
    hints = get_type_hints(own)
    known = {part.name for part in fields(own)}
    if not isinstance(data, dict) or set(data) != known:
        raise TypeError(f"expected {', '.join(sorted(known))}")
    return own(**{name: _built(hints[name], value) for name, value in data.items()})  # type: ignore[operator]


PLAIN = Scene("plain")
