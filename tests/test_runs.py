import errno
import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from imitate.errors import UserError
from imitate.keeping.lock import LOCK
from imitate.keeping.manifest import NOTES, SNAPSHOT
from imitate.keeping.runs import Stage, kept_settings, read_json, workshop, write_json, written_aside


def test_a_stage_is_begun_gone_on_with_and_finished(tmp_path):
    stage = Stage(tmp_path / "run" / "record")
    settings = {"seed": 1, "cameras": ("front", "side"), "nested": {"gamma": 0.9}, "path": None}
    assert not stage.finished
    assert stage.begin(settings)
    assert not stage.finished
    assert Stage(stage.folder).begin(settings)  # interrupted: go on
    stage.finish({"loss": 0.5})
    assert stage.finished
    assert not Stage(stage.folder).begin(settings)
    assert stage.settings == {**settings, "cameras": ["front", "side"]}
    assert stage.metrics == {"loss": 0.5}


@dataclass(frozen=True)
class Inner:
    gamma: float = 0.9


@dataclass(frozen=True)
class Outer:
    run: Path = Path("runs/a")
    encoder: Path = Path("runs/b/encoder")
    seeds: tuple[int, ...] = (0, 1)
    inner: Inner = field(default_factory=Inner)
    device: str = "cpu"
    workers: int = 3


def test_what_changes_nothing_of_what_is_made_is_no_setting_of_a_stage(tmp_path):
    stage = Stage(tmp_path)
    stage.begin(kept_settings(Outer()))
    assert stage.settings == {
        "encoder": str(Path("runs/b/encoder").resolve()),
        "seeds": [0, 1],
        "inner": {"gamma": 0.9},
        "device": "cpu",
    }
    stage.finish({})
    assert not stage.begin(kept_settings(Outer(Path("elsewhere"), workers=1)))


def test_a_device_makes_no_other_stage_and_stands_in_its_config(tmp_path):
    stage = Stage(tmp_path)
    stage.begin(kept_settings(Outer(device="cpu")), resumable=True)
    assert stage.begin(kept_settings(Outer(device="cuda")), resumable=True)
    assert stage.settings["device"] == "cuda"  # on which it goes on, or starts over
    stage.finish({})
    before = stage.path("config.json").read_bytes()
    assert not stage.begin(kept_settings(Outer(device="cpu")))
    assert stage.path("config.json").read_bytes() == before


def test_a_path_into_the_run_is_kept_relative_to_it_by_whatever_name(tmp_path, monkeypatch):
    (tmp_path / "runs" / "a").mkdir(parents=True)
    (tmp_path / "link").symlink_to("runs")
    monkeypatch.chdir(tmp_path)
    names = [Path("runs/a"), tmp_path / "runs" / "a", Path("link/a"), Path("runs/../runs/a")]
    for run in names:
        for there in names:
            assert kept_settings(Outer(run, there / "embed-plain/encoder"))["encoder"] == "embed-plain/encoder"
        outside = kept_settings(Outer(run, Path("link/ab/encoder")))["encoder"]
        assert outside == str(tmp_path.resolve() / "runs/ab/encoder")
        assert run / outside == Path(outside)


@pytest.mark.parametrize("resumable", [False, True])
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"seed": 2, "arm": "iiwa"}, "seed was 1, is now 2"),
        ({"seed": 1, "arm": "panda"}, "arm was 'iiwa', is now 'panda'"),
        ({"seed": 1}, "arm was 'iiwa', is now None"),
        ({"seed": 1, "arm": "iiwa", "crf": 3}, "crf was None, is now 3"),
    ],
)
def test_other_settings_are_named(tmp_path, resumable, settings, message):
    stage = Stage(tmp_path)
    stage.begin({"seed": 1, "arm": "iiwa"})
    if not resumable:
        stage.finish({})
    with pytest.raises(UserError, match=message) as caught:
        stage.begin(settings, resumable)
    assert len(str(caught.value).splitlines()) == 1
    assert stage.settings == {"seed": 1, "arm": "iiwa"}


def test_what_another_command_made_is_said_to_be(tmp_path):
    stage = Stage.named(tmp_path, "mine")
    stage.begin({"seed": 1, "crf": 3, "frames": 50})
    stage.finish({})
    with pytest.raises(UserError, match=r"mine was made by another command: choose another run or --name"):
        stage.begin({"seed": 1, "demo": "test:0", "steps": 3})
    with pytest.raises(UserError, match="stage name 'record': expected another"):
        Stage.named(tmp_path, "record")


