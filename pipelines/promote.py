"""``promote``: make a run's encoder, and one of its test demonstrations, those that come with the package."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from envs.kuka import ASSETS
from imitate.checkpoint import load_encoder
from imitate.data.lerobot import Episode, Layout, LeRobotDataset, write_file, write_meta
from imitate.runs import Stage
from imitate.video import Compression

from .cli import command


@dataclass(frozen=True)
class Settings:
    """What is promoted."""

    run: Path = Path("runs/default")
    """The run directory."""
    episode: int = 0
    """The demonstration, an episode of the test split."""


PRESETS = {"default": ("The encoder and the first test episode.", Settings())}


def run(settings: Settings) -> None:
    """Rewrite ``assets/encoder``, ``assets/demonstration`` and, if the run has learned, the picture of the README."""
    encoder = load_encoder(Stage(settings.run / "embed").path("encoder"))
    dataset = LeRobotDataset(settings.run / "record" / "dataset")
    camera = dataset.camera(encoder.camera.name)
    number = dataset.split("test")[settings.episode]
    shown = dataset.demonstration(number, camera.name)
    state = dataset.column("observation.state", [number])
    joints = state.shape[1] // 2
    episode = Episode(
        frames={camera.name: shown.frames},
        joints=state[:, :joints],
        velocities=state[:, joints:],
        flange=dataset.column("observation.flange", [number]),
        actions=dataset.column("action", [number]),
    )
    layout = Layout(
        cameras=(camera,),
        image_size=encoder.image_size,
        joint_names=tuple(dataset.info["features"]["action"]["names"]),
        fps=dataset.fps,
        robot=dataset.info["robot_type"],
        control=dataset.info["control"],
        lengths=(len(episode),),
        splits={"test": 1},
        compression=Compression(0, "yuv444p"),  # decoded frames once more, and hardly worse for it
    )
    encoder.save(ASSETS / "encoder")
    shutil.rmtree(ASSETS / "demonstration", ignore_errors=True)
    write_file(ASSETS / "demonstration", layout, 0, [episode])
    write_meta(ASSETS / "demonstration", layout)
    film = settings.run / "imitate" / "side_by_side.gif"
    if film.is_file():
        shutil.copyfile(film, ASSETS / "imitation.gif")
    print(f"promoted {settings.run} to {ASSETS}")


def main() -> None:
    """Run from the command line."""
    command("promote", PRESETS, run)


if __name__ == "__main__":
    main()
