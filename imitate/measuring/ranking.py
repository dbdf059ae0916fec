"""How well a reward ranks poses: the question to ask before anything learns from it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau, spearmanr

Numbers = NDArray[np.floating]
Indices = NDArray[np.int64]
OfPairs = Callable[[NDArray, NDArray], Numbers]  # (n, dim), (n, dim) to (n,)

CHUNK = 1 << 22  # numbers that are compared at once: raw pixels have a lot of them


def l2_distance(own: NDArray, target: NDArray) -> NDArray[np.float64]:
    """(n,) L2 distances between (n, dim) and (n, dim)."""
    return np.linalg.norm(own.astype(np.float64) - target, axis=-1)


def over_pairs(function: OfPairs, embeddings: NDArray, own: Indices, target: Indices) -> Numbers:
    """(n,) values of ``function``, a reward or a distance, over pairs of (frames, dim) embeddings, a few at a time.

    Args:
        function: From (k, dim) and (k, dim) to (k,).
        embeddings: (frames, dim).
        own: (n,) indices into them.
        target: (n,) indices of what each is compared with.
    """
    step = max(1, CHUNK // embeddings.shape[1])
    parts = [slice(first, first + step) for first in range(0, len(own), step)]
    return np.concatenate([function(embeddings[own[part]], embeddings[target[part]]) for part in parts])


def mean_distance(embeddings: Numbers) -> float:
    """Mean L2 distance of two of (n, dim) embeddings."""
    shifts = range(1, len(embeddings))
    return float(np.mean([l2_distance(embeddings, np.roll(embeddings, shift, axis=0)).mean() for shift in shifts]))


def rank_correlation(reward: Numbers, distance: Numbers) -> float:
    """Spearman's rank correlation of (n,) rewards with minus (n,) true distances, pooled over all of them.

    1 is a reward that ranks poses as the truth does, 0 one that knows nothing of it. A reward that is the same
    everywhere has 0; of distances that are all the same nothing can be said: NaN.
    """
    if np.ptp(distance) == 0:
        return float("nan")
    if np.ptp(reward) == 0:
        return 0.0
    return float(spearmanr(reward, -distance).statistic)


def mean_rank_correlation(reward: Numbers, distance: Numbers, group: Indices) -> float:
    """``rank_correlation`` within each group, averaged over the groups.

    With the demonstration's frame as the group, it asks what matters to a robot that is to look like this frame.
    Pooled, a reward would also have to be comparable from frame to frame.

    Args:
        reward: (n,).
        distance: (n,) true ones.
        group: (n,) which group each is of.
    """
    each = [rank_correlation(reward[group == g], distance[group == g]) for g in np.unique(group)]
    known = [value for value in each if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")


def regret(reward: Numbers, distance: Numbers, group: Indices) -> float:
    """How much whoever maximises a reward loses by the truth: 0 nothing, 1 as much as by taking any at random.

    Clearly above 1, it is misled: the reward is hacked. In each group the pose of the highest reward is taken. By how
    much farther than the nearest one it truly is, as a share of how much farther all are, on average.

    Args:
        reward: (n,).
        distance: (n,) true ones.
        group: (n,) which group each is of.

    Returns:
        NaN where all are equally far.
    """
    lost = possible = 0.0
    for g in np.unique(group):
        away, paid = distance[group == g], reward[group == g]
        lost += float(away[paid == paid.max()].mean() - away.min())
        possible += float(away.mean() - away.min())
    return lost / possible if possible else float("nan")


def order_of_grades(reward: Numbers, grade: Indices, group: Indices) -> NDArray[np.float64]:
    """Share of pairs in neighbouring grades of which the reward of the lower grade is the higher; ties count half.

    Args:
        reward: (n,).
        grade: (n,) from 0: the higher, the farther from the group's frame.
        group: (n,) pairs are within a group.

    Returns:
        (grades - 1,): 1 where the reward always knows the nearer pose of the two grades, 0.5 where it guesses.
    """
    shares = []
    for low in range(grade.max()):
        each = []
        for g in np.unique(group):
            near = reward[(group == g) & (grade == low)][:, None]
            far = reward[(group == g) & (grade == low + 1)][None]
            each.append(np.mean((near > far) + 0.5 * (near == far)))
        shares.append(np.mean(each))
    return np.array(shares)


def order_agreement(times: Numbers, nearest: Indices) -> float:
    """Kendall's tau of where frames are from, (n,), and what they were matched to, (n,): 1 in order, -1 reversed.

    It is tau-b: frames of one pause are from the same time, and that they are matched to the same frame is right.
    Frames of different times that are matched to the same one cost a little: half speed, with two frames for each
    of the original's, can't quite reach 1. All matched to one frame are in no order: 0.
    """
    if np.ptp(nearest) == 0 or np.ptp(times) == 0:
        return 0.0
    return float(kendalltau(times, nearest).statistic)
