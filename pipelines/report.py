"""``report``: a run on one page, which opens in any browser, offline: videos, figures, curves and settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from imitate.errors import UserError
from imitate.keeping.lock import held
from imitate.keeping.manifest import MANIFEST
from imitate.keeping.runs import Stage, written_aside
from imitate.measuring.metrics import SUCCESS_M

from .checking.verdict import weakness
from .reporting.pages import fill_in, typed
from .reporting.plot import Line, Plot, plot
from .reporting.policies import Learned, natural, numbers, read_policies
from .shared.cli import STARTS_OVER, command
from .shared.results import read_results

MARKS = {  # settings that only one command has
    "learner": "imitate",
    "objective": "embed",
    "moments": "embed",  # open
    "demos": "evaluate",
    "probe": "check-reward",
    "plays": "check-reward",  # in another environment
}
ANYWHERE = ("imitate", "check-reward")  # what has a preset for other environments, and is shown a video there
RUNNING = {  # below a video: title, scale, digits to read out
    "embedding_distance": ("embedding distance", 1, 1),
    "ee_error_m": ("flange error, cm", 100, 1),
    "joint_error_rad": ("joint error, rad", 1, 2),
    "env_reward": ("the environment's own reward", 1, 3),
}

CURVES = (  # the first that is known is drawn: title, scale
    ("ee_error_m", "flange error, cm", 100),
    ("env_reward", "the environment's own reward a step", 1),
    ("reward", "learned reward a step", 1),
)


@dataclass(frozen=True)
class Settings:
    """What is shown."""

    run: Path = Path("runs/default")
    """The run directory; what it lacks, the page says."""
    out: Path | None = None
    """The page; None: report.html in the run directory."""
    benchmark: Path | None = None
    """A table that benchmark-imitation wrote, to show as well, with its summary and the PNG of its curves beside it."""


PRESETS = {"default": ("A page of everything that the run has.", Settings())}


@dataclass(frozen=True)
class Film:
    """A policy beside its demonstration, and what happened at each step."""

    policy: Learned
    others: int  # that learned the same demonstration
    plots: list[tuple[Plot, list[float | None], int]]  # with the values to read out, and to how many digits


def run(settings: Settings) -> Path:
    """Write the page."""
    out = settings.out or settings.run / "report.html"
    if out.is_dir():
        raise UserError(f"{out}: a folder, expected the name of a file to write")
    stages, unfinished = _stages(settings.run)
    if not stages:
        raise UserError(f"{settings.run}: no finished stage there to report on: run 'imitate' first")
    policies = read_policies(stages.get("imitate", []), stages.get("evaluate", []))
    ways = {how: number for number, how in enumerate(dict.fromkeys(one.how for one in policies))}
    html = fill_in(
        "report.html",
        run=settings.run,
        typed=partial(_typed, settings.run, stages),
        stages=stages,
        unfinished=unfinished,
        policies=policies,
        headline=_headline(policies),
        within=f"{100 * SUCCESS_M:.0f} cm",
        films=_films(policies),
        ways=ways,
        first=next((one.stage.folder.name for one in policies if not one.how), ""),
        curves=_curves(policies, ways),
        benchmark=_benchmark(settings.benchmark) if settings.benchmark else None,
    )
    with held(out.parent), written_aside(out) as aside:  # nothing is begun before all has been read
        aside.write_text(html, encoding="utf-8", errors="replace")  # a file's name may be no text
    print(f"look at {out} ({len(html) / 1e6:.1f} MB)")
    return out


def _typed(run: Path, stages: Mapping[str, Sequence[Stage]], command: str, *words: str) -> str:
    """What makes what is missing; empty where nothing would.

    From recordings in other scenes than the plain one nothing learns but by an encoder for the open world, and of
    another environment than the arm's nothing is made by commands of the arm.
    """
    recorded = [stage.settings for stage in stages.get("record", [])]
    elsewhere = any(settings.get("scene", "plain") != "plain" for settings in recorded)
    open_eyed = any("domain" in stage.settings for stage in stages.get("embed", []))
    if elsewhere and not (command == "record" or (open_eyed and command == "imitate")):
        return ""
    if not any(settings.get("env") for settings in recorded):
        return typed(run, command, *words)
    if command.startswith("benchmark"):
        return ""
    shown = ("--demo", "VIDEO") if command in ANYWHERE else ()
    return typed(run, command, *(("environment",) if command in ANYWHERE else ()), *words, *shown)


def _stages(run: Path) -> tuple[dict[str, list[Stage]], list[str]]:
    """The finished stages by the command that made them, and the names of the unfinished."""
    found: dict[str, list[Stage]] = {}
    unfinished = []
    folders = {path.parent for name in ("config.json", MANIFEST) for path in run.glob(f"*/{name}")}
    for folder in sorted(folders, key=lambda path: natural(path.name)):
        stage = Stage(folder)
        if stage.finished:
            found.setdefault(_maker(stage), []).append(stage)
        else:
            unfinished.append(stage.folder.name)
    return found, unfinished


def _maker(stage: Stage) -> str:
    """The command that made a finished stage, whatever its folder is called."""
    try:
        settings, _, _ = stage.settings, weakness(stage.metrics), dict(stage.config.get("versions", {}))
    except (AttributeError, TypeError, ValueError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{stage.folder}: config.json or metrics.json is damaged: make this stage anew") from None
    return next((maker for mark, maker in MARKS.items() if mark in settings), stage.folder.name)


def _headline(policies: Sequence[Learned]) -> dict[str, Any] | None:
    """Medians of the policies that learned as the run's first one did; those of other ways are not mixed in."""
    known = [one for one in policies if not one.how and one.success is not None]
    if not known:
        return None
    names = ("ee_error_m", "hold_still_ee_error_m", "joint_error_rad")
    medians = {name: np.median(numbers(one.figures.get(name) for one in known)) for name in names}
    return {**medians, "policies": len(known), "success": sum(bool(one.success) for one in known)}


