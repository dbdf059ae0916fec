"""Run directories: ``runs/<name>/<stage>/`` with config.json, metrics.json, manifest.json, artefacts."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imitate.errors import UserError, first_line
from imitate.keeping.lock import LOCK, held, hold, let_go
from imitate.keeping.manifest import MANIFEST, NOTES, SNAPSHOT, as_text, damage, facts_of, manifest_of, verified

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

DEVICE = "device"  # the setting that makes no other stage: figures differ by rounding
_PACKAGES = ("numpy", "numba", "torch", "gymnasium", "stable-baselines3", "pybullet", "av", "pyarrow")


@contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """Yield a path beside ``path`` to write to; it takes ``path``'s place only when all went well.

    Raises:
        OSError: It can't be written. Whatever raised it, it names ``path``, and comes out of another process whole.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        yield aside
        with aside.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(aside, path)
    except OSError as error:
        if error.filename not in (None, "", str(aside)):
            raise  # of another file
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error
    finally:
        aside.unlink(missing_ok=True)


def write_json(path: Path, data: Any) -> None:
    """Write ``data`` whole or not at all. NaN and infinity, which JSON lacks, become null."""
    with written_aside(path) as aside:
        aside.write_text(as_text(finite(data)))


def read_json(path: Path) -> Any:
    """Read a JSON file; that of a finished stage is ``verified`` first.

    Raises:
        UserError: It is missing, damaged, or no JSON.
    """
    try:
        return json.loads(verified(path).read_text())
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except UserError:
        raise
    except (OSError, ValueError, RecursionError) as error:  # RecursionError: a list in a list in a list
        raise UserError(f"{path}: not a readable JSON file ({first_line(error)})") from None


