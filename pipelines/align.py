"""``align``: videos of one task, laid along the first of them frame by frame, and played side by side on a page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from imitate.embedding.device import pick_device
from imitate.embedding.trained_encoder import load_encoder
from imitate.errors import UserError
from imitate.keeping.manifest import sha256
from imitate.keeping.runs import Stage, kept_settings, written_aside
from imitate.measuring.figures import alignment_figure, save_figure
from imitate.measuring.progress import path_through
from imitate.measuring.ranking import order_agreement

from .reporting.pages import fill_in
from .shared.cli import STARTS_OVER, command
from .shared.demo import kept_demo
from .shared.embedded import digest_of, frames_of, trained_on
from .shared.pieces import FPS
from .shared.results import Rows, rounded, write_csv
from .shared.rollout import BAND, PEOPLE, write_videos

ALONE = "videos"  # the setting that needs no name
MOST = 6  # videos: beside each other on one screen
LONGEST = 400  # frames of the film


@dataclass(frozen=True)
class Settings:
    """What is laid along what."""

    videos: tuple[str, ...] = ()
    """Video files, episodes of the run such as test:0, or of a dataset, DATASET:3; all others are laid along the
    first."""
    run: Path = Path("runs/default")
    """The run directory."""
    name: str = "align"
    """The stage's folder in it."""
    encoder: Path | None = None
    """The folder of a trained encoder; None: the run's own."""
    device: str = "auto"
    """auto, cpu or cuda."""


PRESETS = {"default": ("All laid along the first, on a page.", Settings())}


def run(settings: Settings) -> Stage:
    """Lay them along the first, and write the page."""
    if not 2 <= len(settings.videos) <= MOST:
        raise UserError(f"{len(settings.videos)} videos, expected 2 to {MOST}: imitate align A.mp4 B.mp4")
    device = pick_device(settings.device)
    folder = settings.encoder or trained_on(settings.run).path("encoder")
    encoder = load_encoder(folder, device)
    shown = [frames_of(text, settings.run, encoder) for text in settings.videos]
    stage = Stage.named(settings.run, settings.name)
    wanted = kept_settings(settings) | {"encoder_sha256": sha256(folder / "encoder.safetensors")}
    wanted["videos"] = [kept_demo(text) for text in settings.videos]
    wanted["frames_sha256"] = [digest_of(frames) for frames in shown]
    if not stage.begin(wanted):
        print(f"{stage.folder} is aligned already")
        return stage
    first, *others = (encoder.embed(frames) for frames in shown)
    ways = [path_through(own, first) for own in others]
    back = [np.arange(len(first)), *(path_through(first, own) for own in others)]
    rows = [_row(*of) for of in zip(settings.videos[1:], ways, back[1:], strict=True)]
    write_csv(stage.path("align.csv"), rounded(rows))
    names = [Path(text).name for text in settings.videos[1:]]
    save_figure(stage.path("paths.png"), alignment_figure(names, ways, len(first)))
    write_videos(stage.folder, "aligned", _film(settings.videos, shown, back), FPS)
    _write_page(stage, settings.videos[0], len(first), rows)
    stage.finish({name: float(np.median([row[name] for row in rows])) for name in ("kendall_tau", "cycle_error")})
    print(f"{'laid along ' + Path(settings.videos[0]).name:40}{'Kendall tau':>13}{'cycle error':>13}")
    for row in rows:
        print(f"{Path(row['video']).name[:39]:40}{row['kendall_tau']:13.3f}{row['cycle_error']:13.3f}")
    print(f"look at {stage.path('align.html')}")
    return stage


def _row(text: str, there: NDArray[np.int64], back: NDArray[np.int64]) -> dict[str, Any]:
    """How well a video lies along the first.

    ``kendall_tau``: of two frames, whether the later one is laid later (Dwibedi et al., Temporal cycle-consistency
    learning, 2019). ``cycle_error``: how far, as a share of its length, a frame is from where it comes back to when it
    is laid along the first, and that frame along it. No truth is asked for.

    Args:
        text: The video.
        there: (length,) frames of the first that its frames are laid to.
        back: (length of the first,) frames of it that those of the first are laid to.
    """
    times = np.arange(len(there))
    return {
        "video": text,
        "frames": len(there),
        "kendall_tau": order_agreement(times.astype(np.float64), there),
        "cycle_error": float(np.abs(back[there] - times).mean() / len(there)),
    }


def _write_page(stage: Stage, first: str, length: int, rows: Rows) -> None:
    """Everything on one page, which opens offline."""
    film, paths = stage.path("aligned.mp4"), stage.path("paths.png")
    page = fill_in("align.html", first=first, length=length, rows=rows, film=film, paths=paths)
    with written_aside(stage.path("align.html")) as aside:
        aside.write_text(page, encoding="utf-8", errors="replace")  # a file's name may be no text


def _film(names: tuple[str, ...], shown: list[NDArray[np.uint8]], back: list[NDArray[np.int64]]) -> NDArray[np.uint8]:
    """(n, BAND + PEOPLE, videos * PEOPLE, 3): at each frame of the first, that frame of each other which it is.

    Of a long one, every so manyth, for ``LONGEST`` at most.
    """
    film = []
    for t in range(0, len(shown[0]), -(-len(shown[0]) // LONGEST)):
        canvas = Image.new("RGB", (len(shown) * PEOPLE, BAND + PEOPLE), "white")
        draw = ImageDraw.Draw(canvas)
        for k, frames in enumerate(shown):
            at = int(back[k][t])
            canvas.paste(Image.fromarray(frames[at]).resize((PEOPLE, PEOPLE)), (k * PEOPLE, BAND))
            name = Path(names[k]).name[-24:].encode(errors="replace").decode()
            draw.text((k * PEOPLE + 6, 4), f"{name}  frame {at}", fill="black")
        film.append(np.asarray(canvas))
    return np.stack(film)


def main() -> None:
    """Run from the command line."""
    command("align", PRESETS, run, STARTS_OVER, ALONE)


if __name__ == "__main__":
    main()
