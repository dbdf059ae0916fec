"""The tables of ``benchmark_imitation``: a row a run, the learning curve of each, the figures of each encoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from imitate.errors import UserError
from imitate.keeping.runs import Stage, read_json

from ..shared.results import Results, Rows, as_cell, numbers, read_results
from .methods import METHODS
from .recipes import Recipe, heard, told, whole
from .summary import BASELINES, FIGURES

CURVE, POINTS = ("steps", "seconds", "ee_error_m"), 20  # what is kept of a learning curve
TABLES = ("curves", "encoders")  # that stand beside the runs
OTHERS = ("untrained", "pixels", "true")  # what an encoder's figures are compared with
Run = tuple[str, str, int]  # method, demonstration, seed


def run_row(of: Run, stage: Stage, encoder: str) -> dict[str, Any]:
    """What one run came to, the encoder that it was learned with, and the code that made it."""
    metrics = stage.metrics
    figures = {key: metrics.get(key) for key in FIGURES} | metrics
    return _named(of) | figures | {"encoder": encoder, "git_commit": stage.config.get("git_commit")}


def curve_row(of: Run, stage: Stage) -> dict[str, Any]:
    """Some points of its learning curve."""
    rows = read_json(stage.path("curve.json"))
    return _named(of) | thinned({key: [row[key] for row in rows] for key in CURVE})


def thinned(curve: dict[str, list[float]]) -> dict[str, str]:
    """At most ``POINTS`` points, the first and the last among them, each figure in a cell."""
    length = len(curve[CURVE[0]])
    kept = np.unique(np.linspace(0, length - 1, POINTS).astype(int))
    return {key: as_cell([curve[key][k] for k in kept]) for key in CURVE}


def encoder_rows(encoder: str, split: str, figures: dict[str, Any]) -> Rows:
    """The figures of an encoder on a split: its own, and those of what it is compared with."""
    rows = {of: {"encoder": encoder, "split": split, "embedding": of} for of in ("trained", *OTHERS)}
    for key, value in figures.items():
        of = next((name for name in OTHERS if key.startswith(f"{name}_")), "trained")
        name = key.removeprefix(f"{of}_")
        parts = {f"{name}_{part}": one for part, one in value.items()} if isinstance(value, dict) else {name: value}
        rows[of] |= {part: as_cell(one) if isinstance(one, list) else one for part, one in parts.items()}
    return [row for row in rows.values() if len(row) > 3]


def encoders_of(runs: Rows, rows: Rows) -> Rows:
    """The figures of encoders in the order in which the runs come to them."""
    order = list(dict.fromkeys(row["encoder"] for row in runs))
    return sorted(rows, key=lambda row: order.index(row["encoder"]))


def curves_of(results: Results) -> list[dict[str, Any]]:
    """Of each run its method and its learning curve."""
    rows = results.more["curves"]
    return [{"method": row["method"], "curve": {key: numbers(row[key]) for key in CURVE}} for row in rows]


def earlier(out: Path) -> Results | None:
    """The results in a file; None if there is none yet.

    Raises:
        UserError: It holds something else.
    """
    if not out.exists() and not out.with_suffix(".json").exists():
        return None
    found = read_results(out, TABLES)
    try:
        good = isinstance(found.about["command"], str) and isinstance(found.about["methods"], dict)
        good &= set(heard(found.about)) == {row["method"] for row in found.rows} <= METHODS.keys()
        figures = [row[name] for row in found.rows for name in ("seed", "ee_error_m", *BASELINES)]
        good &= all(isinstance(value, int | float) for value in figures)
        good &= list(map(_run, found.more["curves"])) == list(map(_run, found.rows))
        good &= all(isinstance(row["encoder"], str) for row in found.more["encoders"]) and all(curves_of(found))
    except (KeyError, TypeError, ValueError, AttributeError):
        good = False
    if not good:
        raise UserError(f"{out}: not the results of this version's 'benchmark-imitation': name another --out")
    return found


def check_recipes(out: Path, before: Results | None, recipes: dict[str, Recipe]) -> None:
    """Refuse to put our runs beside runs of the same method that were not learned like them."""
    kept = heard(before.about) if before else {}
    for name in recipes:
        if name in kept and whole(kept[name]) != whole(recipes[name]):
            raise UserError(
                f"{out}: its runs of {name} were learned with other settings: name another --out, or leave out --add"
            )


def together(before: Results, ours: Results) -> Results:
    """The earlier results, with ours beside them or in their place."""
    commands = [command for command in before.about["command"].split(" && ") if command != ours.about["command"]]
    about = ours.about | told(heard(before.about) | heard(ours.about))
    about["methods"] = before.about["methods"] | ours.about["methods"]
    about["command"] = " && ".join([*commands, ours.about["command"]])
    known = {row["encoder"] for row in before.more["encoders"]}  # checked with the policy of the first that used it
    encoders = [row for row in ours.more["encoders"] if row["encoder"] not in known]
    more = {
        "curves": _in_order(before.more["curves"] + ours.more["curves"]),
        "encoders": before.more["encoders"] + encoders,
    }
    return Results(_in_order(before.rows + ours.rows), about, more)


def _in_order(rows: Rows) -> Rows:
    """The last row of each run, method by method."""
    order = list(METHODS)
    return sorted({_run(row): row for row in rows}.values(), key=lambda row: (order.index(row["method"]), row["seed"]))


def _named(of: Run) -> dict[str, Any]:
    return dict(zip(("method", "demo", "seed"), of, strict=True))


def _run(row: dict[str, Any]) -> Run:
    return row["method"], row["demo"], row["seed"]
