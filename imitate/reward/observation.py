"""What a policy observes: the body, what it looks like, and what the demonstration will look like next."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector.utils import batch_space, iterate
from numpy.typing import NDArray

from imitate.errors import UserError, choose
from imitate.reward.contract import IMAGE
from imitate.reward.following import Following
from imitate.reward.frames import Frames
from imitate.reward.rewards import Floats

BODY = ("joints", "velocities")
STATE = "state"  # under which a wrapper around an environment of any kind observes what that observes itself
FORMS = {
    "flat": "one vector: body, poses if observed, own embedding, embeddings of the demonstration",
    "dict": "the environment's observation, and beside it 'embedding' and 'demonstration'",
    "env": "the environment's observation, and nothing else",
}


class PolicyObservation:
    """What a policy observes, of a batch of n environments at once.

    The demonstration's embedding is that of the *next* frame: the one that the action about to be chosen will be
    compared with. With the frame of the same step, as the paper words it (section III.B), the policy would have to
    guess where the demonstration goes. Those of the frames after it may follow.

    Args:
        below: What the environment observes: a Dict with an image; all else in it is the body.
        dim: Of the embeddings.
        norm: That the embeddings have; infinity, where it is not known.
        following: How the demonstration is followed.
        form: One of ``FORMS``.
        filmed: Where the pictures come from, if ``below`` is what ``Filmed`` makes of an environment: with its own
            observation in it, of which a picture is seen and not felt. None: it is the environment's own.

    Attributes:
        space: Of one environment. Flat, (body + lookahead * joints + (1 + lookahead) * dim,) float32.
    """

    def __init__(
        self,
        below: spaces.Dict,
        dim: int,
        norm: float,
        following: Following,
        form: str = "flat",
        filmed: Frames | None = None,
    ) -> None:
        choose(FORMS, form, "observe")
        self._form, self._norm, self._filmed = form, norm, filmed is not None
        self._own = below[STATE] if self._filmed else below
        self._felt = _felt(below, filmed.key if filmed else None)
        embedding = spaces.Box(-norm, norm, (dim,), np.float32)
        ahead = spaces.Box(-norm, norm, (following.lookahead, dim), np.float32)
        if form == "flat":
            poses = [below["joints"]] * following.lookahead if following.observe_pose else []
            parts = [
                *(_flat_space(space) for _, space in self._felt),
                *poses,
                embedding,
                spaces.flatten_space(ahead),
            ]
            low, high = (np.concatenate([getattr(part, end) for part in parts]) for end in ("low", "high"))
            self.space: spaces.Space = spaces.Box(low.astype(np.float32), high.astype(np.float32))
        elif form == "dict":
            self.space = spaces.Dict({STATE: self._own, "embedding": embedding, "demonstration": ahead})
        else:
            self.space = self._own

    def __call__(self, observation: dict[str, Any], own: Floats, targets: Floats, poses: Floats | None = None) -> Any:
        """What n environments observe.

        Args:
            observation: As ``below``, of a batch.
            own: (n, dim) embeddings of their own frames.
            targets: (n, lookahead, dim) embeddings of the demonstrations' next frames.
            poses: (n, lookahead, joints) poses, rad, that the robot has read off the same frames.
        """
        own_observation = observation[STATE] if self._filmed else observation
        if self._form == "env":
            return own_observation
        # bfloat16 may round a component a hair beyond the norm
        own, targets = (np.clip(of, -self._norm, self._norm) for of in (own, targets))
        if self._form == "dict":
            return {STATE: own_observation, "embedding": own, "demonstration": targets}
        body = [_flat(space, _at(observation, path), len(own)) for path, space in self._felt]
        read = [] if poses is None else [poses.reshape(len(own), -1)]
        return np.concatenate([*body, *read, own, targets.reshape(len(own), -1)], axis=1, dtype=np.float32)


def _felt(below: spaces.Dict, picture: str | None) -> list[tuple[tuple[str, ...], spaces.Space]]:
    """The parts of the body: where each stands in an observation, and its space. Joints come first, then velocities."""
    felt: list[tuple[tuple[str, ...], spaces.Space]] = []
    first = [key for key in BODY if key in below.spaces]
    for key in [*first, *(key for key in below.spaces if key not in first)]:
        space = below[key]
        if key == STATE and picture is not None and isinstance(space, spaces.Dict):
            felt += [((key, inner), part) for inner, part in space.spaces.items() if inner != picture]
        elif key != IMAGE:
            felt.append(((key,), space))
    return felt


def _at(observation: dict[str, Any], path: tuple[str, ...]) -> Any:
    for key in path:
        observation = observation[key]
    return observation


def _flat_space(space: spaces.Space) -> spaces.Box:
    flat = spaces.flatten_space(space)
    if not isinstance(flat, spaces.Box):
        raise UserError(f"an observation of {space} is no vector: expected observe='dict' or 'env', or wrap it")
    return flat


def _flat(space: spaces.Space, batch: Any, number: int) -> NDArray[Any]:
    """(number, size) of what so many observe of one space."""
    if isinstance(space, spaces.Box):
        return np.asarray(batch).reshape(number, -1)
    rows = iterate(batch_space(space, number), batch)
    return np.stack([np.asarray(spaces.flatten(space, row)) for row in rows])
