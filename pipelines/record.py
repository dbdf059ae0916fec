"""``record``: the robot babbles and films itself; a LeRobotDataset v3.0 of it.

Each episode has a random number generator of its own, from its split and its number there. The same seed gives
the same dataset whatever the number of processes, and the same test episodes however many are trained on; an
interrupted recording goes on at the first file that is missing.
"""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from imitate.data.camera import Camera
from imitate.data.lerobot.dataset import SPLITS, LeRobotDataset
from imitate.data.lerobot.writer import Episode, Layout, episodes_a_file, write_file, write_meta
from imitate.data.video.writer import Compression
from imitate.envs.cameras import CAMERAS
from imitate.envs.control import VELOCITY_SCALE
from imitate.envs.film import Film, columns_of
from imitate.envs.kuka import ARMS, CONTROL_HZ, Kuka
from imitate.envs.scenes.named import RANDOM, check_scene, scene_named
from imitate.envs.scenes.scene import Scene
from imitate.envs.trajectories import Babbling, random_trajectory
from imitate.errors import MANY, PROCESSES, SEED, UserError, check_bounds, choose
from imitate.keeping.runs import Stage, kept_settings
from imitate.keeping.workers import worked_off
from imitate.measuring.contact_sheet import contact_sheet

from .environments import recording
from .shared.cli import command
from .shared.sheets import episodes_sheet
from .videos import recording as videos

EPISODE_BYTES = 4 * 2**30  # that an episode may have
SCENERY = 1  # what a scene's random numbers are told apart by from those of its episode's trajectory
DRAWS = 1000  # of a held-out trajectory before giving up; half of them move 0.4 m


@dataclass(frozen=True)
class Settings:
    """What is recorded."""

    run: Path = Path("runs/default")
    """The run directory."""
    train: int = 1000
    """Episodes to train the encoder on."""
    validation: int = 20
    """Episodes to tune by."""
    test: int = 20
    """Episodes to report: demonstrations that neither encoder nor tuning has seen."""
    frames: int = 50
    """Frames of a training episode, 20 a second."""
    held_out_frames: int = 100
    """Frames of a validation or test episode."""
    held_out_travel: float = 0.35
    """Validation and test episodes are drawn so that a robot which holds still would be at least this far from the
    demonstration on average, m: one that hardly moves demonstrates nothing."""
    via_points: int = 0
    """Random poses that a trajectory passes between its start and its goal."""
    arm: str = "iiwa"
    """iiwa (7 joints and a tool), iiwa_gripper (the paper's 12 joints) or panda."""
    cameras: tuple[str, ...] = ("front",)
    """Cameras that film; the first is the one that is embedded."""
    renderer: Literal["raster", "tiny"] | None = None
    """What draws the frames: raster is ours; tiny is PyBullet's own, several times as slow. An encoder means nothing on
    the pictures of the other. None: what the camera says, raster but for front_aliased."""
    scene: str = "plain"
    """Where the robot stands: plain, table; or random, another one in each episode. PyBullet's renderer knows the plain
    one only."""
    image_size: int = 64
    """Pixels a side."""
    crf: int = 0
    """Constant rate factor of the H.264 videos, 0 (lossless) to 51. results/compression.csv says what each costs."""
    seed: int = 0
    """Seed of everything random."""
    workers: int = 0
    """Processes; 0: one a core."""


PRESETS = {
    "default": ("Many short episodes: what the embedding wants.", Settings()),
    "thorough": ("Three times as many.", Settings(train=3000)),
    "paper": (
        "The paper's 200 videos of 100 frames, 12 joints, 299x299 pixels; and 5 to test with.",
        Settings(
            train=190,
            validation=10,
            test=5,
            frames=100,
            arm="iiwa_gripper",
            image_size=299,
            cameras=("front_aliased",),
        ),
    ),
}


ELSEWHERE = {
    "environment": ("Any Gymnasium environment plays, and films itself.", recording.Settings()),
    "videos": ("Videos of your own, one episode each.", videos.Settings()),
}


