import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from noise import noise

import imitate.data.lerobot.images
import imitate.data.lerobot.writer
from imitate.data.camera import Camera
from imitate.data.frame_cache import decoded_frames
from imitate.data.lerobot.dataset import LeRobotDataset
from imitate.data.lerobot.writer import Layout, write_file, write_meta
from imitate.data.video.reader import read_video
from imitate.data.video.writer import Compression, write_video
from imitate.envs.film import columns_of
from imitate.errors import UserError
from imitate.keeping.manifest import facts_of
from imitate.keeping.runs import Stage, read_json, write_json

CAMERAS = (
    Camera("front", (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)),
    Camera("side", (0.0, 2.0, 1.0), (0.0, 0.0, 0.0)),
)
LENGTHS = (5, 4, 6, 3, 7)
LAYOUT = Layout(
    cameras=CAMERAS,
    image_size=32,
    columns=columns_of(("shoulder", "elbow")),
    fps=20,
    robot="toy",
    control="velocity",
    lengths=LENGTHS,
    splits={"train": 2, "validation": 1, "test": 2},
    compression=Compression(0, "yuv444p"),
    episodes_a_file=2,
)
LEVELS = 3  # what the way from RGB to YUV and back may change
SIDE = "videos/observation.images.side/chunk-000/file-001.mp4"
DATA = "data/chunk-000/file-001.parquet"
EPISODES = "meta/episodes/chunk-000/file-000.parquet"


TRUTH = [noise(LAYOUT, length, np.random.default_rng(seed)) for seed, length in enumerate(LENGTHS)]


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dataset")
    for file in range(LAYOUT.files):
        made = write_file(folder, LAYOUT, file, [TRUTH[e] for e in LAYOUT.episodes_of(file)])
        assert all(path.is_file() for path in made)
    write_meta(folder, LAYOUT)
    return folder


@pytest.fixture
def folder(original, tmp_path):
    return shutil.copytree(original, tmp_path / "dataset")


def rewrite_info(folder, **changes):
    write_json(folder / "meta/info.json", read_json(folder / "meta/info.json") | changes)


def test_lengths_and_splits(original):
    dataset = LeRobotDataset(original)
    assert len(dataset) == len(LENGTHS)
    assert dataset.lengths.tolist() == list(LENGTHS)
    assert dataset.starts.tolist() == [0, 5, 9, 15, 18, 25]
    assert [dataset.split(name) for name in LAYOUT.splits] == [range(0, 2), range(2, 3), range(3, 5)]
    assert [dataset.camera(), dataset.camera("side")] == list(CAMERAS)


def joints_of(episode):
    return episode.columns["observation.state"][:, :2]


def test_numbers_come_back_exactly(original):
    dataset = LeRobotDataset(original)
    np.testing.assert_array_equal(dataset.joints(), np.concatenate([joints_of(e) for e in TRUTH]))
    for name in LAYOUT.columns:
        np.testing.assert_array_equal(dataset.column(name), np.concatenate([e.columns[name] for e in TRUTH]))
    np.testing.assert_array_equal(dataset.joints([3, 1]), np.concatenate([joints_of(TRUTH[3]), joints_of(TRUTH[1])]))


@pytest.mark.parametrize("camera", ["front", "side"])
@pytest.mark.parametrize("number", range(len(LENGTHS)))
def test_a_demonstration_is_its_episode(original, number, camera):
    demonstration = LeRobotDataset(original).demonstration(number, camera)
    truth = TRUTH[number].frames[camera]
    assert demonstration.frames.shape == truth.shape
    assert np.abs(demonstration.frames.astype(int) - truth).max() <= LEVELS
    np.testing.assert_array_equal(demonstration.joints, joints_of(TRUTH[number]))


