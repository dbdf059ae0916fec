import hashlib
import os
import shutil

import numpy as np
import pytest

import imitate.keeping.manifest
from imitate.data.video.reader import read_video
from imitate.data.video.writer import Compression, write_video
from imitate.errors import UserError
from imitate.keeping.manifest import listed_frames, manifest_of, verified
from imitate.keeping.runs import Stage, read_json, write_json

FILES = {"policy.zip": b"abc" * 99, "encoder/weights.bin": bytes(range(256)) * 90, "empty": b""}


@pytest.fixture
def stage(tmp_path):
    made = Stage(tmp_path / "run" / "embed")
    made.begin({"seed": 0})
    for name, content in FILES.items():
        made.path(name).parent.mkdir(parents=True, exist_ok=True)
        made.path(name).write_bytes(content)
    write_video(made.path("film.mp4"), np.zeros((5, 16, 16, 3), np.uint8), 20, Compression(18, "yuv444p"))
    made.finish({"loss": 1.0})
    return made


def flip(path, byte=10):
    content = bytearray(path.read_bytes())
    content[byte] ^= 1
    path.write_bytes(content)


def test_what_is_whole_is_taken(stage):
    for name in (*FILES, "encoder", "config.json", "metrics.json"):
        assert verified(stage.path(name)) == stage.path(name)
    assert stage.metrics == {"loss": 1.0}


def test_a_file_is_hashed_once(stage, monkeypatch):
    hashed = []
    monkeypatch.setattr(imitate.keeping.manifest, "sha256", lambda path: hashed.append(path) or digest(path))
    for _ in range(3):
        verified(stage.path("policy.zip"))
    assert hashed == [stage.path("policy.zip")]
    os.utime(stage.path("policy.zip"))  # written since
    verified(stage.path("policy.zip"))
    assert len(hashed) == 2


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("name", ["policy.zip", "encoder/weights.bin"])
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (flip, "another sha256"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "bytes, expected"),
        (lambda path: path.write_bytes(b""), "0 bytes, expected"),
        (lambda path: path.unlink(), "missing"),
    ],
)
def test_damage_is_one_line_that_says_what_to_do(stage, name, damage, message):
    damage(stage.path(name))
    for asked in {name, name.split("/")[0]}:
        with pytest.raises(UserError, match=rf"{name}: damaged \(.*{message}.*put the file back, or delete") as error:
            verified(stage.path(asked))
        assert len(str(error.value).splitlines()) == 1
    verified(stage.path("empty"))  # the others are as good as before


def test_damage_after_the_first_look_is_found_too(stage):
    verified(stage.path("policy.zip"))
    flip(stage.path("policy.zip"))
    with pytest.raises(UserError, match="damaged"):
        verified(stage.path("policy.zip"))


@pytest.mark.parametrize("byte", range(0, 700, 7))
def test_any_byte_of_a_manifest_counts(stage, byte):
    content = bytearray(stage.path("manifest.json").read_bytes())
    content[byte % len(content)] ^= 1 << byte % 7
    stage.path("manifest.json").write_bytes(content)
    for name in ("policy.zip", "config.json"):
        with pytest.raises(UserError, match=r"manifest\.json: damaged|config\.json: damaged|policy\.zip: damaged"):
            verified(stage.path(name))


@pytest.mark.parametrize(
    "fact",
    [{"bytes": 3}, {"sha256": "0" * 64}, {"frames": 4}, {"bytes": True}, {"sha256": None}, {"frames": True}],
)
@pytest.mark.parametrize("digested", [False, True])
def test_a_manifest_that_lies(stage, fact, digested):
    listed = read_json(stage.path("manifest.json"))
    listed["artefacts"]["film.mp4"] |= fact
    if digested:
        listed["sha256"] = imitate.keeping.manifest._digest(listed["artefacts"])
    write_json(stage.path("manifest.json"), listed)
    with pytest.raises(UserError, match=r"(manifest\.json|film\.mp4): .*damaged"):
        read_video(stage.path("film.mp4"))


def test_a_manifest_knows_how_many_frames_a_video_has(stage, tmp_path):
    listed = read_json(stage.path("manifest.json"))["artefacts"]
    assert [name for name, facts in listed.items() if "frames" in facts] == ["film.mp4"]
    assert listed_frames(stage.path("film.mp4")) == 5
    for elsewhere in (stage.path("policy.zip"), stage.path("none.mp4"), tmp_path / "film.mp4"):
        assert listed_frames(elsewhere) is None


def test_a_file_that_no_stage_made(stage):
    stage.path("encoder/more.bin").write_bytes(b"x")
    for name in ("encoder", "encoder/more.bin"):
        with pytest.raises(UserError, match=r"more\.bin: not made by this stage"):
            verified(stage.path(name))
    verified(stage.path("encoder/weights.bin"))


def test_what_a_file_manager_leaves_is_no_damage(stage):
    stage.path("encoder/.DS_Store").write_bytes(b"Mac")
    assert verified(stage.path("encoder")) == stage.path("encoder")


def test_an_older_manifest_without_a_digest_of_itself_will_do(stage):
    write_json(stage.path("manifest.json"), {"artefacts": manifest_of(stage.folder)["artefacts"]})
    verified(stage.path("policy.zip"))
    flip(stage.path("policy.zip"))
    with pytest.raises(UserError, match="damaged"):
        verified(stage.path("policy.zip"))


def test_what_is_in_no_finished_stage_is_left_to_its_reader(stage, tmp_path):
    copied = shutil.copytree(stage.path("encoder"), tmp_path / "elsewhere")
    flip(copied / "weights.bin")
    assert verified(copied / "weights.bin") == copied / "weights.bin"
    (tmp_path / "manifest.json").write_text('{"name": "a web page"}')  # another program's
    verified(copied / "weights.bin")
    for name in ("x" * 300, "null\0byte", "no/such/file"):
        verified(tmp_path / name)


def test_by_whatever_name_the_stage_is_found(stage, tmp_path, monkeypatch):
    (tmp_path / "link").symlink_to(stage.path("encoder"))
    monkeypatch.chdir(tmp_path)
    flip(stage.path("encoder/weights.bin"))
    for name in ("link/weights.bin", "run/embed/encoder/weights.bin", "run/../run/embed/encoder"):
        with pytest.raises(UserError, match="damaged"):
            verified(tmp_path.__class__(name))


def test_caches_and_logs_may_change(stage):
    for name in ("cache/frames.npy", "encoder/cache/x", "tensorboard/events"):
        stage.path(name).parent.mkdir(exist_ok=True)
        stage.path(name).write_bytes(b"x")
        verified(stage.path(name))
    verified(stage.path("encoder"))
