"""How large a video may be that is read: it may be a stranger's."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, fields
from pathlib import Path

from imitate.errors import UserError

VARIABLE = "IMITATE_VIDEO_MAX_"


@dataclass(frozen=True)
class Limits:
    """Of a video that is read.

    An environment variable raises each of them, ``IMITATE_VIDEO_MAX_FRAMES=1000000`` and the like: it reaches all that
    reads videos and all its processes, and is no setting of a run, because it changes nothing of what is made.

    Attributes:
        frames: Number of them; of a demonstration, after it was brought to the robot's rate.
        side: Pixels of height and width.
        file_bytes: Size of the file.
        bytes: Size of the decoded frames, which are held in memory: 320,000 frames of 64x64.
    """

    frames: int = 200_000
    side: int = 4096
    file_bytes: int = 4_000_000_000
    bytes: int = 4_000_000_000

    @classmethod
    def of_environment(cls) -> Limits:
        """The limits that the user wants.

        Raises:
            UserError: One is no number.
        """
        found = {}
        for field in fields(cls):
            text = os.environ.get(VARIABLE + field.name.upper(), str(field.default))
            if not re.fullmatch(r"[1-9][0-9]{0,17}", text):
                raise UserError(f"{VARIABLE}{field.name.upper()} is {text!r}, expected a whole number of 1 or more")
            found[field.name] = int(text)
        return cls(**found)

    def check(self, path: Path, name: str, value: int) -> None:
        """Refuse what is beyond a limit.

        Raises:
            UserError: It is; the message says how to raise the limit.
        """
        if value > getattr(self, name):
            noun = name.replace("_", " ")
            raise UserError(
                f"{path}: too large a video: {noun} {value}, expected at most {getattr(self, name)}: cut it or scale "
                f"it down, or set {VARIABLE}{name.upper()}"
            )
