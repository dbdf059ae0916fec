"""What the robot would see of itself, and what poses it therefore reads off a demonstration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from imitate.data.camera import Camera
from imitate.data.demonstration import Demonstration
from imitate.data.viewpoint import around_base, bearing, moved
from imitate.embedding.encoders.thumbnail import Thumbnail
from imitate.embedding.trained_encoder import TrainedEncoder
from imitate.errors import UserError, choose
from imitate.keeping.workers import Alone, Crew
from imitate.reading.pose_tracking import Tracked, read_poses
from imitate.reading.practice import smoothed

from .close_look import CLOSELY, KNOWN, ROUGHLY, UNKNOWN, Closer, Viewing, by_second
from .kuka import ARMS, CONTROL_HZ, Arm, body_of
from .landmarks import number_of
from .pictures import Pictures
from .room import painters_of

Reach = Callable[[NDArray[np.float64]], NDArray[np.float64]]  # poses (n, joints), rad, to such as can be

MOST = 4  # times that it is read in the video's own room
SURE, GAIN = 0.995, 0.001  # share explained above which once is enough, and what must be gained to go on
SURE_THERE = 0.98  # the same of each second
AGAIN = 1  # times that one who is lost there looks again
ROOM = 0.1  # beyond the range that random poses are drawn from, in shares of it: about the joints' limits


def within_reach(poses: NDArray[np.float64], arm: str | Arm) -> NDArray[np.float64]:
    """Poses (..., joints), rad, within the range of an arm, and ``ROOM`` beyond."""
    own = choose(ARMS, arm, "arm") if isinstance(arm, str) else arm
    lower, upper = np.array(own.lower), np.array(own.upper)
    room = ROOM * (upper - lower)
    return np.clip(poses, lower - room, upper + room)


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
        encoder.check_arm(self.arm.joints)
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
    encoder.check_arm((choose(ARMS, arm, "arm") if isinstance(arm, str) else arm).joints)
    pixels = replace(encoder, module=Thumbnail(), dim=Thumbnail.dim, pose_head=None).to(encoder.device)
    guesses = None if encoder.pose_head is None else encoder.decode_joints(encoder.embed(frames))
    return watch(pixels, pixels.embed(frames), arm, workers, guesses).poses


class Watched(NamedTuple):
    """What was read off a demonstration, from where.

    Attributes:
        poses: (length, joints) rad.
        camera: That is believed to have filmed it.
    """

    poses: NDArray[np.float64]
    camera: Camera


def watch_closely(
    encoder: TrainedEncoder,
    frames: NDArray[np.uint8],
    arm: str | Arm = "iiwa",
    workers: int = 0,
    camera: Camera | None = None,
    camera_known: bool = True,
    first: NDArray[np.floating] | None = None,
) -> Watched:
    """Read the poses (length, joints), rad, off the frames of a demonstration.

    Whoever embeds whatever room alike knows about what they are: its pose head says so at once. From there the video
    shows its own room, in which poses are read as ``watch`` does, but what the robot imagines looks as the video does.
    A closer look at the pixels comes after each, and from that the next begins, until enough is explained, or no more.
    What explained most is looked at once more.

    Args:
        encoder: That they are read with.
        frames: (length, size, size, 3) uint8, 20 a second.
        arm: As ``watch`` has it.
        workers: As ``Imagination`` has them.
        camera: That filmed them; None: the encoder's.
        camera_known: Whether it did, though it may have been knocked; else one that stands anywhere. It is found with
            the poses, but for its turn about the base, which looks as if the robot turned.
        first: (joints,) the pose that they begin with, rad, where that is known: it tells that turn. Without, the
            camera is taken to stand as little aside as can be.

    Raises:
        UserError: As ``Imagination`` does; and an encoder that does not find this arm's landmarks.
    """
    embeddings = encoder.embed(frames)
    if encoder.domain is None:
        return Watched(watch(encoder, embeddings, arm, workers).poses, encoder.camera)
    own = choose(ARMS, arm, "arm") if isinstance(arm, str) else arm
    usual = camera or encoder.camera
    encoder.check_camera(usual, encoder.image_size)
    encoder.check_arm(own.joints)
    landmarks = encoder.find(frames)
    if (found := landmarks.shape[1]) != (wanted := number_of(own, body_of(own.file))):
        raise UserError(f"an encoder that finds {found} landmarks, expected the {wanted} of this arm")
    unsure = (KNOWN if camera_known else UNKNOWN) if encoder.domain.camera_varies else (0.0,) * len(KNOWN)
    joint = None if camera_known or first is None else float(first[0])
    guesses = as_seen_from(usual, _decoded(encoder, embeddings, own), encoder.camera)
    viewings = [Viewing(frames, one, usual, 1 / CONTROL_HZ, unsure, joint) for one in painters_of(own)]
    reach = partial(_reached, own, camera_known)
    best = _read_in_its_room(encoder, embeddings, *_begun(viewings, guesses, landmarks, reach), reach)
    turn = _turn(best.poses[:, 0], own) if not camera_known and first is None else 0.0
    poses = best.poses + turn * np.eye(own.joints)[0]
    return Watched(within_reach(poses, own), around_base(moved(usual, best.offsets), turn))


def _begun(
    viewings: list[Viewing], guesses: NDArray[np.float64], landmarks: NDArray[np.floating], reach: Reach
) -> tuple[Viewing, Closer]:
    """The viewing, of those that may be, that explains most at a first look; of one that is sure, no other is asked."""
    begun = []
    for viewing in viewings:
        now = viewing.marked(reach(guesses), landmarks)
        now = viewing.halved().look(now._replace(poses=reach(now.poses)), ROUGHLY)
        now = viewing.look(now._replace(poses=reach(now.poses)), CLOSELY[:1])
        begun.append((viewing, now))
        if _is_sure(now):
            break
    return max(begun, key=_how_sure)


def _read_in_its_room(
    encoder: TrainedEncoder,
    embeddings: NDArray[np.float32],
    viewing: Viewing,
    now: Closer,
    reach: Reach,
) -> Closer:
    """By embeddings and by pixels in turn, until enough is explained, or no more."""
    best = now
    for _ in range(MOST):
        see = partial(_embedded, encoder, viewing.imagined(now))
        poses = read_poses(embeddings, see, now.poses, viewing.seconds, again=AGAIN).poses
        now = viewing.look(now._replace(poses=reach(poses)), CLOSELY)
        gain = now.explained.mean() - best.explained.mean()
        if gain > -GAIN:
            best = now
        if _is_sure(best) or gain < GAIN:
            break
    last = viewing.look(best, CLOSELY[-1:])
    return last if last.explained.mean() > best.explained.mean() - GAIN else best


def _how_sure(begun: tuple[Viewing, Closer]) -> float:
    return float(begun[1].explained.mean())


def _is_sure(seen: Closer) -> bool:
    """Whether once is enough: all in all, and in the second that is explained least."""
    return bool(seen.explained.mean() > SURE and by_second(seen.explained, 1 / CONTROL_HZ).min() > SURE_THERE)


def as_seen_from(camera: Camera, poses: NDArray[np.float64], usual: Camera) -> NDArray[np.float64]:
    """Poses (n, joints), rad, that look from a camera, but for its base, as these do from the usual one."""
    turned = poses.copy()
    if not camera.known or not usual.known:
        return turned
    turned[:, 0] += bearing(camera) - bearing(usual)
    turned[:, 0] -= _whole_turns(turned[:, 0])
    return turned


def _reached(arm: Arm, camera_known: bool, poses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Poses within reach; seen from anywhere, the first joint seems to stand anywhere."""
    reached = within_reach(poses, arm)
    if not camera_known:
        reached[..., 0] = poses[..., 0]
    return reached


