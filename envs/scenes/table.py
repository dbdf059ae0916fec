"""What the arm stands on."""

from __future__ import annotations

from dataclasses import dataclass, field

from imitate.data.camera import Vector
from imitate.errors import check_bounds

from .texture import Texture, check_vector

Place = tuple[float, float]


@dataclass(frozen=True)
class Table:
    """A table on four legs, whose top is at the height of the arm's base.

    Attributes:
        texture: Of its top.
        size: From back to front (x), from right to left (y), and its height, m.
        middle: Of its top: x and y, m. One that is not under the base shows which way is front.

    Raises:
        UserError: A number out of its range.
    """

    texture: Texture = field(default_factory=lambda: Texture("wood", (0.75, 0.57, 0.38), (0.6, 0.43, 0.27), 0.5))
    size: Vector = (1.2, 1.6, 0.75)
    middle: Place = (0.35, 0.0)

    def __post_init__(self) -> None:
        check_vector("table's size", self.size, 3)
        check_vector("table's middle", self.middle, 2)
        check_bounds(self, "table's ", size=(0.1, 5.0), middle=(-5.0, 5.0))
