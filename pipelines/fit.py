"""``imitate.fit``: an environment plays, films itself, and learns to see."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gymnasium as gym
from tqdm import tqdm

from imitate.data.camera import Camera
from imitate.data.lerobot.writer import Layout, write_file, write_meta
from imitate.data.rendering import Rendering
from imitate.data.video.writer import Compression
from imitate.embedding.trained_encoder import TrainedEncoder, load_encoder
from imitate.envs.play import RENDER, REWARD, Playing, play
from imitate.errors import UserError
from imitate.keeping.runs import Stage
from imitate.reward.frames import Frames

from . import embed

SHARE = 20  # one episode of so many is held out, to validate with
LEAST = 6  # episodes: two to validate with, and some to learn from


def fit(
    env: gym.Env,
    steps: int = 20_000,
    frames: Frames | None = None,
    size: int = 64,
    length: int = 50,
    seed: int = 0,
    run: str | Path | None = None,
    fps: float | None = None,
    **training: Any,
) -> TrainedEncoder:
    """Train an encoder on an environment's own play: from pictures and time alone.

    It acts at random, smoothly (``imitate.envs.play``), and what it films is a LeRobotDataset v3.0. An encoder is
    trained on that as ``imitate embed`` does.

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
        training: Settings of ``imitate embed``, such as ``epochs`` and ``device``.

    Returns:
        The encoder. It refuses what is rendered otherwise.

    Raises:
        UserError: The environment renders no pictures, ends before there is anything to learn from, or one of the
            settings can't be.
    """
    try:
        settings = replace(embed.Settings(self_regression=0.0, seed=seed), **training)
    except TypeError as error:
        raise UserError(f"settings of training: {error}") from None
    playing = Playing(steps, length, size, seed, _rate(env, fps))
    with TemporaryDirectory() as aside:
        folder = Path(run or aside)
        dataset = _recorded(env, frames or Frames(), playing, Stage(folder / "record"))
        stage = embed.run(replace(settings, run=folder, dataset=dataset))
        return load_encoder(stage.path("encoder"))


def _rate(env: gym.Env, fps: float | None) -> int:
    """Steps of an environment a second."""
    rate = fps or env.metadata.get("render_fps")
    if not isinstance(rate, int | float) or rate < 1 or round(rate) != rate:
        raise UserError(f"{env}: its render_fps is {rate}, expected fps: its steps a second, a whole number of them")
    return round(rate)


def _recorded(env: gym.Env, frames: Frames, playing: Playing, stage: Stage) -> Path:
    """The folder of the dataset of an environment's play, which is recorded if it is not there."""
    rendering, folder = Rendering.of(env, frames.key, frames.crop), stage.path("dataset")
    if not stage.begin(asdict(playing) | {"rendering": rendering.to_json()}):
        return folder
    episodes = []
    with tqdm(total=playing.steps, unit="step", desc="play") as bar:
        for episode in play(env, frames, playing):
            episodes.append(episode)
            bar.update(len(episode) - 1)
    held_out = max(2, len(episodes) // SHARE)
    if len(episodes) < LEAST:
        raise UserError(f"{len(episodes)} episodes of play, expected {LEAST} or more: raise steps, or lower length")
    actions = episodes[0].columns["action"].shape[1]
    layout = Layout(
        cameras=(Camera.unknown(RENDER),),
        image_size=playing.size,
        columns={"action": tuple(f"action_{k}" for k in range(actions)), REWARD: ("reward",)},
        fps=playing.fps,
        robot=rendering.environment,
        control="play",
        lengths=tuple(map(len, episodes)),
        splits={"train": len(episodes) - held_out, "validation": held_out},
        compression=Compression(0, "yuv444p"),
        rendering=rendering,
    )
    for file in range(layout.files):
        write_file(folder, layout, file, [episodes[number] for number in layout.episodes_of(file)])
    write_meta(folder, layout)
    stage.finish({"episodes": len(episodes), "frames": sum(layout.lengths)})
    return folder
