"""When each frame of a video is shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

ROUNDED = 1 / 500  # s: a file that counts in coarser ticks means them; one that counts in finer has rounded to them
EXACT = 1e-6  # s: what is left of a computation

Times = NDArray[np.float64]


@dataclass(frozen=True)
class Timeline:
    """The times of the frames of a video.

    Attributes:
        starts: (length,) when each frame is shown, s, in the file's own time; it does not decrease.
        end: When the last one no longer is, s.
        tick: What the file counts in, s, and has rounded the times to; 0: nothing was rounded.
    """

    starts: Times
    end: float
    tick: float = 0.0

    @property
    def seconds(self) -> float:
        """How long the video lasts."""
        return float(self.end - self.starts[0])

    @property
    def rate(self) -> float:
        """Frames a second, on average."""
        return len(self.starts) / self.seconds

    @property
    def even(self) -> bool:
        """Whether all frames are as far apart, but for the rounding."""
        gaps = np.diff(self.starts)
        return bool(np.ptp(gaps) <= 2 * self._rounding + EXACT) if len(gaps) else True

    def count(self, fps: float) -> int:
        """Number of frames of this video at ``fps`` frames a second."""
        return max(1, int(np.ceil((self.seconds - self._rounding - EXACT) * fps)))

    def shown(self, fps: float) -> NDArray[np.int64]:
        """(count,) which frame is shown at 0, 1/fps, 2/fps, ... seconds after the first."""
        times = self.starts[0] + np.arange(self.count(fps)) / fps
        return np.searchsorted(self.starts, times + self._rounding / 2 + EXACT, side="right") - 1

    def nearest(self, times: Times, tolerance: float) -> NDArray[np.int64]:
        """Which frame starts nearest to each of some times.

        Args:
            times: (n,) s, in the file's own time.
            tolerance: How far it may start from there, s.

        Returns:
            (n,) frames.

        Raises:
            ValueError: None starts so near to one of them.
        """
        after = np.searchsorted(self.starts, times).clip(0, len(self.starts) - 1)
        before = np.maximum(after - 1, 0)
        nearest = np.where(times - self.starts[before] < self.starts[after] - times, before, after)
        missing = np.abs(self.starts[nearest] - times) > tolerance
        if missing.any():
            raise ValueError(f"no frame at {times[missing][0]:.3f} s: {missing.sum()} of {len(times)} are missing")
        return nearest

    @property
    def _rounding(self) -> float:
        return self.tick if self.tick <= ROUNDED else 0.0


@dataclass(frozen=True)
class Stamp:
    """What a file says of the time of one frame, in ticks.

    Attributes:
        start: When it is shown; None: the file does not say.
        decoded: When it is decoded, which is in the order of showing too, some frames later; None: it does not say.
        duration: How long it is shown; 0: the file does not say.
    """

    start: int | None
    decoded: int | None
    duration: int


def evenly(length: int, rate: float) -> Timeline:
    """The times of frames of a file that has none, at ``rate`` frames a second."""
    return Timeline(np.arange(length) / rate, length / rate)


def timeline_of(stamps: Sequence[Stamp], tick: float, rate: float, jump: float = np.inf) -> Timeline:
    """Make the times of frames out of what a file says of them.

    Frames without a time are spread evenly between those that have one. Where times go back, those of decoding tell.
    Where these do too, or jump ahead, as where recordings were joined, the video goes on: no frame is shown before
    those that were decoded before it.

    Args:
        stamps: Of (length,) frames.
        tick: Of the file, s.
        rate: Frames a second, where nothing else tells.
        jump: A gap that is longer, s, is none.
    """
    starts, decoded = [stamp.start for stamp in stamps], [stamp.decoded for stamp in stamps]
    times = decoded if _goes_back(starts) and not _goes_back(decoded) else starts
    known = [k for k, time in enumerate(times) if time is not None]
    if not known:
        return evenly(len(stamps), rate)
    order = np.arange(len(stamps))
    ticks = np.interp(order, known, [time for time in times if time is not None])
    gaps = np.diff(ticks[known[0] : known[-1] + 1])
    usual = float(np.median(gaps[gaps > 0])) if (gaps > 0).any() else 1 / rate / tick
    ticks += usual * (order - order.clip(known[0], known[-1]))  # before the first that is known, and after the last
    steps = np.diff(ticks)
    ticks[1:] = ticks[0] + np.where((steps < 0) | (steps * tick > jump), usual, steps).cumsum()
    last = _last(np.array([stamp.duration for stamp in stamps]), np.diff(ticks), usual)
    return Timeline(ticks * tick, float((ticks[-1] + last) * tick), tick)


def _goes_back(times: Sequence[int | None]) -> bool:
    known = [time for time in times if time is not None]
    return not known or any(after < before for before, after in pairwise(known))


def _last(durations: NDArray[np.int64], gaps: Times, usual: float) -> float:
    """How long the last frame is shown, in ticks.

    Durations that are not the gaps between frames were made up, of a rate in the header: so was the last one's, unless
    it alone is another.
    """
    *others, last = durations.tolist()
    alone = len({*others}) == 1 and others[0] > 0 and last != others[0]
    true = not others or alone or np.median(np.abs(durations[:-1] - gaps)) <= max(1, usual / 4)
    return float(last) if last > 0 and true else usual