def _turn(seen: NDArray[np.float64], arm: Arm) -> float:
    """The least that the robot, and the camera with it, turns about the base for its first joint to be in its range."""
    whole = _whole_turns(seen)
    lower, upper = arm.lower[0] - (seen - whole).min(), arm.upper[0] - (seen - whole).max()
    return (float(np.clip(0.0, lower, upper)) if lower <= upper else float(lower + upper) / 2) - whole


def _whole_turns(joint: NDArray[np.float64]) -> float:
    """Those, rad, that a joint (length,) seems to have turned: none can be seen."""
    return 2 * np.pi * float(np.round(joint.mean() / (2 * np.pi)))


def _embedded(
    encoder: TrainedEncoder, draw: Callable[[NDArray[np.float64]], NDArray[np.uint8]], poses: NDArray[np.float64]
) -> NDArray[np.float32]:
    return encoder.embed(draw(poses))


def _decoded(encoder: TrainedEncoder, embeddings: NDArray[np.float32], arm: Arm) -> NDArray[np.float64]:
    """What the pose head says, smoothed; without one, the robot is home."""
    if encoder.pose_head is None:
        return np.zeros((len(embeddings), arm.joints))
    joints = encoder.decode_joints(embeddings)
    smooth = np.arctan2(smoothed(np.sin(joints)), smoothed(np.cos(joints)))
    smooth[:, 0] = np.unwrap(smooth[:, 0])  # seen from somewhere, it may turn all the way round
    return smooth


def believing(
    demonstration: Demonstration, encoder: TrainedEncoder, arm: str | Arm = "iiwa", workers: int = 0
) -> Demonstration:
    """The demonstration with the poses that the robot reads off it, which takes seconds; itself if it has them."""
    if demonstration.believed is not None:
        return demonstration
    watched = watch_closely(encoder, demonstration.frames, arm, workers, demonstration.camera)
    return replace(demonstration, believed=watched.poses, believed_camera=watched.camera)
