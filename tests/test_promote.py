import os
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch

from imitate.data.domain import Domain
from imitate.data.lerobot.dataset import LeRobotDataset
from imitate.embedding.encoders import build_encoder
from imitate.embedding.pose_head import PoseHead
from imitate.embedding.sequence_head import SequenceHead
from imitate.embedding.trained_encoder import TrainedEncoder, load_encoder
from imitate.envs.cameras import CAMERAS
from imitate.errors import UserError
from imitate.keeping.manifest import manifest_of, verified
from imitate.keeping.runs import Stage, kept_settings, read_json, write_json
from imitate.pipelines import imitate, promote
from imitate.pipelines.shared.policy import learned_with


@pytest.fixture(scope="module")
def original(unlearned, tmp_path_factory):
    """A run that has recorded two test episodes, and imitated both."""
    run = shutil.copytree(unlearned, tmp_path_factory.mktemp("promote") / "run")
    for number, name in enumerate(("imitate", "imitate-test-1")):
        learned = Stage(run / name)
        learned.begin({"demo": f"test:{number}"})
        learned.path("side_by_side.gif").write_text(name)
        learned.finish({})
    learned = Stage(run / "imitate-any")
    learned.begin(kept_settings(imitate.Settings(run=run, episodes=1)))
    learned.path("policy.zip").write_bytes(b"policy")
    learned.path("side_by_side.gif").write_text("its film")
    learned.finish({"ee_error_m": 0.01})
    return run


@pytest.fixture
def run(original, tmp_path):
    return shutil.copytree(original, tmp_path / "run")