def finite(data: Any) -> Any:
    """``data`` with None for NaN and infinity, which JSON lacks."""
    if isinstance(data, dict):
        return {key: finite(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [finite(value) for value in data]
    if isinstance(data, float) and not math.isfinite(data):
        return None
    return data


def kept_settings(settings: DataclassInstance) -> dict[str, Any]:
    """A command's settings as ``Stage.begin`` takes them: without those that change nothing of what is made.

    Where it is made, ``run``, in how many processes, ``workers``, and where decoded frames are kept, ``cache``. Paths
    into the run are relative to it, so that it may be moved, and all others absolute: either is read back as
    ``run / path``.
    """
    kept = asdict(settings)
    run = kept.pop("run")
    for name in ("workers", "cache"):
        kept.pop(name, None)
    return {key: _from(run, value) if isinstance(value, Path) else value for key, value in kept.items()}


def _changed(name: str, before: Any, now: Any) -> str:
    """A setting that is another, in words: of a file that has changed, its digests say nothing to anybody."""
    of = name.removesuffix("_sha256")
    return f"{name} was {before!r}, is now {now!r}" if of == name or None in (before, now) else f"{of} changed"


def _from(run: Path, path: Path) -> str:
    run, path = (Path(os.path.realpath(one)) for one in (run, path))
    return str(path.relative_to(run) if path.is_relative_to(run) else path)


def versions() -> dict[str, str]:
    """Of Python, and of the packages that figures depend on."""
    found = {"python": sys.version.split()[0]}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue  # an optional package: what is not installed had no part in the run
    return found


@contextmanager
def workshop(folder: Path) -> Iterator[Path]:
    """Yield a folder to work in, gone afterwards, within one that no other process works in meanwhile.

    Raises:
        UserError: Another process works in it.
    """
    with held(folder):
        for left in folder.glob("work-*"):  # by a process that was killed
            shutil.rmtree(left)
        with tempfile.TemporaryDirectory(prefix="work-", dir=folder) as work:
            yield Path(work)


def git_commit() -> str | None:
    """Of the checkout that this is; None where there is none."""
    here = Path(__file__).resolve()
    git = ["git", "-C", str(here.parent)]
    try:  # a file of this package that git knows: an installed one may lie within a checkout of something else
        subprocess.run([*git, "ls-files", "--error-unmatch", here.name], capture_output=True, check=True)
        commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None  # installed from a wheel, or a machine without git
    return commit.stdout.strip()


class Stage:
    """One folder of a run: what one command made.

    ``manifest.json`` names every artefact with its size and sha256 and is written last, so that a stage
    without one is unfinished.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def named(cls, run: Path, name: str) -> Stage:
        """The stage of a run that a user has named.

        Raises:
            UserError: The name would lead out of the run, or to what ``record`` alone writes.
        """
        if name in ("", ".", "..") or Path(name).name != name:
            raise UserError(f"stage name {name!r}: expected the name of a folder in the run, such as embed-2")
        if name == "record":
            raise UserError("stage name 'record': expected another, the run's recording goes there")
        return cls(run / name)

    def path(self, name: str) -> Path:
        """Where the artefact ``name`` stands."""
        return self.folder / name

    @property
    def finished(self) -> bool:
        """Whether the command that makes this stage came to its end."""
        return self._has(MANIFEST)

    @property
    def config(self) -> dict[str, Any]:
        """What the stage was begun with: settings, versions of the packages, git commit."""
        return dict(read_json(self.path("config.json")))

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that the stage was begun with."""
        return dict(self.config.get("settings", {}))

    @property
    def metrics(self) -> dict[str, Any]:
        """The figures of a finished stage."""
        return dict(read_json(self.path("metrics.json")))

    def begin(self, settings: dict[str, Any], resumable: bool = False) -> bool:
        """Start the stage, or go on with it.

        An unfinished stage that can't go on where it stopped, without a snapshot or ``resumable``, starts over, with
        whatever settings it is now given. On another ``DEVICE`` it is the same stage; what it is made on stands in
        config.json. No other process may work on it, until it is finished or this one ends.

        Returns:
            False if it is finished already, with the same settings: there is nothing to do.

        Raises:
            UserError: It was begun with other settings, another process works on it, or it can't be written.
        """
        if not self.finished:
            self._hold()  # another process may have finished it by now
        settings = json.loads(json.dumps(finite(settings)))
        begun = self.finished or self._has("config.json")
        before = self.settings if begun else {}
        if begun and 2 * len(before.keys() & settings.keys()) < len(before.keys() | settings.keys()):
            raise UserError(f"{self.folder} was made by another command: choose another run or --name, or delete it")
        if self.finished:
            self._tidy()
        else:
            self._clear(keep=resumable or self._has(SNAPSHOT))
        if self.finished or self._has("config.json"):
            changed = [k for k in sorted({*before, *settings} - {DEVICE}) if before.get(k) != settings.get(k)]
            if changed:
                was = ", ".join(_changed(k, before.get(k), settings.get(k)) for k in changed[:3])
                raise UserError(
                    f"{self.folder} was made with other settings ({was}): choose another run or --name, or delete it"
                )
            if self.finished or before.get(DEVICE) == settings.get(DEVICE):
                return not self.finished
        config = {"settings": settings, "versions": versions(), "git_commit": git_commit()}
        write_json(self.path("config.json"), config)
        return True

    def _hold(self) -> None:
        try:
            hold(self.folder)
        except OSError as error:
            raise UserError(f"{self.folder} can't be written ({error.strerror}): choose another run") from None
        except UserError:
            raise
        except ValueError as error:  # a path with a null byte
            raise UserError(f"{str(self.folder)!r} can't be written ({error}): choose another run") from None

    def _clear(self, keep: bool) -> None:
        """Remove what an interrupted process left: half-written files, or, if it was begun, everything."""
        if keep:
            for left in self.folder.rglob(".*.part*"):
                left.unlink()
        elif self._has("config.json"):
            for path in self.folder.iterdir():
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                elif path.name != LOCK:
                    path.unlink()

    def _tidy(self) -> None:
        """Remove what only an unfinished stage needs, if it is there."""
        self.path(SNAPSHOT).unlink(missing_ok=True)  # another process may tidy too
        shutil.rmtree(self.path(NOTES), ignore_errors=True)
        if self._has(LOCK):
            let_go(self.folder)

    def _has(self, name: str) -> bool:
        try:
            return self.path(name).is_file()
        except OSError as error:  # too long a name, or a folder that may not be looked into
            raise UserError(f"{self.folder} can't be read ({error.strerror}): choose another run") from None

    def note(self, part: str, files: Iterable[Path]) -> None:
        """Note that a part is made, and by what its files are known again: an interrupted stage goes on after it."""
        facts = {path.relative_to(self.folder).as_posix(): facts_of(path) for path in files}
        write_json(self.path(NOTES) / f"{part}.json", facts)

    def noted(self, part: str) -> bool:
        """Whether a part is made, and nothing has befallen its files since."""
        try:
            files = read_json(self.path(NOTES) / f"{part}.json")
            return bool(files) and all(damage(self.path(name), facts) is None for name, facts in files.items())
        except (UserError, LookupError, TypeError, AttributeError):  # no note, or a damaged one: it is made again
            return False

    def finish(self, metrics: dict[str, Any]) -> None:
        """Write the figures, then the manifest of everything in the folder."""
        write_json(self.path("metrics.json"), metrics)
        write_json(self.path(MANIFEST), manifest_of(self.folder))
        self._tidy()
