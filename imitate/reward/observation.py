"""What a policy observes: the body, what it looks like, and what the demonstration will look like next."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces

from imitate.embedding.encoders.layers import NORM
from imitate.reward.rewards import Floats


def policy_space(observation: spaces.Dict, dim: int, observe_pose: bool = False, lookahead: int = 1) -> spaces.Box:
    """The space of ``policy_observation``, for one environment."""
    parts = [observation["joints"], observation["velocities"], *[observation["joints"]] * (lookahead * observe_pose)]
    norm = np.full((1 + lookahead) * dim, NORM)
    low = np.concatenate([part.low for part in parts] + [-norm])  # type: ignore[attr-defined]
    high = np.concatenate([part.high for part in parts] + [norm])  # type: ignore[attr-defined]
    return spaces.Box(low.astype(np.float32), high.astype(np.float32))


def policy_observation(
    observation: dict[str, Any], own: Floats, targets: Floats, poses: Floats | None = None
) -> Floats:
    """Joint positions, joint velocities, own embedding, embedding of the demonstration (section III.B).

    With ``poses``, which the paper has not, they stand before the embeddings.

    The demonstration's is that of the *next* frame: the one that the action about to be chosen will be
    compared with. With the frame of the same step, as the paper words it, the policy would have to guess
    where the demonstration goes. Those of the frames after it may follow.

    Args:
        observation: ``joints`` and ``velocities``, each (n, joints).
        own: (n, dim) embeddings of the robot's own frames.
        targets: (n, lookahead, dim) embeddings of the demonstrations' next frames.
        poses: (n, lookahead, joints) poses, rad, that the robot has read off the same frames.

    Returns:
        (n, 2 * joints + (1 + lookahead) * dim) float32; with ``poses``, lookahead * joints more.
    """
    # bfloat16 may round a component a hair beyond the norm
    embeddings = np.clip(np.concatenate([own, targets.reshape(len(own), -1)], axis=1), -NORM, NORM)
    read = [] if poses is None else [poses.reshape(len(own), -1)]
    body = [observation["joints"], observation["velocities"], *read]
    return np.concatenate([*body, embeddings], axis=1, dtype=np.float32)