def record_episode(kuka: Kuka, settings: Settings, episode: int) -> Episode:
    """Draw a trajectory and let the arm follow it with velocity control, filming at 20 Hz."""
    trajectory = _trajectory(kuka, settings, episode)
    frames = len(trajectory)
    cameras = cameras_of(settings)
    n = kuka.arm.joints
    kuka.scene = _scene(settings, episode)
    for camera in cameras:
        kuka.check_pictures(camera, settings.image_size)
    films = {camera.name: Film(kuka, camera, settings.image_size, frames) for camera in cameras}
    states = np.zeros((2, frames, n), np.float32)
    flange = np.zeros((frames, 3), np.float32)
    actions = np.zeros((frames, n), np.float32)
    kuka.reset(trajectory[0])
    for t in range(frames):
        positions, velocities = kuka.joint_states()
        states[:, t] = positions, velocities
        flange[t] = kuka.flange_position()
        for camera in cameras:
            films[camera.name].add(kuka.expose(camera, settings.image_size))
        if t + 1 < frames:
            actions[t] = ((trajectory[t + 1] - positions) * CONTROL_HZ / VELOCITY_SCALE).clip(-1.0, 1.0)
            kuka.step(actions[t])
    pictures = {name: film.frames() for name, film in films.items()}
    for name, frames_of in pictures.items():
        _check_seen(name, frames_of, episode)
    columns = {"observation.state": np.hstack([*states]), "observation.flange": flange, "action": actions}
    return Episode(pictures, columns)


def _check_seen(camera: str, frames: NDArray[np.uint8], episode: int) -> None:
    """Refuse pictures of one colour, which show nothing."""
    blank = (frames == frames[:, :1, :1]).all(axis=(1, 2, 3))
    if blank.any():
        raise UserError(
            f"camera {camera!r} sees nothing in frame {int(blank.argmax())} of episode {episode}: it looks away from "
            "the arm, or the arm is about it; choose another camera"
        )


def _trajectory(kuka: Kuka, settings: Settings, episode: int) -> NDArray[np.float64]:
    split, index = _place(settings, episode)
    rng = np.random.default_rng(np.random.SeedSequence([settings.seed, split, index]))
    if not split:
        return random_trajectory(kuka.arm, Babbling(settings.frames, settings.via_points), rng)
    babbling = Babbling(settings.held_out_frames, settings.via_points)
    for _ in range(DRAWS):
        trajectory = random_trajectory(kuka.arm, babbling, rng)
        flange = kuka.flange_positions(trajectory)
        if np.linalg.norm(flange - flange[0], axis=1)[1:].mean() >= settings.held_out_travel:
            return trajectory
    raise UserError(
        f"none of {DRAWS} random trajectories of {settings.held_out_frames} frames moves {settings.held_out_travel} m: "
        "lower held_out_travel, or raise held_out_frames"
    )


def _scene(settings: Settings, episode: int) -> Scene:
    """Where an episode takes place."""
    split, index = _place(settings, episode)
    rng = np.random.default_rng(np.random.SeedSequence([settings.seed, split, index, SCENERY]))
    return scene_named(settings.scene, rng, f"{RANDOM}-{SPLITS[split]}-{index}")


def _place(settings: Settings, episode: int) -> tuple[int, int]:
    """Which split an episode is of, and which of it: the same test episodes, however many are trained on."""
    split = 0
    for count in (settings.train, settings.validation):
        if episode < count:
            break
        split, episode = split + 1, episode - count
    return split, episode


def record_file(settings: Settings, layout: Layout, stage: Stage, file: int) -> int:
    """Record one file's episodes, and say how many frames they have. Runs in a worker process."""
    kuka = Kuka(settings.arm, "velocity")
    try:
        episodes = [record_episode(kuka, settings, episode) for episode in layout.episodes_of(file)]
    finally:
        kuka.close()
    stage.note(str(file), write_file(stage.path("dataset"), layout, file, episodes))
    return sum(len(episode) for episode in episodes)


def cameras_of(settings: Settings) -> list[Camera]:
    """What films, as it is told to draw."""
    cameras = [choose(CAMERAS, name, "camera") for name in settings.cameras]
    return [replace(camera, renderer=settings.renderer or camera.renderer) for camera in cameras]


def layout_of(settings: Settings) -> Layout:
    """What the dataset of these settings holds."""
    counts = (settings.train, settings.validation, settings.test)
    lengths = (settings.frames,) * counts[0] + (settings.held_out_frames,) * (counts[1] + counts[2])
    arm = choose(ARMS, settings.arm, "arm")
    episode = _bytes_of(settings, max(lengths))
    return Layout(
        cameras=tuple(cameras_of(settings)),
        image_size=settings.image_size,
        columns=columns_of(tuple(f"joint_{k + 1}" for k in range(arm.joints))),
        fps=CONTROL_HZ,
        robot=settings.arm,
        control="velocity",
        lengths=lengths,
        splits=dict(zip(SPLITS, counts, strict=True)),
        episodes_a_file=episodes_a_file(episode),
        compression=Compression(settings.crf, "yuv444p"),
    )


