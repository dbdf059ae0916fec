"""Let a policy act once, measure it against the truth, and film it beside the demonstration."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import imageio.v3 as iio
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from imitate.data.demonstration import Demonstration
from imitate.data.video.writer import FOR_PEOPLE, write_video
from imitate.envs.kuka import Kuka
from imitate.envs.kuka_env import KukaEnv
from imitate.envs.practice import towards
from imitate.envs.tcn_imitate import TCNImitateEnv
from imitate.keeping.runs import written_aside

Policy = Callable[[NDArray[np.float32]], NDArray[np.float32]]  # (observation,) to (joints,) actions
PEOPLE = 256  # pixels a side of what people look at
BAND = 20  # pixels above, for the captions
ALIKE = 3.0  # of 255: mean difference of two films of one thing, of which one was compressed
PALETTE = 8  # frames that the colours of a GIF are taken from


@dataclass(frozen=True)
class Rollout:
    """One episode.

    Attributes:
        rewards: (steps,) learned rewards.
        distances: (steps,) L2 distances of the embeddings.
        ee_errors: (steps,) distance of the flanges, m; NaN where the demonstration's poses are unknown.
        joint_errors: (steps,) mean absolute joint differences, rad; NaN likewise.
        joints: (steps, joints) poses of the robot, rad.
        shown: (steps,) the demonstration's frame that each step was compared with.
        frames: (steps + 1, PEOPLE, PEOPLE, 3) uint8 of the robot, if it was filmed.
    """

    rewards: NDArray[np.float64]
    distances: NDArray[np.float64]
    ee_errors: NDArray[np.float64]
    joint_errors: NDArray[np.float64]
    joints: NDArray[np.float32]
    shown: NDArray[np.int64]
    frames: NDArray[np.uint8] | None = None

    def metrics(self, prefix: str = "") -> dict[str, float]:
        """Means over the episode, and the error at its end, under the names of metrics.json."""
        return {
            f"{prefix}ee_error_m": float(self.ee_errors.mean()),
            f"{prefix}joint_error_rad": float(self.joint_errors.mean()),
            f"{prefix}final_ee_error_m": float(self.ee_errors[-1]),
            f"{prefix}embedding_distance": float(self.distances.mean()),
            f"{prefix}reward": float(self.rewards.sum()),
        }

    def series(self) -> dict[str, list[float]]:
        """The figures of each step, from the first to the last, rounded to what can be seen."""
        named = {
            "embedding_distance": self.distances,
            "ee_error_m": self.ee_errors,
            "joint_error_rad": self.joint_errors,
            "reward": self.rewards,
        }
        return {name: np.round(values, 5).tolist() for name, values in named.items()}


def roll_out(
    env: TCNImitateEnv,
    policy: Policy,
    seed: int,
    film: bool = False,
    start: NDArray[np.floating] | None = None,
) -> Rollout:
    """Let ``policy`` act for one episode, from the demonstration's first pose or from ``start`` (joints,), rad."""
    observation, _ = env.reset(seed=seed, options={} if start is None else {"start": start})
    rows, shown = [], []
    joints = env.action_space.shape[0]  # type: ignore[index]
    poses = [observation[:joints]]
    done = False
    while not done:
        observation, reward, terminated, truncated, info = env.step(policy(observation))
        done = terminated or truncated
        errors = (info.get("ee_error_m", np.nan), info.get("joint_error_rad", np.nan))
        rows.append((reward, info["embedding_distance"], *errors))
        poses.append(observation[:joints])
        shown.append(info["step"])
    rewards, distances, ee_errors, joint_errors = np.array(rows, np.float64).T
    filmed = env.kuka_env.kuka.film_at(np.stack(poses), env.kuka_env.camera, PEOPLE) if film else None
    return Rollout(rewards, distances, ee_errors, joint_errors, np.stack(poses[1:]), np.array(shown), filmed)


def follower(env: KukaEnv, poses: NDArray[np.floating]) -> Policy:
    """Turn each joint to where it is to be at the next frame.

    Args:
        env: Tells which that is.
        poses: (length, joints) of the demonstration, rad.
    """

    def act(observation: NDArray[np.float32]) -> NDArray[np.float32]:
        ahead = poses[min(env.aim, len(poses) - 1)]
        return towards(ahead, observation[: len(ahead)])

    return act


def poses_taken(
    env: TCNImitateEnv,
    seed: int,
    start: NDArray[np.floating] | None = None,
    guessed: NDArray[np.floating] | None = None,
) -> dict[str, Rollout]:
    """Episodes in which poses are taken and nothing is learned, of what is believed of a demonstration, if anything is.

    ``direct``: the poses that were read off it, as they were ``guessed``; ``practised``: those that practice made of
    them, where it made any.
    """
    believed = env.kuka_env.references[0].believed
    if believed is None:
        return {}
    ways = {"direct": believed if guessed is None else guessed}
    if not np.array_equal(believed, ways["direct"]):
        ways["practised"] = believed
    return {way: roll_out(env, follower(env.kuka_env, poses), seed, start=start) for way, poses in ways.items()}


def baselines(
    env: TCNImitateEnv,
    seed: int,
    start: NDArray[np.floating] | None = None,
    taken: Mapping[str, Rollout] | None = None,
) -> dict[str, float]:
    """The metrics of holding still, of random actions, and of poses that were ``taken``."""
    joints = env.action_space.shape[0]  # type: ignore[index]
    rng = np.random.default_rng(seed)
    still = roll_out(env, lambda _: np.zeros(joints, np.float32), seed, start=start)
    random = roll_out(env, lambda _: rng.uniform(-1, 1, joints).astype(np.float32), seed, start=start)
    figures = still.metrics("hold_still_") | random.metrics("random_")
    for way, rollout in (taken or {}).items():
        figures |= rollout.metrics(f"{way}_")
    return figures


