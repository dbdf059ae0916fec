"""``imitate.fit``: an environment plays, films itself, and learns to see."""

from __future__ import annotations

from dataclasses import asdict, fields, replace
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
from imitate.reward.filming import Filming
from imitate.reward.frames import Frames
from imitate.reward.shown import check_environment, rate_of

from .. import embed

SHARE = 20  # one episode of so many is held out, to validate with
MOST_BYTES = 4 * 2**30  # of pixels, which are in memory at once
OWN = {"run", "name", "dataset", "self_regression", "joints", "degrees"}  # settings of `embed` that are not for it
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
        training: Settings of ``imitate embed``, such as ``epochs`` and ``device``; but for those of joints.

    Returns:
        The encoder. It refuses what is rendered otherwise.

    Raises:
        UserError: The environment renders no pictures, ends before there is anything to learn from, or one of the
            settings can't be.
    """
    check_environment(env)
    settings, rate = _settings(seed, training), rate_of(env, fps)
    if round(rate) != rate:
        raise UserError(f"{rate} steps of the environment a second, expected a whole number: say fps=")
    if not isinstance(size, int) or not 16 <= size <= 1024:
        raise UserError(f"size is {size!r}, expected 16 to 1024 pixels a side")
    playing = Playing(steps, length, seed)
    if (pixels := steps * size**2 * 3) > MOST_BYTES:
        raise UserError(f"{steps} steps of {size}x{size} are {pixels / 1e9:.0f} GB of pixels, expected 4 at most")
    with TemporaryDirectory() as aside:
        folder, filming = Path(run or aside), Filming(env, env.observation_space, frames or Frames(), size)
        dataset = _recorded(env, filming, playing, round(rate), folder)
        stage = embed.run(replace(settings, run=folder, dataset=dataset))
        return load_encoder(stage.path("encoder"))


def _settings(seed: int, training: dict[str, Any]) -> embed.Settings:
    """How the encoder is trained."""
    if taken := OWN & set(training):
        raise UserError(f"fit says itself what {', '.join(sorted(taken))} is: leave it out")
    if unknown := set(training) - {field.name for field in fields(embed.Settings)}:
        raise UserError(f"fit knows no {', '.join(sorted(unknown))}: expected its own settings, or those of embed")
    settings = replace(embed.Settings(self_regression=0.0, seed=seed), **training)
    try:
        embed.check(settings)  # before minutes of play
    except TypeError as error:
        raise UserError(f"settings of training: {error}") from None
    return settings


def _recorded(env: gym.Env, filming: Filming, playing: Playing, fps: int, run: Path) -> Path:
    """The folder of the dataset of an environment's play, which is recorded if it is not there."""
    stage = Stage(run / "record")
    rendering, folder = Rendering.of(env, filming.frames.key, filming.frames.crop), stage.path("dataset")
    if not stage.finished and Stage(run / "embed").finished:
        raise UserError(f"{run / 'embed'}: an encoder of earlier play, which is gone: delete it, or choose another run")
    if not stage.begin(asdict(playing) | {"size": filming.size, "fps": fps, "rendering": rendering.to_json()}):
        return folder
    episodes = []
    with tqdm(total=playing.steps, unit="step", desc="play") as bar:
        for episode in play(env, filming, playing):
            episodes.append(episode)
            bar.update(len(episode) - 1)
    held_out = max(2, len(episodes) // SHARE)
    if len(episodes) < LEAST:
        raise UserError(f"{len(episodes)} episodes of play, expected {LEAST} or more: raise steps, or lower length")
    actions = episodes[0].columns["action"].shape[1]
    layout = Layout(
        cameras=(Camera.unknown(RENDER),),
        image_size=filming.size,
        columns={"action": tuple(f"action_{k}" for k in range(actions)), REWARD: ("reward",)},
        fps=fps,
        robot=rendering.environment,
        control="play",
        lengths=tuple(map(len, episodes)),
        splits={"train": len(episodes) - held_out, "validation": held_out},
        compression=Compression(0, "yuv444p"),
        rendering=replace(rendering, height=filming.shape[0], width=filming.shape[1]),
    )
    for file in range(layout.files):
        write_file(folder, layout, file, [episodes[number] for number in layout.episodes_of(file)])
    write_meta(folder, layout)
    stage.finish({"episodes": len(episodes), "frames": sum(layout.lengths)})
    return folder
