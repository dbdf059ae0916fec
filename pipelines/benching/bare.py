"""The limit: Bullet's own calls, the same as the stages make, and nothing else, in as many processes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from envs.kuka import Kuka
from imitate.camera import Camera


@dataclass(frozen=True)
class Played:
    """An episode that is played again.

    Attributes:
        start: (joints,) first pose, rad.
        actions: (length - 1, joints) in [-1, 1], joint velocities.
    """

    start: NDArray[np.floating]
    actions: NDArray[np.floating]

    def __len__(self) -> int:
        return len(self.actions) + 1


class Bare:
    """Processes that play episodes and draw their frames, one simulation each, and hand nothing over.

    They are started before anything is timed: a limit has no set-up. To be closed.

    Args:
        episodes: Dealt out to the processes.
        arm: One of ``ARMS``.
        camera: That films.
        size: Pixels a side.
        workers: Processes.
    """

    def __init__(self, episodes: Sequence[Played], arm: str, camera: Camera, size: int, workers: int) -> None:
        self._frames = sum(map(len, episodes))
        context = get_context("spawn")
        self._workers = []
        for k in range(min(workers, len(episodes))):
            pipe, far = context.Pipe()
            process = context.Process(target=_play, args=(far, episodes[k::workers], arm, camera, size), daemon=True)
            process.start()
            far.close()
            self._workers.append((pipe, process))
        for pipe, _ in self._workers:
            pipe.recv()  # ready

    def __call__(self) -> float:
        """Play all episodes once: frames/s."""
        start = perf_counter()
        for pipe, _ in self._workers:
            pipe.send(True)
        for pipe, _ in self._workers:
            pipe.recv()
        return self._frames / (perf_counter() - start)

    def close(self) -> None:
        """End the processes."""
        for pipe, process in self._workers:
            pipe.send(False)
            process.join()


def _play(pipe: Connection, episodes: Sequence[Played], arm: str, camera: Camera, size: int) -> None:
    kuka = Kuka(arm, "velocity")
    pipe.send(True)
    while pipe.recv():
        for episode in episodes:
            kuka.reset(episode.start)
            kuka.replay(episode.actions, camera, size)
        pipe.send(True)
    kuka.close()
