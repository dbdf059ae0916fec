"""``torture``: kill each stage, damage its files, hand it code and nonsense, and let it run for long.

Nothing may be lost, let in, or silently wrong: every count that should be 0 is counted and told.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from imitate.errors import PROCESSES, SEED, UserError, check_bounds, choose
from imitate.keeping.runs import git_commit, workshop

from .shared.cli import STARTS_OVER, command, command_line
from .shared.results import Results, about, check_out, read_results, write_results
from .timing import peak
from .torturing.counts import are_counts, with_other_stages, with_part
from .torturing.kills import VICTIMS
from .torturing.subject import Subject

PARTS = {  # by the name of its module and function, what it shows
    "kills": "the same result after SIGKILL",
    "corruptions": "damage is found before it is used",
    "strangers": "no code in a stranger's file runs",
    "mistakes": "bad input ends in exit code 2 and one line",
    "fuzz": "readers refuse mutated bytes",
    "soak": "nothing grows, nothing slows down",
}
NONE = (  # figures that must be 0
    "differences",
    "corruptions_accepted",
    "codes_executed",
    "tracebacks",
    "fuzz_crashes",
    "soak_files_growth",
)
GROWTH = 0.05  # of memory, at most
SLOWER = 0.2  # at most, at the end: machines themselves vary by half of that
NO_MATTER = ("run", "only", "stages", "out")  # settings that make no figure another
STEADY = 100_000  # steps, at least, from which speed says something


@dataclass(frozen=True)
class Settings:
    """How much of each part."""

    run: Path = Path("runs/default")
    """The run directory. Nothing in it but the folder torture is read or written."""
    only: tuple[str, ...] = ()
    """Parts, of kills, corruptions, strangers, mistakes, fuzz and soak; none: all. The figures of the others stay."""
    kills: int = 20
    """SIGKILLs of each stage, at random times."""
    stages: tuple[str, ...] = ()
    """Stages to kill, of record, embed, imitate, benchmark_follow and benchmark_imitation; none: all. The figures of
    the others stay."""
    corruptions: int = 252
    """Files that are damaged, one after the other, of each kind as many."""
    mistakes: int = 500
    """Bad inputs, at least."""
    executions: int = 100_000
    """Of the readers of datasets and checkpoints, on mutated bytes."""
    steps: int = 1_000_000
    """Of the environments; a hundredth of them are resets."""
    workers: int = 0
    """Processes that step them; 0: one a core."""
    seed: int = 0
    """Seed of everything random but the machine's speed, which decides what a stage was at when it was killed."""
    out: Path | None = None
    """Another table for the figures, such as results/torture.csv, what is no row beside it as JSON; None: the run's
    own."""


PRESETS = {
    "default": ("An hour or two.", Settings()),
    "quick": (
        "A little of each part, in a minute or two.",
        Settings(kills=1, corruptions=42, mistakes=60, executions=400, steps=800, workers=1),
    ),
}


def run(settings: Settings) -> dict[str, Any]:
    """Torture, count, print, write."""
    _check(settings)
    folder = settings.run / "torture"
    out = settings.out or folder / "torture.csv"
    check_out(out)
    whole = about(command_line("torture", replace(settings, only=(), stages=())))
    kept = _kept(out)
    figures: dict[str, Any] = {}
    made = {
        "git_commit": git_commit(),
        "machine": whole.pop("machine"),
        "versions": whole.pop("versions"),
        "settings": {key: value for key, value in asdict(settings).items() if key not in NO_MATTER},
    }
    kept = replace(kept, about=whole | {"parts": kept.about["parts"]})
    with workshop(folder) as work:
        subject = _subject(settings, work)
        for name in settings.only or PARTS:
            print(f"{name}: {PARTS[name]}", flush=True)
            found = getattr(import_module(f".torturing.{name}", __package__), name)(subject)
            if name == "kills":
                found = with_other_stages(found, kept, made["git_commit"])
            figures |= found
            print("  " + ", ".join(_told(found)), flush=True)
            kept = with_part(kept, name, found, made, list(PARTS))
            write_results(out, kept)  # at once: all of them take an hour or two
    print(f"figures in {out}")
    failed = [f"{name} {figures[name]}" for name in NONE if figures.get(name)]
    failed += [f"memory grew by {g:.1%}" for g in [figures.get("soak_memory_growth", 0)] if g > GROWTH]
    if figures.get("soak_steps", 0) >= STEADY and figures["soak_speed_change"] < -SLOWER:
        failed.append(f"steps/s changed by {figures['soak_speed_change']:.1%}")
    if failed:
        print(f"failed: {', '.join(failed)}")
        raise SystemExit(1)
    return figures


def _kept(out: Path) -> Results:
    """The figures of each part, and what it was made with, until there are new ones."""
    if not out.exists() and not out.with_suffix(".json").exists():
        return Results([], {"parts": {}})
    kept = read_results(out)
    if not are_counts(kept, list(PARTS)):
        raise UserError(f"{out}: no figures of torture, expected those or no such file: choose another --out")
    return kept


def _check(settings: Settings) -> None:
    for name in settings.only:
        choose(PARTS, name, "part")
    for name in settings.stages:
        choose(VICTIMS, name, "stage")
    most = 10**9
    check_bounds(settings, kills=(1, most), corruptions=(1, most), mistakes=(1, most), executions=(1, most))
    check_bounds(settings, steps=(100, most), workers=PROCESSES, seed=SEED)
    if "soak" in (settings.only or PARTS):
        peak.check()
    if "mistakes" in (settings.only or PARTS) and find_spec("hypothesis") is None:
        raise UserError(
            "mistakes are made by hypothesis, which is not installed: make install, or leave it out of --only"
        )


def _subject(settings: Settings, work: Path) -> Subject:
    return Subject(
        folder=work.resolve(),
        seed=settings.seed,
        kills=settings.kills,
        stages=settings.stages,
        corruptions=settings.corruptions,
        mistakes=settings.mistakes,
        executions=settings.executions,
        steps=settings.steps,
        workers=settings.workers or os.cpu_count() or 1,
    )


def _told(figures: Mapping[str, Any]) -> Iterator[str]:
    """The counts, and what there is to be said of those that should be 0."""
    for name, value in figures.items():
        if isinstance(value, int | float):
            yield f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
        elif isinstance(value, list) and value:
            yield f"{name}: {'; '.join(value[:10])}"


def main() -> None:
    """Run from the command line."""
    command("torture", PRESETS, run, STARTS_OVER)


if __name__ == "__main__":
    main()
