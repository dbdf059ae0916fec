"""How faithful a learned reward is to the true pose, measured before anything learns from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from imitate.embedding.encoders import build_encoder
from imitate.embedding.trained_encoder import TrainedEncoder
from imitate.envs.kuka import Kuka
from imitate.measuring.figures import reward_figure, save_figure
from imitate.measuring.ranking import (
    l2_distance,
    mean_rank_correlation,
    order_of_grades,
    over_pairs,
    rank_correlation,
    regret,
)
from imitate.measuring.visibility import decoding_errors, typical_distance, visibility
from imitate.reward.rewards import HuberReward

from .clips import clip_figures
from .probes import CENTIMETRES, DEGREES, TURNS, Probe, Probes, Visited, collect
from .views import Embed, Views

Numbers = NDArray[np.floating]

CAPTIONS = {
    "random_poses": "random poses",
    "demo": "the same demonstration",
    "near_joint": "2 to 40 degrees a joint away",
    "near_ee": "1 to 20 cm of the flange away",
    "policy": "visited by the policy",
}


@dataclass(frozen=True)
class Check:
    """What was found.

    Attributes:
        figures: Under the names of metrics.json.
        scatter: By set, true joint distances (n,), rad, and learned rewards (n,).
        rise: By graded set, (grades, n) embedding distances in units of that between random poses.
    """

    figures: dict[str, Any]
    scatter: dict[str, tuple[Numbers, Numbers]]
    rise: dict[str, Numbers]


def measure(
    encoder: TrainedEncoder, demonstrations: Sequence[Views], arm: str, probe: Probe, visited: Visited | None = None
) -> Check:
    """Check the reward of an encoder, of an untrained one, of raw pixels, and of the true joints.

    The figures of the last three are prefixed ``untrained_``, ``pixels_`` and ``true_``. The true joints, taken for an
    embedding, are the upper bound: they do not reach 1 where grades make ties, or where the flange is asked for.
    """
    kuka = Kuka(arm)
    try:
        probes = collect(demonstrations, kuka, encoder.camera, encoder.image_size, probe, visited)
        fresh = _untrained(encoder)
        embeds: dict[str, Embed] = {
            "": lambda views: encoder.embed(views.frames),
            "untrained_": lambda views: fresh.embed(views.frames),
            "pixels_": lambda views: views.frames.reshape(len(views), -1),
            "true_": lambda views: views.joints,
        }
        embeddings = {prefix: embed(probes.views) for prefix, embed in embeds.items()}
        figures = {
            prefix + name: value for prefix in embeds for name, value in _figures(embeddings[prefix], probes).items()
        }
        if encoder.pose_head is not None:
            decoded = encoder.decode_joints(embeddings[""][probes.anchors])
            figures["decoding_error_rad"] = decoding_errors(decoded, probes.views.joints[probes.anchors]).tolist()
        units = {prefix: typical_distance(embeddings[prefix][probes.random]) for prefix in embeds}
        figures |= clip_figures(demonstrations, kuka, encoder, embeds, units)
    finally:
        kuka.close()
    scatter = {name: (_true(probes, name)["joint"], _rewards(embeddings[""], probes, name)) for name in probes.sets}
    rise = {name: _rise(embeddings[""], probes, name) for name in ("near_joint", "near_ee")}
    return Check(figures, scatter, rise)


def draw(check: Check, path: Path) -> None:
    """Write the figure."""
    rises = [
        ("degrees a joint", DEGREES, check.rise["near_joint"]),
        ("cm of the flange", CENTIMETRES, check.rise["near_ee"]),
    ]
    scatter = {caption: check.scatter[name] for name, caption in CAPTIONS.items() if name in check.scatter}
    save_figure(path, reward_figure(scatter, rises, check.figures["visibility"]))


def _untrained(encoder: TrainedEncoder) -> TrainedEncoder:
    """A network of the same architecture that has learned nothing; other randomness stays as it is."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = build_encoder(encoder.name, encoder.image_size, encoder.dim)
    fresh = TrainedEncoder(encoder.name, module, encoder.image_size, encoder.dim, encoder.camera)
    return fresh.to(encoder.device)


def _true(probes: Probes, name: str) -> dict[str, Numbers]:
    """True distances (n,) of a set: mean absolute joint difference, rad, and that of the flange, m.

    Rounded to 0.1 mrad and 1 mm, so that poses of one grade are equally far, whatever the last digits say.
    """
    pairs, views = probes.sets[name], probes.views
    return {
        "joint": np.abs(views.joints[pairs.own] - views.joints[pairs.target]).mean(axis=1).round(4),
        "ee": np.linalg.norm(views.flange[pairs.own] - views.flange[pairs.target], axis=1).round(3),
    }


def _rewards(embeddings: NDArray, probes: Probes, name: str) -> Numbers:
    pairs = probes.sets[name]
    return over_pairs(HuberReward().closeness, embeddings, pairs.own, pairs.target)


def _rise(embeddings: NDArray, probes: Probes, name: str) -> Numbers:
    pairs = probes.sets[name]
    distance = over_pairs(l2_distance, embeddings, pairs.own, pairs.target)
    distance /= typical_distance(embeddings[probes.random])
    return np.stack([distance[pairs.grade == grade] for grade in range(pairs.grade.max() + 1)])


def _figures(embeddings: NDArray, probes: Probes) -> dict[str, Any]:
    """Rank correlations of every set, and the visibility of the joints.

    ``<set>_spearman_<truth>`` is the mean over the frames compared with, ``..._pooled`` is over all pairs at once. A
    graded set is only asked for the truth that it is graded by, and for the order of its neighbouring grades.
    """
    figures: dict[str, Any] = {}
    for name, pairs in probes.sets.items():
        reward = _rewards(embeddings, probes, name)
        base, _, graded_by = name.partition("near_")
        for truth, distance in _true(probes, name).items():
            if graded_by not in ("", truth):
                continue
            key = f"{base or 'near'}_spearman_{truth}"
            figures[key] = mean_rank_correlation(reward, distance, pairs.target)
            figures[f"{key}_pooled"] = rank_correlation(reward, distance)
            if name == "policy":
                figures[f"policy_regret_{truth}"] = regret(reward, distance, pairs.target)
        if graded_by:
            grades = DEGREES if graded_by == "joint" else CENTIMETRES
            order = order_of_grades(reward, pairs.grade, pairs.target)
            steps = [f"{low}-{high}" for low, high in pairwise(grades)]
            figures[f"near_order_{graded_by}"] = dict(zip(steps, order.tolist(), strict=True))
    unit = typical_distance(embeddings[probes.random])
    seen = visibility(embeddings, probes.anchors, probes.turned, unit)
    figures["visibility"] = {str(size): row.tolist() for size, row in zip(TURNS, seen.T, strict=True)}
    return figures