@pytest.fixture
def assets(tmp_path, monkeypatch):
    """What was promoted before."""
    folder = tmp_path / "assets"
    (tmp_path / "setup.cfg").touch()
    for name in ("encoder/encoder.json", "demonstration/meta/old.json", "imitation.gif", "kuka/arm.urdf"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("old")
    monkeypatch.setattr(promote, "ASSETS", folder)
    return folder


def interrupted(*args):
    raise KeyboardInterrupt


def contents(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_what_is_installed_stays_as_it_is(run, assets, tmp_path):
    (tmp_path / "setup.cfg").unlink()
    before = contents(assets)
    with pytest.raises(UserError, match="promote is for a checkout"):
        promote.run(promote.Settings(run=run))
    assert contents(assets) == before


@pytest.mark.parametrize(("episode", "film"), [(0, "imitate"), (1, "imitate-test-1")])
def test_encoder_demonstration_and_picture_are_replaced(run, assets, encoder, episode, film):
    promote.run(promote.Settings(run=run, episode=episode))
    recorded, promoted = LeRobotDataset(run / "record/dataset"), LeRobotDataset(assets / "demonstration")
    truth, shown = recorded.demonstration(recorded.split("test")[episode]), promoted.demonstration(0)
    np.testing.assert_array_equal(shown.joints, truth.joints)
    assert np.abs(shown.frames.astype(int) - truth.frames).max() <= 3  # the way from RGB to YUV and back
    np.testing.assert_array_equal(load_encoder(assets / "encoder").embed(truth.frames), encoder.embed(truth.frames))
    assert (assets / "imitation.gif").read_text() == film
    names = ["demonstration", "encoder", "imitation.gif", "kuka", "policy"]
    assert sorted(path.name for path in assets.iterdir()) == names
    policy = Stage(assets / "policy")
    assert {path.name for path in policy.folder.iterdir()} == {
        "config.json", "manifest.json", "metrics.json", "policy.zip"
    }  # fmt: skip
    assert verified(policy.path("policy.zip")).read_bytes() == b"policy"
    assert policy.metrics == {"ee_error_m": 0.01}
    assert learned_with(policy).following.observe_pose
    assert not (assets / "demonstration/meta/old.json").exists()


def learned_with_another_encoder(folder):
    config = read_json(folder / "config.json")
    remade(folder, {"settings": config["settings"] | {"encoder": "runs/other/embed/encoder"}})


def remade(folder, config):
    """As if the stage had been made with another configuration."""
    write_json(folder / "config.json", config)
    write_json(folder / "manifest.json", manifest_of(folder))


@pytest.mark.parametrize(
    ("damage", "episode", "message"),
    [
        (lambda run: None, 2, r"imitate-test-2: test:2 has not been imitated there"),
        (lambda run: (run / "imitate/manifest.json").unlink(), 0, r"imitate: test:0 has not been imitated there"),
        (
            lambda run: learned_with_another_encoder(run / "imitate"),
            0,
            "test:0 has not been imitated there with the run",
        ),
        (lambda run: remade(run / "imitate", {}), 0, "test:0 has not been imitated there"),
        (lambda run: shutil.copytree(run / "imitate", run / "imitate-test-5"), 5, "test:5 has not been imitated"),
        (lambda run: shutil.rmtree(run / "imitate-any"), 0, "imitate-any: no finished policy there"),
        (lambda run: (run / "imitate-any/policy.zip").write_bytes(b""), 0, r"policy\.zip: damaged"),
        (lambda run: learned_with_another_encoder(run / "imitate-any"), 0, "learned with another encoder than"),
        (lambda run: next(run.rglob("*.mp4")).write_bytes(b""), 0, r"file-000\.mp4: damaged"),
        (lambda run: (run / "imitate/side_by_side.gif").write_bytes(b""), 0, r"side_by_side\.gif: damaged"),
        (lambda run: (run / "embed/encoder/encoder.safetensors").unlink(), 0, r"safetensors: damaged \(missing\)"),
    ],
)
def test_nothing_is_replaced_by_half(run, assets, damage, episode, message):
    damage(run)
    before = contents(assets)
    with pytest.raises(UserError, match=message):
        promote.run(promote.Settings(run=run, episode=episode))
    assert contents(assets) == before


def test_an_episode_that_is_none_is_refused(run, assets):
    learned = Stage(run / "imitate-test-7")
    learned.begin({"demo": "test:7"})
    learned.finish({})
    with pytest.raises(UserError, match="episode is 7, expected a test episode, 0 to 1"):
        promote.run(promote.Settings(run=run, episode=7))


@pytest.mark.slow
@pytest.mark.parametrize("moment", range(7))
def test_what_a_killed_process_left_is_mended(run, assets, moment, monkeypatch):
    """It dies at each of the renames in turn: no asset is gone that the next one does not bring back."""

    class Killed(BaseException):
        pass

    renames = []

    def rename(path, target):
        if len(renames) == moment:
            raise Killed
        renames.append(path.name)
        os.rename(path, target)

    class Left(TemporaryDirectory):
        def __exit__(self, *args):
            self._finalizer.detach()  # as after SIGKILL

    before = contents(assets)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", rename)
        patched.setattr(promote, "TemporaryDirectory", Left)
        with pytest.raises(Killed):
            promote.run(promote.Settings(run=run))
    with monkeypatch.context() as patched:
        patched.setattr(promote, "write_meta", interrupted)  # the next one does not get far
        with pytest.raises(KeyboardInterrupt):
            promote.run(promote.Settings(run=run))
    assert {path.partition("/")[0] for path in contents(assets)} >= {path.partition("/")[0] for path in before}
    assert not list(assets.glob(".*"))
    promote.run(promote.Settings(run=run))
    assert not (assets / "demonstration/meta/old.json").exists()


def test_an_interruption_replaces_nothing(run, assets, monkeypatch):
    before = contents(assets)
    monkeypatch.setattr(promote, "write_meta", interrupted)
    with pytest.raises(KeyboardInterrupt):
        promote.run(promote.Settings(run=run))
    assert contents(assets) == before


def test_the_encoder_for_the_open_world_is_promoted_alone(assets, tmp_path, run):
    module = build_encoder("residual", 32, 32, 11)
    blind = TrainedEncoder("residual", module, 32, 32, CAMERAS["front"], PoseHead(32, 7), domain=Domain())
    blind.to(torch.device("cpu")).save(tmp_path / "open/embed/encoder")
    before = contents(assets)
    promote.run(promote.Settings(run=tmp_path / "open", open_world=True))
    after = contents(assets)
    assert {name: text for name, text in after.items() if not name.startswith("open/")} == before
    promoted = load_encoder(assets / "open")
    assert promoted.domain == Domain()
    frames = np.random.default_rng(0).integers(0, 255, (4, 32, 32, 3), np.uint8)
    np.testing.assert_allclose(promoted.embed(frames), blind.embed(frames), atol=0.3)  # of norm 10
    size = (tmp_path / "open/embed/encoder/encoder.safetensors").stat().st_size
    assert (assets / "open/encoder.safetensors").stat().st_size < 0.6 * size
    with pytest.raises(UserError, match="its encoder knows one scene, expected one of the preset open"):
        promote.run(promote.Settings(run=run, open_world=True))
    blind.sequence_head = SequenceHead(32, 11, 7, 8)
    blind.save(tmp_path / "open/sequence/encoder")
    promote.run(promote.Settings(run=tmp_path / "open", name="sequence", open_world=True))
    assert load_encoder(assets / "open").sequence_head.width == 8
    with pytest.raises(UserError, match="name is sequence, expected embed: with that encoder"):
        promote.run(promote.Settings(run=run, name="sequence"))
