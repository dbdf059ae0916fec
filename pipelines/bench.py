"""``bench``: how fast each stage is beside what bounds it, how it grows, and which part of it takes what.

All rows are ratios of what was measured in turn, on one machine: seconds say more of the machine than of the code.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from imitate.embedding.device import pick_device
from imitate.errors import MANY, PROCESSES, UserError, check_bounds, choose
from imitate.keeping.runs import git_commit, workshop

from .shared.cli import STARTS_OVER, command, command_line
from .shared.results import Results, Rows, about, check_out, read_results, table, write_results
from .timing import agent, filming, imitating, memory, peak, recording, training, wrapping
from .timing.profile import PROFILES, Part
from .timing.rows import Row
from .timing.subject import FULL, QUICK, Subject

GROWTH = (memory.growth_record_episodes, memory.growth_embed_episodes)
MEMORY = (memory.memory_record, memory.memory_embed, memory.memory_imitate, *GROWTH)
ROWS = {
    function.__name__: function
    for function in (
        filming.film_vs_tiny,
        filming.film_many_vs_tiny,
        filming.film_table_vs_plain,
        filming.growth_film_threads,
        recording.record_vs_limit,
        recording.record_vs_tiny,
        training.embed_vs_limit,
        training.embed_vs_paper,
        imitating.imitate_vs_limit,
        imitating.imitate_vs_tiny,
        imitating.imitate_vs_single,
        imitating.imitate_vs_paper,
        recording.growth_record_processes,
        imitating.growth_imitate_processes,
        imitating.growth_imitate_envs,
        wrapping.wrap_vs_render,
        wrapping.wrap_many_vs_render,
        agent.agent,
        agent.follow_seconds,
        *MEMORY,
    )
}
ON_HOST = frozenset(
    name for name in (*ROWS, *PROFILES) if {"record", "film"} & set(name.split("_"))
)  # has no use for a GPU
PROFILE = "profile"  # the table beside that of the rows
BYTES_A_PIXEL = 4  # 3 decoded, and a compressed video of less than one


@dataclass(frozen=True)
class Settings:
    """What is measured, and how often."""

    run: Path = Path("runs/default")
    """The run directory. Nothing in it but the folder bench is read or written."""
    only: tuple[str, ...] = ()
    """Rows and profiles to measure, of the list that this command prints when it does not know one; none: all."""
    repeats: int = 5
    """Of each pair of measurements. Memory is measured once."""
    processes: tuple[int, ...] = ()
    """Numbers of processes, compared with the first; none: 1, 2, 4 and so on up to the cores."""
    envs: tuple[int, ...] = (16, 64, 256)
    """Numbers of environments, compared with the first."""
    episodes: tuple[int, ...] = (200, 2000, 20_000)
    """Numbers of training episodes, compared with the first, which is also what the stages' memory is measured on."""
    workers: int = 0
    """Processes of all other rows; 0: one a core."""
    device: str = "auto"
    """cpu; cuda; or auto, both where there is a GPU: the names of its rows end in _cuda."""
    quick: bool = False
    """Pictures, networks and episodes so small that the figures say nothing: to see that all of it runs."""
    out: Path | None = None
    """Another table for the rows, such as results/bench.csv; None: the run's own. The profile goes beside it, and what
    is no row, as JSON. Rows and profiles that it has stay until they are measured again, if they are of the same
    machine."""


PRESETS = {
    "default": ("The stages with their default settings.", Settings()),
    "quick": (
        "So little of everything that the figures say nothing: to see that all of it runs.",
        Settings(repeats=2, processes=(1, 2), envs=(2, 4), episodes=(3, 6), workers=2, quick=True),
    ),
}


def run(settings: Settings) -> list[Row]:
    """Measure, print, write."""
    _check(settings)
    out = settings.out or settings.run / "bench" / "bench.csv"
    check_out(out)
    said = about(command_line("bench", replace(settings, only=()))) | {"settings": _kept(settings)}
    made = {"git_commit": git_commit()}
    kept = _kept_results(settings, out, said)
    rows: list[Row] = []
    with workshop(settings.run / "bench") as work:
        _check_disk(settings, work)
        print(f"{'':32}{'ours':>10}{'reference':>11}{'':10}{'ratio':>7}   spread")
        for k, subject in enumerate(_subjects(settings, work)):
            wanted = [n for n in settings.only or (*ROWS, *PROFILES) if k == 0 or n not in ON_HOST]
            suffix = "_cuda" if subject.device.type == "cuda" else ""
            for name in wanted:
                own = "" if name in ON_HOST else suffix
                if name in ROWS:
                    for row in ROWS[name](subject):
                        rows.append(replace(row, name=row.name + own))
                        _print_row(rows[-1])
                        kept.rows[rows[-1].name] = rows[-1].cells() | made
                else:
                    parts = [replace(part, stage=part.stage + own) for part in PROFILES[name](subject)]
                    _print_profile(parts)
                    kept.parts[parts[0].stage] = [asdict(part) | made for part in parts]
                write_results(out, kept.results(said))  # at once: all of them take an hour
    print(f"rows in {out}, the profile in {table(out, PROFILE)}")
    return rows