def test_several_demonstrations_are_those_one_by_one_and_a_video_is_decoded_once(original, monkeypatch):
    dataset, read = LeRobotDataset(original), []
    alone = {number: dataset.demonstration(number) for number in (3, 0, 1)}

    def counted(path, *args):
        read.append(path)
        return read_video(path, *args)

    monkeypatch.setattr(imitate.data.lerobot.images, "read_video", counted)
    for number, together in zip(alone, dataset.demonstrations([3, 0, 1]), strict=True):
        assert together.name == alone[number].name
        np.testing.assert_array_equal(together.frames, alone[number].frames)
        np.testing.assert_array_equal(together.joints, alone[number].joints)
    assert len(read) == len(set(read)) == 2


def test_decoded_frames_are_those_of_the_demonstrations_and_decoded_once(folder, monkeypatch):
    dataset, told = LeRobotDataset(folder), []
    for camera in ("front", "side"):
        frames = decoded_frames(dataset, camera, told.append)
        for number in range(len(dataset)):
            part = frames[dataset.starts[number] : dataset.starts[number + 1]]
            np.testing.assert_array_equal(part, dataset.demonstration(number, camera).frames)
    assert sum(told) == 2 * sum(LENGTHS)

    def refuse(*args):
        raise AssertionError("decoded again")

    monkeypatch.setattr(imitate.data.lerobot.images, "read_video", refuse)
    np.testing.assert_array_equal(decoded_frames(LeRobotDataset(folder), "side"), frames)
    write_video(folder / SIDE, np.zeros((9, 32, 32, 3), np.uint8), 20, LAYOUT.compression)
    with pytest.raises(AssertionError, match="decoded again"):  # another video is no longer what is kept
        decoded_frames(dataset, "side")


def test_info_is_of_the_format(original):
    info = json.loads((original / "meta/info.json").read_text())
    assert info["codebase_version"] == "v3.0"
    assert info["total_episodes"] == len(LENGTHS)
    assert info["total_frames"] == sum(LENGTHS)
    assert info["total_tasks"] == 1
    assert info["fps"] == 20
    assert info["robot_type"] == "toy"
    assert info["splits"] == {"train": "0:2", "validation": "2:3", "test": "3:5"}
    assert {"chunks_size", "data_files_size_in_mb", "video_files_size_in_mb"} <= set(info)
    place = {"chunk_index": 0, "file_index": 1}
    assert info["data_path"].format(**place) == DATA
    assert info["video_path"].format(video_key="observation.images.side", **place) == SIDE
    columns = set(pq.read_schema(original / DATA).names)
    videos = {key for key, feature in info["features"].items() if feature["dtype"] == "video"}
    assert videos == {"observation.images.front", "observation.images.side"}
    assert set(info["features"]) == columns | videos
    assert info["features"]["observation.images.side"]["shape"] == [32, 32, 3]


def test_frames_are_numbered(original):
    rows = pa.concat_tables(pq.read_table(p) for p in sorted((original / "data").rglob("*.parquet"))).to_pydict()
    assert rows["index"] == list(range(sum(LENGTHS)))
    assert rows["episode_index"] == np.repeat(range(len(LENGTHS)), LENGTHS).tolist()
    assert rows["frame_index"] == [k for length in LENGTHS for k in range(length)]
    np.testing.assert_allclose(rows["timestamp"], np.array(rows["frame_index"]) / 20, atol=1e-6)
    assert set(rows["task_index"]) == {0}


def test_tasks_are_looked_up_by_the_pandas_index(original):
    table = pq.read_table(original / "meta/tasks.parquet")
    assert json.loads(table.schema.metadata[b"pandas"])["index_columns"] == ["task"]
    assert table.to_pydict() == {"task_index": [0], "task": ["babble"]}


