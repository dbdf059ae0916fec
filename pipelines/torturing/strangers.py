"""Code in files that a stranger hands over: none of it may run."""

from __future__ import annotations

import base64
import json
import pickle
import shutil
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from imitate.data.camera import Camera
from imitate.data.demonstration import Demonstration
from imitate.data.frame_cache import decoded_frames
from imitate.data.lerobot.dataset import LeRobotDataset
from imitate.data.lerobot.writer import EPISODES_PATH
from imitate.embedding.encoders import build_encoder
from imitate.embedding.encoders.inception import InceptionEncoder
from imitate.envs.watching import Watched
from imitate.errors import UserError
from imitate.keeping.manifest import MANIFEST, facts_of, manifest_of
from imitate.keeping.runs import read_json, write_json

from .. import evaluate, imitate, report
from ..embedding.data import open_data, videos_of
from ..shared.cli import CONFIG
from ..shared.reading import GUESSES, Mind
from ..timing.subject import quiet
from .damage import written
from .files import as_parquet, names_below
from .said import said
from .subject import IMITATE, Subject

Plant = Callable[[Path, bytes], bytes]  # from a whole file and a pickle to the file with the pickle in it


class Planted:
    """Opens a file to write when it is unpickled: the mark of code that ran."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str, str]]:
        return open, (str(self.mark), "w")


def strangers(subject: Subject) -> dict[str, Any]:
    """Plant code in each kind of file, let a command read it, and look whether it ran."""
    mark = subject.folder / "it-ran"
    code = pickle.dumps(Planted(mark))
    _check(code, mark)
    kinds: dict[str, int] = {}
    executed = []
    once = _ReadOnce()
    with patch.dict(GUESSES, imagination=replace(GUESSES["imagination"], watch=once)):
        for kind, name, plant, use in _files(subject, Planted(mark)):
            file = subject.given / name
            # Refused is as good as read without running anything: the mark decides.
            with written(file, plant(file, code)), quiet(), suppress(UserError):
                use()
            kinds[kind] = kinds.get(kind, 0) + 1
            if mark.exists():
                executed.append(f"{kind}: {name}, {plant.__name__}")
                mark.unlink()
    return {
        "codes_planted": sum(kinds.values()),
        "codes_executed": len(executed),
        "planted_kinds": {kind: {"planted": number} for kind, number in kinds.items()},
        "executed": executed,
    }


class _ReadOnce:
    """To imagine, which takes most of the time, once for what looks the same. It reads no file."""

    def __init__(self) -> None:
        self._imagined, self._read = GUESSES["imagination"].watch, dict[bytes, Watched]()

    def __call__(self, demonstration: Demonstration, mind: Mind) -> Watched:
        shown = demonstration.frames.tobytes()
        if shown not in self._read:
            self._read[shown] = self._imagined(demonstration, mind)
        return self._read[shown]


def _check(code: bytes, mark: Path) -> None:
    """Code that does not run anywhere would show nothing: unpickled, it does."""
    pickle.loads(code).close()
    if not mark.exists():
        raise RuntimeError("the planted code leaves no mark")
    mark.unlink()


def _files(subject: Subject, planted: Planted) -> Iterator[tuple[str, str, Plant, Callable[[], object]]]:
    """The kind of each file, its name in what is given, how code gets into it, and what reads it."""
    given = subject.given
    policy = _PolicyRun(subject)
    with zipfile.ZipFile(given / "policy.zip") as archive:
        members = archive.namelist()
    for member in (*members, "tensors.pth", "env.pth", "planted.pkl"):
        for plant in (_member(member, lambda code: code), _member(member, lambda code: _saved(planted))):
            yield "policy", "policy.zip", plant, policy.evaluate
    yield "policy", "policy.zip", _serialized, policy.evaluate
    for plant in (_only, lambda file, code: _saved(planted)):
        yield "policy", "policy.zip", plant, policy.evaluate
        yield "encoder", "encoder/encoder.safetensors", plant, lambda: _imitate(subject)
        yield "encoder", "encoder/encoder.json", plant, lambda: _imitate(subject)
        yield "settings handed in", "config.json", plant, lambda: _config(subject)
        yield "demonstration", "demonstration.mp4", plant, lambda: _imitate(subject, given / "demonstration.mp4")
        for name in names_below(given / "dataset"):
            yield "dataset", f"dataset/{name}", plant, lambda: _embed(subject)
        yield "weights of Inception", "policy.zip", plant, lambda: _imagenet(given / "policy.zip")
        for name in ("config.json", "metrics.json", "curve.json", "rollout.json", MANIFEST):
            yield "settings and figures", "policy.zip", _same, policy.reader(name, plant, planted)
    yield "encoder", "encoder/encoder.json", _tagged, lambda: _imitate(subject)
    yield "settings handed in", "config.json", _tagged, lambda: _config(subject)
    yield "dataset", "dataset/meta/info.json", _tagged, lambda: _embed(subject)
    for name in names_below(given / "dataset"):
        if name.endswith(".parquet"):
            for plant in (_extension, _pandas, _binary):
                yield "dataset", f"dataset/{name}", plant, lambda: _embed(subject)
    yield "decoded frames", EPISODES, _same, lambda: _cached(subject, planted)


EPISODES = f"dataset/{EPISODES_PATH}"


def _embed(subject: Subject) -> object:
    """Read all that ``embed`` reads of a dataset."""
    dataset = LeRobotDataset(subject.given / "dataset")
    return open_data(dataset, dataset.camera().name, None, *videos_of(dataset))


def _imitate(subject: Subject, demo: Path | None = None) -> object:
    run = subject.run
    shutil.rmtree(run / "stranger", ignore_errors=True)
    wanted = replace(IMITATE, run=run, name="stranger", encoder=subject.given / "encoder")
    try:
        return imitate.run(replace(wanted, demo=str(demo)) if demo else wanted)
    finally:
        shutil.rmtree(run / "stranger", ignore_errors=True)


def _config(subject: Subject) -> object:
    """What a command does with settings before it sets to work."""
    return said(
        ["imitate", CONFIG, str(subject.given / "config.json"), "--run", str(subject.run), "--name", "stranger"]
    )


def _imagenet(path: Path) -> None:
    module = build_encoder("inception", 75)
    assert isinstance(module, InceptionEncoder)
    module.load_imagenet(path)


def _cached(subject: Subject, planted: Planted) -> None:
    """Put a pickle where the frames of a stranger's dataset lie, with a digest that is right."""
    dataset = LeRobotDataset(subject.given / "dataset")
    camera: Camera = dataset.camera()
    decoded_frames(dataset, camera.name)
    (file,) = (dataset.folder / "cache").glob("*.npy")
    np.save(file, np.array([planted], dtype=object), allow_pickle=True)
    write_json(file.with_suffix(".json"), facts_of(file))
    decoded_frames(dataset, camera.name)


