"""Whole clips beside a demonstration: its movement at other speeds, late, standing still, backwards."""

from __future__ import annotations

import numpy as np

from .alignment import Times
from .ranking import Indices, rank_correlation

SPEEDS = {"fifth_speed": 0.2, "half_speed": 0.5, "double_speed": 2.0, "five_times": 5.0}
ALIGNED = ("half_speed", "double_speed", "pauses")  # by which an embedding is asked for the time
PAUSE_EVERY, PAUSE = 20, 10  # frames
PHASE = 0.25  # frames: no replayed frame is the copy of an original one, which any embedding would find
FROZEN = 10  # frames of a clip that stands still: all are the same
LATE = 5  # frames that a clip lags behind


def replays(length: int) -> dict[str, Times]:
    """The times at which a movement of ``length`` frames is shown again: at speeds, with pauses, frozen, reversed."""
    clips = {name: np.arange(PHASE, length - 1, speed) for name, speed in SPEEDS.items()}
    frames = PHASE + np.arange(length - 1)
    paused = np.where(np.arange(1, length) % PAUSE_EVERY == 0, 1 + PAUSE, 1)
    still = np.full(FROZEN, frames[len(frames) // 2])
    return clips | {"pauses": np.repeat(frames, paused), "frozen": still, "reversed": frames[::-1].copy()}


def shown_beside(length: int) -> dict[str, Indices]:
    """The frames that a clip shows while the demonstration, of ``length`` frames, goes on beside it.

    One that is faster stands still at the end, and one that is slower does not come to it.
    """
    frames = np.arange(length)
    clips = {"itself": frames, "late": np.maximum(frames - LATE, 0)}
    clips |= {name: np.minimum((frames * speed).astype(int), length - 1) for name, speed in SPEEDS.items()}
    still = {"frozen_first": 0, "frozen_midway": (length - 1) // 2, "frozen_last": length - 1}
    return clips | {name: np.full(length, at) for name, at in still.items()} | {"reversed": frames[::-1]}


def value_order(nearest: Indices) -> float:
    """Value-order correlation of a clip: Spearman's, of the (n,) frames that its own are matched to, with time.

    Where the matched frame is taken for how far a movement has come: 1 goes on as time does, -1 goes back, 0 stands
    still. A value that watches the clock would rise in a clip that is frozen or reversed (Ma et al., 2024, "Vision
    Language Models are In-Context Value Learners").
    """
    return rank_correlation(nearest.astype(np.float64), -np.arange(len(nearest), dtype=np.float64))