def test_episodes_say_where_they_stand(original):
    rows = pq.read_table(original / EPISODES).to_pylist()
    starts = LAYOUT.starts.tolist()
    for number, row in enumerate(rows):
        first = starts[number - number % 2]  # of the file
        assert row["episode_index"] == number
        assert row["tasks"] == ["babble"]
        assert row["length"] == LENGTHS[number]
        assert (row["dataset_from_index"], row["dataset_to_index"]) == (starts[number], starts[number + 1])
        assert (row["meta/episodes/chunk_index"], row["meta/episodes/file_index"]) == (0, 0)
        for prefix in ("data", "videos/observation.images.front", "videos/observation.images.side"):
            assert (row[f"{prefix}/chunk_index"], row[f"{prefix}/file_index"]) == (0, number // 2)
            if prefix != "data":
                assert row[f"{prefix}/from_timestamp"] == pytest.approx((starts[number] - first) / 20)
                assert row[f"{prefix}/to_timestamp"] == pytest.approx((starts[number + 1] - first) / 20)


def test_statistics_are_those_of_the_rows(original):
    stats = read_json(original / "meta/stats.json")["observation.flange"]
    flange = np.concatenate([e.columns["observation.flange"] for e in TRUTH]).astype(np.float64)
    assert stats["count"] == [sum(LENGTHS)]
    for name in ("min", "max", "mean", "std"):
        np.testing.assert_allclose(stats[name], getattr(flange, name)(axis=0), rtol=1e-6)


@pytest.mark.parametrize("most", [100, 4])
def test_statistics_of_the_colours_are_those_of_the_first_file(folder, monkeypatch, most):
    monkeypatch.setattr(imitate.data.lerobot.writer, "STATS_FRAMES", most)
    write_meta(folder, LAYOUT)
    stats = read_json(folder / "meta/stats.json")["observation.images.side"]
    frames = np.concatenate([TRUTH[e].frames["side"] for e in LAYOUT.episodes_of(0)])
    shown = frames if most == 100 else frames[::3]
    assert stats["count"] == [len(shown)]
    assert len(shown) <= most
    for name in ("min", "max", "mean", "std"):
        assert np.shape(stats[name]) == (3, 1, 1)
        expected = getattr(shown.reshape(-1, 3) / 255, name)(axis=0)
        np.testing.assert_allclose(np.ravel(stats[name]), expected, atol=LEVELS / 255)


def test_a_missing_video_is_named(folder):
    (folder / SIDE).unlink()
    dataset = LeRobotDataset(folder)
    with pytest.raises(UserError, match=r"side/.*file-001\.mp4: no such video file"):
        dataset.demonstration(2, "side")
    with pytest.raises(UserError, match=r"side/.*file-001\.mp4: no such file"):
        decoded_frames(dataset, "side")
    dataset.demonstration(2, "front")


def test_frames_that_a_manifest_makes_up_show_when_the_dataset_is_opened(original, tmp_path):
    stage = Stage(tmp_path / "record")
    stage.begin({})
    shutil.copytree(original, stage.path("dataset"), ignore=shutil.ignore_patterns("cache"))
    stage.finish({})
    assert len(LeRobotDataset(stage.path("dataset"))) == len(LENGTHS)
    listed = read_json(stage.path("manifest.json"))["artefacts"]
    listed[f"dataset/{SIDE}"]["frames"] -= 1
    write_json(stage.path("manifest.json"), {"artefacts": listed})
    with pytest.raises(
        UserError, match=r"side/.*file-001\.mp4: 8 frames by manifest\.json, expected 9: record it again"
    ):
        LeRobotDataset(stage.path("dataset"))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:1000]), "not a readable video"),
        (lambda path: path.write_bytes(b""), "an empty file, expected a video"),
        (lambda path: write_video(path, TRUTH[0].frames["side"], 20, LAYOUT.compression), "no frame at 0.250 s"),
    ],
    ids=["truncated", "empty", "too short"],
)
def test_a_damaged_video_is_named(folder, damage, message):
    damage(folder / SIDE)
    dataset = LeRobotDataset(folder)
    with pytest.raises(UserError, match=rf"file-001\.mp4: .*{message}"):
        dataset.demonstration(2, "side")
    with pytest.raises(UserError, match=rf"file-001\.mp4: .*{message}"):
        decoded_frames(dataset, "side")
    assert not list(folder.rglob("*.npy"))
    dataset.demonstration(0, "side")


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_bytes(path.read_bytes()[:300])])
def test_a_damaged_table_is_named(folder, damage):
    damage(folder / DATA)
    dataset = LeRobotDataset(folder)
    with pytest.raises(UserError, match=r"file-001\.parquet: damaged"):
        dataset.joints()
    with pytest.raises(UserError, match=r"file-001\.parquet: damaged"):
        dataset.demonstration(2)
    assert len(dataset.joints([0])) == LENGTHS[0]


