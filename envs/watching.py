"""What is read off a demonstration, in whatever room: its poses, and where the camera stands that filmed it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from imitate.data.camera import Camera
from imitate.data.demonstration import Demonstration
from imitate.data.viewpoint import around_base, bearing, moved
from imitate.embedding.trained_encoder import TrainedEncoder
from imitate.errors import UserError, choose
from imitate.reading.pose_tracking import read_poses

from .close_look import CLOSELY, KNOWN, ROUGHLY, SHARPLY, UNKNOWN, Closer, Guess, Look, Viewing, by_second
from .imagination import limits_of, watch, within_reach
from .kuka import ARMS, CONTROL_HZ, Arm, body_of
from .landmarks import number_of
from .room import painters_of

SURER = 5.0  # frames, a standard deviation, that are asked together for how the arm about stands
UNKNOWING = 1e-9 + 0j  # which way joints point where nobody knows
MOST = 4  # times that it is read in the video's own room
SURE = 0.995  # share explained above which once is enough
NOTHING = 1e-9  # that is left: of less, no share can be gained
GAIN = 0.02  # of what was left, that must be gained to go on
FINER = 0.1  # more of it than before, that may be left by a last look, which sees finer things
OTHER = 0.95  # times as unlike as the robot's own arm, that another may be, for it to be taken for that
UNCLEAR = 1.25  # times the least that is left at first, or as unlike, that what is read to the end, too, may be
SURE_THERE = 0.98  # the same of each second
AGAIN = 1  # times that one who is lost there looks again


class Sight(NamedTuple):
    """What an encoder sees in a video.

    Attributes:
        encoder: Who sees it.
        embeddings: (length, dim).
        landmarks: (length, landmarks, 2), as ``TrainedEncoder.find`` has them.
    """

    encoder: TrainedEncoder
    embeddings: NDArray[np.float32]
    landmarks: NDArray[np.float32]

    @classmethod
    def of(cls, encoder: TrainedEncoder, frames: NDArray[np.uint8]) -> Sight:
        """Of frames (length, size, size, 3)."""
        return cls(encoder, *encoder.look(frames))


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
    A closer look at the pixels comes after each, and from that the next begins, until enough is explained, or hardly
    less is left. What left the least is looked at once more.

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
    sight = Sight.of(encoder, frames)
    if encoder.domain is None:
        return Watched(watch(encoder, sight.embeddings, arm, workers).poses, encoder.camera)
    own = choose(ARMS, arm, "arm") if isinstance(arm, str) else arm
    usual = camera or encoder.camera
    _check_knows(encoder, usual, own)
    unsure = (KNOWN if camera_known else UNKNOWN) if encoder.domain.camera_varies else (0.0,) * len(KNOWN)
    joint = None if camera_known or first is None else float(first[0])
    within, last = _limits(own, camera_known), SHARPLY if camera_known else CLOSELY[-1:]
    viewings = [Viewing(frames, one, usual, 1 / CONTROL_HZ, unsure, within, joint) for one in painters_of(own)]
    begun = _begun(sight, viewings, _guesses(sight, own, usual, camera_known))
    read = {viewing: _read_in_its_room(sight, viewing, now, last) for viewing, now in begun.items()}
    best = _likeliest(sight, read, viewings, last)
    turn = 0.0 if camera_known or first is not None else _turn(best.poses[:, 0], own)
    best.poses[:, 0] += turn
    return Watched(within_reach(best.poses, own), around_base(moved(usual, best.offsets), turn))


def _check_knows(encoder: TrainedEncoder, camera: Camera, arm: Arm) -> None:
    encoder.check_camera(camera, encoder.image_size)
    encoder.check_arm(arm)
    if (found := encoder.landmarks) != (wanted := number_of(arm, body_of(arm.file))):
        raise UserError(f"an encoder that finds {found} landmarks, expected the {wanted} of this arm")


def _limits(arm: Arm, camera_known: bool) -> NDArray[np.float64]:
    """Of an arm, as it seems: seen from anywhere, its first joint may stand anywhere."""
    limits = limits_of(arm)
    if not camera_known:
        limits[:, 0] = -np.inf, np.inf
    return limits


def _begun(sight: Sight, viewings: list[Viewing], guesses: list[Guess]) -> dict[Viewing, Closer]:
    """First looks at the arm as it is and, if that is not sure, at the last that it may be else.

    From afar first; if that is not sure, which may have led astray, at once, too, and from the other guess. Of these
    that counts which leaves the least. An arm is left out that leaves much more, and that the video is much less like.
    """

    def from_afar(viewing: Viewing, guess: Guess) -> Closer:
        rough = viewing.halved().look(viewing.marked(guess, sight.landmarks), ROUGHLY)
        return viewing.look(rough, CLOSELY[:1])

    own, *others = viewings
    begun = {own: from_afar(own, guesses[0])}
    if _is_sure(begun[own]):
        return begun
    at_once = own.look(own.marked(guesses[0], sight.landmarks), CLOSELY[:1])
    begun[own] = min(begun[own], at_once, *(from_afar(own, guess) for guess in guesses[1:]), key=_left)
    for other in others[-1:]:
        begun[other] = min((from_afar(other, guess) for guess in guesses), key=_left)
    unlikes = {viewing: unlike(sight, viewing, now) for viewing, now in begun.items()}
    least, likest = UNCLEAR * min(map(_left, begun.values())), UNCLEAR * min(unlikes.values())
    return {viewing: now for viewing, now in begun.items() if now.left <= least or unlikes[viewing] <= likest}


def _likeliest(
    sight: Sight, read: dict[Viewing, Closer], viewings: list[Viewing], last_look: tuple[Look, ...]
) -> Closer:
    """What is believed. If it is not the robot's own arm, the others that it may be are looked at from there, too."""

    def believed(looks: dict[Viewing, Closer]) -> Viewing:
        return list(looks)[likeliest([unlike(sight, viewing, now) for viewing, now in looks.items()])]

    viewing = believed(read)
    if viewing is not viewings[0]:
        best, others = read[viewing], [other for other in viewings[1:] if other is not viewing]
        read = {viewing: best} | {other: other.look(best, (*CLOSELY, *last_look)) for other in others}
        viewing = believed(read)
    return read[viewing]


