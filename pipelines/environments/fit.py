"""``imitate.fit``: an environment plays, films itself, and learns to see."""

from __future__ import annotations

from contextlib import nullcontext, redirect_stdout
from dataclasses import fields, replace
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import gymnasium as gym
from tqdm import tqdm

from imitate.data.rendering import Rendering
from imitate.embedding.trained_encoder import TrainedEncoder, load_encoder
from imitate.errors import UserError
from imitate.keeping.runs import Stage
from imitate.reward.environment import check_environment
from imitate.reward.filming import Filming
from imitate.reward.frames import Frames, check_frames

from .. import embed
from . import recording
from .made import Made
from .recording import whole_rate

OWN = {"run", "name", "dataset", "joints", "degrees"}  # settings of `embed` that are not for it


def fit(
    env: gym.Env,
    steps: int = 20_000,
    frames: Frames | None = None,
    size: int = 64,
    length: int = 50,
    seed: int = 0,
    run: str | Path | None = None,
    fps: float | None = None,
    proprioception: str = "",
    **training: Any,
) -> TrainedEncoder:
    """Train an encoder on an environment's own play: from pictures and time alone.

    It acts at random, smoothly (``imitate.envs.play``); what it films is a LeRobotDataset v3.0, as for ``embed``.

    Args:
        env: The environment, made with ``render_mode="rgb_array"``; or one that observes its pictures.
        steps: That it plays.
        frames: Where the pictures come from, and what of them is seen.
        size: Pixels a side of what the encoder sees.
        length: Steps of an episode, at most.
        seed: Of everything random.
        run: The folder that the dataset, ``record``, and the encoder, ``embed``, are kept in: what is there already is
            taken. None: they are not kept.
        fps: Steps of the environment a second. None: its ``render_fps``.
        proprioception: What of its observation says how it stands, for the embedding to tell as well: the key of a
            Dict, entries such as ``[0:4]``, or both, ``observation[0:3]``.
        training: Settings of ``imitate embed``, such as ``epochs`` and ``device``; but for those of joints.

    Returns:
        The encoder. It refuses what is rendered otherwise.

    Raises:
        UserError: The environment renders no pictures, ends before there is anything to learn from, or one of the
            settings can't be.
    """
    check_environment(env)
    settings, frames = _settings(seed, proprioception, training), frames or Frames()
    check_frames(frames)
    like = Made.like(Rendering.of(env, frames.key, frames.crop), whole_rate(env, fps))
    with TemporaryDirectory() as aside:
        plays = recording.Settings(**like, run=Path(run or aside), steps=steps, length=length, seed=seed)
        plays = replace(plays, image_size=size, proprioception=proprioception)
        recording.check(plays)
        dataset = _recorded(env, Filming(env, env.observation_space, frames, size), plays)
        with nullcontext() if run else redirect_stdout(StringIO()):  # which names files that are gone then
            stage = embed.run(replace(settings, run=plays.run, dataset=dataset))
        return load_encoder(stage.path("encoder"))


def _settings(seed: int, proprioception: str, training: dict[str, Any]) -> embed.Settings:
    """How the encoder is trained: as ``embed`` does, or, from pictures and time alone, its preset ``play``."""
    if taken := OWN & set(training):
        raise UserError(f"fit says itself what {', '.join(sorted(taken))} is: leave it out")
    if unknown := set(training) - {field.name for field in fields(embed.Settings)}:
        raise UserError(f"fit knows no {', '.join(sorted(unknown))}: expected its own settings, or those of embed")
    if training.get("self_regression") and not proprioception:
        raise UserError("self_regression wants proprioception: name what of the observation says how it stands")
    planned = replace(embed.PRESETS["default" if proprioception else "play"][1], seed=seed)
    if not proprioception and isinstance(batch := training.get("batch"), int):
        planned = replace(planned, per_video=min(planned.per_video, batch))
    settings = replace(planned, **training)
    try:
        embed.check(settings)  # before minutes of play
    except TypeError as error:
        raise UserError(f"settings of training: {error}") from None
    return settings


def _recorded(env: gym.Env, filming: Filming, settings: recording.Settings) -> Path:
    """The folder of the dataset of an environment's play, which is recorded if it is not there: in this process."""
    stage = Stage(settings.run / "record")
    observation, _ = env.reset(seed=settings.seed)
    filming.one(observation)
    rendering = replace(Rendering.of(env, settings.key, settings.crop), height=filming.shape[0], width=filming.shape[1])
    if not recording.begun(stage, settings, rendering):
        return stage.path("dataset")
    start = perf_counter()
    with tqdm(total=settings.steps, unit="step", desc="play") as bar:
        for piece in range(recording.pieces_of(settings, stage).count):
            bar.update(recording.play_piece(env, filming, settings, stage, piece))
    return recording.collect(settings, stage, rendering, start)
