"""How a robot comes by the poses that a demonstration shows: it guesses, and may find better ones by practice."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from imitate.data.demonstration import Demonstration
from imitate.data.frame_cache import decoded_frames
from imitate.data.lerobot.dataset import LeRobotDataset
from imitate.embedding.trained_encoder import TrainedEncoder
from imitate.envs.imagination import watch_pixels, within_reach
from imitate.envs.kuka import ARMS, Arm, Kuka, body_of
from imitate.envs.landmarks import number_of
from imitate.envs.practice import FOUND, ROUND, Practised, practise, rounds_of
from imitate.envs.robot import Robot
from imitate.envs.watching import Watched, as_seen_from, watch_closely
from imitate.errors import UserError, check_bounds, choose
from imitate.keeping.runs import Stage, read_json, write_json
from imitate.reading.practice import smoothed
from imitate.reading.recollection import recollect

from .demo import as_if_read, check_scenes, is_training_episode, load_held_out
from .rollout import true_errors

MOST_STEPS = 10**12
USUAL = 100  # frames of a demonstration: a longer one is practised longer
EVERY = 3  # frames of its recordings of which one is remembered: those between look much like it


@dataclass(frozen=True)
class Mind:
    """What a robot guesses with.

    Attributes:
        encoder: That embeds what it sees.
        arm: Its own.
        run: The directory of its recordings.
        workers: Processes that imagine, and practise; 0: this one, without a word.
        camera_known: Whether its encoder's camera films what it is shown, about; else one that it has to find.
    """

    encoder: TrainedEncoder
    arm: str | Arm
    run: Path
    workers: int
    camera_known: bool = True

    @cached_property
    def recollection(self) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Embeddings (n, dim) of the frames that it filmed itself, and the joints (n, joints), rad, that it had there.

        Raises:
            UserError: Another camera filmed them, or in other scenes.
        """
        dataset = LeRobotDataset(self.run / "record" / "dataset")
        camera, train = dataset.camera(self.encoder.camera.name), dataset.split("train")
        self.encoder.check_camera(camera, dataset.image_size(camera.name))
        check_scenes(dataset, train, self.encoder)
        count, quiet = int(dataset.lengths.sum()), self.workers == 0
        with tqdm(total=count, unit="frame", desc="decode", leave=False, disable=quiet) as bar:
            frames = decoded_frames(dataset, camera.name, bar.update)
        spans = [np.arange(dataset.starts[k], dataset.starts[k] + dataset.lengths[k]) for k in train]
        rows = np.concatenate(spans)[::EVERY]
        seen = as_seen_from(self.encoder.camera, dataset.joints()[rows], camera)
        return self.encoder.embed(frames[rows]), seen


def _imagined(shown: Demonstration, mind: Mind) -> Watched:
    first = None if shown.joints is None else shown.joints[0]
    return watch_closely(mind.encoder, shown.frames, mind.arm, mind.workers, shown.camera, mind.camera_known, first)


def _compared(shown: Demonstration, mind: Mind) -> Watched:
    return Watched(watch_pixels(mind.encoder, shown.frames, mind.arm, mind.workers), mind.encoder.camera)


def _decoded(shown: Demonstration, mind: Mind) -> Watched:
    seen = smoothed(mind.encoder.decode_joints(mind.encoder.embed(shown.frames)))
    return _there(seen, mind.encoder, shown)


def _recollected(shown: Demonstration, mind: Mind) -> Watched:
    return _there(recollect(mind.encoder.embed(shown.frames), *mind.recollection), mind.encoder, shown)


def _there(seen: NDArray[np.float64], encoder: TrainedEncoder, shown: Demonstration) -> Watched:
    """Poses as the encoder's camera would see them, of the camera that a demonstration says to be its own."""
    camera = shown.camera or encoder.camera
    return Watched(as_seen_from(camera, seen, encoder.camera), camera)


@dataclass(frozen=True)
class Guess:
    """A way to guess.

    Attributes:
        watch: From a demonstration to its poses, and the camera that filmed it. Of its true poses the first may tell
            how far aside an unknown camera stands.
        steps: Of practice that find better ones, at most.
    """

    watch: Callable[[Demonstration, Mind], Watched]
    steps: int


GUESSES = {
    "imagination": Guess(_imagined, 131_072),
    "pixels": Guess(_compared, 131_072),
    "head": Guess(_decoded, 131_072),
    "recordings": Guess(_recollected, 262_144),
}