def misread(demonstration: Demonstration, poses: NDArray[np.floating], env: TCNImitateEnv) -> dict[str, float]:
    """How far poses that are believed of a demonstration are from it: in the embedding, and where it is known in truth.

    Means over the frames. Moves the arm.
    """
    kuka = env.kuka_env.kuka
    seen = env.encoder.embed(kuka.film_at(poses, env.kuka_env.camera, env.kuka_env.image_size))
    apart = np.linalg.norm(seen - env.encoder.embed(demonstration.frames), axis=1)
    figures = {"believed_embedding_distance": float(apart.mean())}
    return figures | {f"believed_{name}": value for name, value in true_errors(demonstration, poses, kuka).items()}


def true_errors(demonstration: Demonstration, poses: NDArray[np.floating], kuka: Kuka) -> dict[str, float]:
    """How far poses (length, joints), rad, are from a demonstration's, means over the frames; nothing, of a bare video.

    Moves the arm.
    """
    if demonstration.joints is None:
        return {}
    away = kuka.flange_positions(poses) - kuka.flange_positions(demonstration.joints)
    return {
        "ee_error_m": float(np.linalg.norm(away, axis=1).mean()),
        "joint_error_rad": float(np.abs(poses - demonstration.joints).mean()),
    }


def film_demonstration(demonstration: Demonstration, env: KukaEnv) -> NDArray[np.uint8]:
    """(length, PEOPLE, PEOPLE, 3) uint8: drawn anew if its poses, as the environment films them, are what it shows."""
    if demonstration.joints is None:
        return enlarged(demonstration.frames)
    drawn = env.kuka.film_at(demonstration.joints, env.camera, env.image_size)
    if np.abs(drawn.astype(np.float32) - demonstration.frames).mean() > ALIKE:
        return enlarged(demonstration.frames)
    return env.kuka.film_at(demonstration.joints, env.camera, PEOPLE)


def enlarged(frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """For people to look at: (n, PEOPLE, PEOPLE, 3)."""
    return np.stack([np.asarray(Image.fromarray(frame).resize((PEOPLE, PEOPLE))) for frame in frames])


def captions(rollout: Rollout) -> list[str]:
    """What to say of each step: how far the robot is off, as far as it is known."""
    said = []
    for error, distance in zip(rollout.ee_errors, rollout.distances, strict=True):
        text = f"   {100 * error:.1f} cm off" if np.isfinite(error) else ""
        said.append(text + (f"   embedding distance {distance:.1f}" if np.isfinite(distance) else ""))
    return said


def side_by_side(
    left: NDArray[np.uint8], right: NDArray[np.uint8], shown: NDArray[np.int64], said: Sequence[str]
) -> NDArray[np.uint8]:
    """A demonstration beside the robot, captioned.

    Args:
        left: (length, PEOPLE, PEOPLE, 3) of the demonstration.
        right: (steps + 1, PEOPLE, PEOPLE, 3) of the robot.
        shown: (steps,) the demonstration's frame that each step was compared with.
        said: (steps,) of the robot.

    Returns:
        (steps + 1, BAND + PEOPLE, 2 * PEOPLE, 3) uint8.
    """
    canvas = []
    for frame, text, robot in zip([0, *shown], ["", *said], right, strict=True):
        band = Image.new("RGB", (2 * PEOPLE, BAND), "white")
        draw = ImageDraw.Draw(band)
        draw.text((6, 4), "demonstration", fill="black")
        draw.text((PEOPLE + 6, 4), f"robot{text}", fill="black")
        canvas.append(np.vstack([np.asarray(band), np.hstack([left[frame], robot])]))
    return np.stack(canvas)


def beside(demonstration: Demonstration, env: KukaEnv, rollout: Rollout) -> NDArray[np.uint8]:
    """What the arm did beside what it was shown, as ``side_by_side``."""
    assert rollout.frames is not None
    return side_by_side(film_demonstration(demonstration, env), rollout.frames, rollout.shown, captions(rollout))


def _in_common_colours(pictures: Sequence[Image.Image]) -> list[Image.Image]:
    """Pictures of 256 colours, the same for all: quicker than new ones for each, and smaller, and none flickers."""
    sheet = np.vstack([np.asarray(picture) for picture in pictures[:: -(-len(pictures) // PALETTE)]])
    palette = Image.fromarray(sheet).quantize(method=Image.Quantize.MAXCOVERAGE)
    return [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]


def write_videos(folder: Path, name: str, frames: NDArray[np.uint8], fps: int) -> None:
    """Write ``name.mp4``, ``name.gif`` (small, every other frame) and ``name.png`` (a contact sheet)."""
    write_video(folder / f"{name}.mp4", frames, fps, FOR_PEOPLE)
    height, width = frames.shape[1:3]
    small = [Image.fromarray(frame).resize((width * 3 // 4, height * 3 // 4)) for frame in frames[::2]]
    with written_aside(folder / f"{name}.gif") as aside:
        first, *others = _in_common_colours(small)
        first.save(aside, "GIF", save_all=True, append_images=others, duration=2000 / fps, loop=0)
    shown = frames[np.linspace(0, len(frames) - 1, 6).astype(int)]
    with written_aside(folder / f"{name}.png") as aside:
        iio.imwrite(aside, np.vstack([np.hstack(list(shown[:3])), np.hstack(list(shown[3:]))]))
