"""What the robot would see of itself, and what poses it therefore reads off a demonstration."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from imitate.checkpoint import TrainedEncoder
from imitate.pose_tracking import Tracked, first_pose, track

from .kuka import CONTROL_HZ, Arm, Kuka


class Imagination:
    """Embeddings of the robot's own picture at any pose: it moves an arm of its own, which nobody else sees.

    Args:
        encoder: That embeds the pictures; its camera takes them.
        arm: One of ``ARMS``, or an arm of your own.

    Raises:
        UserError: An unknown arm, or a camera that cannot be had here.
    """

    def __init__(self, encoder: TrainedEncoder, arm: str | Arm = "iiwa") -> None:
        self._encoder, self._kuka = encoder, Kuka(arm)
        self._kuka.check_pictures(encoder.camera, encoder.image_size)

    def __call__(self, poses: NDArray[np.floating]) -> NDArray[np.float32]:
        """Embed what is seen at ``poses`` (n, joints), rad, as (n, dim)."""
        frames = []
        for pose in poses:
            self._kuka.reset(pose)
            frames.append(self._kuka.film(self._encoder.camera, self._encoder.image_size))
        return self._encoder.embed(np.stack(frames))

    def close(self) -> None:
        """Free the simulation. Doing so twice is fine."""
        self._kuka.close()


def watch(
    encoder: TrainedEncoder, embeddings: NDArray[np.float32], own: NDArray[np.floating], arm: str | Arm = "iiwa"
) -> Tracked:
    """Read the poses off a demonstration.

    Args:
        encoder: That embedded it. If it has a pose head, that guesses the first pose.
        embeddings: (length, dim) of its frames, 20 a second.
        own: (joints,) pose of the robot, rad, near which the demonstration may well begin.
        arm: Of the robot.
    """
    guesses = [np.asarray(own, np.float64)]
    if encoder.pose_head is not None:
        guesses.append(encoder.decode_joints(embeddings[:1])[0])
    see = Imagination(encoder, arm)
    try:
        start = first_pose(embeddings[0], see, np.stack(guesses), np.random.default_rng(0))
        return track(embeddings, see, start, 1 / CONTROL_HZ)
    finally:
        see.close()