def unlike(sight: Sight, viewing: Viewing, seen: Closer) -> float:
    """How unlike a video is to what it is believed to show: two opinions, multiplied.

    One is what is left of its pixels, which an arm of another size may explain in another pose. The other is what
    landmarks that the encoder finds in it are off from those that it finds in what is imagined.
    """
    own = viewing.painter.landmarks
    found = sight.encoder.find(viewing.imagined(seen)(seen.poses))
    return seen.left * float(np.linalg.norm(found[:, :own] - sight.landmarks[:, :own], axis=-1).mean())


def likeliest(unlikes: Sequence[float]) -> int:
    """Which arm: the first, unless the video is much less unlike the next: to believe in another takes more.

    Args:
        unlikes: Of the robot's own arm, and of others that it may be, as ``unlike`` has it.
    """
    best = 0
    for other in range(1, len(unlikes)):
        if unlikes[other] < OTHER * unlikes[best]:
            best = other
    return best


def _left(seen: Closer) -> float:
    return seen.left


def _read_in_its_room(sight: Sight, viewing: Viewing, now: Closer, last_look: tuple[Look, ...]) -> Closer:
    """By embeddings and by pixels in turn, until enough is explained, or hardly less is left; and a last look."""
    best = now
    for _ in range(MOST):
        see = partial(_embedded, sight.encoder, viewing.imagined(now))
        poses = read_poses(sight.embeddings, see, now.poses, viewing.seconds, again=AGAIN).poses
        now = viewing.look(now._replace(poses=poses), CLOSELY)
        gain = 1 - now.left / max(best.left, NOTHING)
        if gain > -GAIN:
            best = now
        if _is_sure(best) or gain < GAIN:
            break
    last = viewing.look(best, last_look)
    return last if last.left < (1 + FINER) * best.left else best


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


def _guesses(sight: Sight, arm: Arm, camera: Camera, camera_known: bool) -> list[Guess]:
    """What may be, the likelier first, as a camera sees it.

    If that is known, the first joint is where it can be, frame by frame: a misread one winds nothing. By another it may
    turn all the way round.
    """
    guesses = []
    for guess in map(Guess.of, _directions(sight, arm)):
        poses = as_seen_from(camera, guess.poses, sight.encoder.camera)
        first = poses[:, 0]
        poses[:, 0] = (first + np.pi) % (2 * np.pi) - np.pi if camera_known else np.unwrap(first)
        guesses.append(guess._replace(poses=poses))
    return guesses


def _directions(sight: Sight, arm: Arm) -> list[NDArray[np.complex128]]:
    """Where joints may point, as ``decode_directions`` has it.

    What the sequence head says, if there is one; then what the pose head says over some frames, of which the surer
    count more. Without both, the robot is home, for all that is known.
    """
    encoder, embeddings, landmarks = sight
    if encoder.pose_head is None:
        return [np.full((len(embeddings), arm.joints), UNKNOWING)]
    alone = gaussian_filter1d(encoder.decode_directions(embeddings), SURER, axis=0)
    return [encoder.decode_directions(embeddings, landmarks), alone] if encoder.sequence_head is not None else [alone]


def believing(
    demonstration: Demonstration, encoder: TrainedEncoder, arm: str | Arm = "iiwa", workers: int = 0
) -> Demonstration:
    """The demonstration with the poses that the robot reads off it, which takes seconds; itself if it has them."""
    if demonstration.believed is not None:
        return demonstration
    watched = watch_closely(encoder, demonstration.frames, arm, workers, demonstration.camera)
    return replace(demonstration, believed=watched.poses, believed_camera=watched.camera)
