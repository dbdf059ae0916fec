"""Plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from numpy.typing import NDArray

from imitate.keeping.runs import written_aside

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

LEAST_DRAWN = 1e-3  # rad, on a logarithmic axis


def save_figure(path: Path, figure: Figure) -> None:
    """Write ``figure`` as PNG and free it."""
    with written_aside(path) as aside:
        figure.savefig(aside, dpi=120, bbox_inches="tight")
    plt.close(figure)


def tsne_figure(embeddings: NDArray[np.float32], seed: int = 0) -> Figure:
    """t-SNE of a trajectory's embeddings (length, dim), coloured by frame (figure 2 of the paper)."""
    from sklearn.manifold import TSNE

    perplexity = min(30.0, (len(embeddings) - 1) / 3)
    points = TSNE(2, perplexity=perplexity, learning_rate=200, max_iter=1000, random_state=seed).fit_transform(
        embeddings
    )
    figure, axes = plt.subplots(figsize=(5, 4))
    colours = axes.scatter(points[:, 0], points[:, 1], c=np.arange(len(points)), cmap="winter", s=14)
    figure.colorbar(colours, label="frame")
    axes.set_title("t-SNE of a validation trajectory")
    axes.set_xticks([])
    axes.set_yticks([])
    return figure


def distance_matrix_figure(embeddings: NDArray[np.float32]) -> Figure:
    """L2 distances between a trajectory's embeddings (length, dim): figure 3 of the paper."""
    distances = np.linalg.norm(embeddings[:, None] - embeddings[None], axis=-1)
    figure, axes = plt.subplots(figsize=(5, 4))
    image = axes.imshow(distances, cmap="coolwarm")
    figure.colorbar(image, label="L2 distance")
    axes.set_xlabel("frame")
    axes.set_ylabel("frame")
    axes.set_title("distances within a validation trajectory")
    return figure


def learning_curve_figure(curve: Sequence[Mapping[str, float]], metrics: Mapping[str, float]) -> Figure:
    """Reward and true errors over training, with holding still for comparison.

    Args:
        curve: One row a round of practice, of the poses that are believed, and one a rollout: ``steps``, ``reward``,
            which practice has none of, ``ee_error_m``, ``joint_error_rad``.
        metrics: Those of the finished policy and of holding still.
    """
    figure, panels = plt.subplots(1, 3, figsize=(12, 3.2), sharex=True)
    parts = {
        "found by practice": [row for row in curve if "reward" not in row],
        "while exploring": [row for row in curve if "reward" in row],
    }
    titles = {"reward": "learned reward a step", "ee_error_m": "flange error, m", "joint_error_rad": "joint error, rad"}
    for axes, (key, title) in zip(panels, titles.items(), strict=True):
        for label, rows in parts.items():
            if any(key in row for row in rows):
                marker = "o" if len(rows) == 1 else None  # a point, of which a line shows nothing
                axes.plot([r["steps"] for r in rows], [r.get(key, np.nan) for r in rows], marker=marker, label=label)
        if np.isfinite(metrics.get(key, np.nan)) and key != "reward":
            axes.axhline(metrics[f"hold_still_{key}"], color="grey", linestyle="--", label="holding still")
            axes.axhline(metrics[key], color="tab:green", linestyle=":", label="the finished policy")
            axes.set_yscale("log")  # what is found is a hundredth of what holding still is away
            axes.legend()
        axes.set_title(title)
        axes.set_xlabel("env steps, with practice")
        axes.locator_params(axis="x", nbins=5)
    figure.tight_layout()
    return figure


def env_curve_figure(curve: Sequence[Mapping[str, float]]) -> Figure:
    """The learned reward over training, and beside it the environment's own, which nothing learned from.

    Args:
        curve: One row a rollout: ``steps``, ``reward``, ``env_reward``, ``embedding_distance``.
    """
    titles = {
        "reward": "reward from the video, a step",
        "env_reward": "the environment's own, a step",
        "embedding_distance": "embedding distance",
    }
    figure, panels = plt.subplots(1, len(titles), figsize=(12, 3.2), sharex=True)
    for axes, (key, title) in zip(panels, titles.items(), strict=True):
        axes.plot([row["steps"] for row in curve], [row.get(key, np.nan) for row in curve])
        axes.set_title(title)
        axes.set_xlabel("env steps")
        axes.locator_params(axis="x", nbins=5)
    figure.tight_layout()
    return figure