def _bytes_of(settings: Settings, frames: int) -> int:
    """Of the pixels of so many frames."""
    return frames * settings.image_size**2 * 3 * len(settings.cameras)


def _check(settings: Settings) -> None:
    check_bounds(settings, train=(1, MANY), validation=(2, MANY), test=(1, MANY), seed=SEED, workers=PROCESSES)
    check_bounds(settings, frames=(2, MANY), held_out_frames=(2, MANY), via_points=(0, MANY))
    check_scene(settings.scene)
    if settings.scene != "plain" and any(camera.renderer == "tiny" for camera in cameras_of(settings)):
        raise UserError(f"scene is {settings.scene}, which the renderer tiny can't draw: take --renderer raster")
    check_bounds(settings, image_size=(16, 1024), crf=(0, 51))  # lossless, worst
    if not settings.cameras or len(set(settings.cameras)) < len(settings.cameras):
        raise UserError(f"cameras are {settings.cameras}, expected at least one, each named once")
    if not 0 <= settings.held_out_travel < float("inf"):
        raise UserError(f"held_out_travel is {settings.held_out_travel}, expected 0 or more")
    for name in ("frames", "held_out_frames"):
        if (pixels := _bytes_of(settings, getattr(settings, name))) > EPISODE_BYTES:
            raise UserError(
                f"{name} is {getattr(settings, name)}: an episode of {pixels / 1e9:.1f} GB of pixels, expected at most "
                f"{EPISODE_BYTES / 1e9:.1f}"
            )


def run(settings: Settings) -> Stage:
    """Record what is missing of the dataset."""
    _check(settings)
    layout = layout_of(settings)
    stage = Stage(settings.run / "record")
    filmed_by = [camera.to_json() for camera in layout.cameras]  # not by their names alone: what these mean may change
    if not stage.begin(kept_settings(settings) | {"filmed_by": filmed_by}, resumable=True):
        print(f"{stage.folder} is recorded already")
        return stage
    folder = stage.path("dataset")
    missing = [file for file in range(layout.files) if not stage.noted(str(file))]
    start, recorded = perf_counter(), 0
    workers = min(settings.workers or os.cpu_count() or 1, len(missing) or 1)
    done = sum(layout.lengths[e] for f in set(range(layout.files)) - set(missing) for e in layout.episodes_of(f))
    jobs = [partial(record_file, settings, layout, stage, file) for file in missing]
    with (
        closing(worked_off(jobs, workers)) as frames,
        tqdm(total=sum(layout.lengths), initial=done, unit="frame", desc="record") as bar,
    ):
        for count in frames:
            recorded += count
            bar.update(count)
    seconds = perf_counter() - start
    write_meta(folder, layout, [_scene(settings, episode).to_json() for episode in range(len(layout.lengths))])
    dataset = LeRobotDataset(folder)
    sheet = stage.path("contact_sheet.png")
    (_sheet_of_scenes if settings.scene == RANDOM else episodes_sheet)(dataset, sheet)
    stage.finish(
        {
            "episodes": len(dataset),
            "frames": int(dataset.lengths.sum()),
            "frames_per_second": recorded / seconds if recorded else None,
            "video_bytes_per_frame": _video_bytes(dataset) / float(dataset.lengths.sum()),
        }
    )
    print(f"recorded {len(dataset)} episodes in {folder}; look at {sheet}")
    return stage


def run_any(settings: Settings | recording.Settings | videos.Settings) -> Stage:
    """Record the arm, let another environment play, or take videos."""
    if isinstance(settings, videos.Settings):
        return videos.run(settings)
    return run(settings) if isinstance(settings, Settings) else recording.run(settings)


def _video_bytes(dataset: LeRobotDataset) -> int:
    return sum(path.stat().st_size for path in dataset.picture_files(dataset.camera().name))


def _sheet_of_scenes(dataset: LeRobotDataset, path: Path, episodes: int = 40, columns: int = 8) -> None:
    """The middle frame of each of the first episodes: each is in another scene."""
    shown = range(min(episodes, len(dataset)))
    lengths = dataset.lengths
    frames = np.stack([dataset.demonstration(episode).frames[lengths[episode] // 2] for episode in shown])
    rows = [frames[first : first + columns] for first in range(0, len(shown), columns)]
    contact_sheet(path, rows, [f"from episode {columns * row} on" for row in range(len(rows))])


def main() -> None:
    """Run from the command line."""
    command("record", {**PRESETS, **ELSEWHERE}, run_any)


if __name__ == "__main__":
    main()
