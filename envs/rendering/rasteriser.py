"""A renderer of our own: many frames a call, over all cores."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import pairwise, starmap
from pickle import UnpicklingError

import numpy as np
from numpy.typing import NDArray

from imitate.data.camera import Camera
from imitate.errors import UserError, first_line
from imitate.keeping.workers import is_worker

from . import kernel
from .kernel import Body, Light, Scratch, View

NEAR = 0.1  # m; what is nearer to a camera is not seen
CHUNK = 16  # frames that are worth a part of their own
PARTS = 4  # a thread
ACROSS, DOWN = 0.0, 1.0  # where in its cell a sample is taken: its lower left corner, as PyBullet's renderer does


class Rasteriser:
    """Draws an arm: a z-buffer, flat shading, several samples a pixel.

    Equal poses give equal pictures, to the bit, however many are drawn at once and by however many threads.

    Args:
        body: What is drawn.
        threads: That share the frames of a call. None: as many as there are cores, or one in a worker process.
    """

    def __init__(self, body: Body, threads: int | None = None) -> None:
        self.body = body
        self.threads = threads or (1 if is_worker() else os.cpu_count() or 1)
        self._joints = int(body.joints.max()) + 1
        self._idle: dict[int, list[Scratch]] = {}  # by the side of what is drawn

    def draw(
        self, poses: NDArray[np.floating], camera: Camera, size: int, light: Light | None = None
    ) -> NDArray[np.uint8]:
        """Draw a picture at each of ``poses`` (n, joints), rad: (n, size, size, 3), uint8.

        Raises:
            UserError: A picture without pixels, or poses of another number of joints.
        """
        own = self._checked(poses, size)
        frames = np.empty((len(own), size, size, 3), np.uint8)
        view, light, samples = view_of(camera), light or plain_light(), camera.samples

        def part(share: slice, scratch: Scratch) -> None:
            kernel.draw(self.body, own[share], view, light, samples, scratch, frames[share])

        self._share(part, len(own), size * samples)
        return frames

    def identify(self, poses: NDArray[np.floating], camera: Camera, size: int) -> NDArray[np.int16]:
        """Which link is seen at each pixel, at each of ``poses`` (n, joints), rad: (n, size, size); -1: none.

        Raises:
            UserError: As ``draw`` does.
        """
        own = self._checked(poses, size)
        ids = np.empty((len(own), size, size), np.int16)
        view = view_of(camera)

        def part(share: slice, scratch: Scratch) -> None:
            kernel.identify(self.body, own[share], view, scratch, ids[share])

        self._share(part, len(own), size)
        return ids

    def _checked(self, poses: NDArray[np.floating], size: int) -> NDArray[np.float64]:
        own = np.ascontiguousarray(poses, np.float64)
        if own.ndim != 2 or own.shape[1] != self._joints:
            raise UserError(f"poses of shape {own.shape}, expected (n, {self._joints})")
        if not np.isfinite(own).all():
            raise UserError("poses that are no numbers can't be drawn: the simulation has lost its arm")
        if size < 1:
            raise UserError(f"a picture of {size}x{size} pixels, expected 1 or more a side")
        return own

    def _share(self, part: Callable[[slice, Scratch], None], frames: int, side: int) -> None:
        """Do a part of the frames in each thread. In a few more parts than threads: none then waits long for others."""
        if side not in self._idle:
            self._idle = {side: []}  # pictures of another size are given back
        idle = self._idle[side]

        def work(share: slice) -> None:
            try:
                scratch = idle.pop()
            except IndexError:  # all are at work
                scratch = self._scratch(side)
            try:
                part(share, scratch)
            except (OSError, EOFError, UnpicklingError) as error:  # at the first call, of what was compiled
                raise UserError(
                    f"{kernel.draw.stats.cache_path}: no place for the compiled renderer ({first_line(error)}): "
                    "delete what is there, or name another folder by NUMBA_CACHE_DIR"
                ) from None
            idle.append(scratch)

        parts = min(frames // CHUNK, PARTS * self.threads)
        if self.threads == 1 or parts < 2:
            work(slice(0, frames))
            return
        edges = np.linspace(0, frames, parts + 1).astype(int)
        with ThreadPoolExecutor(self.threads) as pool:  # which takes as long as a few frames
            list(pool.map(work, starmap(slice, pairwise(edges.tolist()))))

    def _scratch(self, side: int) -> Scratch:
        body = self.body
        return Scratch(
            links=np.empty((len(body.parents), 3, 4)),
            seen=np.empty((len(body.vertices), 6)),
            depth=np.zeros((side, side), np.float32),
            nearest=np.full((side, side), len(body.triangles), np.int32),
            spans=np.tile(np.array([side, 0], np.int32), (side, 1)),
            shades=np.empty((len(body.triangles) + 1, 3), np.int32),
        )


@lru_cache(maxsize=64)
def view_of(camera: Camera) -> View:
    """A camera as compiled code takes it.

    Raises:
        UserError: It looks at where it stands, or along what is up.
    """
    eye, target, up = (np.array(vector, np.float64) for vector in (camera.eye, camera.target, camera.up))
    forward = target - eye
    right = np.cross(forward, up)
    lengths = np.linalg.norm(forward), np.linalg.norm(right)
    if not all(length > 1e-9 for length in lengths):
        raise UserError(f"camera {camera.name!r} looks along what is up, or at where it stands: it has no direction")
    forward, right = forward / lengths[0], right / lengths[1]
    rows = np.stack([right, np.cross(right, forward), forward])
    focal = float(1 / np.tan(np.radians(camera.fov) / 2))
    return View(np.column_stack([rows, -rows @ eye]), focal, NEAR, ACROSS, DOWN)


@lru_cache(maxsize=1)
def plain_light() -> Light:
    """One lamp, on white: fitted to the pictures of PyBullet's TinyRenderer, which are then hardly to be told apart."""
    direction = np.array([-0.436, 0.251, 0.864])
    return Light(direction / np.linalg.norm(direction), np.full(3, 0.6), np.full(3, 0.36), np.full(3, 255.0))
