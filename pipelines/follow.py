"""``follow``: the robot reads the poses off a video, and a policy that has learned to follow any takes it from there.

Without such a policy it takes the poses as they are: direct pose imitation, with no learning and no reward.
Sermanet et al. (2017) decode each frame's pose from its embedding. Here that decoder, the encoder's pose head, only
guesses: the robot then reads the poses by imagining itself (``imitate.reading.pose_tracking``), or, where it can't, by
practice (``imitate.reading.practice``).
"""

from __future__ import annotations

import math
import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from imitate.data.camera import Camera
from imitate.data.demonstration import Demonstration
from imitate.data.viewpoint import bearing
from imitate.embedding.device import pick_device
from imitate.embedding.trained_encoder import TrainedEncoder, load_encoder
from imitate.envs.kuka import ASSETS, CONTROL_HZ
from imitate.envs.robot import Robot
from imitate.errors import PROCESSES, SEED, UserError, check_bounds
from imitate.keeping.manifest import sha256
from imitate.keeping.runs import Stage, kept_settings, read_json, write_json

from .shared.belief import write_belief
from .shared.cli import STARTS_OVER, command
from .shared.demo import kept_demo, load_demo, say_what_was_read, stage_name
from .shared.policy import DIRECT, chosen, following, reading_at_once, report, warn_if_lost
from .shared.reading import Mind
from .shared.rollout import (
    baselines,
    beside,
    poses_taken,
    roll_out,
    write_videos,
)

SHIPPED_DEMO = ASSETS / "demonstration"


@dataclass(frozen=True)
class Settings:
    """What is followed."""

    run: Path = Path("runs/default")
    """The run directory; it need not exist."""
    name: str = ""
    """The stage's folder in it; if empty, follow, or for another demonstration follow-test-3 and the like."""
    demo: str = ""
    """test:N, an episode of the run; DATASET:N; or a video file. If empty, the one that comes with the package."""
    resize: bool = False
    """Crop and scale a video to the encoder's size."""
    policy: str = ""
    """The stage of the run that has learned to follow any demonstration; or direct: take the poses as they were read.
    If empty, imitate-any, or what comes with the package where the run has no encoder; and direct where that is not."""
    encoder: Path | None = None
    """The folder of a trained encoder, with which poses are taken directly; None: the run's own, or if it has none, the
    one that comes with the package."""
    open_world: bool = False
    """Whether to take the encoder for the open world that comes with the package, and not the run's, where none is
    named."""
    guess: str | None = None
    """How the robot comes by the demonstration's poses: imagination, of itself; pixels, comparing raw pixels in
    the plain scene; head, the encoder's pose head; recordings, the run's; None: as its policy has learned to, or
    imagination."""
    practice: int | None = None
    """Steps that it then practises, of all environments together, at most, to find better poses; None: none where they
    are imagined, else 131,072, or, from recordings, 262,144. It ends when they are found."""
    camera_known: bool = True
    """Whether the video was filmed from about where the encoder's camera stands. Without, the camera is looked for; how
    far aside it stands is told by the pose that the video begins with, where that is known."""
    arm: str = "iiwa"
    """iiwa, iiwa_gripper or panda."""
    start_noise: float = 0.0
    """Start away from the demonstration's first pose by up to this in each joint, rad."""
    clock: bool = True
    """The demonstration advances by a frame a step. Without, it waits for the robot."""
    seed: int = 0
    """Of practice, and of the start, which differs when start-noise is above 0."""
    device: str = "auto"
    """auto, cpu or cuda, of the encoder."""
    workers: int = 0
    """Processes that imagine the robot at the poses which it tries; 0: one a core."""


PRESETS = {
    "default": ("Read the poses off a video, and follow them.", Settings()),
    "open": ("A video from the open world: other light, other rooms.", Settings(open_world=True, policy=DIRECT)),
}