def test_what_another_command_has_not_finished_is_not_cleared_away(tmp_path):
    stage = Stage(tmp_path / "mine")
    stage.begin({"demos": 1, "conditions": [], "clock": True}, resumable=True)
    write_json(stage.path("rows/0.json"), 1)
    with pytest.raises(UserError, match="made by another command"):
        Stage(stage.folder).begin({"seeds": [0], "policy": "x", "demo": "y"})
    assert stage.path("rows/0.json").is_file()


def test_parts_that_are_made_are_noted_until_something_befalls_them(tmp_path):
    stage = Stage(tmp_path / "mine")
    stage.begin({"demos": 2}, resumable=True)
    for name in ("a", "b"):
        assert not stage.noted(name)
        write_json(stage.path(f"{name}.json"), [name])
        stage.note(name, [stage.path(f"{name}.json")])
        assert stage.noted(name)
    write_json(stage.path("a.json"), ["c"])
    assert not stage.noted("a")
    for note in ("", "[1]", "{}", '{"b.json": 3}', '{"b.json": {}}'):
        stage.path(NOTES).joinpath("b.json").write_text(note)
        assert not stage.noted("b")
    stage.finish({})
    assert not stage.path(NOTES).exists()


def test_one_process_works_in_a_workshop_and_clears_it_up(tmp_path, monkeypatch):
    left = tmp_path / "work-killed" / "file"
    write_json(left, 1)
    write_json(tmp_path / "figures.json", 1)
    with workshop(tmp_path) as work:
        assert not left.parent.exists()
        write_json(work / "file", 1)
        monkeypatch.setattr("imitate.keeping.lock._held", {})  # as another process has it
        with pytest.raises(UserError, match="another process is working on it"), workshop(tmp_path):
            pass
        monkeypatch.undo()
    assert [path.name for path in tmp_path.iterdir()] == ["figures.json"]


def test_an_unfinished_stage_that_cannot_resume_starts_over(tmp_path):
    stage = Stage(tmp_path / "stage")
    stage.begin({"rate": 1.0})
    stage.path("half").write_text("half")
    assert stage.begin({"rate": 0.1})
    assert stage.settings == {"rate": 0.1}
    assert not stage.path("half").exists()


def test_an_unfinished_stage_that_can_resume_keeps_what_it_has(tmp_path):
    stage = Stage(tmp_path / "stage")
    stage.begin({"rate": 1.0}, resumable=True)
    stage.path("half").write_text("half")
    assert stage.begin({"rate": 1.0}, resumable=True)
    assert stage.path("half").exists()


def test_an_unfinished_stage_with_a_snapshot_keeps_what_it_has_and_no_halves(tmp_path):
    stage = Stage(tmp_path / "stage")
    stage.begin({"rate": 1.0})
    for name in (SNAPSHOT, "encoder/.encoder.part.safetensors", ".metrics.part.json", "tensorboard/events"):
        stage.path(name).parent.mkdir(exist_ok=True)
        stage.path(name).write_text("")
    with pytest.raises(UserError, match=r"rate was 1\.0, is now 0\.1"):
        stage.begin({"rate": 0.1})
    assert stage.begin({"rate": 1.0})
    left = {path.relative_to(stage.folder).as_posix() for path in stage.folder.rglob("*") if path.is_file()}
    assert left == {SNAPSHOT, LOCK, "config.json", "tensorboard/events"}


def test_a_finished_stage_needs_no_snapshot_and_no_lock(tmp_path):
    stage = Stage(tmp_path / "stage")
    stage.begin({})
    stage.path(SNAPSHOT).write_text("")
    assert stage.path(LOCK).exists()
    stage.finish({})
    names = {"config.json", "metrics.json", "manifest.json"}
    assert {path.name for path in stage.folder.iterdir()} == names
    assert {*read_json(stage.path("manifest.json"))["artefacts"]} == names - {"manifest.json"}
    for name in (SNAPSHOT, LOCK):  # it was killed after the manifest was written
        stage.path(name).write_text("")
    assert not stage.begin({})
    assert {path.name for path in stage.folder.iterdir()} == names


def test_a_stage_says_what_it_was_made_with(tmp_path):
    Stage(tmp_path).begin({})
    config = read_json(tmp_path / "config.json")
    assert {"python", "numpy", "torch", "gymnasium", "pybullet"} <= set(config["versions"])
    assert "git_commit" in config


