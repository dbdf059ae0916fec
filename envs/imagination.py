"""What the robot would see of itself, and what poses it therefore reads off a demonstration."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from imitate.embedding.encoders.thumbnail import Thumbnail
from imitate.embedding.trained_encoder import TrainedEncoder
from imitate.errors import choose
from imitate.keeping.workers import Alone, Crew
from imitate.reading.pose_tracking import Tracked, read_poses

from .kuka import ARMS, CONTROL_HZ, Arm
from .pictures import Pictures

ROOM = 0.1  # beyond the range that random poses are drawn from, in shares of it: about the joints' limits


def limits_of(arm: Arm) -> NDArray[np.float64]:
    """(2, joints) the least and the most that joints can be, rad: the range of an arm, and ``ROOM`` beyond."""
    ends = np.array([arm.lower, arm.upper])
    return ends + ROOM * np.outer([-1, 1], ends[1] - ends[0])


def within_reach(poses: NDArray[np.float64], arm: str | Arm) -> NDArray[np.float64]:
    """Poses (..., joints), rad, within the limits of an arm."""
    return np.clip(poses, *limits_of(choose(ARMS, arm, "arm") if isinstance(arm, str) else arm))


class Imagination:
    """Embeddings of the robot's own picture at any pose: it moves an arm of its own, which nobody else sees.

    Args:
        encoder: That embeds the pictures; its camera takes them.
        arm: One of ``ARMS``, or an arm of your own.
        workers: Processes that take them, each with an arm, if PyBullet draws; 0: this one, which needs no
            ``if __name__ == "__main__"``.

    Raises:
        UserError: An unknown arm, one that the encoder was not trained on, or an encoder whose camera is unknown.
    """

    def __init__(self, encoder: TrainedEncoder, arm: str | Arm = "iiwa", workers: int = 0) -> None:
        encoder.check_camera(encoder.camera, encoder.image_size)
        self.arm = choose(ARMS, arm, "arm") if isinstance(arm, str) else arm
        encoder.check_arm(self.arm)
        self._encoder = encoder
        taken = (self.arm, encoder.camera, encoder.image_size)
        workers = workers if encoder.camera.renderer == "tiny" else 0  # ours has threads of its own
        self._crew = Crew("imagination", Pictures, [taken] * workers) if workers else Alone(Pictures, [taken])

    def __call__(self, poses: NDArray[np.floating]) -> NDArray[np.float32]:
        """Embed what is seen at ``poses`` (n, joints), rad, as (n, dim).

        Raises:
            WorkerDied: A process did.
        """
        parts = np.array_split(poses, len(self._crew))
        return self._encoder.embed(np.concatenate(self._crew.ask([(part,) for part in parts])))

    def close(self) -> None:
        """Free the simulations. Doing so twice is fine."""
        self._crew.close()


def watch(
    encoder: TrainedEncoder,
    embeddings: NDArray[np.float32],
    arm: str | Arm = "iiwa",
    workers: int = 0,
    guesses: NDArray[np.float64] | None = None,
) -> Tracked:
    """Read the poses off a demonstration. Of its true ones nothing is known.

    Args:
        encoder: That embedded it.
        embeddings: (length, dim) of its frames, 20 a second.
        arm: Of the robot, which stays within its range.
        workers: As ``Imagination`` has them: what is read does not depend on their number.
        guesses: (length, joints) rad, to search around; None: what the encoder's pose head says, or if it has none,
            home.

    Raises:
        UserError: As ``Imagination`` does.
    """
    see = Imagination(encoder, arm, workers)
    try:
        if guesses is None:
            home = np.zeros((len(embeddings), see.arm.joints))
            guesses = home if encoder.pose_head is None else encoder.decode_joints(embeddings)
        tracked = read_poses(embeddings, see, guesses, 1 / CONTROL_HZ)
        poses = within_reach(tracked.poses, see.arm)
        return Tracked(poses, np.linalg.norm(embeddings - see(poses), axis=1))
    finally:
        see.close()


def watch_pixels(
    encoder: TrainedEncoder, frames: NDArray[np.uint8], arm: str | Arm = "iiwa", workers: int = 0
) -> NDArray[np.float64]:
    """Read the poses (length, joints), rad, off frames by their raw pixels, which is to be compared with.

    The encoder's pose head guesses, as it does for ``watch``; but what is imagined, in the plain scene, is compared as
    small pictures.

    Args:
        encoder: Whose camera, and pose head, it is.
        frames: (length, size, size, 3) uint8, 20 a second.
        arm: As ``watch`` has it.
        workers: As ``Imagination`` has them.

    Raises:
        UserError: As ``Imagination`` does.
    """
    encoder.check_arm(choose(ARMS, arm, "arm") if isinstance(arm, str) else arm)
    pixels = replace(encoder, module=Thumbnail(), dim=Thumbnail.dim, pose_head=None).to(encoder.device)
    guesses = None if encoder.pose_head is None else encoder.decode_joints(encoder.embed(frames))
    return watch(pixels, pixels.embed(frames), arm, workers, guesses).poses
