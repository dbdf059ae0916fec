import shutil
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from drafts import draft, feature, png
from noise import FRAMES, JOINTS, LAYOUT, write_noise
from torch.optim.lr_scheduler import OneCycleLR

from imitate.data.frame_cache import decoded_frames
from imitate.data.lerobot.dataset import LeRobotDataset
from imitate.data.lerobot.units import Choice
from imitate.data.video.reader import read_video
from imitate.data.video.writer import Compression, write_video
from imitate.embedding.trained_encoder import load_encoder
from imitate.envs.tcn_imitate import TCNImitateEnv
from imitate.errors import UserError
from imitate.keeping.manifest import SNAPSHOT
from imitate.keeping.runs import Stage, read_json, write_json
from imitate.keeping.snapshot import Snapshots
from imitate.pipelines import embed, imitate
from imitate.pipelines.embedding.data import digest_of, videos_of
from imitate.pipelines.embedding.training import optimizer_of

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recorded") / "dataset"
    write_noise(folder)
    return folder


@pytest.fixture
def dataset(recorded, tmp_path):
    return shutil.copytree(recorded, tmp_path / "dataset")


@pytest.fixture
def tiny(dataset, tmp_path):
    return embed.Settings(run=tmp_path / "run", dataset=dataset, epochs=2, videos=4, per_video=2, batch=8)


def test_what_is_trained_is_said_before_anything_is_decoded(tiny, dataset, capsys):
    assert embed.run(tiny).finished
    shutil.rmtree(dataset)
    capsys.readouterr()
    assert embed.run(tiny).finished
    assert capsys.readouterr().out == f"{tiny.run / 'embed'} is trained already\n"


def test_an_encoder_that_has_learned_from_joints_is_not_taken_for_one_that_has_not(tiny):
    stage = embed.run(tiny)
    for preset in ("plain", "paper"):
        with pytest.raises(UserError, match=rf"has learned from joints .*, of the preset {preset}: make one with"):
            embed.find_encoder(tiny.run, None, preset, "cpu")
    assert embed.find_encoder(tiny.run, None, "thorough", "cpu") == stage.path("encoder")


def test_other_settings_are_refused_before_anything_is_decoded(tiny, dataset):
    embed.run(tiny)
    shutil.rmtree(dataset)
    changed = embed.Settings(run=tiny.run, dataset=dataset, epochs=3)
    with pytest.raises(UserError, match="epochs was 2, is now 3"):
        embed.run(changed)


def learning_rates(settings, steps):
    optimizer, scheduler = optimizer_of(settings, [torch.nn.Linear(1, 1)], steps)
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def test_weights_that_break_leave_the_last_good_snapshot(tiny, monkeypatch):
    """Whatever the loss was: the step that broke them is the last, and is not in what the stage would go on with."""
    step, steps = torch.optim.AdamW.step, []

    def broken(self, *args):
        step(self, *args)
        steps.append(self)
        if len(steps) == 3:
            with torch.no_grad():
                self.param_groups[0]["params"][0][0] = float("nan")

    monkeypatch.setattr("imitate.keeping.snapshot.SHARE", float("inf"))  # one each step
    monkeypatch.setattr(torch.optim.AdamW, "step", broken)
    with pytest.raises(UserError, match=r"^the encoder in training: NaN or infinity in .*: lower learning-rate$"):
        embed.run(replace(tiny, epochs=5))
    kept = Snapshots(tiny.run / "embed" / SNAPSHOT, f"{digest_of(LeRobotDataset(tiny.dataset), 'front')} cpu").read()
    assert kept["step"] == 2
    assert all(tensor.isfinite().all() for part in kept["parts"][:2] for tensor in part.values())
    assert len(steps) == 3


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_any_number_of_steps_has_a_learning_rate(optimizer):
    settings = embed.Settings(optimizer=optimizer)
    for steps in range(1, 40):
        rates = learning_rates(settings, steps)
        assert 0 < min(rates) <= max(rates) <= settings.learning_rate * (1 + 1e-9)
        assert steps == 1 or max(rates) > 0.9 * settings.learning_rate


def test_the_default_schedule_is_one_cycle():
    settings = embed.Settings()
    adamw = torch.optim.AdamW([torch.zeros(1, requires_grad=True)])
    cycle = OneCycleLR(adamw, settings.learning_rate, total_steps=settings.epochs, pct_start=0.1)
    expected = []
    for _ in range(settings.epochs):
        expected.append(adamw.param_groups[0]["lr"])
        adamw.step()
        cycle.step()
    assert learning_rates(settings, settings.epochs) == expected


def test_ten_epochs_are_trained(tiny):
    assert embed.run(replace(tiny, epochs=10, per_video=1, batch=4)).finished


