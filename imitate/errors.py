"""What a user can get wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

T = TypeVar("T")

SEED = (0, 2**32 - 1)
PROCESSES = (0, 1024)  # 0: one a core
MANY = 10**6  # of what is listed in memory, at most


class UserError(ValueError):
    """A mistake of the user's: one line naming the thing, what was expected, and what to do.

    Commands print it on standard error, without a traceback, and exit with code 2.
    """


def first_line(error: BaseException) -> str:
    """The first line of what an error says; its type, if it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def check_bounds(settings: object, prefix: str = "", /, **bounds: tuple[float, float]) -> None:
    """Refuse settings that are out of their bounds: the least and the most that each may be, or each of a tuple's.

    Raises:
        UserError: One is not within them, or NaN.
    """
    for name, (least, most) in bounds.items():
        value = getattr(settings, name)
        for number in value if isinstance(value, tuple) else (value,):
            if not least <= number <= most:
                raise UserError(f"{prefix}{name} is {number}, expected {least} to {most}")


def choose(registry: Mapping[str, T], name: str, noun: str) -> T:
    """Look ``name`` up in ``registry``.

    Raises:
        UserError: ``name`` is unknown; the message lists the choices.
    """
    if name not in registry:
        raise UserError(f"unknown {noun} {name!r}: choose one of {', '.join(sorted(registry))}")
    return registry[name]
