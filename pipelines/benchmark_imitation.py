"""``benchmark_imitation``: learn held-out demonstrations in several ways, and put the figures into one table.

Each run is a stage of its own, the same that ``imitate`` makes, so that an interrupted benchmark goes on with
the run that is missing. Several are learned side by side, each on one core: none waits for another's processes.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from threading import RLock
from typing import Any

import torch
from tqdm import tqdm

from imitate.errors import PROCESSES, SEED, UserError, check_bounds, choose
from imitate.keeping.lock import held
from imitate.keeping.manifest import sha256
from imitate.keeping.runs import Stage
from imitate.keeping.workers import end_with_parent, worked_off
from imitate.measuring.figures import benchmark_figure, save_figure

from . import check_reward, embed, imitate, record
from .benchmarking.methods import ABLATIONS, EMBED, IMITATE, METHODS, RECORD, Method
from .benchmarking.recipes import recipe, told
from .benchmarking.summary import close_gaps, print_summary, summarise
from .benchmarking.tables import (
    check_recipes,
    curve_row,
    curves_of,
    earlier,
    encoder_rows,
    encoders_of,
    run_row,
    together,
)
from .shared.cli import command, command_line
from .shared.demo import check_demo, has_poses, recording_of, stage_name
from .shared.results import Results, about, check_out, rounded, write_results
from .shared.signals import Interrupted


@dataclass(frozen=True)
class Settings:
    """What is learned, and how."""

    run: Path = Path("runs/default")
    """The run directory."""
    name: str = "benchmark"
    """The folder in it that the figures go to, as imitation.csv; the learning curves beside it, as PNG."""
    methods: tuple[str, ...] = ("tcn_self", "tcn", "tcn_pixels", "oracle")
    """Of the list that this command prints when it does not know one; the oracle closes the gap."""
    demos: tuple[str, ...] = ("test:0", "test:1", "test:2", "test:3", "test:4")
    """Demonstrations that neither encoder nor tuning has seen."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Of the learner, each for every demonstration."""
    jobs: int = 0
    """Runs that are learned side by side, one core each; 0: one a core; 1: one after the other, on all cores."""
    out: Path | None = None
    """Another table for the figures, such as results/imitation.csv, what is no row beside it as JSON; None: the run's
    own."""
    add: bool = False
    """Keep what the file holds already of other methods, demonstrations and seeds."""


PRESETS = {
    "default": ("The first five test demonstrations, three seeds each.", Settings()),
    "ablations": (
        "What one setting changes, beside the defaults; one seed each.",
        Settings(name="benchmark-ablations", methods=("tcn_self", *ABLATIONS), seeds=(0,)),
    ),
}


def run(settings: Settings) -> Results:
    """Learn what is missing, and summarise."""
    methods = {name: choose(METHODS, name, "method") for name in settings.methods}
    _check(settings, methods)
    out = settings.out or settings.run / settings.name / "imitation.csv"
    check_out(out)
    if settings.add:
        earlier(out)  # before hours of learning
    with held(settings.run / settings.name):
        return _benchmarked(settings, methods, out)


def _benchmarked(settings: Settings, methods: dict[str, Method], out: Path) -> Results:
    encoders = {name: _encoder(settings.run, name, method) for name, method in methods.items()}
    weights = {name: sha256(encoder.path("encoder") / "encoder.safetensors") for name, (_, encoder) in encoders.items()}
    recipes = {name: recipe(method, *encoders[name]) for name, method in methods.items()}
    if settings.add:
        check_recipes(out, earlier(out), recipes)
    asked = {
        (name, demo, seed): _wanted(*encoders[name], name, methods[name], demo, seed)
        for name in methods
        for seed in settings.seeds
        for demo in settings.demos
    }
    _learn(list(asked.values()), settings.jobs or os.cpu_count() or 1)
    learned = {of: imitate.stage_of(wanted) for of, wanted in asked.items()}
    checked = {  # of methods with one encoder, the first has its policy
        weights[name]: [
            *encoder_rows(weights[name], "validation", made[1].metrics),
            *encoder_rows(weights[name], "test", _checked(*made, learned[name, settings.demos[0], settings.seeds[0]])),
        ]
        for name, made in reversed(encoders.items())
    }
    said = {"methods": {name: method.says for name, method in methods.items()}} | told(recipes)
    results = Results(
        rounded([run_row(of, stage, weights[of[0]]) for of, stage in learned.items()]),
        about(command_line("benchmark-imitation", settings)) | said,
        {
            "curves": [curve_row(of, stage) for of, stage in learned.items()],
            "encoders": rounded([row for rows in checked.values() for row in rows]),
        },
    )
    if settings.add and (before := earlier(out)):
        check_recipes(out, before, recipes)  # another command may have added to it meanwhile
        results = together(before, results)
    return _written(out, results)


