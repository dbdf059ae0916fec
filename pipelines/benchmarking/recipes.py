"""How the methods of a benchmark were learned: the settings of each stage, told once, and where methods differ."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from imitate.keeping.runs import DEVICE, Stage, kept_settings

from .. import embed, imitate, record
from .methods import METHODS, Method

STAGES = {"record": record, "embed": embed, "imitate": imitate}
ONCE = {"imitate": {"practice": 0}}  # what was so before it was a setting, and is not by default
Recipe = dict[str, dict[str, Any]]  # the settings of each stage


def recipe(method: Method, folder: Path, encoder: Stage) -> Recipe:
    """The settings of each stage, but for what differs between runs; those of finished ones as they were made."""
    learner = _as_read(kept_settings(method.imitate))
    for name in ("name", "demo", "seed"):
        del learner[name]
    made = {"record": Stage(folder / "record").settings, "embed": encoder.settings, "imitate": learner}
    return {stage: {name: value for name, value in of.items() if name != DEVICE} for stage, of in made.items()}


def whole(recipe: Recipe) -> Recipe:
    """A recipe with all settings of this version: one that there was not yet was as by default, or as ``ONCE``."""
    defaults = {stage: _as_read(kept_settings(module.Settings())) for stage, module in STAGES.items()}
    names = {stage: set(of) - {DEVICE} for stage, of in defaults.items()}
    names["imitate"] -= {"name", "demo", "seed"}
    return {
        stage: {n: of[n] for n in of if n in names[stage]} | ONCE.get(stage, {}) | recipe[stage]
        for stage, of in defaults.items()
    }


def told(recipes: Mapping[str, Recipe]) -> dict[str, dict[str, Recipe]]:
    """The settings of the first method as a whole, and of all others what differs from it."""
    first, *others = sorted(recipes, key=list(METHODS).index)
    base = whole(recipes[first])
    differ = {name: {s: _different(of, base[s]) for s, of in whole(recipes[name]).items()} for name in others}
    changed = {name: {stage: of for stage, of in stages.items() if of} for name, stages in differ.items()}
    return {"settings": {first: base}, "other_settings": changed}


def _different(settings: dict[str, Any], base: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name not in base or value != base[name]}


def heard(about: Mapping[str, Any]) -> dict[str, Recipe]:
    """The recipes that were ``told``.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: They were not.
    """
    ((first, base),) = about["settings"].items()
    stages = {stage: dict(base[stage]) for stage in STAGES}
    others = {
        name: {stage: of | changed.get(stage, {}) for stage, of in stages.items()}
        for name, changed in about["other_settings"].items()
    }
    return {first: stages} | others


def _as_read(settings: Any) -> dict[str, Any]:
    """Settings as a file of JSON says them: tuples are lists."""
    return dict(json.loads(json.dumps(settings)))
