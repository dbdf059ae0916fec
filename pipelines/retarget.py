"""``retarget``: a video of another arm becomes one of the robot's own, whose flange goes the way of that one's hand.

The poses of the other arm are read off its video, as ``follow`` reads the robot's own: by an encoder that was trained
on that arm. What the robot would look like on that way is filmed: a demonstration as any, to be followed or imitated.
"""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from imitate.data.demonstration import Demonstration
from imitate.data.video.writer import write_video
from imitate.embedding.device import pick_device
from imitate.embedding.trained_encoder import load_encoder
from imitate.envs.kuka import ARMS, CONTROL_HZ, Arm, Kuka
from imitate.envs.retargeting import as_own
from imitate.envs.robot import Robot
from imitate.errors import PROCESSES, UserError, check_bounds, choose
from imitate.keeping.manifest import sha256
from imitate.keeping.runs import Stage, kept_settings
from imitate.reward.following import Following

from .shared.belief import write_belief
from .shared.cli import STARTS_OVER, command
from .shared.demo import kept_demo, load_demo, say_what_was_read, stage_name
from .shared.policy import single_env, warn_if_lost
from .shared.reading import Mind, Reading, check_reads
from .shared.rollout import PEOPLE, enlarged, write_videos

VIDEO = "retargeted.mp4"


@dataclass(frozen=True)
class Settings:
    """What is shown, by which arm, and who is to do it."""

    run: Path = Path("runs/panda")
    """The run directory."""
    name: str = ""
    """The stage's folder in it; if empty, retarget, and what the demonstration is called."""
    demo: str = "test:0"
    """test:N, an episode of the run; DATASET:N; or a video file."""
    resize: bool = False
    """Crop and scale a video to the encoder's size."""
    shows: str = "panda"
    """The arm that it shows: panda, iiwa or iiwa_gripper."""
    encoder: Path | None = None
    """The folder of an encoder that was trained on that arm, with 'embed open --arm'; None: the run's own."""
    camera_known: bool = True
    """Whether the video was filmed from about where the encoder's camera stands; without, the camera is looked for."""
    arm: str = "iiwa"
    """The arm that is to do it."""
    device: str = "auto"
    """auto, cpu or cuda, of the encoder."""
    workers: int = 0
    """Processes that imagine the arm at the poses which are tried; 0: one a core."""


PRESETS = {"default": ("The way of another arm's hand, for the robot's own flange.", Settings())}


def run(settings: Settings) -> Stage:
    """Read the other arm's poses, and film what the robot would do."""
    check_bounds(settings, workers=PROCESSES)
    shows, arm = (choose(ARMS, one, "arm") for one in (settings.shows, settings.arm))
    if settings.shows == settings.arm:
        raise UserError(f"shows is {settings.shows}, the robot's own arm: 'follow' follows that")
    folder = settings.encoder or settings.run / "embed" / "encoder"
    encoder = load_encoder(folder, pick_device(settings.device))
    check_reads(encoder, folder, settings.shows, settings.camera_known)
    demonstration = load_demo(settings.demo, settings.run, encoder, settings.resize)
    stage = Stage.named(settings.run, settings.name or stage_name("retarget", [settings.demo]))
    wanted = kept_settings(replace(settings, demo=kept_demo(settings.demo)))
    if not stage.begin(wanted | {"encoder_sha256": sha256(folder / "encoder.safetensors")}):
        print(f"{stage.folder} is there already")
        _tell(stage, demonstration)
        return stage
    say_what_was_read(settings.demo, demonstration)
    print(f"reads the poses of the {settings.shows} off the video: seconds, or a minute", flush=True)
    mind = Mind(encoder, settings.shows, settings.run, settings.workers or os.cpu_count() or 1, settings.camera_known)
    shown = Reading("imagination", 0).guessed(demonstration, mind)
    with closing(single_env(encoder, shown, Robot(settings.shows), Following())) as env:
        figures = write_belief(stage, shown, None, env)
    own = as_own(shown, shows, arm, encoder)
    write_video(stage.path(VIDEO), own.frames, CONTROL_HZ)
    assert own.believed is not None
    with closing(Kuka(arm)) as kuka:
        film = np.concatenate([enlarged(shown.frames), kuka.film_at(own.believed, encoder.camera, PEOPLE)], axis=2)
    write_videos(stage.folder, "side_by_side", film, CONTROL_HZ)
    stage.finish(figures | _ways_apart(shown, shows, own, arm))
    _tell(stage, demonstration)
    return stage


def _ways_apart(shown: Demonstration, by: Arm, own: Demonstration, arm: Arm) -> dict[str, float]:
    """How far the robot's flange would be from the other arm's hand, m, means over the frames.

    From where that is believed to be, which is out of the robot's reach where it is not 0; and, where its poses are
    known, from where it is.
    """
    assert own.believed is not None
    assert shown.believed is not None
    with closing(Kuka(by)) as other, closing(Kuka(arm)) as kuka:
        ways = {"unreached_m": shown.believed} | ({} if shown.joints is None else {"ee_error_m": shown.joints})
        flange = kuka.flange_positions(own.believed)
        return {
            name: float(np.linalg.norm(flange - other.flange_positions(poses), axis=1).mean())
            for name, poses in ways.items()
        }


def _tell(stage: Stage, demonstration: Demonstration) -> None:
    figures = stage.metrics
    said = f"the flange would be {figures['unreached_m']:.3f} m from the way that is believed"
    print(said + (f", {figures['ee_error_m']:.3f} m from the true one" if "ee_error_m" in figures else ""))
    print(f"follow it with --demo {stage.path(VIDEO)}; look at {stage.path('side_by_side.mp4')}")
    warn_if_lost(demonstration, figures)


def main() -> None:
    """Run from the command line."""
    command("retarget", PRESETS, run, STARTS_OVER)


if __name__ == "__main__":
    main()
