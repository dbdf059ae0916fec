"""Any environment plays, piece by piece, and what it films becomes a LeRobotDataset v3.0."""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from time import perf_counter

import gymnasium as gym
import numpy as np
from tqdm import tqdm

from imitate.data.camera import Camera
from imitate.data.lerobot.dataset import LeRobotDataset
from imitate.data.lerobot.writer import Layout, episodes_a_file
from imitate.data.rendering import Rendering
from imitate.data.video.writer import FOR_MACHINES
from imitate.envs.play import RENDER, Playing, actions_of, play
from imitate.envs.proprioception import Proprioception
from imitate.errors import PROCESSES, UserError, check_bounds
from imitate.keeping.runs import Stage, kept_settings
from imitate.keeping.workers import worked_off
from imitate.reward.environment import rate_of
from imitate.reward.filming import Filming

from ..shared.pieces import LEAST, Pieces, check_no_encoder, held_out
from .made import Made

PIECE = 1000  # steps that are played in one go: what is lost when the power goes


@dataclass(frozen=True)
class Settings(Made):
    """What plays, and for how long."""

    run: Path = Path("runs/default")
    """The run directory."""
    steps: int = 20_000
    """That it plays."""
    length: int = 50
    """Steps of an episode, at most."""
    image_size: int = 64
    """Pixels a side of what is kept of each picture: its middle, scaled."""
    proprioception: str = ""
    """What of its observation says how it stands, for self-regression: the key of a Dict, entries such as [0:4], or
    both. Empty: from pictures and time alone."""
    seed: int = 0
    """Seed of everything random."""
    workers: int = 0
    """Processes; 0: one a core."""


def check(settings: Settings) -> None:
    """Refuse settings that can't be.

    Raises:
        UserError: One is out of its range.
    """
    Playing(settings.steps, settings.length, settings.seed)
    if not isinstance(settings.image_size, int):
        raise UserError(f"image_size is {settings.image_size!r}, expected a whole number")
    check_bounds(settings, image_size=(16, 1024), workers=PROCESSES)


def run(settings: Settings) -> Stage:
    """Let an environment play, in several processes, as far as it has not yet."""
    check(settings)
    stage = Stage(settings.run / "record")
    settings, rendering = seen(settings)
    if not begun(stage, settings, rendering):
        print(f"{stage.folder} is recorded already")
        return stage
    jobs = [partial(_play_alone, settings, stage, piece) for piece in range(pieces_of(settings, stage).count)]
    workers = min(settings.workers or os.cpu_count() or 1, len(jobs))
    start = perf_counter()
    with closing(worked_off(jobs, workers)) as played, tqdm(total=settings.steps, unit="step", desc="play") as bar:
        for steps in played:
            bar.update(steps)
    folder, sheet = collect(settings, stage, rendering, start), stage.path("contact_sheet.png")
    print(f"recorded {len(LeRobotDataset(folder))} episodes in {folder}; look at {sheet}")
    return stage


def seen(settings: Settings) -> tuple[Settings, Rendering]:
    """What an environment renders with, once it has; and its settings, with its steps a second.

    Raises:
        UserError: It can't be made, no picture be taken of it, it has no whole number of steps a second, or actions
            that nobody can play at random.
    """
    rendering = settings.check()
    env = settings.make()
    env.close()
    actions_of(env.action_space, 1, np.random.default_rng(0))  # whether it can
    if settings.proprioception:
        Proprioception.named(settings.proprioception, env.observation_space)
    return replace(settings, fps=whole_rate(env, settings.fps)), rendering


def whole_rate(env: gym.Env, fps: float | None) -> int:
    """Steps a second, of which a video can have as many frames.

    Raises:
        UserError: They are no whole number.
    """
    rate = rate_of(env, fps)
    if round(rate) != rate:
        raise UserError(f"{rate} steps of the environment a second, expected a whole number: say fps (--fps)")
    return round(rate)


def begun(stage: Stage, settings: Settings, rendering: Rendering) -> bool:
    """Whether there is anything to play.

    Raises:
        UserError: There is an encoder of other play already.
    """
    check_no_encoder(stage)
    return stage.begin(kept_settings(settings) | {"rendering": rendering.to_json()}, resumable=True)


def pieces_of(settings: Settings, stage: Stage) -> Pieces:
    """What is played, piece by piece."""
    return Pieces(stage, -(-settings.steps // PIECE), RENDER)


def play_piece(env: gym.Env, filming: Filming, settings: Settings, stage: Stage, piece: int) -> int:
    """Play a piece, the same whoever plays it, and keep it, unless it is there already. Returns its steps."""
    playing, pieces = _playing(settings, piece), pieces_of(settings, stage)
    if pieces.has(piece):
        return playing.steps
    felt = Proprioception.named(settings.proprioception, env.observation_space) if settings.proprioception else None
    pieces.keep(piece, list(play(env, filming, playing, felt)))
    return playing.steps


def _playing(settings: Settings, piece: int) -> Playing:
    steps = min(PIECE, settings.steps - piece * PIECE)
    seed = int(np.random.SeedSequence([settings.seed, piece]).generate_state(1)[0])
    return Playing(steps, settings.length, seed)


def _play_alone(settings: Settings, stage: Stage, piece: int) -> int:
    """Play a piece, in a process of its own."""
    env = settings.make()
    try:
        filming = Filming(env, env.observation_space, settings.frames, settings.image_size)
        return play_piece(env, filming, settings, stage, piece)
    finally:
        env.close()


def collect(settings: Settings, stage: Stage, rendering: Rendering, start: float) -> Path:
    """Make a dataset of what was played, and finish the stage. Returns the dataset's folder.

    Args:
        settings: Of it.
        stage: That keeps it.
        rendering: What it was rendered with.
        start: When playing began, by ``perf_counter``.

    Raises:
        UserError: There are too few episodes.
    """
    pieces = pieces_of(settings, stage)
    lengths = pieces.lengths()
    if len(lengths) < LEAST:
        pieces.forget()
        raise UserError(f"{len(lengths)} episodes of play, expected {LEAST} or more: raise steps, or lower length")
    layout = Layout(
        cameras=(Camera.unknown(RENDER),),
        image_size=settings.image_size,
        columns=pieces.columns(),
        fps=int(settings.fps or 0),
        robot=rendering.environment,
        control="play",
        lengths=lengths,
        splits=held_out(len(lengths)),
        episodes_a_file=episodes_a_file(max(lengths) * settings.image_size**2 * 3),
        compression=FOR_MACHINES,
        task="play",
        rendering=rendering,
    )
    folder = pieces.to_dataset(layout)
    stage.finish({"episodes": len(lengths), "frames": sum(lengths), "seconds": perf_counter() - start})
    return folder
