"""What an environment feels of itself, as far as it says so."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from imitate.errors import UserError


@dataclass(frozen=True)
class Proprioception:
    """What an environment feels of itself: named entries of its observation.

    Attributes:
        key: Of a Dict; empty: the observation is a Box.
        first: Of the entries.
        end: Behind the last; None: of all that there are.
    """

    key: str = ""
    first: int = 0
    end: int | None = None

    @classmethod
    def named(cls, text: str, space: spaces.Space) -> Proprioception:
        """Of a text such as ``observation``, ``observation[0:3]`` or, of a Box, ``[0:4]``.

        Raises:
            UserError: It means nothing, or there is no such part of the observation.
        """
        found = re.fullmatch(r"([^\[\]]*)(?:\[(\d+):(\d+)\])?", text)
        if found is None or not text:
            raise UserError(f"proprioception {text!r}, expected a key, entries as [0:4], or both: observation[0:3]")
        key, first, end = found.groups()
        part = space
        if isinstance(space, spaces.Dict):
            if key not in space.spaces:
                raise UserError(f"proprioception {text!r}: expected one of {', '.join(space.spaces)}")
            part = space[key]
        elif key:
            raise UserError(f"proprioception {text!r}: the observation is no Dict, expected entries as [0:4]")
        if not isinstance(part, spaces.Box):
            raise UserError(f"proprioception {text!r} is {part}, expected a Box")
        entries = int(np.prod(part.shape))
        end = entries if end is None else int(end)
        if not int(first or 0) < end <= entries:
            raise UserError(f"proprioception {text!r}: expected entries of [0:{entries}]")
        return cls(key, int(first or 0), end)

    def of(self, observation: Any) -> NDArray[np.float32]:
        """(entries,) float32 of an observation."""
        part = observation[self.key] if self.key else observation
        return np.asarray(part, np.float32).ravel()[self.first : self.end]
