"""The figures of ``torture`` as rows of a table, and read back."""

from __future__ import annotations

from typing import Any

from ..shared.results import Results, Rows
from .kills import totals

Figures = dict[str, Any]


def as_rows(part: str, found: Figures, commit: str | None) -> Rows:
    """A row a figure of a part: of all of it, and of each stage, kind or file.

    Args:
        part: Its name.
        found: Its figures: numbers, and of some, by stage, kind or file, several of each.
        commit: That they are of, but for stages that have one of their own.
    """
    rows = [_row(part, None, name, value, commit) for name, value in found.items() if isinstance(value, int | float)]
    groups = [value for value in found.values() if isinstance(value, dict)]
    return rows + [
        _row(part, of, name, value, figures.get("git_commit", commit))
        for group in groups
        for of, figures in group.items()
        for name, value in figures.items()
        if name != "git_commit"
    ]


def _row(part: str, of: str | None, figure: str, value: float, commit: str | None) -> dict[str, Any]:
    return {"part": part, "of": of, "figure": figure, "value": value, "git_commit": commit}


def as_texts(found: Figures) -> dict[str, list[str]]:
    """What is said of what went wrong."""
    return {name: value for name, value in found.items() if isinstance(value, list)}


def with_part(kept: Results, part: str, found: Figures, made: dict[str, Any], order: list[str]) -> Results:
    """The results with the figures of a part, in the place of those that there were.

    Args:
        kept: What there is already.
        part: The part.
        found: Its figures.
        made: What it was made with, among it the commit.
        order: Of the parts.
    """
    rows = [row for row in kept.rows if row["part"] != part] + as_rows(part, found, made["git_commit"])
    parts = kept.about["parts"] | {part: made | as_texts(found)}
    return Results(sorted(rows, key=lambda row: order.index(row["part"])), kept.about | {"parts": parts})


def with_other_stages(found: Figures, kept: Results, commit: str | None) -> Figures:
    """What was found of stages that were killed, and what there is already of those that were not this time."""
    ours = {name: figures | {"git_commit": commit} for name, figures in found["stages"].items()}
    before = kept.about["parts"].get("kills", {}).get("different", [])
    different = [text for text in before if text.split(": ")[0] not in ours]
    return totals(stages_of(kept.rows) | ours) | {"different": [*different, *found["different"]]}


def stages_of(rows: Rows) -> dict[str, Figures]:
    """By stage, the figures of ``kills``, and the commit that they are of."""
    stages: dict[str, Figures] = {}
    for row in rows:
        if row["part"] == "kills" and row["of"] is not None:
            stages.setdefault(row["of"], {})[row["figure"]] = row["value"]
            stages[row["of"]]["git_commit"] = row["git_commit"]
    return stages


def are_counts(kept: Results, parts: list[str]) -> bool:
    """Whether these are results of ``torture``."""
    try:
        whole = all(row["part"] in parts and isinstance(row["figure"], str) for row in kept.rows)
        stages = stages_of(kept.rows).values()
        whole &= all(isinstance(of[name], int) for of in stages for name in ("kills", "differences"))
        return whole and all(isinstance(made, dict) for made in kept.about["parts"].values())
    except (LookupError, TypeError, AttributeError):
        return False
