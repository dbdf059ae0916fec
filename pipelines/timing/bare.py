"""The limit: Bullet's own calls, the same as the stages make, and nothing else, in as many processes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from imitate.data.camera import Camera
from imitate.envs.kuka import Kuka
from imitate.keeping.workers import Crew


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
    """Processes that play episodes and draw their frames, one simulation each, and hand over how many these were.

    They are started before anything is timed: a limit has no set-up. To be closed.

    Args:
        episodes: Dealt out to the processes.
        arm: One of ``ARMS``.
        camera: That films.
        size: Pixels a side.
        workers: Processes.
    """

    def __init__(self, episodes: Sequence[Played], arm: str, camera: Camera, size: int, workers: int) -> None:
        dealt = [episodes[k::workers] for k in range(min(workers, len(episodes)))]
        self._crew = Crew("bare simulation", Player, [(own, arm, camera, size) for own in dealt])
        self._all(play=False)  # ready

    def __call__(self) -> float:
        """Play all episodes once: frames/s."""
        start = perf_counter()
        return self._all(play=True) / (perf_counter() - start)

    def _all(self, play: bool) -> int:
        return sum(self._crew.ask([(play,)] * len(self._crew.processes)))

    def close(self) -> None:
        """End the processes."""
        self._crew.close()


class Player:
    """The episodes of one process, and its simulation."""

    def __init__(self, episodes: Sequence[Played], arm: str, camera: Camera, size: int) -> None:
        self._episodes, self._camera, self._size = episodes, camera, size
        self._kuka = Kuka(arm, "velocity")

    def __call__(self, play: bool) -> int:
        """Play them, or do nothing: how many frames were drawn."""
        frames = 0
        for episode in self._episodes if play else ():
            self._kuka.reset(episode.start)
            self._kuka.replay(episode.actions, self._camera, self._size)
            frames += len(episode)
        return frames

    def close(self) -> None:
        """Free the simulation."""
        self._kuka.close()