def progress_figure(each: Sequence[NDArray[np.floating]], titles: Sequence[str], fps: float) -> Figure:
    """How far episodes have come, one panel each.

    Args:
        each: (length,) progress of each episode, 0 to 1.
        titles: One each.
        fps: Frames a second.
    """
    columns = min(len(each), 5)
    rows = -(-len(each) // columns)
    size = 2.6 * columns, 2.0 * rows
    figure, panels = plt.subplots(rows, columns, sharey=True, squeeze=False, figsize=size)
    for axes in panels.flat[len(each) :]:
        axes.set_axis_off()
    for axes, progress, title in zip(panels.flat, each, titles, strict=False):
        axes.plot(np.arange(len(progress)) / fps, progress)
        axes.set_title(title, fontsize=9)
        axes.set_ylim(-0.05, 1.05)
    for axes in panels[-1]:
        axes.set_xlabel("s")
    figure.tight_layout()
    return figure


def alignment_figure(names: Sequence[str], paths: Sequence[NDArray[np.integer]], length: int) -> Figure:
    """Which frame of a video each frame of others is laid to.

    Args:
        names: Of the others, which may be no text.
        paths: (n,) frames of the first video, one each.
        length: Of that, frames.
    """
    figure, axes = plt.subplots(figsize=(6, 4))
    for number, (name, path) in enumerate(zip(names, paths, strict=True), 2):
        axes.plot(path, label=f"{number}. {name}".encode(errors="replace").decode())
    axes.set_ylim(0, length)
    axes.set_xlabel("frame")
    axes.set_ylabel("frame of the first")
    axes.legend()
    figure.tight_layout()
    return figure


def followed_figure(series: Mapping[str, Mapping[str, Sequence[float]]], seconds: float) -> Figure:
    """How a demonstration was followed, step by step: what was guessed of it, and what the reward made of that.

    Args:
        series: By way, ``embedding_distance`` and ``ee_error_m`` of each step; NaN where the latter is unknown.
        seconds: From a step to the next.
    """
    known = all(np.isfinite(steps["ee_error_m"]).all() for steps in series.values())
    drawn = {"embedding_distance": "embedding distance"} | ({"ee_error_m": "flange error, cm"} if known else {})
    figure, panels = plt.subplots(1, len(drawn), figsize=(5.5 * len(drawn), 3.6), squeeze=False)
    for axes, (name, label) in zip(panels[0], drawn.items(), strict=True):
        scale = 100 if name == "ee_error_m" else 1
        for way, steps in series.items():
            axes.plot(seconds * (1 + np.arange(len(steps[name]))), scale * np.asarray(steps[name]), label=way)
        axes.set_yscale("log")
        axes.set_xlabel("seconds of the demonstration")
        axes.set_ylabel(label)
        axes.grid(alpha=0.3, which="both")
    figure.legend(*panels[0][0].get_legend_handles_labels(), loc="upper center", ncols=len(series))
    figure.tight_layout(rect=(0, 0, 1, 0.92))
    return figure


def benchmark_figure(runs: Sequence[Mapping[str, Any]]) -> Figure:
    """Flange error against steps and against seconds: for each method the median run, and between the quartiles.

    Args:
        runs: Each with its ``method`` and ``curve``: ``steps``, ``seconds`` and ``ee_error_m``, a list of each.
    """
    figure, panels = plt.subplots(1, 2, figsize=(11, 4), sharey=True)
    for axes, (key, unit) in zip(panels, {"steps": "env steps", "seconds": "seconds"}.items(), strict=True):
        for method in dict.fromkeys(run["method"] for run in runs):
            curves = [run["curve"] for run in runs if run["method"] == method]
            # Those that still practise have not followed yet; those that have ended stay as they are.
            first, last = min(curve[key][0] for curve in curves), max(curve[key][-1] for curve in curves)
            grid = np.linspace(first, last, 100)
            errors = [np.interp(grid, curve[key], curve["ee_error_m"], left=np.inf) for curve in curves]
            quartiles = np.quantile(errors, [0.25, 0.5, 0.75], axis=0, method="higher")
            low, median, high = np.where(np.isfinite(quartiles), quartiles, np.nan)
            (line,) = axes.plot(grid, 100 * median, label=method)
            axes.fill_between(grid, 100 * low, 100 * high, color=line.get_color(), alpha=0.2, linewidth=0)
        axes.set_xlabel(f"{unit}, with practice")
        axes.set_yscale("log")
        axes.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))  # with all nine, they overlap
        for axis in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
            axis("{x:g}")  # 60, not 6 x 10^1
        axes.grid(alpha=0.3, which="both")
    panels[0].set_ylabel("flange error while it learns, cm")
    panels[0].legend()
    figure.tight_layout()
    return figure


