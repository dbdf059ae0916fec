"""What lies around."""

from __future__ import annotations

from dataclasses import dataclass

from imitate.data.camera import Vector
from imitate.errors import UserError, check_bounds

from .texture import Colour, check_colours, check_vector

KINDS = ("ball", "box")
FARTHEST = 20.0  # m


@dataclass(frozen=True)
class Thing:
    """A box or a ball, which is seen and never touched: the arm moves through it.

    Attributes:
        kind: ``box`` or ``ball``.
        position: Of its middle, m. The arm's base stands at the origin.
        size: Sides of a box; a ball has the first one as its diameter, m.
        turned: About what is up, rad.
        colour: Red, green and blue, 0 to 1.

    Raises:
        UserError: An unknown kind, what is no colour, or out of its range.
    """

    kind: str
    position: Vector
    size: Vector
    turned: float = 0.0
    colour: Colour = (0.5, 0.5, 0.5)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UserError(f"unknown thing {self.kind!r}: choose one of {', '.join(KINDS)}")
        check_colours(colour=self.colour)
        check_vector("thing's position", self.position, 3)
        check_vector("thing's size", self.size, 3)
        check_bounds(self, "thing's ", position=(-FARTHEST, FARTHEST), size=(1e-3, FARTHEST), turned=(-100.0, 100.0))