def test_missing_rows_and_columns_are_named(folder):
    dataset = LeRobotDataset(folder)
    with pytest.raises(UserError, match=r"without 'observation\.effort'"):
        dataset.column("observation.effort")
    table = pq.read_table(folder / DATA)
    pq.write_table(table.slice(1), folder / DATA)
    with pytest.raises(UserError, match=r"file-001\.parquet: damaged: 5 rows of episode 2, expected 6"):
        dataset.joints()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (shutil.rmtree, "no such dataset folder"),
        (lambda folder: (folder / "meta/info.json").unlink(), r"info\.json: no such file"),
        (lambda folder: (folder / "meta/info.json").write_text("{"), "not a readable JSON"),
        (
            lambda folder: (folder / "meta/info.json").write_text("[]"),
            "damaged, or no LeRobotDataset: codebase_version .* is None, expected 'v3.0'",
        ),
        (lambda folder: rewrite_info(folder, codebase_version="v2.1"), "another version, 'v2.1', expected 'v3.0'"),
        (
            lambda folder: rewrite_info(folder, features={}),
            "not supported: no camera's pictures among its features: there are none",
        ),
        (lambda folder: rewrite_info(folder, features=None), "damaged: features"),
        (lambda folder: rewrite_info(folder, splits=None), "splits are None, expected a dict"),
        (lambda folder: rewrite_info(folder, cameras={}), "cameras are {}, expected a list"),
        (lambda folder: shutil.rmtree(folder / "meta/episodes"), "damaged: meta/episodes"),
        (lambda folder: (folder / EPISODES).write_bytes(b"no table"), "damaged: meta/episodes"),
        (
            lambda folder: pq.write_table(pq.read_table(folder / EPISODES).slice(0, 0), folder / EPISODES),
            "an empty dataset",
        ),
    ],
)
def test_what_is_no_dataset_is_refused(folder, damage, message):
    damage(folder)
    with pytest.raises(UserError, match=message):
        LeRobotDataset(folder)


@pytest.mark.parametrize("name", ["data_path", "video_path"])
@pytest.mark.parametrize(
    "template",
    [
        "{chunk_index:0999999999d}.parquet",
        "{chunk_index.__class__}",
        "{}",
        "{0}",
        "{chunk_index",
        "",
        "{other}",
        3,
        None,
    ],
)
def test_a_path_that_is_no_template_is_refused(folder, name, template):
    rewrite_info(folder, **{name: template})
    with pytest.raises(UserError, match=f"damaged: {name} is"):
        LeRobotDataset(folder)


@pytest.mark.parametrize("length", [0, -1, -(2**62)])
def test_an_episode_of_no_frames_is_refused(folder, length):
    table = pq.read_table(folder / EPISODES)
    lengths = table["length"].to_pylist()
    lengths[1] = length
    pq.write_table(table.set_column(table.column_names.index("length"), "length", pa.array(lengths)), folder / EPISODES)
    with pytest.raises(UserError, match=f"an episode of {length} frames"):
        LeRobotDataset(folder)


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        (10**5, r"file-000\.mp4: damaged: episode 1 .* too short for its 100000 frames"),
        (10**9, "frames 1000000000, expected"),
        (10**15, "frames 10"),
    ],
)
def test_an_episode_of_very_many_frames_is_refused(folder, frames, message):
    table = pq.read_table(folder / EPISODES)
    lengths = table["length"].to_pylist()
    lengths[1] = frames
    pq.write_table(table.set_column(table.column_names.index("length"), "length", pa.array(lengths)), folder / EPISODES)
    with pytest.raises(UserError, match=message):
        decoded_frames(LeRobotDataset(folder), "side")
    assert not list(folder.glob("cache/[!.]*"))