def reward_figure(
    scatter: Mapping[str, tuple[NDArray[np.floating], NDArray[np.floating]]],
    rises: Sequence[tuple[str, Sequence[float], NDArray[np.floating]]],
    visibility: Mapping[str, Sequence[float]],
    most: int = 1500,
) -> Figure:
    """Learned reward against true reward; embedding distance against perturbation size; visibility of the joints.

    Args:
        scatter: By set of poses, those on top last, true joint distances (n,), rad, and learned rewards (n,), below 0.
        rises: Of each kind of perturbation, its name, its sizes (grades,), and embedding distances (grades, n) in units
            of that between random poses.
        visibility: By degrees of one joint, how far the embedding moves for each joint, in the same unit.
        most: Points that are drawn of a set.
    """
    figure, panels = plt.subplot_mosaic(
        [["scatter", "0", "1"], ["scatter", "joints", "joints"]], figsize=(13, 6.5), width_ratios=[1.5, 1, 1]
    )
    _draw_scatter(panels["scatter"], scatter, most)
    for k, (name, sizes, distances) in enumerate(rises):
        axes = panels[str(k)]
        low, median, high = np.quantile(distances, [0.25, 0.5, 0.75], axis=1)
        axes.fill_between(sizes, low, high, alpha=0.25, label="quartiles")
        axes.plot(sizes, median, marker="o", label="median")
        axes.set_xlabel(name)
        axes.set_ylim(0, None)
        axes.set_title("embedding distance (1: random poses)", fontsize=10)
        axes.legend(loc="lower right")
    axes = panels["joints"]
    width = 0.8 / len(visibility)
    for k, (size, row) in enumerate(visibility.items()):
        places = 1 + np.arange(len(row)) + (k - (len(visibility) - 1) / 2) * width
        axes.bar(places, row, width, color=plt.get_cmap("viridis")(k / len(visibility)), label=f"{size} degrees")
    axes.set_xticks(1 + np.arange(len(row)))
    axes.set_xlabel("joint that moves alone")
    axes.set_title("visibility: how far the embedding moves (1: random poses)", fontsize=10)
    axes.legend(ncols=len(visibility), fontsize=8)
    figure.tight_layout()
    return figure


def _draw_scatter(
    axes: Axes, scatter: Mapping[str, tuple[NDArray[np.floating], NDArray[np.floating]]], most: int
) -> None:
    """Learned reward against true reward, both logarithmic."""
    for name, (distance, reward) in scatter.items():
        kept = np.linspace(0, len(distance) - 1, min(most, len(distance))).astype(int)
        near = np.maximum(distance[kept], LEAST_DRAWN)
        axes.scatter(near, -reward[kept], s=7, alpha=0.45, linewidths=0, label=name)
    # Logarithmic, and zero at the upper right: what is near a demonstration is what matters, and most crowded.
    axes.set(xscale="log", yscale="log", xlabel="true reward: minus the mean joint difference, rad")
    axes.set_ylabel("learned reward")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_inverted(True)
        axis.set_major_formatter(lambda value, _: f"-{value:g}")
    axes.set_title("learned against true reward")
    for handle in filter(None, axes.legend(loc="upper left").legend_handles):
        handle.set(alpha=1, sizes=[30])