def _films(policies: Sequence[Learned]) -> list[Film]:
    """One a demonstration: the first policy, not the best."""
    films = []
    for demo in dict.fromkeys(one.demo for one in policies):
        same = [one for one in policies if one.demo == demo]
        plots = []
        for key, (title, scale, digits) in RUNNING.items():
            values = scale * same[0].steps.get(key, np.empty(0))
            drawn = plot(title, "seconds", [Line(title, np.arange(1, len(values) + 1) / same[0].fps, values)])
            if drawn:
                plots.append((drawn, [round(float(v), 3) if np.isfinite(v) else None for v in values], digits))
        films.append(Film(same[0], len(same) - 1, plots))
    return films


def _curves(policies: Sequence[Learned], ways: Mapping[str, int]) -> list[tuple[str, Plot]]:
    """Of each demonstration, over training, the first of ``CURVES`` that is known."""
    found = []
    for demo in dict.fromkeys(one.demo for one in policies):
        same = [one for one in policies if one.demo == demo]
        for key, title, scale in CURVES:
            lines = [Line(p.stage.folder.name, p.curve["steps"], scale * p.curve[key], ways[p.how]) for p in same]
            drawn = plot(title, "env steps, with practice", lines, log=key == "ee_error_m")
            if drawn:
                found.append((same[0].label, drawn))
                break
    return found


def _benchmark(path: Path) -> dict[str, Any]:
    results = read_results(path, ("summary",))
    summary = {row.get("method"): row for row in results.more["summary"]}
    if not summary or not all(isinstance(name, str) for name in summary):
        raise UserError(f"{path}: not the results of 'benchmark-imitation', which have a summary of each method")
    methods = results.about.get("methods")
    return {
        "path": path,
        "command": results.about.get("command", ""),
        "methods": methods if isinstance(methods, dict) else {},
        "summary": dict(sorted(summary.items(), key=_median)),
        "picture": path.with_suffix(".png"),
    }


def _median(item: tuple[Any, dict[str, Any]]) -> float:
    error = item[1].get("ee_error_m")
    return error if isinstance(error, int | float) else np.inf


def main() -> None:
    """Run from the command line."""
    command("report", PRESETS, run, STARTS_OVER)


if __name__ == "__main__":
    main()