def run(settings: Settings) -> Stage:
    """Track the demonstration, follow it, measure it, film it."""
    check_bounds(settings, workers=PROCESSES, seed=SEED)
    _check_unknown_camera(settings)
    robot = Robot(settings.arm, start_noise=settings.start_noise)
    folder, policy = chosen(settings.run, settings.policy, settings.encoder, settings.arm, settings.open_world)
    reading = reading_at_once(settings.guess, settings.practice, policy)
    encoder = load_encoder(folder, pick_device(settings.device))
    shown = settings.demo or f"{SHIPPED_DEMO}:0"
    reading.check(encoder, settings.run, [shown])
    if not settings.camera_known and (policy is not None or encoder.domain is None or not encoder.domain.camera_varies):
        raise UserError(
            f"--no-camera-known: the encoder {folder} knows one camera only, expected that of 'follow open'"
        )
    demonstration = load_demo(shown, settings.run, encoder, settings.resize)
    stage = Stage.named(settings.run, settings.name or stage_name("follow", [settings.demo] if settings.demo else []))
    encoder.check_arm(robot.own_arm)
    say_what_was_read(shown, demonstration)
    wanted = kept_settings(replace(settings, demo=kept_demo(settings.demo) if settings.demo else "")) | {
        "encoder_sha256": sha256(folder / "encoder.safetensors"),
        "policy_sha256": sha256(policy.path("policy.zip")) if policy else None,
    }
    if not stage.begin(wanted):
        print(f"{stage.folder} has followed already")
        _tell(settings, encoder, demonstration, stage)
        return stage
    workers = settings.workers or os.cpu_count() or 1
    print(f"follows with {policy.path('policy.zip') if policy else 'no policy'} and the encoder {folder}")
    practises = reading.steps(len(demonstration)) > 0
    how = "practises: a minute, or minutes" if practises else "reads the poses off the video: seconds, or a minute"
    print(f"{how} where they are hard to see", flush=True)
    mind = Mind(encoder, settings.arm, settings.run, workers, settings.camera_known)
    read = reading.read(demonstration, Robot(settings.arm), mind, settings.seed)
    demonstration = read.demonstration
    robot = _seen_from(encoder, demonstration, robot)
    env, act = following(policy, encoder, demonstration, robot, settings.clock)
    rollout = roll_out(env, act, settings.seed, film=True)
    taken = poses_taken(env, settings.seed, guessed=read.guessed)
    metrics = rollout.metrics() | baselines(env, settings.seed, taken=taken)
    metrics |= write_belief(stage, demonstration, read.guessed, env) | read.practised.metrics()
    write_json(stage.path("rollout.json"), {"fps": CONTROL_HZ, **rollout.series()})
    film = beside(demonstration, env.kuka_env, rollout)
    write_videos(stage.folder, "side_by_side", film, CONTROL_HZ)
    env.close()
    stage.finish(metrics)
    _tell(settings, encoder, demonstration, stage)
    return stage


def _check_unknown_camera(settings: Settings) -> None:
    """Refuse to look for a camera where nobody could, or would know what to do with it.

    Raises:
        UserError: Poses are guessed otherwise than by imagination, or practised; or a policy follows.
    """
    if settings.camera_known:
        return
    if settings.guess not in (None, "imagination") or settings.practice:
        raise UserError(
            "--no-camera-known: a camera is found by imagination alone, expected no other guess and no practice"
        )
    if settings.policy not in ("", DIRECT):
        raise UserError("--no-camera-known: a policy has learned before one camera, expected --policy direct")


def _seen_from(encoder: TrainedEncoder, demonstration: Demonstration, robot: Robot) -> Robot:
    """The robot, filmed from where the demonstration is believed to have been, if the encoder knows such cameras."""
    camera = demonstration.believed_camera
    if camera is None or encoder.domain is None or encoder.domain.differences(encoder.camera, camera):
        return robot
    return replace(robot, camera=camera)


def _tell(settings: Settings, encoder: TrainedEncoder, demonstration: Demonstration, stage: Stage) -> None:
    report(stage.metrics, stage.path("side_by_side.mp4"))
    if encoder.domain is not None and (kept := read_json(stage.path("poses.json")).get("camera")):
        _say_where_from(settings, encoder, Camera.from_json(kept), demonstration.joints is not None)
    warn_if_lost(demonstration, stage.metrics)


def _say_where_from(settings: Settings, encoder: TrainedEncoder, camera: Camera, told: bool) -> None:
    """Say whether the camera was taken as known or found, and where; and if the encoder knows no such camera."""
    if settings.camera_known:
        print("the camera was taken as known, though it may have been knocked; --no-camera-known looks for it")
        return
    eye, target = (", ".join(f"{x:.2f}" for x in of) for of in (camera.eye, camera.target))
    aside = math.degrees(bearing(camera) - bearing(encoder.camera))
    print(f"the camera was found: it stands at {eye} and looks at {target} (m), {aside:.0f} degrees about the base")
    if not told:
        print(
            "those degrees are told by the base and the light alone, as the first pose of the video is not known: all "
            "that is read may be turned about the base"
        )
    if encoder.domain and (outside := encoder.domain.differences(encoder.camera, camera)):
        print(
            f"the encoder knows no such camera ({'; '.join(outside)}): what is read may be wrong, and the robot is "
            "filmed by the usual one",
            file=sys.stderr,
        )


def main() -> None:
    """Run from the command line."""
    command("follow", PRESETS, run, STARTS_OVER)


if __name__ == "__main__":
    main()