def test_a_damaged_dataset_leaves_no_stage(tiny, dataset):
    video = next(dataset.rglob("*.mp4"))
    video.write_bytes(video.read_bytes()[:1000])
    with pytest.raises(UserError, match=r"file-000\.mp4: not a readable video"):
        embed.run(tiny)
    assert not Stage(tiny.run / "embed").folder.exists()


def test_what_a_known_camera_filmed_is_not_scaled(tiny):
    with pytest.raises(UserError, match=r"image_size is 16, .* recorded at 32, .*: record at that size"):
        embed.run(replace(tiny, image_size=16))
    assert not Stage(tiny.run / "embed").folder.exists()
    assert embed.run(replace(tiny, image_size=32)).finished


def make_public(folder, without=("observation.flange",), wide=True):
    """Make a dataset like those that others publish: no cameras, no flange, one split, and wide pictures."""
    path = folder / "meta/info.json"
    info = read_json(path)
    for name in ("cameras", "control"):
        del info[name]
    for name in without:
        del info["features"][name]
    info["splits"] = {"train": f"0:{len(LAYOUT.lengths)}"}
    if wide:
        video = info["features"]["observation.images.front"]
        video |= {"shape": [3, 40, 56], "names": ["channels", "height", "width"]}
        pictures = np.random.default_rng(1).integers(0, 256, (sum(LAYOUT.lengths), 40, 56, 3), np.uint8)
        write_video(next(folder.rglob("*.mp4")), pictures, 20, Compression(28, "yuv420p"))
    write_json(path, info)
    for table in (folder / "data").rglob("*.parquet"):
        pq.write_table(pq.read_table(table).drop_columns(list(without)), table)


def test_a_public_dataset_is_embedded(tiny, dataset, capsys):
    make_public(dataset)
    stage = embed.run(replace(tiny, image_size=32))
    assert f"{dataset} has no validation split: its last 2 training episodes are held out" in capsys.readouterr().out
    metrics = stage.metrics
    assert "retrieval_joint_error_rad" in metrics
    assert not any("_ee" in name for name in metrics)
    assert stage.path("distances.png").is_file()
    encoder = load_encoder(stage.path("encoder"))
    assert (encoder.image_size, encoder.camera.name, encoder.pose_head.joints) == (32, "front", JOINTS)


def test_without_joints_the_plain_network_alone_is_trained(tiny, dataset, capsys):
    make_public(dataset, ("observation.flange", "observation.state"), wide=False)
    with pytest.raises(UserError, match=r"no 'observation\.state'.*--self-regression 0"):
        embed.run(tiny)
    assert not Stage(tiny.run / "embed").folder.exists()
    with pytest.raises(UserError, match=r"no 'observation\.state', of which joints were chosen"):
        embed.run(replace(tiny, self_regression=0.0, degrees=True))
    stage = embed.run(replace(tiny, self_regression=0.0))
    assert not any(name.startswith(("retrieval", "pose")) for name in stage.metrics)
    assert load_encoder(stage.path("encoder")).pose_head is None


def test_frames_that_are_not_square_are_refused(tiny, dataset):
    make_public(dataset)
    with pytest.raises(UserError, match=r"frames of shape \[3, 40, 56\], expected square ones: .*--image-size"):
        embed.run(tiny)
    assert not Stage(tiny.run / "embed").folder.exists()
    assert not list(dataset.rglob("*.npy"))


def test_the_middle_of_the_frames_is_decoded_to_each_size(dataset):
    opened = LeRobotDataset(dataset)
    for size in (16, 24):
        frames = decoded_frames(opened, "front", image_size=size)
        expected = read_video(next(dataset.rglob("*.mp4")), size).frames
        np.testing.assert_array_equal(frames, expected)
    assert decoded_frames(opened, "front").shape[1:] == (32, 32, 3)
    assert len(list(dataset.rglob("*.npy"))) == 3


@pytest.mark.parametrize(("episodes", "held_out"), [(8, 2), (3, 2), (2, None)])
def test_the_last_episodes_are_held_out_where_there_is_no_validation_split(tiny, dataset, episodes, held_out, capsys):
    path = dataset / "meta/info.json"
    write_json(path, read_json(path) | {"splits": {"train": f"0:{episodes}"}})
    if held_out is None:
        with pytest.raises(UserError, match="2 episodes and no validation split, expected at least 3"):
            embed.run(tiny)
        return
    train, validation = videos_of(LeRobotDataset(dataset))
    assert train.starts.tolist() == [FRAMES * k for k in range(episodes - held_out)]
    assert validation.starts.tolist() == [FRAMES * k for k in range(episodes - held_out, episodes)]


def test_nothing_can_be_filmed_for_an_unknown_camera(tiny, dataset, demonstrations):
    make_public(dataset, wide=False)
    encoder = embed.run(tiny).path("encoder")
    line = r"does not say where its camera 'front' stood"
    with pytest.raises(UserError, match=line):
        TCNImitateEnv(encoder, demonstrations)
    for demo in (f"{dataset}:0", str(next(dataset.rglob("*.mp4")))):
        with pytest.raises(UserError, match=line):
            imitate.run(imitate.Settings(run=tiny.run, encoder=encoder, demo=demo))
    assert [path.name for path in tiny.run.iterdir()] == ["embed"]