@dataclass(frozen=True)
class Reading:
    """How poses are read.

    Attributes:
        guess: One of ``GUESSES``.
        practice: Steps of practice, at most; None: as many as the guess wants, and more of a demonstration of more than
            ``USUAL`` frames.

    Raises:
        UserError: There is no such guess, or no such number of steps.
    """

    guess: str = "imagination"
    practice: int | None = None

    def __post_init__(self) -> None:
        choose(GUESSES, self.guess, "guess")
        if self.practice is not None:
            check_bounds(self, practice=(0, MOST_STEPS))

    def steps(self, length: int = USUAL) -> int:
        """Of practice, at most, of a demonstration of so many frames."""
        wanted = GUESSES[self.guess].steps * max(length, USUAL) // USUAL
        return wanted if self.practice is None else self.practice

    def check(self, encoder: TrainedEncoder, run: Path, demos: Sequence[str] = ()) -> None:
        """Refuse to guess what can't be guessed so, before anything is made.

        Raises:
            UserError: The encoder has no pose head, the run no recordings, or a demonstration is one of these.
        """
        if self.guess == "head" and encoder.pose_head is None:
            raise UserError("guess head: this encoder has no pose head, expected one that was trained with joints")
        if self.guess == "recordings":
            if not Stage(run / "record").finished:
                raise UserError(f"guess recordings: {run} has none: run 'record' first, or choose another guess")
            self.check_shown(run, demos)

    def check_shown(self, run: Path, demos: Sequence[str]) -> None:
        """Refuse demonstrations whose poses the robot knows, whether or not there is an encoder yet.

        Raises:
            UserError: One is of the recordings that it guesses from.
        """
        if self.guess == "recordings" and (known := [demo for demo in demos if is_training_episode(demo, run)]):
            raise UserError(f"guess recordings: {known[0]} is one of them, expected a demonstration that is not")

    def guessed(self, demonstration: Demonstration, mind: Mind) -> Demonstration:
        """The demonstration with the poses that are guessed."""
        watched = GUESSES[self.guess].watch(demonstration, mind)
        poses = within_reach(watched.poses, mind.arm)
        return replace(demonstration, believed=poses, believed_camera=watched.camera)

    def supposed(self, training: Sequence[Demonstration], mind: Mind, seed: int) -> list[Demonstration]:
        """Many training episodes, with poses as wrong as it guesses those of a few.

        Of what it was trained on, a pose head knows more than of others' videos, and so does a recollection: they
        guess at held-out ones.
        """
        known = training if self.guess == "imagination" else load_held_out(mind.run, mind.encoder)
        return as_if_read(training, known, lambda one: self.guessed(one, mind), seed)

    def practised(
        self, demonstration: Demonstration, robot: Robot, mind: Mind, seed: int, kept: Path | None = None
    ) -> Practised:
        """Find poses by practice, from those that were guessed, and say so if that did not come near each frame.

        Args:
            demonstration: With the guesses.
            robot: That practises.
            mind: Of it.
            seed: Of everything random.
            kept: A file for what is found. It is taken from it the next time, of the same frames and guesses.
        """
        steps = self.steps(len(demonstration))
        if not steps or demonstration.believed is None:
            return Practised(demonstration)
        shown = mind.encoder.embed(demonstration.frames)
        of = hashlib.sha256(demonstration.believed.tobytes() + shown.tobytes()).hexdigest()
        if kept and kept.exists() and (known := read_json(kept))["of"] == of:
            believing = replace(demonstration, believed=np.array(known["poses"], np.float64))
            return Practised(believing, *(known[name] for name in Practised._fields[1:]))
        quiet = mind.workers == 0
        with (
            closing(Kuka(robot.arm)) as kuka,
            tqdm(total=rounds_of(steps) * ROUND, unit="step", desc="practise", disable=quiet) as bar,
        ):

            def tell(poses: NDArray[np.float64]) -> dict[str, float]:
                bar.update(ROUND)
                return true_errors(demonstration, poses, kuka)

            before = {"steps": 0, "seconds": 0.0} | true_errors(demonstration, demonstration.believed, kuka)
            practice = practise(demonstration, mind.encoder, robot, steps, mind.workers, seed, tell)
            practice = practice._replace(curve=[before, *practice.curve])
            bar.total = bar.n  # found: no more is to be done
            bar.refresh()
        if not practice.found and not quiet:
            _warn(practice)
        if kept:
            poses = practice.demonstration.believed
            assert poses is not None  # they were found
            facts = dict(zip(Practised._fields[1:], practice[1:], strict=True))
            write_json(kept, {"of": of, "poses": poses.tolist(), **facts})
        return practice

    def read(self, demonstration: Demonstration, robot: Robot, mind: Mind, seed: int) -> Read:
        """Guess, and practise."""
        guessed = self.guessed(demonstration, mind)
        return Read(guessed.believed, self.practised(guessed, robot, mind, seed))


def _warn(practice: Practised) -> None:
    """Say what practice has not found."""
    name = practice.demonstration.name
    why = (
        f"a frame of {name} is still {practice.apart:.1f} from all that the robot has seen of itself, expected less "
        f"than {FOUND}"
        if practice.apart >= FOUND
        else f"what is believed of a frame of {name} does not look like it"
    )
    print(
        f"imitate: after {practice.steps} steps of practice, {why}: poses may be wrong there; practise longer with "
        "--practice",
        file=sys.stderr,
    )


def check_reads(encoder: TrainedEncoder, folder: Path, shows: str, camera_known: bool = True) -> None:
    """Refuse an encoder that was trained on another arm, or on one camera only where it has to find any.

    Raises:
        UserError: It was, or it does not say what it was trained on.
    """
    arm = ARMS[shows]
    encoder.check_arm(arm)
    wanted = number_of(arm, body_of(arm.file))
    if encoder.domain is None or encoder.landmarks != wanted:
        raise UserError(
            f"the encoder {folder} finds {encoder.landmarks} landmarks, expected the {wanted} of {shows}: one of "
            f"'embed open --arm {shows}'"
        )
    encoder.check_camera(encoder.camera, encoder.image_size)
    if not camera_known and not encoder.domain.camera_varies:
        raise UserError(f"--no-camera-known: the encoder {folder} knows one camera only, expected one that knows many")


class Read(NamedTuple):
    """A demonstration that was read.

    Attributes:
        guessed: (length, joints) poses, rad, as they were guessed.
        practised: What practice made of them, if there was any.
    """

    guessed: NDArray[np.float64] | None
    practised: Practised

    @property
    def demonstration(self) -> Demonstration:
        """With the poses that are believed in the end."""
        return self.practised.demonstration
