"""``retrieve``: the frames of other episodes that look most like one; and labels, carried over to all of them."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imitate.data.lerobot.dataset import LeRobotDataset
from imitate.embedding.device import pick_device
from imitate.embedding.trained_encoder import TrainedEncoder, load_encoder
from imitate.errors import UserError, check_bounds, first_line
from imitate.keeping.manifest import sha256
from imitate.keeping.runs import Stage, kept_settings
from imitate.measuring.contact_sheet import contact_sheet
from imitate.measuring.progress import path_through
from imitate.measuring.ranking import l2_distance

from .shared.cli import STARTS_OVER, command
from .shared.demo import episode_of, kept_demo, parse_demo
from .shared.embedded import View, cache_of, digest_of, frames_of, trained_on
from .shared.results import Rows, rounded, write_csv

ALONE = "frame"  # the setting that needs no name
ROW = 5  # pictures beside each other


@dataclass(frozen=True)
class Settings:
    """What is looked for, and where."""

    frame: str = ""
    """A frame, as test:0@40: frame 40, from 0 on, of test:0, DATASET:3, or of my.mp4, at 20 frames a second."""
    dataset: Path | None = None
    """The LeRobotDataset v3.0 that is looked through; None: what the run's encoder was trained on."""
    labels: Path | None = None
    """A table, CSV, of episode, frame and label: which phase begins where, in one episode or several. All others are
    labelled by it."""
    run: Path = Path("runs/default")
    """The run directory."""
    name: str = "retrieve"
    """The stage's folder in it."""
    encoder: Path | None = None
    """The folder of a trained encoder; None: the run's own."""
    camera: str | None = None
    """Which of the dataset's cameras; None: that which the encoder knows, or the first."""
    episodes: int = 9
    """The nearest frame of so many episodes is shown."""
    cache: Path | None = None
    """The folder to keep decoded frames in; None: where embed has kept them, or nowhere."""
    device: str = "auto"
    """auto, cpu or cuda."""


PRESETS = {"default": ("The nearest frames of other episodes, as a picture.", Settings())}


def run(settings: Settings) -> Stage:
    """Look for the frame, and carry labels over."""
    check_bounds(settings, episodes=(1, 100))
    if not settings.frame and settings.labels is None:
        raise UserError("frame is empty, expected one to look for, as test:0@40; or labels to carry over")
    device = pick_device(settings.device)
    folder = settings.encoder or trained_on(settings.run).path("encoder")
    encoder = load_encoder(folder, device)
    dataset = LeRobotDataset(settings.dataset or trained_on(settings.run).dataset)
    view = View.of(dataset, encoder, settings.camera)
    query = _query(settings, encoder) if settings.frame else None
    own = _own(settings, dataset) if settings.frame else None
    if query is not None and len(dataset) == (own is not None):
        raise UserError(f"{dataset.folder}: no other episode than the frame's own, expected some to look through")
    known = _labels(settings.labels, dataset) if settings.labels else {}
    stage = Stage.named(settings.run, settings.name)
    wanted = kept_settings(settings) | {"encoder_sha256": sha256(folder / "encoder.safetensors")}
    if query is not None:
        text, _, number = settings.frame.rpartition("@")
        wanted |= {"frame": f"{kept_demo(text)}@{number}", "frames_sha256": digest_of(query)}
    if settings.labels:
        wanted["labels_sha256"] = sha256(settings.labels)
    if not stage.begin(wanted):
        print(f"{stage.folder} is there already")
        return stage
    with cache_of(dataset, settings.cache, stage) as cache:
        embeddings = view.embeddings(cache)
    figures: dict[str, Any] = {}
    if query is not None:
        rows = _nearest(encoder.embed(query[None])[0], embeddings, own, dataset)[: settings.episodes]
        write_csv(stage.path("nearest.csv"), rounded(rows))
        _draw(stage, settings, query, rows, view)
        figures |= {"nearest_distance": rows[0]["distance"]}
        print(f"look at {stage.path('nearest.png')}")
    if known:
        carried, accuracy = carry_over(known, embeddings)
        write_csv(stage.path("labels.csv"), _starts(carried, dataset))
        figures |= {"labelled": len(known), "one_shot_accuracy": accuracy}
        said = "" if accuracy is None else f"; by one of the labelled alone, the others are right in {accuracy:.3f}"
        others = len(carried) - len(known)
        print(f"labels of {len(known)} episodes carried over to {others} in {stage.path('labels.csv')}{said}")
    stage.finish(figures)
    return stage


def _query(settings: Settings, encoder: TrainedEncoder) -> NDArray[np.uint8]:
    """The frame that is looked for, (size, size, 3)."""
    text, mark, number = settings.frame.rpartition("@")
    if not mark or not number.isdecimal():
        raise UserError(f"frame {settings.frame!r}, expected a video or an episode, @ and a frame's number: test:0@40")
    shown = frames_of(text, settings.run, encoder, settings.camera)
    if int(number) >= len(shown):
        raise UserError(f"{text} has no frame {number}, expected 0 to {len(shown) - 1}")
    return shown[int(number)]