def in_degrees(folder):
    """The poses of a dataset brought to degrees, its velocities too."""
    for path in (folder / "data").rglob("*.parquet"):
        table = pq.read_table(path)
        state = np.rad2deg(np.stack(table["observation.state"].to_numpy())).astype(np.float32)
        column = table.column_names.index("observation.state")
        pq.write_table(table.set_column(column, "observation.state", pa.array(list(state))), path)


def test_a_state_in_degrees_is_refused_before_anything_is_decoded(tiny, dataset):
    in_degrees(dataset)
    with pytest.raises(
        UserError, match=r"observation\.state: joint_0 \(.*joint_6 \(.*\) can't be angles in rad: .*--degrees"
    ):
        embed.run(tiny)
    assert not Stage(tiny.run / "embed").folder.exists()
    assert not list(dataset.rglob("*.npy"))


def test_degrees_train_the_same_network_as_rad(tiny, dataset, tmp_path):
    as_rad = embed.run(tiny)
    joints = LeRobotDataset(dataset).joints()
    in_degrees(dataset)
    as_degrees = embed.run(replace(tiny, name="degrees", degrees=True))
    np.testing.assert_allclose(LeRobotDataset(dataset, Choice(degrees=True)).joints(), joints, atol=1e-6)
    # Degrees in float32 are the same angles to the last digits only, and the optimiser's first steps are as large for a
    # gradient of almost nothing: in float32 the networks differ a little. In another unit they would by far.
    for name in ("pose_spearman_joint", "retrieval_joint_error_rad", "final_loss"):
        assert as_degrees.metrics[name] == pytest.approx(as_rad.metrics[name], rel=0.02, abs=0.02)
    assert as_degrees.settings["degrees"] is True
    with pytest.raises(UserError, match="degrees was True, is now False"):
        embed.run(replace(tiny, name="degrees"))


def test_without_self_regression_poses_in_no_unit_are_not_measured(tiny, dataset, capsys):
    in_degrees(dataset)
    metrics = embed.run(replace(tiny, self_regression=0.0)).metrics
    assert "what is measured by them is left out" in capsys.readouterr().out
    assert not any("joint" in name for name in metrics)
    assert "pose_spearman_ee" in metrics
    with pytest.raises(UserError, match="can't be angles in rad"):  # who chooses some means them
        embed.run(replace(tiny, name="chosen", self_regression=0.0, joints=("joint_1",)))


def test_chosen_joints_are_kept_with_the_stage(tiny, dataset, capsys):
    make_public(dataset, wide=False)
    stage = embed.run(replace(tiny, joints=("joint_2", "joint_0")))
    assert load_encoder(stage.path("encoder")).pose_head.joints == 2
    assert stage.settings["joints"] == ["joint_2", "joint_0"]
    said = capsys.readouterr().out
    assert f"{dataset}: joint angles of observation.state: joint_2, joint_0; left out: joint_1, joint_3, " in said
    assert embed.run(replace(tiny, joints=("joint_2", "joint_0"))).finished
    with pytest.raises(UserError, match="joints was "):
        embed.run(replace(tiny, joints=("joint_0", "joint_2")))


def test_the_cache_may_lie_elsewhere(tiny, dataset, tmp_path):
    stage = embed.run(replace(tiny, cache=tmp_path / "kept"))
    assert len(list((tmp_path / "kept").glob("*.npy"))) == 1
    assert not (dataset / "cache").exists()
    assert "cache" not in stage.settings
    assert embed.run(tiny).finished  # where frames lie changes nothing


def test_images_in_the_table_and_a_state_of_one_are_embedded(tmp_path):
    lengths = (24,) * 4
    made = draft(lengths, keys=(), states=1)
    pictures = np.random.default_rng(0).integers(0, 256, (sum(lengths), 24, 32, 3), np.uint8)
    made.info["features"]["observation.image"] = feature("image", (24, 32, 3))
    made.tables[0, 0] |= {
        "observation.image": pa.array([png(array) for array in pictures]),
        "observation.state": np.sin(np.arange(sum(lengths)) / 5),
    }
    settings = embed.Settings(
        run=tmp_path / "run", dataset=made.save(tmp_path / "dataset"), cache=tmp_path / "cache", image_size=32,
        epochs=2, videos=2, per_video=2, batch=4, negative=10,
    )  # fmt: skip
    stage = embed.run(settings)
    encoder = load_encoder(stage.path("encoder"))
    assert (encoder.camera.name, encoder.pose_head.joints) == ("image", 1)
    assert "pose_spearman_joint" in stage.metrics
