"""``follow``: direct pose imitation. The robot reads the poses off a video and takes them: no learning, no reward.

Sermanet et al. (2017) decode each frame's pose from its embedding. Here that decoder, the encoder's pose head, only
guesses: the robot then reads the poses by imagining itself (``imitate.pose_tracking``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from envs.imagination import watch
from envs.kuka import ASSETS, CONTROL_HZ
from imitate.checkpoint import load_encoder
from imitate.device import pick_device
from imitate.errors import UserError
from imitate.manifest import sha256
from imitate.rewards import HuberReward
from imitate.runs import Stage, kept_settings, write_json

from .cli import STARTS_OVER, command
from .demo import load_demo, stage_name
from .policy import report, single_env, warn_if_lost
from .rollout import baselines, film_demonstration, follower, roll_out, side_by_side, write_poses, write_videos

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
    encoder: Path | None = None
    """The folder of a trained encoder; None: the run's own, or if it has none, the one that comes with the package."""
    arm: str = "iiwa"
    """iiwa or iiwa_gripper."""
    start_noise: float = 0.0
    """Start away from the demonstration's first pose by up to this in each joint, rad."""
    clock: bool = True
    """The demonstration advances by a frame a step. Without, it waits for the robot."""
    seed: int = 0
    """Of the start, which differs when start-noise is above 0."""
    device: str = "auto"
    """auto, cpu or cuda, of the encoder."""


PRESETS = {"default": ("Read the poses off a video, and take them.", Settings())}


def run(settings: Settings) -> Stage:
    """Track the demonstration, follow it, measure it, film it."""
    if not 0 <= settings.seed < 2**32 or not 0 <= settings.start_noise <= np.pi:
        raise UserError(
            f"seed {settings.seed} and start_noise {settings.start_noise}: expected a seed of 0 to 2**32 - 1 and a "
            "start_noise of 0 to pi rad"
        )
    folder = _encoder(settings)
    encoder = load_encoder(folder, pick_device(settings.device))
    demonstration = load_demo(settings.demo or f"{SHIPPED_DEMO}:0", settings.run, encoder, settings.resize)
    stage = Stage.named(settings.run, settings.name or stage_name("follow", [settings.demo] if settings.demo else []))
    env = single_env(
        encoder, demonstration, HuberReward(), settings.arm, "velocity", settings.start_noise, clock=settings.clock
    )
    wanted = kept_settings(settings) | {"encoder_sha256": sha256(folder / "encoder.safetensors")}
    if not stage.begin(wanted):
        env.close()
        print(f"{stage.folder} has followed already")
        return stage
    tracked = watch(encoder, encoder.embed(demonstration.frames), settings.arm)
    rollout = roll_out(env, follower(env.kuka_env, tracked.poses), settings.seed, film=True)
    metrics = rollout.metrics() | baselines(env, settings.seed)
    metrics["believed_embedding_distance"] = float(tracked.apart.mean())
    warn_if_lost(settings.demo, metrics["believed_embedding_distance"])
    metrics |= write_poses(stage, replace(demonstration, believed=tracked.poses), env.kuka_env.kuka)
    write_json(stage.path("rollout.json"), {"fps": CONTROL_HZ, **rollout.series()})
    film = side_by_side(film_demonstration(demonstration, env.kuka_env), rollout)
    write_videos(stage.folder, "side_by_side", film, CONTROL_HZ)
    env.close()
    stage.finish(metrics)
    report(metrics, stage.path("side_by_side.mp4"))
    return stage


def _encoder(settings: Settings) -> Path:
    """The folder of the encoder."""
    if settings.encoder is not None:
        return settings.encoder
    trained = Stage(settings.run / "embed")
    return trained.path("encoder") if trained.finished else ASSETS / "encoder"


def main() -> None:
    """Run from the command line."""
    command("follow", PRESETS, run, STARTS_OVER)


if __name__ == "__main__":
    main()
