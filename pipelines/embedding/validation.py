"""What an encoder is measured by: pose retrieval and triplets of videos that are held out, beside two baselines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imitate.embedding.sampling import Margins, Videos, triplets
from imitate.embedding.trained_encoder import TrainedEncoder
from imitate.errors import UserError
from imitate.measuring.metrics import embedding_metrics, triplet_accuracy

from ..checking.verdict import report, weakness
from .data import Data

PROTOCOL = Margins(positive=10, negative=30)  # of the validation triplets: the paper's, whatever was trained on
PROTOCOL_MARGIN = 2.0
PROTOCOL_VIDEOS, PROTOCOL_TRIPLETS = 10, 100
BASELINE_FRAMES = 1000  # of raw pixels: enough for the baseline, and little memory at 299x299


def validate(data: Data, embed: Callable[[NDArray[np.uint8]], NDArray[np.float32]]) -> dict[str, float]:
    """The paper's protocol (1,000 triplets: 100 from each of 10 videos), retrieval and rank correlation.

    Args:
        data: Whose validation videos are embedded.
        embed: Maps (n, size, size, 3) uint8 to (n, dim).
    """
    index = data.validation_frames
    embeddings = embed(data.frames[index])
    figures = embedding_metrics(embeddings, data.poses.at(index))
    place = np.zeros(len(data.frames), np.int64)
    place[index] = np.arange(len(index))
    first = Videos(data.validation.starts[:PROTOCOL_VIDEOS], data.validation.lengths[:PROTOCOL_VIDEOS])
    try:
        drawn = place[triplets(first, PROTOCOL_TRIPLETS, PROTOCOL, np.random.default_rng(0))]
    except UserError:  # validation videos too short for the protocol: its figures are left out
        return figures
    anchor, positive, negative = (embeddings[part] for part in drawn)
    figures["triplet_accuracy"] = triplet_accuracy(anchor, positive, negative)
    figures["triplet_accuracy_margin"] = triplet_accuracy(anchor, positive, negative, PROTOCOL_MARGIN)
    figures["triplets"] = drawn.shape[1]
    return figures


def baselines_of(data: Data, untrained: TrainedEncoder) -> dict[str, dict[str, float]]:
    """What pixels, and a network that has learned nothing, reach."""
    return {"pixels": _pixels(data), "untrained": validate(data, untrained.embed)}


def _pixels(data: Data) -> dict[str, float]:
    """The baseline that embeds a frame as its pixels."""
    few = min(len(data.validation), max(2, BASELINE_FRAMES // int(data.validation.lengths.max())))
    videos = Videos(data.validation.starts[:few], data.validation.lengths[:few])
    part = replace(data, validation=videos)
    return validate(part, lambda frames: frames.reshape(len(frames), -1).astype(np.float32) / np.float32(255))


def told(figures: dict[str, Any]) -> None:
    """Print what was measured, and how far the reward can be trusted."""
    rows = ["retrieval_ee_error_m", "retrieval_joint_error_rad", "pose_spearman_ee", "pose_spearman_joint"]
    rows += ["triplet_accuracy", "triplet_accuracy_margin"]
    known = {row: [figures.get(prefix + row) for prefix in ("", "untrained_", "pixels_")] for row in rows}
    known = {row: values for row, values in known.items() if values != [None] * 3}
    if known:
        print(f"{'validation':28}{'encoder':>10}{'untrained':>11}{'pixels':>9}")
    for row, values in known.items():
        cells = ["-" if value is None else f"{value:.3f}" for value in values]
        print(f"{row:28}{cells[0]:>10}{cells[1]:>11}{cells[2]:>9}")
    if "visibility" in figures:
        report(figures)
    if poor := weakness(figures):
        print(f"its reward may mislead: {poor}")