class _PolicyRun:
    """A stranger's whole run, whose manifests say of each file what it is."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject

    def evaluate(self) -> None:
        """Take the given policy into a copy of the run, and let it act."""
        run = self._copy()
        shutil.copyfile(self.subject.given / "policy.zip", run / "imitate/policy.zip")
        write_json(run / "imitate" / MANIFEST, manifest_of(run / "imitate"))
        evaluate.run(evaluate.Settings(run=run, name="stranger", device="cpu"))

    def reader(self, name: str, plant: Plant, planted: Planted) -> Callable[[], None]:
        """What reads a file of the policy's stage with code in it."""

        def read() -> None:
            run = self._copy()
            file = run / "imitate" / name
            file.write_bytes(plant(file, pickle.dumps(planted)))
            if name != MANIFEST:
                write_json(run / "imitate" / MANIFEST, manifest_of(run / "imitate"))
            with suppress(UserError):  # the next command reads it too
                evaluate.run(evaluate.Settings(run=run, name="stranger", device="cpu"))
            report.run(report.Settings(run=run))

        return read

    def _copy(self) -> Path:
        run = self.subject.folder / "strangers-run"
        shutil.rmtree(run, ignore_errors=True)
        return Path(shutil.copytree(self.subject.run, run))


def _same(file: Path, code: bytes) -> bytes:
    return file.read_bytes()


def _only(file: Path, code: bytes) -> bytes:
    """The pickle in the file's place."""
    return code


def _saved(planted: Planted) -> bytes:
    """As ``torch.save`` writes it."""
    buffer = BytesIO()
    torch.save(planted, buffer)
    return buffer.getvalue()


def _member(name: str, content: Callable[[bytes], bytes]) -> Plant:
    """Code in one member of a zip, which is added if there is none of that name."""

    def plant(file: Path, code: bytes) -> bytes:
        buffer = BytesIO()
        with zipfile.ZipFile(file) as source, zipfile.ZipFile(buffer, "w") as target:
            for member in source.namelist():
                if member != name:
                    target.writestr(member, source.read(member))
            target.writestr(name, content(code))
        return buffer.getvalue()

    plant.__name__ = f"in_{name}"
    return plant


def _serialized(file: Path, code: bytes) -> bytes:
    """Where stable-baselines3 keeps what JSON has no words for: ``PPO.load`` would run it."""
    with zipfile.ZipFile(file) as archive:
        data = json.loads(archive.read("data"))
    hidden = {":type:": "<class 'function'>", ":serialized:": base64.b64encode(code).decode()}
    text = json.dumps(data | {key: hidden for key in ("clip_range", "policy_class", "lr_schedule")})
    return _member("data", lambda _: text.encode())(file, code)


def _tagged(file: Path, code: bytes) -> bytes:
    """JSON in the ways in which other programs let it build objects."""
    text = base64.b64encode(code).decode()
    tags = {"py/object": "builtins.open", "py/reduce": [{"py/function": "os.system"}, {"py/tuple": ["true"]}]}
    return json.dumps(read_json(file) | tags | {":serialized:": text, "__reduce__": text}).encode()


def _extension(file: Path, code: bytes) -> bytes:
    """As a type of Python's own, which older versions of pyarrow unpickled."""
    table = pq.read_table(file)
    fields = [
        field.with_metadata({"ARROW:extension:name": "arrow.py_extension_type", "ARROW:extension:metadata": code})
        for field in table.schema
    ]
    return as_parquet(pa.table(table.columns, schema=pa.schema(fields)))


def _pandas(file: Path, code: bytes) -> bytes:
    """In the notes for pandas."""
    table = pq.read_table(file)
    text = base64.b64encode(code).decode()
    notes = {"index_columns": [text], "columns": [{"name": table.column_names[0], "metadata": text}]}
    return as_parquet(table.replace_schema_metadata({"pandas": json.dumps(notes), "pickle": code}))


def _binary(file: Path, code: bytes) -> bytes:
    """As what stands in each row of a column."""
    table = pq.read_table(file)
    name = "length" if "length" in table.column_names else table.column_names[0]
    column = pa.array([code] * len(table), pa.binary())
    return as_parquet(table.set_column(table.column_names.index(name), name, column))
