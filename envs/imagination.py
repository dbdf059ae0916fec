"""What the robot would see of itself, and what poses it therefore reads off a demonstration."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from imitate.checkpoint import TrainedEncoder
from imitate.demonstration import Demonstration
from imitate.errors import choose
from imitate.pose_tracking import Tracked, read_poses

from .kuka import ARMS, CONTROL_HZ, Arm, Kuka

AT_ONCE = 256  # pictures that are held in memory
ROOM = 0.1  # beyond the range that random poses are drawn from, in shares of it: about the joints' limits


class Imagination:
    """Embeddings of the robot's own picture at any pose: it moves an arm of its own, which nobody else sees.

    Args:
        encoder: That embeds the pictures; its camera takes them.
        arm: One of ``ARMS``, or an arm of your own.

    Raises:
        UserError: An unknown arm, one that the encoder was not trained on, or an encoder whose camera is unknown.
    """

    def __init__(self, encoder: TrainedEncoder, arm: str | Arm = "iiwa") -> None:
        encoder.check_camera(encoder.camera, encoder.image_size)
        self.arm = choose(ARMS, arm, "arm") if isinstance(arm, str) else arm
        encoder.check_arm(self.arm.joints)
        self._encoder, self._kuka = encoder, Kuka(self.arm)

    def __call__(self, poses: NDArray[np.floating]) -> NDArray[np.float32]:
        """Embed what is seen at ``poses`` (n, joints), rad, as (n, dim)."""
        embeddings = []
        for start in range(0, len(poses), AT_ONCE):
            frames = []
            for pose in poses[start : start + AT_ONCE]:
                self._kuka.reset(pose)
                frames.append(self._kuka.film(self._encoder.camera, self._encoder.image_size))
            embeddings.append(self._encoder.embed(np.stack(frames)))
        return np.concatenate(embeddings)

    def close(self) -> None:
        """Free the simulation. Doing so twice is fine."""
        self._kuka.close()


def watch(encoder: TrainedEncoder, embeddings: NDArray[np.float32], arm: str | Arm = "iiwa") -> Tracked:
    """Read the poses off a demonstration. Of its true ones nothing is known.

    Args:
        encoder: That embedded it. If it has a pose head, that guesses the poses to search around; else it is home.
        embeddings: (length, dim) of its frames, 20 a second.
        arm: Of the robot, which stays within its range.

    Raises:
        UserError: As ``Imagination`` does.
    """
    see = Imagination(encoder, arm)
    try:
        lower, upper = np.array(see.arm.lower), np.array(see.arm.upper)
        home = np.zeros((len(embeddings), len(lower)))
        guesses = home if encoder.pose_head is None else encoder.decode_joints(embeddings)
        tracked = read_poses(embeddings, see, guesses, 1 / CONTROL_HZ)
        room = ROOM * (upper - lower)
        poses = np.clip(tracked.poses, lower - room, upper + room)
        return Tracked(poses, np.linalg.norm(embeddings - see(poses), axis=1))
    finally:
        see.close()


def believing(demonstration: Demonstration, encoder: TrainedEncoder, arm: str | Arm = "iiwa") -> Demonstration:
    """The demonstration with the poses that the robot reads off it, which takes seconds; itself if it has them."""
    if demonstration.believed is not None:
        return demonstration
    return replace(demonstration, believed=watch(encoder, encoder.embed(demonstration.frames), arm).poses)
