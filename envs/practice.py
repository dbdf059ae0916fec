"""The robot practises a demonstration: it takes the poses that it guesses, and learns from what it sees."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from time import perf_counter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from imitate.data.demonstration import Demonstration
from imitate.embedding.trained_encoder import TrainedEncoder
from imitate.errors import UserError
from imitate.reading.practice import Experience
from imitate.reward.following import Following
from imitate.reward.vector_wrapper import EmbeddingRewardVector

from .control import VELOCITY_SCALE
from .imagination import within_reach
from .kuka import CONTROL_HZ
from .robot import Robot
from .tcn_imitate import tcn_imitate_vector

REACH = VELOCITY_SCALE / CONTROL_HZ  # rad that a full action turns a joint in a step
ENVS, STEPS = 64, 32  # environments, and steps of each between two readings
ROUND = ENVS * STEPS
TRACKS = 3  # ways of the demonstration that are tried beside the one that is believed, by as many robots each
ASTRAY, LEAST_ASTRAY = 0.3, 0.02  # rad, standard deviation of how far it goes from them
PER_DISTANCE = 0.1  # rad, of an embedding, of norm 10, that is 1 apart from what it should be
LASTING = 0.8  # share of that which stays from a step to the next: what changes faster moves the arm little
FOUND = 0.6  # distance of embeddings, of norm 10: come nearer to each frame, by `nearness`, and practice ends
WRONG = 2.0  # the same: unless what is believed of a frame looks farther from it than this
TURN = 1 / 16  # how often, in a step, a robot turns around in time

Floats = NDArray[np.float64]


def towards(poses: NDArray[np.floating], joints: NDArray[np.floating]) -> NDArray[np.float32]:
    """The actions that take (..., joints) poses, rad, from where the joints are within a step, as far as it goes."""
    return np.clip((poses - joints) / REACH, -1, 1).astype(np.float32)


def rounds_of(steps: int) -> int:
    """Whole rounds of so many steps; one at least."""
    return max(steps // ROUND, 1)


class Way(NamedTuple):
    """Poses (length, joints), rad, for the frames of a demonstration, and how far to go astray from each, (length,)."""

    poses: Floats
    astray: Floats


class Practised(NamedTuple):
    """What came of practice.

    Attributes:
        demonstration: With the poses that were found.
        steps: Of all environments together, that it took.
        seconds: That it took.
        apart: How near it has come to the frame that it is the farthest from: a distance of embeddings. NaN without
            practice.
        found: Whether that is near, for each frame, and what is believed of it looks like it.
        curve: A row a round: ``steps``, ``seconds``, ``apart``, and what was said of the poses that it then believed.
    """

    demonstration: Demonstration
    steps: int = 0
    seconds: float = 0.0
    apart: float = float("nan")
    found: bool = True
    curve: Sequence[dict[str, float]] = ()

    def metrics(self) -> dict[str, float]:
        """Under the names of metrics.json."""
        return {"practice_steps": self.steps, "practice_seconds": self.seconds, "practice_apart": self.apart}

    def put_before(self, curve: Sequence[dict[str, float]]) -> list[dict[str, float]]:
        """The curve of practice, and after it a learning curve, of rows with ``steps`` and ``seconds``."""
        after = {"steps": self.steps, "seconds": self.seconds}
        return [*self.curve, *(row | {key: row[key] + after[key] for key in after} for row in curve)]


def practise(
    demonstration: Demonstration,
    encoder: TrainedEncoder,
    robot: Robot,
    steps: int,
    workers: int = 0,
    seed: int = 0,
    tell: Callable[[Floats], dict[str, float]] = lambda poses: {},
) -> Practised:
    """Find out which poses a demonstration shows, by taking those that are believed and going a little astray.

    Nothing is imagined: what is seen is what the environment shows. Episodes start at a random frame, at the pose that
    is tried there: of the demonstration, only its frames are looked at. It ends when all were come near.

    Args:
        demonstration: With the poses that are believed at first.
        encoder: That embeds it, and what the robot sees.
        robot: That practises.
        steps: Of all environments together, at most: whole rounds of 2,048, one at least.
        workers: Processes that simulate. What is found does not depend on their number.
        seed: Of everything random.
        tell: Called after each round with the poses (length, joints), rad, that are believed. What it answers stands
            in the curve.

    Raises:
        UserError: No poses are believed, or there are no steps.
    """
    guessed = _checked(demonstration, steps)
    bare, own = replace(demonstration, joints=None), replace(robot, midway=1.0, start_noise=0.0)
    experience = Experience(encoder.embed(demonstration.frames), guessed.shape[1])
    rng, begun, curve = np.random.default_rng(seed), perf_counter(), []
    with closing(tcn_imitate_vector(ENVS, encoder, [bare], Following(), own, workers)) as env:
        walk = _Walk(env, rng, seed)
        experience.add(*walk.met())
        ways = [Way(guessed, _astray(experience.nearness()))]
        for taken in range(1, rounds_of(steps) + 1):
            walk.round(ways)
            experience.add(*walk.met())
            believed = within_reach(experience.poses(), robot.arm)
            away, apart = _away(experience, believed), float(experience.nearness().max())
            ways = [Way(believed, _astray(away)), *_tracks(experience, believed, robot, rng)]
            # Each in turn, so that episodes also start where a way leads that no robot has come along.
            env.unwrapped.believe([ways[taken % len(ways)].poses])  # type: ignore[attr-defined]
            seconds, found = perf_counter() - begun, apart < FOUND and float(away.max()) < WRONG
            curve.append({"steps": taken * ROUND, "seconds": seconds, "apart": apart} | tell(believed))
            if found:
                break
    worse = _unlike(experience, believed) > _unlike(experience, guessed) + FOUND  # what it expects is not that exact
    kept = guessed if worse else believed
    return Practised(replace(demonstration, believed=kept), taken * ROUND, seconds, apart, found, curve)


def _checked(demonstration: Demonstration, steps: int) -> Floats:
    """The poses (length, joints) to begin with, rad."""
    if demonstration.believed is None:
        raise UserError(f"demonstration {demonstration.name}: no poses to begin with, expected guesses: `believed`")
    if steps < 1:
        raise UserError(f"{steps} steps of practice, expected 1 or more")
    return np.asarray(demonstration.believed, np.float64)


def _away(experience: Experience, believed: Floats) -> Floats:
    """(length,) how far what it would see at the poses that it believes is from the demonstration's frames.

    Nowhere more than how near it has come, where it has been: of poses where it has not been it has no idea. But once
    it has come near all frames, each pose must look like its own. Next to a frame that was seen there may be one of
    which only another pose was, and between the two there is neither.
    """
    expected, near = experience.expected(believed), experience.nearness()
    return expected if near.max() < FOUND else np.minimum(expected, near)


def _unlike(experience: Experience, poses: Floats) -> float:
    """How far, on average, what it would see at some poses is from the frames: as near as it has come, if unknown."""
    expected = experience.expected(poses)
    return float(np.where(np.isinf(expected), experience.nearness(), expected).mean())


def _tracks(experience: Experience, believed: Floats, robot: Robot, rng: np.random.Generator) -> list[Way]:
    """Other ways than the one that is believed."""
    tracks = [experience.track(believed, 1 / CONTROL_HZ, rng) for _ in range(TRACKS)]
    return [Way(within_reach(tracked.poses, robot.arm), _astray(tracked.apart)) for tracked in tracks]


def _astray(apart: Floats) -> Floats:
    return np.clip(PER_DISTANCE * apart, LEAST_ASTRAY, ASTRAY)


class _Walk:
    """Robots that follow poses, forth and back in time, and go astray.

    Args:
        env: Their environments.
        rng: Of how they go.
        seed: Of the environments.
    """

    def __init__(self, env: EmbeddingRewardVector, rng: np.random.Generator, seed: int) -> None:
        self._env, self._rng = env, rng
        self._observed, infos = env.reset(seed=seed)
        self._at: NDArray[np.int64] = infos["step"].copy()  # the frame that each takes the pose of
        self._ahead = rng.choice([-1, 1], env.num_envs)
        self._joints = env.single_action_space.shape[0]  # type: ignore[index]
        self._away = np.zeros((env.num_envs, self._joints))  # standard normal
        self._met: list[NDArray[np.float32]] = [self._observed]

    def round(self, ways: Sequence[Way]) -> None:
        """Some steps of all, which take the ways in turn."""
        poses, astray = (np.stack(parts) for parts in zip(*ways, strict=True))
        way, last = np.arange(self._env.num_envs) % len(ways), poses.shape[1] - 1
        for _ in range(STEPS):
            fresh = self._rng.normal(size=self._away.shape)
            self._away = LASTING * self._away + np.sqrt(1 - LASTING**2) * fresh
            around = self._rng.random(len(way)) < TURN
            around |= (self._at + self._ahead < 0) | (self._at + self._ahead > last)
            self._ahead = np.where(around, -self._ahead, self._ahead)
            self._at = np.clip(self._at + self._ahead, 0, last)
            wanted = poses[way, self._at] + astray[way, self._at, None] * self._away
            self._observed, _, _, ended, infos = self._env.step(towards(wanted, self._observed[:, : self._joints]))
            self._met.append(self._observed)
            if ended.any():
                self._met.append(infos["final_obs"][ended])
                self._at = np.where(ended, infos["step"], self._at)

    def met(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """What was met since this was asked last: (n, dim) embeddings of what they saw, and (n, joints), rad."""
        states, self._met = np.concatenate(self._met), []
        dim = self._env.encoder.dim
        return states[:, 2 * self._joints : 2 * self._joints + dim], states[:, : self._joints]
