"""``benchmark_imitation``: learn several held-out demonstrations, and put the figures into one file.

Each run is a stage of its own, the same that ``imitate`` makes, so that an interrupted benchmark goes on with
the run that is missing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from imitate.errors import UserError, choose
from imitate.runs import Stage, write_json

from . import embed, imitate
from .cli import command
from .demo import stage_name

# By learner, the preset of its encoder and the folder of the run that the encoder stands in.
LEARNERS = {"tcn_self": ("default", "embed"), "tcn": ("plain", "embed-plain")}
SUCCESS_M = 0.05  # mean and final flange error of an imitation that counts as one


@dataclass(frozen=True)
class Settings:
    """What is learned by whom."""

    run: Path = Path("runs/default")
    """The run directory."""
    learners: tuple[str, ...] = ("tcn_self",)
    """tcn_self (with self-regression) and tcn (the plain time-contrastive network)."""
    demos: tuple[str, ...] = ("test:0", "test:1", "test:2", "test:3", "test:4")
    """Demonstrations that neither encoder nor tuning has seen."""
    seed: int = 0
    """Of the learner."""
    out: Path = Path("results/imitation.json")
    """Where the figures go."""


PRESETS = {"default": ("The first five test demonstrations, one seed each.", Settings())}


def run(settings: Settings) -> dict[str, Any]:
    """Learn what is missing, and summarise."""
    if not settings.demos or not settings.learners:
        raise UserError("expected at least one learner and one demonstration")
    summary, runs, encoders = {}, [], {}
    for learner in settings.learners:
        preset, folder = choose(LEARNERS, learner, "learner")
        encoder = embed.run(replace(embed.PRESETS[preset][1], run=settings.run, name=folder))
        encoders[learner] = encoder.metrics
        rows = [_imitate(settings, learner, encoder, demo) for demo in settings.demos]
        runs += rows
        summary[learner] = _medians(rows)
    results = {
        "command": "python -m pipelines benchmark_imitation --learners " + " ".join(settings.learners),
        "settings": {"demos": settings.demos, "seed": settings.seed, "imitate": _defaults()},
        "encoders": encoders,
        "runs": runs,
        "summary": summary,
    }
    write_json(settings.out, results)
    _report(summary)
    return results


def _imitate(settings: Settings, learner: str, encoder: Stage, demo: str) -> dict[str, Any]:
    wanted = replace(imitate.PRESETS["default"][1], run=settings.run, demo=demo, seed=settings.seed)
    if learner != "tcn_self":  # the run's own encoder needs no mention, and shares its stages with `imitate`
        wanted = replace(wanted, name=stage_name(f"imitate-{learner}", [demo]), encoder=encoder.path("encoder"))
    stage = imitate.run(wanted)
    return {"learner": learner, "demo": demo, "seed": settings.seed, **stage.metrics}


def _defaults() -> dict[str, Any]:
    defaults = imitate.PRESETS["default"][1]
    return {"steps": defaults.steps, "control": defaults.control, "give_up": defaults.give_up}


def _medians(rows: list[dict[str, Any]]) -> dict[str, float]:
    names = [key for key, value in rows[0].items() if isinstance(value, float)]
    medians = {name: float(np.median([row[name] for row in rows])) for name in names}
    good = [max(row["ee_error_m"], row["final_ee_error_m"]) < SUCCESS_M for row in rows]
    return medians | {"success": float(np.mean(good))}


def _report(summary: dict[str, dict[str, float]]) -> None:
    print(f"{'median':12}{'flange error, m':>17}{'holding still':>15}{'joint error, rad':>18}{'success':>9}")
    for learner, row in summary.items():
        cells = (row["ee_error_m"], row["hold_still_ee_error_m"], row["joint_error_rad"], row["success"])
        print(f"{learner:12}{cells[0]:17.3f}{cells[1]:15.3f}{cells[2]:18.3f}{cells[3]:9.2f}")


def main() -> None:
    """Run from the command line."""
    command("benchmark_imitation", PRESETS, run)


if __name__ == "__main__":
    main()
