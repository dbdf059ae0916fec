"""Rows of the pictures: what draws them, physics aside."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from imitate.data.camera import Camera
from imitate.envs.cameras import CAMERAS
from imitate.envs.kuka import ARMS, Kuka, body_of
from imitate.envs.rendering.rasteriser import CHUNK, Rasteriser
from imitate.envs.scenes.named import SCENES
from imitate.envs.scenes.scene import Scene

from .rows import Row, compare
from .subject import Subject

FILMED, AT_ONCE = 1000, 4000  # pictures that are timed: beside another renderer, and by several threads


def film_many_vs_tiny(subject: Subject) -> Iterator[Row]:
    """Pictures of one core, at many poses: ours against PyBullet's TinyRenderer."""
    yield _against_tiny(subject, "film_many_vs_tiny", _rate_at_once)


def film_vs_tiny(subject: Subject) -> Iterator[Row]:
    """One picture a call, of a robot that has just moved: what is in the caches is of the move, not of pictures."""
    yield _against_tiny(subject, "film_vs_tiny", _rate_one_by_one)


def _against_tiny(subject: Subject, name: str, rate: Callable[[Kuka, NDArray, Camera, int], float]) -> Row:
    settings = subject.sizes.record
    poses = _poses(settings.arm, FILMED)
    cameras = (replace(CAMERAS[settings.cameras[0]], renderer=renderer) for renderer in ("raster", "tiny"))
    with closing(Kuka(settings.arm)) as kuka, one_thread(kuka.rasteriser):
        ours, theirs = (partial(rate, kuka, poses, camera, settings.image_size) for camera in cameras)
        ours()  # compiled
        return compare(name, "frames/s", ours, theirs, subject.repeats)


@contextmanager
def one_thread(rasteriser: Rasteriser) -> Iterator[None]:
    """What draws for all of this process, with a thread."""
    several, rasteriser.threads = rasteriser.threads, 1
    try:
        yield
    finally:
        rasteriser.threads = several


def _rate_at_once(kuka: Kuka, poses: NDArray[np.float64], camera: Camera, size: int) -> float:
    start = perf_counter()
    kuka.film_at(poses, camera, size)
    return len(poses) / (perf_counter() - start)


def _rate_one_by_one(kuka: Kuka, poses: NDArray[np.float64], camera: Camera, size: int) -> float:
    seconds = 0.0
    for pose in poses:
        kuka.reset(pose)
        start = perf_counter()
        kuka.film(camera, size)
        seconds += perf_counter() - start
    return len(poses) / seconds


def film_table_vs_plain(subject: Subject) -> Iterator[Row]:
    """Pictures of one core in a scene with a table, things and shadows: against the plain scene."""
    settings = subject.sizes.record
    camera, poses = CAMERAS[settings.cameras[0]], _poses(settings.arm, FILMED)
    rasteriser = Rasteriser(body_of(ARMS[settings.arm].file), 1)

    def rate(scene: Scene) -> float:
        start = perf_counter()
        rasteriser.draw(poses, camera, settings.image_size, (scene,))
        return len(poses) / (perf_counter() - start)

    for name in ("table", "plain"):
        rate(SCENES[name])  # compiled, and set up
    ours, plain = (partial(rate, SCENES[name]) for name in ("table", "plain"))
    yield compare("film_table_vs_plain", "frames/s", ours, plain, subject.repeats)


def growth_film_threads(subject: Subject) -> Iterator[Row]:
    """Many pictures a call, in more threads than one."""
    settings = subject.sizes.record
    camera = CAMERAS[settings.cameras[0]]
    poses = _poses(settings.arm, max(AT_ONCE, CHUNK * max(subject.processes)))

    def rate(threads: int) -> float:
        rasteriser = Rasteriser(body_of(ARMS[settings.arm].file), threads)
        start = perf_counter()
        rasteriser.draw(poses, camera, settings.image_size)
        return len(poses) / (perf_counter() - start)

    first, *more = (partial(rate, threads) for threads in subject.processes)
    first()  # compiled
    for threads, several in zip(subject.processes[1:], more, strict=True):
        yield compare(f"growth_film_threads_{threads}", "frames/s", several, first, subject.repeats)


def _poses(arm: str, count: int) -> NDArray[np.float64]:
    lower, upper = np.array(ARMS[arm].lower), np.array(ARMS[arm].upper)
    return np.random.default_rng(0).uniform(lower, upper, (count, len(lower)))
