"""Which version of the format a dataset is of."""

from __future__ import annotations

import math
import re
import shlex
from pathlib import Path
from typing import Any

from imitate.errors import UserError
from imitate.keeping.runs import read_json

VERSION = "v3.0"
CONVERTERS = {  # by version, the modules of lerobot that bring it on, and the releases that have them
    "v2.1": "lerobot.scripts.convert_dataset_v21_to_v30 --repo-id=local/dataset --root={folder} "
    "--push-to-hub=false' of lerobot 0.5.1 or later (before, lerobot.datasets.v30.convert_dataset_v21_to_v30 --help)",
    "v2.0": "lerobot.datasets.v21.convert_dataset_v20_to_v21' of lerobot 0.3, and then from v2.1 to v3.0 with "
    "lerobot.scripts.convert_dataset_v21_to_v30 of lerobot 0.5.1 or later",
    "v1": "lerobot.datasets.v2.convert_dataset_v1_to_v2' of lerobot 0.3, and on from there with its "
    "lerobot.datasets.v21.convert_dataset_v20_to_v21 and lerobot.scripts.convert_dataset_v21_to_v30 of lerobot 0.5.1",
}


def read_info(folder: Path) -> dict[str, Any]:
    """What ``meta/info.json`` of a dataset says.

    Raises:
        UserError: It is missing or damaged, or the dataset is of another version.
    """
    if not (folder / "meta/info.json").exists() and (folder / "meta_data/info.json").is_file():
        raise _other(folder, "v1")
    info = read_json(folder / "meta/info.json")
    version = info.get("codebase_version") if isinstance(info, dict) else None
    if not isinstance(version, str) or not re.fullmatch(r"v[0-9]+(\.[0-9]+)*", version):
        raise UserError(
            f"{folder}: damaged, or no LeRobotDataset: codebase_version in meta/info.json is {version!r}, "
            f"expected {VERSION!r}"
        )
    if version != VERSION:
        raise _other(folder, version)
    return dict(info)


def _other(folder: Path, version: str) -> UserError:
    converter = CONVERTERS.get(version) or CONVERTERS.get(version.partition(".")[0])
    advice = (
        "convert it with 'python -m " + converter.format(folder=shlex.quote(str(folder)))
        if converter
        else "take the dataset in that version"
    )
    return UserError(f"{folder}: of another version, {version!r}, expected {VERSION!r}: {advice}")


def rate_of(folder: Path, info: dict[str, Any]) -> float:
    """Frames a second.

    Raises:
        UserError: They are no number above 0.
    """
    try:
        fps = float(info["fps"])
    except (KeyError, TypeError, ValueError):
        raise UserError(f"{folder}: damaged: fps in meta/info.json is {info.get('fps')!r}, expected a number") from None
    if not 0 < fps < math.inf:
        raise UserError(f"{folder}: {fps:g} frames a second, expected more than 0")
    return fps