def damaged(cache):
    (path,) = cache.glob("*.npy")
    content = bytearray(path.read_bytes())
    content[-5] ^= 4
    path.write_bytes(content)


def of_another_shape(cache):
    (path,) = cache.glob("*.npy")
    np.save(path, np.zeros((3, 32, 32, 3), np.uint8))
    write_json(path.with_suffix(".json"), facts_of(path))


def zipped(cache):
    (path,) = cache.glob("*.npy")
    np.savez(path.with_suffix(".npz"), np.zeros(3))
    path.with_suffix(".npz").rename(path)
    write_json(path.with_suffix(".json"), facts_of(path))


def pickled(cache):
    (path,) = cache.glob("*.npy")
    np.save(path, np.array([lambda: None].__class__, dtype=object), allow_pickle=True)
    write_json(path.with_suffix(".json"), facts_of(path))


@pytest.mark.parametrize(
    "damage",
    [
        damaged,
        of_another_shape,
        zipped,
        pickled,
        lambda cache: next(cache.glob("*.npy")).write_bytes(b""),
        lambda cache: next(cache.glob("*.json")).write_text("{"),
        lambda cache: next(cache.glob("*.json")).write_text("[]"),
        lambda cache: next(cache.glob("*.json")).write_text("{}"),
        lambda cache: next(cache.glob("*.json")).unlink(),
    ],
)
def test_damaged_frames_are_decoded_again(folder, capsys, damage):
    dataset = LeRobotDataset(folder)
    expected = np.array(decoded_frames(dataset, "side"))
    damage(folder / "cache")
    told = []
    np.testing.assert_array_equal(decoded_frames(dataset, "side", told.append), expected)
    assert sum(told) == len(expected)
    np.testing.assert_array_equal(decoded_frames(dataset, "side", told.append), expected)
    assert sum(told) == len(expected)  # not a third time
    assert len(capsys.readouterr().err.splitlines()) <= 1


def test_an_empty_folder_is_no_dataset(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        LeRobotDataset(tmp_path)


def test_unknown_names_list_the_choices(original):
    dataset = LeRobotDataset(original)
    with pytest.raises(UserError, match="no split 'dev': choose one of test, train, validation"):
        dataset.split("dev")
    with pytest.raises(UserError, match="no camera 'top': choose one of front, side"):
        dataset.demonstration(0, "top")
    for number in (-1, len(LENGTHS)):
        with pytest.raises(UserError, match=f"no episode {number}, expected 0 to 4"):
            dataset.demonstration(number)


@pytest.mark.parametrize("splits", [None, {}])
def test_a_dataset_without_splits_says_so(folder, splits):
    info = read_json(folder / "meta/info.json")
    info.pop("splits")
    write_json(folder / "meta/info.json", info if splits is None else info | {"splits": splits})
    with pytest.raises(UserError, match=r"no splits in meta/info\.json, expected 'test' there"):
        LeRobotDataset(folder).split("test")


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (lambda k: "x", "each row is a string, expected a number or a list of numbers"),
        (lambda k: None if k else 0.5, "numbers are missing"),
        (lambda k: [None if k else 0.5], "numbers are missing"),
        (lambda k: [0.5] * (1 + k % 2), "its lists are of different lengths"),
        (lambda k: [0.5] * (1 + 2 * (k % 2)), "its lists are of different lengths"),
        (lambda k: [0.5] if k else None, "its lists are of different lengths"),
        (lambda k: [["x"]], r"\("),
        (lambda k: ["x"], "each row is a string"),
        (lambda k: {"x": 0.5}, "list_value_length"),
    ],
    ids=["text", "missing scalar", "missing entry", "ragged", "ragged by two", "missing", "nested", "texts", "struct"],
)
def test_a_state_that_is_no_vector_is_named(folder, state, message):
    table = pq.read_table(folder / DATA)
    column = table.column_names.index("observation.state")
    states = pa.array([state(k) for k in range(len(table))])
    pq.write_table(table.set_column(column, "observation.state", states), folder / DATA)
    for read in (LeRobotDataset(folder).joints, lambda: LeRobotDataset(folder).demonstration(2)):
        with pytest.raises(
            UserError, match=rf"file-001\.parquet: damaged, .*'observation\.state'.*{message}"
        ) as raised:
            read()
        assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize("shape", [None, "wide", [], [32], [3, 32], ["a", "a", 3], [3, 40, 56], [40, 56, 3]])