def test_where_nothing_can_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="can't be written"):
        Stage(tmp_path / "file" / "record").begin({})


@pytest.mark.parametrize(
    ("name", "message"), [("x" * 300, "can't be read"), ("null\0byte", "can't be written")], ids=["long", "null"]
)
def test_a_name_that_no_folder_can_have(tmp_path, name, message):
    with pytest.raises(UserError, match=f"{message}.*choose another run"):
        Stage(tmp_path / name / "record").begin({})
    assert not list(tmp_path.iterdir())


def test_a_stage_of_too_long_a_name_is_named_when_it_is_looked_for(tmp_path):
    with pytest.raises(UserError, match="can't be read"):
        _ = Stage(tmp_path / ("x" * 300)).finished


def test_numbers_that_json_lacks_become_null(tmp_path):
    inf = float("inf")
    write_json(tmp_path / "a.json", {"a": float("nan"), "b": [1.5, inf, (-inf, {"c": inf})], "d": "NaN", "e": 3})

    def refuse(name):
        raise AssertionError(name)

    read = json.loads((tmp_path / "a.json").read_text(), parse_constant=refuse)
    assert read == {"a": None, "b": [1.5, None, [None, {"c": None}]], "d": "NaN", "e": 3}


def test_the_manifest_names_every_artefact(tmp_path):
    stage = Stage(tmp_path)
    stage.begin({"seed": 0})
    artefacts = {"policy.zip": b"abc", "encoder/weights.bin": bytes(range(256)) * 9000, "empty": b""}
    left_out = {"tensorboard/events": b"x", "dataset/cache/frames.npy": b"y"}
    for name, content in (artefacts | left_out).items():
        stage.path(name).parent.mkdir(parents=True, exist_ok=True)
        stage.path(name).write_bytes(content)
    stage.finish({"loss": 1.0})
    listed = read_json(tmp_path / "manifest.json")["artefacts"]
    assert set(listed) == {*artefacts, "config.json", "metrics.json"}
    for name, facts in listed.items():
        content = (tmp_path / name).read_bytes()
        assert facts == {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def interrupted(path):
    with written_aside(path) as aside:
        aside.write_text("half of the n")
        raise KeyboardInterrupt


def test_a_file_is_replaced_whole(tmp_path):
    path = tmp_path / "deep" / "file.txt"
    with written_aside(path) as aside:
        aside.write_text("old")
        assert not path.exists()
    with pytest.raises(KeyboardInterrupt):
        interrupted(path)
    assert list(path.parent.iterdir()) == [path]
    assert path.read_text() == "old"
    with written_aside(path) as aside:
        aside.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def starved(path, error):
    with written_aside(path) as aside:
        aside.write_text("half")
        raise error


@pytest.mark.parametrize("named", [True, False])
def test_what_can_not_be_written_is_named_by_its_place(tmp_path, named):
    (tmp_path / "a.png").write_text("old")
    error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), *[str(tmp_path / ".a.part.png")] * named)
    with pytest.raises(OSError, match="No space left on device") as caught:
        starved(tmp_path / "a.png", error)
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(tmp_path / "a.png"))
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]
    with pytest.raises(FileNotFoundError) as caught:
        starved(tmp_path / "a.png", FileNotFoundError(errno.ENOENT, "no such file", "other"))
    assert caught.value.filename == "other"


def test_json_that_can_not_be_written_leaves_the_old_file(tmp_path):
    write_json(tmp_path / "a.json", {"a": 1})
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.json", {"a": object()})
    assert read_json(tmp_path / "a.json") == {"a": 1}


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe\x00"])
def test_what_is_no_json_is_named(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.json: not a readable JSON file"):
        read_json(tmp_path / "a.json")
    with pytest.raises(UserError, match=r"b\.json: no such file"):
        read_json(tmp_path / "b.json")


@pytest.mark.parametrize("name", ["..", ".", "../../oops", "/tmp/x", "a/b", ""])
def test_a_stage_stays_in_its_run(tmp_path, name):
    with pytest.raises(UserError, match=r"stage name .*: expected the name of a folder in the run"):
        Stage.named(tmp_path, name)


def test_a_stage_is_named(tmp_path):
    assert Stage.named(tmp_path, "embed-2.old").folder == tmp_path / "embed-2.old"
