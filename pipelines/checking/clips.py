"""What the reward says of whole clips, shown beside each demonstration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from imitate.embedding.trained_encoder import TrainedEncoder
from imitate.envs.kuka import Kuka
from imitate.measuring.alignment import Times, alignment_error, at_times, nearest_frames
from imitate.measuring.clips import ALIGNED, SPEEDS, replays, shown_beside, value_order
from imitate.measuring.ranking import Indices, l2_distance, order_agreement, rank_correlation
from imitate.reward.rewards import HuberReward

from .views import Embed, Views, drawn

PAY = HuberReward().closeness


def clip_figures(
    demonstrations: Sequence[Views],
    kuka: Kuka,
    encoder: TrainedEncoder,
    embeds: Mapping[str, Embed],
    units: Mapping[str, float],
) -> dict[str, Any]:
    """Means over demonstrations, of each embedding.

    Args:
        demonstrations: Two or more make each another's other movement.
        kuka: That draws their replays.
        encoder: Whose camera takes these.
        embeds: By the prefix of its figures.
        units: Distance of two random poses, by the same.

    Returns:
        ``kendall_tau`` and ``alignment_error``, over replays and for each of ``ALIGNED``: is each frame matched to its
        own? ``voc``, over the speeds, and ``voc_<clip>``: value-order correlation. ``clips_spearman_joint``: Spearman's
        rank correlation of what clips earn beside a demonstration with minus their true distance. ``clips``: by name,
        how far each is from the demonstration, in units.
    """
    found: dict[str, list[float]] = {}
    apart: dict[str, dict[str, list[float]]] = {prefix: {} for prefix in embeds}
    for k, shown in enumerate(demonstrations):
        references = {prefix: embed(shown) for prefix, embed in embeds.items()}
        for name, times in replays(len(shown)).items():
            clip = drawn(kuka, encoder.camera, encoder.image_size, at_times(shown.joints, times))
            for prefix, embed in embeds.items():
                nearest = nearest_frames(embed(clip), references[prefix])
                for figure, value in _of_replay(name, times, nearest, len(shown)).items():
                    found.setdefault(prefix + figure, []).append(value)
        clips = {name: shown.at(frames) for name, frames in shown_beside(len(shown)).items()}
        if len(other := demonstrations[k - 1]) >= len(shown) and other is not shown:
            clips["another"] = other.at(np.arange(len(shown)))
        away = np.array([np.abs(clip.joints - shown.joints).mean() for clip in clips.values()])
        for prefix, embed in embeds.items():
            own = {name: embed(clip) for name, clip in clips.items()}
            earned = np.array([PAY(seen, references[prefix]).mean() for seen in own.values()])
            found.setdefault(f"{prefix}clips_spearman_joint", []).append(rank_correlation(earned, away))
            for name, seen in own.items():
                distance = l2_distance(seen, references[prefix]).mean() / units[prefix]
                apart[prefix].setdefault(name, []).append(float(distance))
    figures: dict[str, Any] = {name: _mean(values) for name, values in found.items()}
    for prefix, by_clip in apart.items():
        figures[f"{prefix}clips"] = {name: _mean(values) for name, values in by_clip.items()}
    return figures


def _of_replay(name: str, times: Times, nearest: Indices, length: int) -> dict[str, float]:
    """The figures of one, by its own name and, where it is one of several, by that of them all."""
    order = value_order(nearest)
    figures = {f"voc_{name}": order} | ({"voc": order} if name in SPEEDS else {})
    if name in ALIGNED:
        aligned = {
            "kendall_tau": order_agreement(times, nearest),
            "alignment_error": alignment_error(times, nearest, length),
        }
        figures |= aligned | {f"{figure}_{name}": value for figure, value in aligned.items()}
    return figures


def _mean(values: Sequence[float]) -> float:
    """Of those that are known: of a clip of one frame there is no order."""
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")