def test_a_shape_that_is_not_square_is_named(folder, shape):
    info = read_json(folder / "meta/info.json")
    feature = info["features"]["observation.images.side"]
    if shape is None:
        del feature["shape"]
    else:
        feature["shape"] = shape
    write_json(folder / "meta/info.json", info)
    with pytest.raises(UserError, match=r"frames of shape .*, expected square ones: .*--image-size"):
        LeRobotDataset(folder).image_size("side")


@pytest.mark.parametrize("split", ["2:2", "3:9", "all", "1:2:3", [0, 2], None])
def test_a_split_that_is_none_is_refused(folder, split):
    rewrite_info(folder, splits={"train": split})
    with pytest.raises(UserError, match="split 'train'"):
        LeRobotDataset(folder).split("train")


def test_cameras_of_other_origin_go_by_the_names_of_their_videos(folder):
    """LeRobot's own datasets say nothing of cameras, and some call their only one ``observation.image``."""
    info = read_json(folder / "meta/info.json")
    del info["cameras"]
    features = info["features"]
    features["observation.image"] = features.pop("observation.images.front")
    del features["observation.images.side"]
    write_json(folder / "meta/info.json", info)
    table = pq.read_table(folder / EPISODES)
    names = [name.replace("observation.images.front", "observation.image") for name in table.column_names]
    pq.write_table(table.rename_columns(names), folder / EPISODES)
    (folder / "videos/observation.images.front").rename(folder / "videos/observation.image")
    dataset = LeRobotDataset(folder)
    frames = dataset.demonstration(2).frames
    assert np.abs(frames.astype(int) - TRUTH[2].frames["front"]).max() <= LEVELS
    np.testing.assert_array_equal(decoded_frames(dataset, dataset.camera().name)[9:15], frames)


@pytest.mark.parametrize("names", [None, {"motors": ["a", "b", "c", "d"]}, ["a", "b"]])
def test_a_state_of_other_origin_is_joints_throughout(folder, names):
    info = read_json(folder / "meta/info.json")
    info["features"]["observation.state"]["names"] = names
    write_json(folder / "meta/info.json", info)
    dataset = LeRobotDataset(folder)
    np.testing.assert_array_equal(dataset.joints(), dataset.column("observation.state"))


def test_a_dataset_without_state_gives_bare_videos(folder):
    info = read_json(folder / "meta/info.json")
    del info["features"]["observation.state"]
    write_json(folder / "meta/info.json", info)
    assert LeRobotDataset(folder).demonstration(0).joints is None


@pytest.mark.parametrize("shape", [[3, 32, 32], [32, 32, 3]])
def test_channels_stand_first_or_last(folder, shape):
    info = read_json(folder / "meta/info.json")
    info["features"]["observation.images.side"]["shape"] = shape
    write_json(folder / "meta/info.json", info)
    assert LeRobotDataset(folder).image_size("side") == 32


def test_a_camera_without_videos_is_named(folder):
    top = Camera("top", (0.0, 0.0, 3.0), (0.0, 0.0, 0.0))
    rewrite_info(folder, cameras=[top.to_json()])
    with pytest.raises(UserError, match="top"):
        LeRobotDataset(folder).demonstration(0)
    with pytest.raises(UserError, match="top"):
        decoded_frames(LeRobotDataset(folder), "top")