@dataclass
class Kept:
    """Rows by their name, and the parts of each stage by its name."""

    rows: dict[str, dict[str, Any]]
    parts: dict[str, Rows]

    def results(self, said: dict[str, Any]) -> Results:
        """All of them, with what is said of them."""
        parts = [part for parts in self.parts.values() for part in parts]
        return Results(list(self.rows.values()), said, {PROFILE: parts})


def _kept_results(settings: Settings, out: Path, said: dict[str, Any]) -> Kept:
    """What there is already, until it is measured again."""
    kept = Kept({}, {})
    if not out.exists() and not out.with_suffix(".json").exists():
        return kept
    before = read_results(out, (PROFILE,))
    try:
        alike = all(before.about[key] == json.loads(json.dumps(said[key])) for key in ("machine", "settings"))
        for part in before.more[PROFILE] if alike else ():
            kept.parts.setdefault(part["stage"], []).append(part)
        kept.rows = {row["name"]: row for row in before.rows if alike}
    except LookupError:
        raise UserError(f"{out}: no figures of bench: choose another --out, or delete it") from None
    if settings.only and not alike:
        raise UserError(
            f"{out} was measured on another machine, or with other settings: choose another --out, or delete it"
        )
    return kept


def _check(settings: Settings) -> None:
    for name in settings.only:
        choose(dict.fromkeys((*ROWS, *PROFILES)), name, "row")
    check_bounds(settings, repeats=(1, MANY), processes=(1, PROCESSES[1]), envs=(1, MANY), episodes=(1, MANY))
    check_bounds(settings, workers=PROCESSES)
    for name in ("processes", "envs", "episodes"):
        values = getattr(settings, name)
        if len(set(values)) < len(values) or not (values or name == "processes"):
            raise UserError(f"{name} {' '.join(map(str, values))}: expected numbers of 1 or more, each once")
    for envs in settings.envs:
        FULL.learner(envs)
    if {function.__name__ for function in MEMORY} & set(settings.only or ROWS):
        peak.check()
    if {wrapping.wrap_vs_render.__name__, wrapping.wrap_many_vs_render.__name__} & set(settings.only or ROWS):
        wrapping.MADE.check()  # whose packages are an extra
    pick_device(settings.device)


def _check_disk(settings: Settings, work: Path) -> None:
    """Refuse what would fill the disk after an hour."""
    wanted = set(settings.only or ROWS)
    recorded = (QUICK if settings.quick else FULL).recipes["default"].record
    episodes = settings.episodes if wanted & {function.__name__ for function in GROWTH} else ()
    needed = sum((recorded.train, *episodes)) * recorded.frames * recorded.image_size**2 * BYTES_A_PIXEL
    free = shutil.disk_usage(work).free
    if needed > free:
        raise UserError(
            f"{work.parent}: {free / 1e9:.0f} GB free, expected {needed / 1e9:.0f}: choose another run, or --episodes"
        )


def _subjects(settings: Settings, work: Path) -> list[Subject]:
    """One for each device."""
    cores = os.cpu_count() or 1
    names = [settings.device]
    if settings.device == "auto":
        names = [name for name in ("cpu", "cuda") if name == "cpu" or torch.cuda.is_available()]
    return [
        Subject(
            sizes=QUICK if settings.quick else FULL,
            folder=work,
            repeats=settings.repeats,
            workers=settings.workers or cores,
            device=pick_device(name),
            processes=settings.processes or tuple(2**k for k in range(max(2, cores.bit_length()))),
            envs=settings.envs,
            episodes=settings.episodes,
        )
        for name in names
    ]


def _kept(settings: Settings) -> dict[str, Any]:
    """Those that change what is measured."""
    return {key: value for key, value in asdict(settings).items() if key not in ("run", "out", "only")}


def _print_row(row: Row) -> None:
    low, high = row.spread
    cells = f"{row.ours:10.4g}{row.reference:11.4g} {row.unit:9}{row.ratio:7.2f}   {low:.2f} to {high:.2f}"
    print(f"{row.name:32}{cells}", flush=True)


def _print_profile(parts: list[Part]) -> None:
    print(f"{parts[0].stage}:", ", ".join(f"{part.part} {part.share:.0%}" for part in parts), flush=True)


def main() -> None:
    """Run from the command line."""
    command("bench", PRESETS, run, STARTS_OVER)


if __name__ == "__main__":
    main()
