"""What an environment's pictures are made with: the contract of frames that no camera of ours took."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import Any

from imitate.errors import UserError


@dataclass(frozen=True)
class Rendering:
    """What an environment's pictures are made with.

    As a ``Camera`` of its pictures, a checkpoint and a dataset carry it, and an encoder refuses what is rendered
    otherwise. Of such pictures, the camera is unknown.

    Attributes:
        environment: Its id, or its class, where it has none.
        settings: The keywords that it was made with, as JSON.
        key: Of the observation, where the pictures are taken from it; None: they are what it renders.
        crop: (left, top, right, bottom), pixels, of what is seen of them; None: all.
    """

    environment: str
    settings: str = "{}"
    key: str | None = None
    crop: tuple[int, ...] | None = None

    @classmethod
    def of(cls, env: Any, key: str | None = None, crop: tuple[int, ...] | None = None) -> Rendering:
        """What an environment, or each of a vector environment, renders with."""
        core = env.unwrapped
        spec = core.get_attr("spec")[0] if hasattr(core, "get_attr") else core.spec
        if spec is None:
            one = core.get_attr("unwrapped")[0] if hasattr(core, "get_attr") else core
            return cls(type(one).__name__, "{}", key, crop)
        settings = {name: value for name, value in spec.kwargs.items() if name != "render_mode"}
        return cls(spec.id, json.dumps(settings, sort_keys=True, default=repr), key, crop)

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
        """Name the fields in which two differ: ``"environment Reacher-v5 != Pusher-v5"``."""
        pairs = [(field.name, getattr(self, field.name), getattr(other, field.name)) for field in fields(self)]
        return [f"{name} {mine} != {theirs}" for name, mine, theirs in pairs if mine != theirs]
