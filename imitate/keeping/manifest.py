"""The manifest of a finished stage, and the check of files against it before they are used."""

from __future__ import annotations

import hashlib
import json
import os
from functools import lru_cache
from pathlib import Path
from typing import Any

import av

from imitate.errors import UserError

MANIFEST = "manifest.json"
SNAPSHOT = "snapshot.safetensors"  # what an unfinished stage goes on with
NOTES = ".made"  # folder of what it has made already
LEFT_OUT = frozenset({"cache", "tensorboard", SNAPSHOT})  # what may be deleted, grows, or is gone when all is done
DEPTH = 6  # folders from a file up to its stage, at most

Stamp = tuple[int, int, int]

_checked: dict[Path, tuple[Stamp, Stamp]] = {}  # files that were found whole, and by which manifest


def sha256(path: Path) -> str:
    """Hexadecimal digest of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def facts_of(path: Path) -> dict[str, Any]:
    """By what a file is known again: its size and digest; and of a video, the number of its frames."""
    facts = {"bytes": path.stat().st_size, "sha256": sha256(path)}
    frames = _frames(path) if path.suffix == ".mp4" else None
    return facts if frames is None else facts | {"frames": frames}


def _frames(path: Path) -> int | None:
    """What a video that was just written says of itself: nothing is decoded. None of what is no video after all."""
    try:
        with path.open("rb") as file, av.open(file) as container:
            return container.streams.video[0].frames or None
    except (av.error.InvalidDataError, IndexError):
        return None


def manifest_of(folder: Path) -> dict[str, Any]:
    """All files below a folder, by their names there, and a digest over that list."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != MANIFEST)
    names = {path.relative_to(folder).as_posix(): path for path in files}
    artefacts = {name: facts_of(path) for name, path in names.items() if not _left_out(Path(name))}
    return {"artefacts": artefacts, "sha256": _digest(artefacts)}


def _left_out(name: Path) -> bool:
    """Whether the manifest says nothing of it: nor of hidden files, such as a lock, or what file managers leave."""
    return any(part in LEFT_OUT or part.startswith(".") for part in name.parts)


def as_text(data: Any) -> str:
    """The one way in which JSON is written."""
    return json.dumps(data, indent=2, sort_keys=True) + "\n"


def damage(path: Path, facts: dict[str, Any]) -> str | None:
    """In what a file is not what its facts say; None if it is whole."""
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        return "missing"
    if size != facts["bytes"]:
        return f"{size} bytes, expected {facts['bytes']}"
    return None if sha256(path) == facts["sha256"] else "changed: another sha256 than it was written with"


def verified(path: Path) -> Path:
    """Check a file, or all files below a folder, against the manifest of the finished stage that it stands in.

    A file is hashed once a process, and again only when it was written since. What stands in no finished stage, such
    as an encoder that was copied elsewhere, has no manifest: whatever reads it finds out whether it can be read.

    Returns:
        ``path``.

    Raises:
        UserError: It is missing, or not what the stage made; or the manifest is damaged.
    """
    found = _stage_of(path)
    if found is not None:
        _verify(*found)
    return path


def listed_frames(path: Path) -> int | None:
    """How many frames a video has by the manifest of its stage; None if that says nothing.

    Raises:
        UserError: The manifest is damaged.
    """
    found = _stage_of(path)
    if found is None:
        return None
    stage, place = found
    artefacts = _read(stage / MANIFEST, _stamp(stage / MANIFEST))
    return artefacts.get(place.relative_to(stage).as_posix(), {}).get("frames")


def _stage_of(path: Path) -> tuple[Path, Path] | None:
    """The finished stage that something stands in, and where it does."""
    if "\0" in str(path):  # no file's name: its reader says so
        return None
    for place in (Path(os.path.abspath(path)), Path(os.path.realpath(path))):
        for folder in list(place.parents)[:DEPTH]:
            if _is_finished(folder):
                return folder, place
    return None


def _is_finished(folder: Path) -> bool:
    """Whether it is a stage with a manifest. Other programs' files may be called so too, but not all of them."""
    try:
        return (folder / MANIFEST).is_file() and (
            all((folder / name).is_file() for name in ("config.json", "metrics.json"))
            or "artefacts" in (folder / MANIFEST).read_text(errors="replace")
        )
    except OSError:  # a name that can't be, or a folder that may not be looked into: its reader says so
        return False


def _verify(stage: Path, place: Path) -> None:
    """Check what stands at a place in a stage. The manifest itself is checked wherever another file is."""
    name = place.relative_to(stage).as_posix()
    if _left_out(Path(name)) or name == MANIFEST:
        return
    manifest = stage / MANIFEST
    stamp = _stamp(manifest)
    artefacts = _read(manifest, stamp)
    below = {file.relative_to(stage) for file in place.rglob("*") if file.is_file()}
    found = {file.as_posix() for file in below if not _left_out(file)}
    wanted = [listed for listed in artefacts if listed == name or listed.startswith(f"{name}/")]
    for one in sorted({*wanted, *found} or ({name} if place.is_file() else ())):
        file = stage / one
        if one not in artefacts:
            raise UserError(f"{file}: not made by this stage, whose {MANIFEST} does not name it: move it away")
        if file.exists() and _checked.get(file) == (_stamp(file), stamp):
            continue
        wrong = damage(file, artefacts[one])
        if wrong:
            raise UserError(
                f"{file}: damaged ({wrong}): put the file back, or delete {stage} and make it again with its command"
            )
        _checked[file] = _stamp(file), stamp


def _stamp(path: Path) -> Stamp:
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns, stat.st_ino


@lru_cache(maxsize=64)
def _read(manifest: Path, stamp: Stamp) -> dict[str, dict[str, Any]]:
    """The artefacts that a manifest names. The stamp is the manifest's: one that was written anew is read anew."""
    try:
        text = manifest.read_text()
        data = json.loads(text)
        artefacts = data["artefacts"]
        # Any other character than those that were written is damage; manifests of older versions have no digest.
        whole = text == as_text(data) and data.get("sha256", _digest(artefacts)) == _digest(artefacts)
        known = data.keys() <= {"artefacts", "sha256"}
        typed = all(
            (type(f["bytes"]), type(f["sha256"]), type(f.get("frames", 0))) == (int, str, int)
            for f in artefacts.values()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        whole = known = typed = False
    if not (whole and known and typed):
        raise UserError(
            f"{manifest}: damaged: nothing in {manifest.parent} can be trusted; delete it and make it again with its "
            "command"
        )
    return dict(artefacts)


def _digest(artefacts: Any) -> str:
    return hashlib.sha256(as_text(artefacts).encode()).hexdigest()
