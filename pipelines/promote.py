"""``promote``: make a run's encoder, its policy for any demonstration and a test demonstration those of the package."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from imitate.data.camera import Camera
from imitate.data.lerobot.dataset import LeRobotDataset
from imitate.data.lerobot.writer import Episode, Layout, write_file, write_meta
from imitate.data.video.writer import Compression
from imitate.embedding.trained_encoder import load_encoder
from imitate.envs.cameras import CAMERAS
from imitate.envs.film import columns_of
from imitate.envs.kuka import ARMS, ASSETS
from imitate.errors import UserError
from imitate.keeping.lock import held
from imitate.keeping.manifest import verified
from imitate.keeping.runs import Stage

from . import imitate
from .shared.cli import STARTS_OVER, command
from .shared.policy import ANY, OPEN, learned_with
from .shared.signals import held_back

ASIDE, OLD = ".promoted-", "old-"  # what is made before it takes its place, and what stood there


@dataclass(frozen=True)
class Settings:
    """What is promoted."""

    run: Path = Path("runs/default")
    """The run directory."""
    name: str = "embed"
    """The stage of the encoder; of one for the open world it may be another, such as sequence."""
    episode: int = 0
    """The demonstration, an episode of the test split that the run has imitated."""
    open_world: bool = False
    """Whether it is the encoder for the open world, and nothing else."""


PRESETS = {
    "default": ("The encoder, the policy and the first test episode.", Settings()),
    "open": ("The encoder for the open world.", Settings(run=Path("runs/open"), open_world=True)),
}


def run(settings: Settings) -> None:
    """Rewrite ``assets/encoder``, ``assets/policy``, ``assets/demonstration`` and the picture of the README.

    Or ``assets/open`` alone.
    """
    if not (ASSETS.parent / "setup.cfg").is_file():
        raise UserError(f"{ASSETS}: what is installed stays as it is: promote is for a checkout, with `make install`")
    if not settings.open_world and settings.name != Settings.name:
        raise UserError(
            f"name is {settings.name}, expected {Settings.name}: with that encoder the policies have learned"
        )
    encoder = load_encoder(Stage.named(settings.run, settings.name).path("encoder"))
    if settings.open_world:
        if not encoder.any_scene:
            raise UserError(f"{settings.run}: its encoder knows one scene, expected one of the preset open of 'embed'")
        encoder.check_arm(ARMS["iiwa"])
        encoder.check_camera(CAMERAS["front"], encoder.image_size)
        with _replacing() as folder:
            encoder.save(folder / OPEN.name, half=True)
        print(f"promoted the encoder of {settings.run} to {ASSETS / OPEN.name}")
        return
    film = _film(settings)
    learned = _learned(settings.run)
    dataset = LeRobotDataset(settings.run / "record" / "dataset")
    camera = dataset.camera(encoder.camera.name)
    encoder.check_camera(camera, dataset.image_size(camera.name))
    episodes = dataset.split("test")
    if not 0 <= settings.episode < len(episodes):
        raise UserError(f"episode is {settings.episode}, expected a test episode, 0 to {len(episodes) - 1}")
    with _replacing() as folder:
        encoder.save(folder / "encoder")
        _write_policy(folder / "policy", learned)
        _write_demonstration(folder / "demonstration", dataset, episodes[settings.episode], camera)
        shutil.copyfile(film, folder / "imitation.gif")
    print(f"promoted {settings.run} to {ASSETS}")


@contextmanager
def _replacing() -> Iterator[Path]:
    """A folder for assets that then take the places of what is called so. Nothing is replaced before all is there."""
    with held(ASSETS), TemporaryDirectory(prefix=ASIDE, dir=ASSETS) as aside:
        folder = Path(aside)
        _put_back(folder)
        yield folder
        with held_back():  # no signal comes between an asset that goes and the one that takes its place
            for made in sorted(folder.iterdir()):
                place = ASSETS / made.name
                if place.exists():
                    place.rename(folder / f"{OLD}{made.name}")
                made.rename(place)


def _put_back(ours: Path) -> None:
    """Mend what a process that was killed left: an asset that had gone comes back, half-made ones go."""
    for left in ASSETS.glob(f"{ASIDE}*"):
        if left != ours:
            for old in left.glob(f"{OLD}*"):
                place = ASSETS / old.name.removeprefix(OLD)
                if not place.exists():
                    old.rename(place)
            shutil.rmtree(left)


def _film(settings: Settings) -> Path:
    """The robot imitating the demonstration that is promoted."""
    demo = f"test:{settings.episode}"
    learned = imitate.stage_of(imitate.Settings(run=settings.run, demo=demo))
    made = learned.settings if learned.finished else {}
    if made.get("demo") != demo or made.get("encoder") is not None:  # with another encoder than the promoted one
        raise UserError(
            f"{learned.folder}: {demo} has not been imitated there with the run's own encoder: do so first, with "
            f"--demo {demo}"
        )
    return verified(learned.path("side_by_side.gif"))


def _learned(run: Path) -> Stage:
    """The policy for any demonstration that is promoted."""
    learned = Stage(run / ANY)
    if learned_with(learned).encoder is not None:
        raise UserError(f"{learned.folder} was learned with another encoder than the run's own: learn it anew")
    return learned


def _write_policy(folder: Path, learned: Stage) -> None:
    """Write a policy as a stage that has nothing else."""
    stage = Stage(folder)
    stage.begin(learned.settings)
    shutil.copyfile(verified(learned.path("policy.zip")), stage.path("policy.zip"))
    stage.finish(learned.metrics)


def _write_demonstration(folder: Path, dataset: LeRobotDataset, number: int, camera: Camera) -> None:
    """Write one episode as a dataset of its own."""
    columns = columns_of(tuple(dataset.info["features"]["action"]["names"]))
    episode = Episode(
        {camera.name: dataset.demonstration(number, camera.name).frames},
        {name: dataset.column(name, [number]) for name in columns},
    )
    layout = Layout(
        cameras=(camera,),
        image_size=dataset.image_size(camera.name),
        columns=columns,
        fps=round(dataset.fps),
        robot=dataset.info["robot_type"],
        control=dataset.info["control"],
        lengths=(len(episode),),
        splits={"test": 1},
        compression=Compression(0, "yuv444p"),  # decoded frames once more, and hardly worse for it
    )
    write_file(folder, layout, 0, [episode])
    scenes = dataset.scenes()
    write_meta(folder, layout, scenes and [scenes[number]])


def main() -> None:
    """Run from the command line."""
    command("promote", PRESETS, run, STARTS_OVER)


if __name__ == "__main__":
    main()
