"""A renderer of our own: many frames a call, over all cores."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise, starmap

import numpy as np
from numpy.typing import NDArray

from imitate.data.camera import Camera, check_pixels
from imitate.errors import UserError, first_line
from imitate.keeping.workers import is_worker

from ..scenes.light import Light
from ..scenes.scene import PLAIN, Scene
from ..scenes.texture import Stamp, stamp
from . import kernel
from .kernel import Body, Scenery, Scratch
from .scenery import scenery_of
from .scratch import scratch_of
from .view import view_of

CHUNK = 16  # frames that are worth a part of their own
PARTS = 4  # a thread
SETS = 8  # scenes, or several of them, with a camera: as many are kept set up for an arm


class Rasteriser:
    """Draws an arm in a scene: a z-buffer, flat or smooth shading, several samples a pixel, a soft shadow.

    Equal poses give equal pictures, to the bit, however many are drawn at once and by however many threads.

    Args:
        body: What is drawn.
        threads: That share the frames of a call. None: as many as there are cores, or one in a worker process.
    """

    def __init__(self, body: Body, threads: int | None = None) -> None:
        self.body = body
        self.threads = threads or (1 if is_worker() else os.cpu_count() or 1)
        self._joints = int(body.joints.max()) + 1
        self._kept = lru_cache(maxsize=SETS)(self._built)

    def draw(
        self,
        poses: NDArray[np.floating],
        camera: Camera,
        size: int,
        scenes: Sequence[Scene] = (PLAIN,),
        shown: NDArray[np.integer] | None = None,
    ) -> NDArray[np.uint8]:
        """Draw a picture at each of ``poses`` (n, joints), rad: (n, size, size, 3), uint8.

        Args:
            poses: Of the arm.
            camera: That takes the pictures.
            size: Pixels a side.
            scenes: That the arm stands in. Each is set up once, which takes milliseconds, for as long as few others
                are asked for.
            shown: (n,) which of them each picture shows; None: the first.

        Raises:
            UserError: A picture without pixels, poses of another number of joints, a camera of another renderer, or a
                scene that is not there.
        """
        own = self._checked(poses, camera, size)
        which = np.zeros(len(own), np.int32) if shown is None else _checked_scenes(shown, len(scenes), len(own))
        with _compiled_or_told():
            return self._drawn(own, camera, which, *self._set_up(tuple(scenes), camera, size))

    def draw_before(
        self, picture: NDArray[np.uint8], poses: NDArray[np.floating], camera: Camera, light: Light = PLAIN.light
    ) -> NDArray[np.uint8]:
        """Draw the arm in a light, before a picture (size, size, 3) of what is behind it.

        Raises:
            UserError: As ``draw`` does.
        """
        size, samples = len(picture), camera.samples
        own = self._checked(poses, camera, size)
        colours = picture.repeat(samples, axis=0).repeat(samples, axis=1)
        with _compiled_or_told():
            lit, idle = self._set_up((replace(PLAIN, light=light),), camera, size)
            behind = lit._replace(pictures=picture[None], colours=colours[None])
            return self._drawn(own, camera, np.zeros(len(own), np.int32), behind, idle)

    def identify(
        self, poses: NDArray[np.floating], camera: Camera, size: int, scene: Scene = PLAIN
    ) -> NDArray[np.int16]:
        """Which link is seen at each pixel, at each of ``poses`` (n, joints), rad: (n, size, size); -1: none.

        Raises:
            UserError: As ``draw`` does.
        """
        own = self._checked(poses, camera, size)
        ids = np.empty((len(own), size, size), np.int16)
        camera = replace(camera, samples=1)
        view = view_of(camera)
        with _compiled_or_told():
            scenery, idle = self._set_up((scene,), camera, size)

            def part(share: slice, scratch: Scratch) -> None:
                kernel.identify(self.body, own[share], view, scenery.depth[0], scratch, ids[share])

            self._share(part, len(own), scenery, idle)
        return ids

    def _set_up(self, scenes: tuple[Scene, ...], camera: Camera, size: int) -> tuple[Scenery, list[Scratch]]:
        """Scenes as the camera sees them, and what threads have drawn on there, to do so again."""
        return self._kept(scenes, camera, size, tuple(stamp(file) for scene in scenes for file in scene.files))

    def _built(
        self, scenes: tuple[Scene, ...], camera: Camera, size: int, stamps: tuple[Stamp, ...]
    ) -> tuple[Scenery, list[Scratch]]:
        return scenery_of(scenes, camera, size, len(self.body.parents)), []

    def _checked(self, poses: NDArray[np.floating], camera: Camera, size: int) -> NDArray[np.float64]:
        if camera.renderer != "raster":
            raise UserError(f"camera {camera.name!r} has the renderer {camera.renderer!r}, expected raster: this one")
        own = np.ascontiguousarray(poses, np.float64)
        if own.ndim != 2 or own.shape[1] != self._joints:
            raise UserError(f"poses of shape {own.shape}, expected (n, {self._joints})")
        if not np.isfinite(own).all():
            raise UserError("poses that are no numbers can't be drawn: the simulation has lost its arm")
        check_pixels(size)
        return own

    def _drawn(
        self,
        poses: NDArray[np.float64],
        camera: Camera,
        which: NDArray[np.int32],
        scenery: Scenery,
        idle: list[Scratch],
    ) -> NDArray[np.uint8]:
        """Pictures in scenes that are set up, of which each pose is in one."""
        frames, view = np.empty((len(poses), *scenery.pictures.shape[1:]), np.uint8), view_of(camera)

        def part(share: slice, scratch: Scratch) -> None:
            kernel.draw(self.body, poses[share], view, scenery, which[share], camera.samples, scratch, frames[share])

        self._share(part, len(poses), scenery, idle)
        return frames

    def _share(
        self, part: Callable[[slice, Scratch], None], frames: int, scenery: Scenery, idle: list[Scratch]
    ) -> None:
        """Do a part of the frames in each thread. In a few more parts than threads: none then waits long for others."""

        def work(share: slice) -> None:
            try:
                scratch = idle.pop()
            except IndexError:  # all are at work
                scratch = scratch_of(self.body, scenery.depth[0])
            part(share, scratch)
            idle.append(scratch)

        parts = min(frames // CHUNK, PARTS * self.threads)
        if self.threads == 1 or parts < 2:
            work(slice(0, frames))
            return
        edges = np.linspace(0, frames, parts + 1).astype(int)
        with ThreadPoolExecutor(self.threads) as pool:  # which takes as long as a few frames
            list(pool.map(work, starmap(slice, pairwise(edges.tolist()))))


@contextmanager
def _compiled_or_told() -> Iterator[None]:
    """What was compiled is read at the first call, or written: whatever is raised there is of that."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if kernel.draw.signatures:
            raise
        raise UserError(
            f"{kernel.draw.stats.cache_path}: the compiled renderer can't be kept there, or read "
            f"({first_line(error)}): delete what is there, or name another folder by NUMBA_CACHE_DIR"
        ) from error


def _checked_scenes(shown: NDArray[np.integer], scenes: int, poses: int) -> NDArray[np.int32]:
    own = np.ascontiguousarray(shown, np.int32)
    if not np.array_equal(own, shown):
        raise UserError("shown has entries that are no whole numbers, expected those of scenes")
    if own.shape != (poses,):
        raise UserError(f"shown is of shape {own.shape}, expected (n,) = ({poses},)")
    if poses and not 0 <= own.min() <= own.max() < scenes:
        raise UserError(f"shown is from {own.min()} to {own.max()}, expected 0 to {scenes - 1}: one of the scenes")
    return own
