"""The reward from a video, checked in any environment before anything learns from it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from imitate.embedding.device import pick_device
from imitate.embedding.trained_encoder import load_encoder
from imitate.errors import MANY, SEED, check_bounds
from imitate.keeping.manifest import sha256
from imitate.keeping.runs import Stage, kept_settings

from ..shared.demo import kept_demo, stage_name
from .checking import EPISODES, check_reward
from .made import Made
from .seeing import check_video, completed, find_encoder


@dataclass(frozen=True)
class Settings(Made):
    """Which reward is checked, of which video. What is not said of the environment is as it was recorded."""

    run: Path = Path("runs/default")
    """The run directory."""
    name: str = ""
    """The stage's folder in it; if empty, check-reward and the video's name."""
    demo: str = ""
    """A video file of this environment."""
    encoder: Path | None = None
    """The folder of a trained encoder; None: the run's own."""
    plays: int = EPISODES
    """Episodes of random play, which it is compared with."""
    seed: int = 1
    """Seed of everything random: another than that of the play that the encoder learned from."""
    device: str = "auto"
    """auto, cpu or cuda."""


def run(settings: Settings) -> Stage:
    """Check it, and print a table."""
    check_bounds(settings, plays=(1, MANY), seed=SEED)
    check_video(settings.demo)
    folder = find_encoder(settings, settings.run, settings.encoder, settings.device)
    encoder = load_encoder(folder, pick_device(settings.device))
    settings = completed(settings, settings.run, encoder)
    stage = Stage.named(settings.run, settings.name or stage_name("check-reward", [settings.demo]))
    wanted = kept_settings(replace(settings, demo=kept_demo(settings.demo)))
    wanted |= {"demo_sha256": sha256(Path(settings.demo)), "encoder_sha256": sha256(folder / "encoder.safetensors")}
    if stage.finished and not stage.begin(wanted):
        print(f"{stage.folder} is checked already")
        return stage
    env = settings.make()
    try:
        found = check_reward(env, settings.demo, encoder, settings.frames, settings.plays, settings.seed, settings.fps)
    finally:
        env.close()
    stage.begin(wanted)
    stage.finish(found.metrics())
    print(found)
    return stage