def _written(out: Path, results: Results) -> Results:
    """The results with their summary, which is that of the rows as they can be read."""
    close_gaps(results.rows)
    runs = rounded(results.rows)
    of_encoders = {"encoders": encoders_of(runs, results.more["encoders"])}
    results = replace(results, rows=runs, more={"summary": rounded(summarise(runs)), **results.more, **of_encoders})
    write_results(out, results)
    save_figure(out.with_suffix(".png"), benchmark_figure(curves_of(results)))
    print_summary(results.more["summary"])
    print(f"figures in {out}")
    return results


def _checked(run: Path, encoder: Stage, learned: Stage) -> dict[str, Any]:
    """The reward check of an encoder on test demonstrations, and on what one policy visits."""
    stage = check_reward.run(
        check_reward.Settings(run=run, encoder=encoder.path("encoder"), split="test", policy=learned.folder.name)
    )
    return stage.metrics


def _check(settings: Settings, methods: dict[str, Method]) -> None:
    """Refuse what only the last of many runs would stumble over."""
    if not methods or not settings.demos or not settings.seeds:
        raise UserError("expected at least one method, one demonstration and one seed")
    check_bounds(settings, jobs=PROCESSES, seeds=SEED)
    for demo in settings.demos:
        if not has_poses(demo):
            raise UserError(f"{demo}: a bare video has no true poses to measure by, expected episodes such as test:0")
    for method in methods.values():
        for seed in settings.seeds:
            imitate.check(replace(method.imitate, seed=seed))
    shown_to = [(_folder(settings.run, n, m), m.record or RECORD, m.imitate.arm) for n, m in methods.items()]
    for folder, planned, arm in dict.fromkeys(shown_to):  # most methods share them
        recording = recording_of(folder, planned)
        for demo in settings.demos:
            check_demo(demo, folder, recording, arm)


def _folder(run: Path, name: str, method: Method) -> Path:
    """The run directory of a method: one of its own if it records by itself."""
    return run if method.record is None else run / name


def _encoder(run: Path, name: str, method: Method) -> tuple[Path, Stage]:
    """The run directory and the encoder of a method; both made if they are missing."""
    folder = _folder(run, name, method)
    if method.record is not None:
        record.run(replace(method.record, run=folder))
    return folder, embed.run(replace(method.embed, run=folder))


def _wanted(run: Path, encoder: Stage, name: str, method: Method, demo: str, seed: int) -> imitate.Settings:
    """What ``imitate`` is asked for."""
    wanted = replace(method.imitate, run=run, demo=demo, seed=seed)
    own = method.embed.name == EMBED.name  # of the run: `imitate` finds it by itself
    if not own:
        wanted = replace(wanted, encoder=encoder.path("encoder"))
    if method.imitate != IMITATE or not own or seed:  # else it is what `imitate` makes
        wanted = replace(wanted, name=stage_name(f"imitate-{name}-seed-{seed}", [demo]))
    return wanted


def _learn(asked: Sequence[imitate.Settings], jobs: int) -> None:
    """Learn what has not been learned yet, ``jobs`` at a time."""
    missing = [wanted for wanted in asked if not imitate.stage_of(wanted).finished]
    for wanted in asked:
        if jobs == 1 or wanted not in missing:  # the latter too: it says so, or that the settings have changed
            imitate.run(wanted)
    if jobs == 1 or not missing:
        return
    work = [partial(_learn_one, replace(wanted, workers=1)) for wanted in missing]
    with closing(worked_off(work, jobs, _on_one_core)) as done, tqdm(total=len(missing), desc="runs") as bar:
        for _ in done:
            bar.update()


def _learn_one(wanted: imitate.Settings) -> None:
    """Runs in a process of the pool, which knows nothing of signals: told to stop, it ends when all is kept."""
    try:
        imitate.run(wanted)
    except Interrupted as stop:
        os._exit(stop.exit_code)


def _on_one_core() -> None:
    """Prepare a process of the pool: one thread, no progress bar of its own, and its end with that of the benchmark."""
    torch.set_num_threads(1)
    sys.stderr = open(os.devnull, "w")  # noqa: SIM115, as long as the process
    tqdm.set_lock(RLock())  # not one between processes, which would be left over where this one is ended
    end_with_parent()


def main() -> None:
    """Run from the command line."""
    command("benchmark-imitation", PRESETS, run)


if __name__ == "__main__":
    main()
