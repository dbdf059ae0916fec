"""``evaluate``: run a saved policy again, on chosen demonstrations and seeds."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from imitate.embedding.device import pick_device
from imitate.embedding.trained_encoder import load_encoder
from imitate.envs.kuka import CONTROL_HZ
from imitate.errors import PROCESSES, SEED, UserError, check_bounds
from imitate.keeping.manifest import sha256
from imitate.keeping.runs import Stage, kept_settings, write_json

from .shared.cli import STARTS_OVER, command
from .shared.demo import kept_demo, load_demo, stage_name
from .shared.policy import acting, learned_with, load, report, single_env
from .shared.reading import Mind
from .shared.rollout import baselines, beside, poses_taken, roll_out, write_videos


@dataclass(frozen=True)
class Settings:
    """What is evaluated, on what."""

    run: Path = Path("runs/default")
    """The run directory."""
    policy: str = "imitate"
    """The stage of the run that learned the policy."""
    name: str = ""
    """The stage's folder in it; if empty, evaluate, or for chosen demonstrations evaluate-test-3 and the like."""
    demos: tuple[str, ...] = ()
    """Demonstrations, as of imitate's --demo; none: the one that the policy learned."""
    seeds: tuple[int, ...] = (0,)
    """Of the starts, which differ when start-noise is above 0."""
    start_noise: float = 0.0
    """Start away from the demonstration's first pose by up to this in each joint, rad."""
    clock: bool = True
    """The demonstration advances by a frame a step. Without, it waits for the robot."""
    resize: bool = False
    """Crop and scale a video to the encoder's size."""
    device: str = "auto"
    """auto, cpu or cuda."""
    workers: int = 0
    """Processes that imagine the robot while it reads poses; 0: one a core."""


PRESETS = {"default": ("The demonstration that the policy learned, without exploration.", Settings())}


def run(settings: Settings) -> Stage:
    """Roll the policy out, measure it, film it."""
    learned = learned_with(Stage.named(settings.run, settings.policy))
    if not settings.seeds:
        raise UserError("no seeds, expected at least one")
    check_bounds(settings, seeds=SEED, workers=PROCESSES)
    robot = replace(learned.robot, start_noise=settings.start_noise)
    following = replace(learned.following, clock=settings.clock)
    folder = learned.encoder or Stage(settings.run / "embed").path("encoder")  # never another one, trained anew
    encoder = load_encoder(folder, pick_device(settings.device))
    demos = settings.demos or (learned.demo,)
    shown = [load_demo(text, settings.run, encoder, settings.resize or learned.resize) for text in demos]
    stage = Stage.named(settings.run, settings.name or stage_name("evaluate", settings.demos))
    policy_file = settings.run / settings.policy / "policy.zip"
    wanted = kept_settings(replace(settings, demos=tuple(map(kept_demo, demos))))
    wanted["encoder_sha256"] = sha256(folder / "encoder.safetensors")
    wanted["policy_sha256"] = sha256(policy_file)
    if stage.finished and not _begun(stage, wanted):  # before poses are read, which takes seconds
        return stage
    learned.reading.check(encoder, settings.run, demos)
    mind = Mind(encoder, robot.arm, settings.run, settings.workers or os.cpu_count() or 1)
    rows: list[dict[str, Any]] = []
    for number, (text, demonstration) in enumerate(zip(demos, shown, strict=True)):
        guessed = None
        if following.observe_pose or robot.translates or demonstration.joints is None:
            read = learned.read(text, demonstration, mind)
            guessed, demonstration = read.guessed, read.demonstration
        env = single_env(encoder, demonstration, robot, following)
        policy = acting(load(learned, env, policy_file))
        if number == 0 and not _begun(stage, wanted):  # nothing is written before the policy is known to be whole
            return stage
        for seed in settings.seeds:
            others = baselines(env, seed, taken=poses_taken(env, seed, guessed=guessed))
            rollout = roll_out(env, policy, seed, film=seed == settings.seeds[0])
            rows.append({"demo": text, "seed": seed, **rollout.metrics(), **others})
            if rollout.frames is not None:
                film = beside(demonstration, env.kuka_env, rollout)
                write_videos(stage.folder, f"demonstration-{number}", film, CONTROL_HZ)
                write_json(stage.path(f"demonstration-{number}.json"), {"fps": CONTROL_HZ, **rollout.series()})
        env.close()
    names = [key for key in rows[0] if key not in ("demo", "seed")]
    medians = {name: _median([row[name] for row in rows]) for name in names}
    stage.finish({**medians, "runs": rows})
    report(medians, stage.path("demonstration-0.gif"))
    return stage


def _median(values: list[float]) -> float:
    """Of those that are known; a bare video knows no errors."""
    known = [value for value in values if np.isfinite(value)]
    return float(np.median(known)) if known else np.nan


def _begun(stage: Stage, wanted: dict[str, Any]) -> bool:
    """Whether there is anything to measure."""
    begun = stage.begin(wanted)
    if not begun:
        print(f"{stage.folder} is evaluated already")
    return begun


def main() -> None:
    """Run from the command line."""
    command("evaluate", PRESETS, run, STARTS_OVER)


if __name__ == "__main__":
    main()
