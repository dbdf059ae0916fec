"""Pages for people: templates, and how figures, settings and files are put into them."""

from __future__ import annotations

import shlex
from base64 import b64encode
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from imitate.keeping.manifest import verified

from ..checking.verdict import weakness
from .policies import flat

FOLDER = Path(__file__).parent
TYPES = {".png": "image/png", ".mp4": "video/mp4"}


def fill_in(name: str, **values: Any) -> str:
    """The page ``name`` of the folder, with ``values`` where it asks for them."""
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,  # names and settings come from files
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "plain": plain, "flat": flat, "uri": data_uri, "weakness": weakness}
    environment.filters["cm"] = lambda metres: number(metres, 100, 1)
    return environment.get_template(name).render(values)


def number(value: Any, scale: float = 1, digits: int = 3) -> str:
    """A figure for people; a dash where there is none."""
    known = isinstance(value, int | float) and np.isfinite(value)
    return f"{scale * value:.{digits}f}" if known else "–"


def plain(value: Any) -> str:
    """A setting or figure, whatever it is, as people write it."""
    if isinstance(value, list):
        return ", ".join(map(plain, value))
    if isinstance(value, float):
        return f"{value:.6g}"
    return "–" if value is None or value == "" else str(value)


def typed(run: Path, command: str, *words: str) -> str:
    """A command on a run, to be typed: a word stays one, whatever it holds. The preset, if any, is the first word."""
    preset = words[:1] if words and not words[0].startswith("-") else ()
    return shlex.join(["imitate", command, *preset, "--run", str(run), *words[len(preset) :]])


def data_uri(path: Path) -> str:
    """The file itself, to stand in the page where its address would; empty if there is no such file."""
    if not verified(path).is_file():
        return ""
    return f"data:{TYPES[path.suffix]};base64,{b64encode(path.read_bytes()).decode()}"