def _own(settings: Settings, dataset: LeRobotDataset) -> int | None:
    """Which episode of the dataset the frame is of; None: of none."""
    head, number = parse_demo(settings.frame.rpartition("@")[0])
    if number is None:
        return None
    origin, episode = episode_of(head, number, settings.run)
    return episode if origin.folder.resolve() == dataset.folder.resolve() else None


def _nearest(
    query: NDArray[np.float32], embeddings: list[NDArray[np.float32]], own: int | None, dataset: LeRobotDataset
) -> Rows:
    """The nearest frame of each episode, the nearest episode first; not of the one that the frame is of."""
    rows, called = [], dataset.called()
    for k, one in enumerate(embeddings):
        if k != own:
            away = l2_distance(one, np.broadcast_to(query, one.shape))
            nearest = int(away.argmin())
            rows.append(called[k] | {"frame": nearest, "distance": float(away[nearest])})
    return sorted(rows, key=lambda row: row["distance"])


def _draw(stage: Stage, settings: Settings, query: NDArray[np.uint8], rows: Rows, view: View) -> None:
    """The frame, and the nearest of each episode, as ``nearest.png``."""
    pictures = [query, *(view.frames(view.dataset.episode(row["episode"]))[row["frame"]] for row in rows)]
    titles = [Path(settings.frame).name.encode(errors="replace").decode()]
    titles += [f"{row['episode']}@{row['frame']} ({row['distance']:.1f})" for row in rows]
    lines = [slice(first, first + ROW) for first in range(0, len(pictures), ROW)]
    rows_of = [np.stack(pictures[line]) for line in lines]
    contact_sheet(stage.path("nearest.png"), rows_of, [",  ".join(titles[line]) for line in lines], least=128)


def _labels(path: Path, dataset: LeRobotDataset) -> dict[int, list[str]]:
    """By episode, the label of each frame.

    Raises:
        UserError: It is no such table, or tells nothing of an episode's first frame.
    """
    starts: dict[int, dict[int, str]] = {}
    for row in _rows(path):
        episode, frame, label = dataset.episode(int(row["episode"])), int(row["frame"]), row["label"]
        if frame >= dataset.lengths[episode]:
            raise UserError(f"{path}: episode {row['episode']} has no frame {frame}")
        if frame in starts.setdefault(episode, {}):
            raise UserError(
                f"{path}: frame {frame} of episode {row['episode']} comes twice, expected one label for each"
            )
        starts[episode][frame] = label
    known = {}
    for episode, of in starts.items():
        if 0 not in of:
            number = dataset.places.numbers[episode]
            raise UserError(f"{path}: episode {number} begins with no label: say that of frame 0")
        places = np.array(sorted(of))
        names = [of[place] for place in places.tolist()]
        which = np.searchsorted(places, np.arange(dataset.lengths[episode]), side="right") - 1
        known[episode] = [names[k] for k in which.tolist()]
    return known


def _rows(path: Path) -> list[dict[str, str]]:
    """The rows of a table of labels, which stay as they are written.

    Raises:
        UserError: It is no table of episode, frame and label.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: not a readable table ({first_line(error)})") from None
    for row in rows:
        numbers = [row.get(name) or "" for name in ("episode", "frame")]
        if not all(number.isdecimal() for number in numbers) or not row.get("label"):
            raise UserError(f"{path}: a row of {dict(row)}, expected an episode's number, a frame's, and a label")
    if not rows:
        raise UserError(f"{path}: no label in it, expected rows of episode, frame and label")
    return rows


def carry_over(
    known: dict[int, list[str]], embeddings: list[NDArray[np.float32]]
) -> tuple[dict[int, list[str]], float | None]:
    """Give each frame of all episodes a label: that of the frame that it is laid to.

    Episodes are laid along the labelled one that looks most like them.

    Args:
        known: By episode, the label of each frame.
        embeddings: (length, dim) of each episode.

    Returns:
        By episode, the label of each frame; and, of two labelled episodes or more, the share of frames that are right
        when one is labelled by another alone, the mean over all pairs. None, of a single one.
    """
    carried = dict(known)
    for episode, own in enumerate(embeddings):
        if episode not in known:
            paths = {of: path_through(own, embeddings[of]) for of in known}
            away = {of: float(l2_distance(own, embeddings[of][path]).mean()) for of, path in paths.items()}
            nearest = min(away, key=lambda of: away[of])
            carried[episode] = [known[nearest][k] for k in paths[nearest].tolist()]
    right = [
        float(np.mean([known[by][k] == label for k, label in zip(way.tolist(), known[of], strict=True)]))
        for by, of in permutations(known, 2)
        for way in [path_through(embeddings[of], embeddings[by])]
    ]
    return carried, float(np.mean(right)) if right else None


def _starts(carried: dict[int, list[str]], dataset: LeRobotDataset) -> Rows:
    """Where each label of each episode begins."""
    rows, called = [], dataset.called()
    for episode, labels in sorted(carried.items()):
        for frame, label in enumerate(labels):
            if not frame or label != labels[frame - 1]:
                rows.append(called[episode] | {"frame": frame, "label": label})
    return rows


def main() -> None:
    """Run from the command line."""
    command("retrieve", PRESETS, run, STARTS_OVER, ALONE)


if __name__ == "__main__":
    main()
