"""``check_reward``: how well does the learned reward rank what it should rank, before any learning from it?"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from imitate.data.lerobot.dataset import SPLITS, LeRobotDataset
from imitate.embedding.device import pick_device
from imitate.embedding.trained_encoder import TrainedEncoder, load_encoder
from imitate.errors import UserError, choose
from imitate.keeping.manifest import sha256
from imitate.keeping.runs import Stage, kept_settings

from .checking.faithfulness import draw, measure
from .checking.probes import Probe, Visited
from .checking.verdict import report, weakness
from .checking.views import Views, arm_of, held_out
from .embed import find_encoder
from .environments import checked
from .shared.cli import command
from .shared.demo import load_demo
from .shared.policy import acting, learned_with, load, single_env
from .shared.reading import Mind
from .shared.rollout import roll_out

EPISODES = 10  # of a policy: one as it is measured, the others exploring as it does while it learns


@dataclass(frozen=True)
class Settings:
    """Which reward is checked, on what."""

    run: Path = Path("runs/default")
    """The run directory."""
    name: str = ""
    """The stage's folder in it; if empty, check-reward, or with a policy check-reward-imitate and the like."""
    encoder: Path | None = None
    """The folder of a trained encoder; None: the run's own, trained first if it is missing."""
    split: str = "validation"
    """Whose demonstrations: those of validation, to tune by, or of test, to report."""
    policy: str = ""
    """Also what a policy visits on the demonstration that it learned: a finished stage of the run, such as imitate."""
    probe: Probe = field(default_factory=Probe)
    """How much is looked at."""
    device: str = "auto"
    """auto, cpu or cuda."""
    preset: str = "default"
    """Of ``record`` and ``embed``, if they have to run first."""


PRESETS = {"default": ("Ten validation demonstrations, in seconds.", Settings())}


ELSEWHERE = {"environment": ("Any Gymnasium environment, and a video of it.", checked.Settings())}


def run_any(settings: Settings | checked.Settings) -> Stage:
    """Check the arm's reward, or that of another environment."""
    return run(settings) if isinstance(settings, Settings) else checked.run(settings)


def run(settings: Settings) -> Stage:
    """Measure, draw, and print a table."""
    choose(dict.fromkeys(SPLITS), settings.split, "split")
    device = pick_device(settings.device)
    policy = Stage.named(settings.run, settings.policy) if settings.policy else None
    if policy is not None:
        learned_with(policy)  # there is one: shows before anything is trained
    folder = find_encoder(settings.run, settings.encoder, settings.preset, settings.device)
    encoder = load_encoder(folder, device)
    dataset = LeRobotDataset(settings.run / "record" / "dataset")
    arm = arm_of(dataset)
    shown = held_out(dataset, encoder, settings.split, settings.probe.demos)
    visited = None if policy is None else _visited(policy, encoder, arm, settings.probe.seed)
    stage = Stage.named(settings.run, _name(settings))
    wanted = kept_settings(settings)
    wanted["encoder_sha256"] = sha256(folder / "encoder.safetensors")
    wanted["policy_sha256"] = None if policy is None else sha256(policy.path("policy.zip"))
    if not stage.begin(wanted):
        print(f"{stage.folder} is checked already")
        return stage
    check = measure(encoder, shown, arm, settings.probe, visited)
    draw(check, stage.path("reward.png"))
    stage.finish(check.figures)
    report(check.figures)
    print(weakness(check.figures) or "the reward ranks poses as it should")
    print(f"look at {stage.path('reward.png')}")
    return stage


def _name(settings: Settings) -> str:
    parts = [settings.split] if settings.split != Settings.split else []
    parts += [settings.policy] if settings.policy else []
    return settings.name or "-".join(["check-reward", *parts])


def _visited(stage: Stage, encoder: TrainedEncoder, arm: str, seed: int) -> Visited:
    """Let a policy act as it is measured, and then as it explores.

    Raises:
        UserError: It moves another arm, sees with another camera, or nobody knows the poses of what it imitates.
    """
    learned = learned_with(stage)
    own = learned.robot.arm
    if own != arm:
        raise UserError(f"{stage.folder}: a policy of the arm {own!r}, expected {arm!r}, the dataset's")
    run = stage.folder.parent
    eyes = load_encoder(learned.encoder or Stage(run / "embed").path("encoder"), encoder.device)
    encoder.check_camera(eyes.camera, eyes.image_size)
    demonstration = load_demo(learned.demo, run, eyes, learned.resize)
    if demonstration.joints is None:
        raise UserError(f"{stage.folder} imitates a bare video, of unknown poses: choose one that imitates an episode")
    shown = demonstration
    if learned.following.observe_pose or learned.robot.translates:
        mind = Mind(eyes, arm, run, os.cpu_count() or 1)
        shown = learned.read(learned.demo, demonstration, mind).demonstration
    env = single_env(eyes, shown, learned.robot, learned.following)
    model = load(learned, env, stage.path("policy.zip"))
    torch.manual_seed(seed)
    poses = [roll_out(env, acting(model, explore=k > 0), seed).joints for k in range(EPISODES)]
    flange = env.kuka_env.kuka.flange_positions(demonstration.joints)
    env.close()
    return Visited(Views(demonstration.frames, demonstration.joints, flange), np.stack(poses).astype(np.float64))


def main() -> None:
    """Run from the command line."""
    command(
        "check-reward", {**PRESETS, **ELSEWHERE}, run_any, "the same command goes on to the check, which starts over"
    )


if __name__ == "__main__":
    main()
