"""What a user can get wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

T = TypeVar("T")


class UserError(ValueError):
    """A mistake of the user's: one line naming the thing, what was expected, and what to do.

    Commands print it on standard error, without a traceback, and exit with code 2.
    """


def first_line(error: BaseException) -> str:
    """The first line of what an error says; its type, if it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def choose(registry: Mapping[str, T], name: str, noun: str) -> T:
    """Look ``name`` up in ``registry``.

    Raises:
        UserError: ``name`` is unknown; the message lists the choices.
    """
    if name not in registry:
        raise UserError(f"unknown {noun} {name!r}: choose one of {', '.join(sorted(registry))}")
    return registry[name]
