"""Datasets as people have them, made anew: what stands where, what is a picture, and what is refused."""

import io
from fractions import Fraction

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from drafts import LENGTHS, SIDE, UP, draft, feature, numbers_in, picture, png, shown
from PIL import Image

import imitate.data.lerobot.images
from imitate.data.frame_cache import decoded_frames
from imitate.data.lerobot.dataset import LeRobotDataset
from imitate.data.video.reader import read_video
from imitate.data.video.writer import Compression, write_video
from imitate.errors import UserError

COUNT = sum(LENGTHS)
TABLE = (0, 0)
IMAGE = "observation.image"


def opened(made, tmp_path):
    return LeRobotDataset(made.save(tmp_path / "dataset"))


def test_a_plain_one_is_read(tmp_path):
    assert shown(opened(draft(), tmp_path)) == list(range(COUNT))


def test_frames_of_discarded_takes_are_left_over(tmp_path):
    made = draft()
    made.videos[UP, 0, 0] = ([*range(100, 103), *range(5), 200, 201, *range(5, 9), *range(9, 15), 300], 20)
    for episode, start in enumerate((3, 10, 14)):
        made.stand(episode, start)
    made.stand(0, 3, 10)  # as lerobot says it: up to where the next begins
    assert shown(opened(made, tmp_path)) == list(range(COUNT))


def test_as_many_frames_as_are_counted_but_others(tmp_path):
    """The kind that a count takes for right: three frames before the first episode, and the last three cut off."""
    made = draft()
    made.videos[UP, 0, 0] = ([100, 101, 102, *range(12)], 20)
    for episode, start in enumerate((3, 8, 12)):
        made.stand(episode, start)
    dataset = opened(made, tmp_path)
    assert numbers_in(dataset.demonstration(1).frames) == [5, 6, 7, 8]
    for read in (lambda: dataset.demonstration(2), lambda: decoded_frames(dataset, "up")):
        with pytest.raises(UserError, match=r"file-000\.mp4: no frame at 0\.750 s: 3 of 6 are missing, of episode 2"):
            read()


def test_episodes_stand_in_another_order(tmp_path):
    made = draft()
    made.videos[UP, 0, 0] = ([*range(9, 15), *range(5), *range(5, 9)], 20)
    for episode, start in enumerate((6, 11, 0)):
        made.stand(episode, start)
    assert shown(opened(made, tmp_path)) == list(range(COUNT))


def test_episodes_stand_in_several_files_and_chunks_in_another_order(tmp_path):
    made = draft()
    del made.videos[UP, 0, 0]
    made.videos[UP, 1, 7] = (list(range(9, 15)), 20)
    made.videos[UP, 0, 3] = ([*range(5, 9), *range(5)], 20)
    made.stand(0, 4, place=(0, 3))
    made.stand(1, 0, place=(0, 3))
    made.stand(2, 0, place=(1, 7))
    table = made.tables.pop(TABLE)
    for place, rows in (((2, 1), slice(9, 15)), ((0, 5), slice(0, 9))):
        made.tables[place] = {name: pa.array(column)[rows] for name, column in table.items()}
    for episode, (chunk, file) in enumerate(((0, 5), (0, 5), (2, 1))):
        made.episodes[episode] |= {"data/chunk_index": chunk, "data/file_index": file}
    dataset = opened(made, tmp_path)
    assert shown(dataset) == list(range(COUNT))
    np.testing.assert_allclose(dataset.column("index")[:, 0], np.arange(COUNT))


def test_episodes_may_share_frames(tmp_path):
    made = draft()
    made.stand(1, 3)
    made.stand(2, 0)
    assert shown(opened(made, tmp_path)) == [0, 1, 2, 3, 4, 3, 4, 5, 6, 0, 1, 2, 3, 4, 5]


def test_episodes_that_are_not_listed_leave_gaps_in_the_numbers(tmp_path):
    made = draft()
    table = made.tables[TABLE]
    del made.episodes[1]
    dataset = opened(made, tmp_path)
    assert shown(dataset) == [*range(5), *range(9, 15)]
    assert dataset.split("train") == range(2)
    assert [dataset.episode(number) for number in (0, 2)] == [0, 1]
    assert dataset.demonstration(1).name == "episode-2"
    with pytest.raises(UserError, match="no episode 1, expected an episode from 0 to 2, of which some are missing"):
        dataset.episode(1)
    np.testing.assert_array_equal(dataset.joints([1]), np.stack(table["observation.state"].to_pylist())[9:])


def test_the_list_of_episodes_is_in_no_order(tmp_path):
    made = draft()
    made.episodes.reverse()
    assert shown(opened(made, tmp_path)) == list(range(COUNT))


def test_rows_are_in_the_order_of_their_frame_index(tmp_path):
    made = draft()
    shuffled = np.random.default_rng(0).permutation(COUNT)
    expected = np.stack(made.tables[TABLE]["observation.state"].to_pylist())
    made.tables[TABLE] = {
        name: pa.array(column).take(pa.array(shuffled)) for name, column in made.tables[TABLE].items()
    }
    dataset = opened(made, tmp_path)
    assert shown(dataset) == list(range(COUNT))
    np.testing.assert_array_equal(dataset.joints(), expected)


def test_frames_are_where_their_timestamps_say(tmp_path):
    """The first two frames of an episode were cut off in the table, not in the video."""
    made = draft()
    table = {name: pa.array(column)[2:] for name, column in made.tables[TABLE].items()}
    made.tables[TABLE] = table
    made.episodes[0]["length"] = 3
    assert shown(opened(made, tmp_path)) == list(range(2, COUNT))


@pytest.mark.parametrize(("fps", "video_fps", "step"), [(20, 40, 2), (10, 30, 3), (29.97, 30, 1)])
def test_a_video_of_another_rate_is_read_by_its_times(tmp_path, fps, video_fps, step):
    made = draft(fps=fps)
    made.videos[UP, 0, 0] = ([k // step for k in range(COUNT * step)], video_fps)
    dataset = opened(made, tmp_path)
    assert dataset.fps == fps
    assert shown(dataset) == list(range(COUNT))


def test_a_video_with_too_few_frames_a_second_is_refused(tmp_path):
    made = draft()
    made.videos[UP, 0, 0] = (list(range(8)), 10)
    with pytest.raises(UserError, match=r"file-000\.mp4: no frame at 0\.050 s: .* of episode 0: .* 20 frames a second"):
        decoded_frames(opened(made, tmp_path), "up")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda made: made.stand(1, 5, 7), r"file-000\.mp4: damaged: episode 1 stands from 0\.250 to 0\.350 s"),
        (lambda made: made.stand(1, -3), "damaged: episode 1 stands from -0.150"),
        (lambda made: made.stand(1, float("nan")), "damaged: episode 1 stands from nan"),
        (lambda made: made.episodes[2].update(episode_index=1), "damaged: episodes .* expected each once"),
        (lambda made: made.tables[TABLE].update(frame_index=np.zeros(COUNT, int)), "a frame_index of episode 0 comes"),
        (lambda made: made.tables[TABLE].update(timestamp=np.zeros(COUNT)), "timestamps of episode 0 from 0.000"),
        (lambda made: made.tables[TABLE].update(timestamp=np.arange(COUNT) / 20), "timestamps of episode 1 from 0.250"),
        (lambda made: made.info.update(fps="fast"), "damaged: fps in meta/info.json is 'fast'"),
        (lambda made: made.info.update(fps=0), "0 frames a second, expected more than 0"),
        (lambda made: made.info.update(codebase_version="v4.0"), "of another version, 'v4.0', expected 'v3.0': take"),
        (lambda made: made.info.update(codebase_version="v2.0"), "another version, 'v2.0'.*convert_dataset_v20_to"),
        (lambda made: made.info.update(codebase_version="v1.6"), "another version, 'v1.6'.*convert_dataset_v1_to"),
        (lambda made: made.info.update(codebase_version=None), "damaged, or no LeRobotDataset"),
    ],
)  # fmt: skip
def test_what_can_not_be_true_is_refused(tmp_path, change, message):
    made = draft()
    change(made)
    folder = made.save(tmp_path / "dataset")
    with pytest.raises(UserError, match=message) as raised:
        shown(LeRobotDataset(folder))
    assert len(str(raised.value).splitlines()) == 1
    assert str(folder) in str(raised.value)


def test_version_two_names_the_converter(tmp_path):
    (tmp_path / "old/meta").mkdir(parents=True)
    (tmp_path / "old/meta/info.json").write_text('{"codebase_version": "v2.1", "features": {}}')
    with pytest.raises(UserError, match=r"lerobot\.scripts\.convert_dataset_v21_to_v30 .*--root=\S*/old --push-to-hub"):
        LeRobotDataset(tmp_path / "old")


def test_version_one_is_known_by_its_folders(tmp_path):
    (tmp_path / "meta_data").mkdir()
    (tmp_path / "meta_data/info.json").write_text('{"fps": 30}')
    with pytest.raises(UserError, match="of another version, 'v1'"):
        LeRobotDataset(tmp_path)


@pytest.mark.parametrize("most", [1, 3, 4])
def test_a_long_video_is_read_a_stretch_at_a_time(tmp_path, monkeypatch, most):
    monkeypatch.setattr(imitate.data.lerobot.images, "STRETCH", most * SIDE * SIDE * 3)
    spans, lengths = [], []

    def noted(path, size, span):
        video = read_video(path, size, span)
        spans.append(span)
        lengths.append(len(video.frames))
        return video

    monkeypatch.setattr(imitate.data.lerobot.images, "read_video", noted)
    dataset = opened(draft(), tmp_path)
    assert numbers_in(decoded_frames(dataset, "up")) == list(range(COUNT))
    assert max(lengths) <= most
    assert sum(lengths) == COUNT  # each once
    assert all(end <= start for (_, end), (start, _) in zip(sorted(spans), sorted(spans)[1:], strict=False))


def test_what_nobody_asks_for_is_not_decoded(tmp_path, monkeypatch):
    made = draft()
    made.videos[UP, 0, 0] = ([*range(9), *[99] * 100, *range(9, 15)], 20)
    made.stand(2, 109)
    lengths = []

    def noted(*args):
        video = read_video(*args)
        lengths.append(len(video.frames))
        return video

    monkeypatch.setattr(imitate.data.lerobot.images, "read_video", noted)
    assert numbers_in(decoded_frames(opened(made, tmp_path), "up")) == list(range(COUNT))
    assert sorted(lengths) == [6, 9]


@pytest.mark.parametrize(
    ("codec", "options", "pixels"),
    [("libx264", {"bf": "3", "g": "12"}, "yuv420p"), ("mpeg4", {"bf": "2", "g": "12"}, "yuv420p"),
     ("libx265", {"x265-params": "keyint=12:bframes=4:log-level=none"}, "yuv420p")],
)  # fmt: skip
def test_a_span_holds_its_frames_whatever_the_order_that_they_are_decoded_in(tmp_path, codec, options, pixels):
    path, count = tmp_path / "reordered.mp4", 40
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=30)
        stream.width = stream.height = 64
        stream.pix_fmt, stream.options = pixels, options
        for k in range(count):
            array = np.full((64, 64, 3), 5 * k, np.uint8)
            frame = av.VideoFrame.from_ndarray(array, format="rgb24")
            frame.pts, frame.time_base = k, Fraction(1, 30)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    whole = read_video(path)
    starts = [*whole.timeline.starts, whole.timeline.starts[-1] + 1]
    assert len(whole.frames) == count
    for first in range(count):
        end = min(count, first + 5)
        part = read_video(path, span=(starts[first] - 0.01, starts[end] - 0.01))
        np.testing.assert_array_equal(part.frames, whole.frames[first:end])


def with_images(cells, dtype=None, key=IMAGE):
    made = draft(keys=())
    made.info["features"][key] = feature("image", (SIDE, SIDE, 3), ["height", "width", "channels"])
    made.info["video_path"] = None
    made.tables[TABLE][key] = pa.array(cells, dtype)
    return made


STRUCT = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


@pytest.mark.parametrize("how", [{"format": "PNG"}, {"format": "TIFF"}, {"format": "WEBP", "lossless": True}])
def test_images_in_the_table_are_read(tmp_path, monkeypatch, how):
    monkeypatch.setattr(imitate.data.lerobot.images, "BATCH", 4)
    cells = [{"bytes": png(picture(k), **how), "path": f"frame-{k:06d}.png"} for k in range(COUNT)]
    dataset = opened(with_images(cells, STRUCT), tmp_path)
    assert (dataset.camera().name, dataset.image_size("image")) == ("image", SIDE)
    assert shown(dataset) == list(range(COUNT))
    assert decoded_frames(dataset, "image", image_size=8).shape == (COUNT, 8, 8, 3)


def test_images_as_plain_bytes_and_in_a_shuffled_table_are_read(tmp_path):
    made = with_images([png(picture(k)) for k in range(COUNT)])
    shuffled = pa.array(np.random.default_rng(0).permutation(COUNT))
    made.tables[TABLE] = {name: pa.array(column).take(shuffled) for name, column in made.tables[TABLE].items()}
    assert shown(opened(made, tmp_path)) == list(range(COUNT))


@pytest.mark.parametrize("mode", ["L", "RGBA", "P"])
def test_images_of_other_channels_are_shown_in_colour(tmp_path, mode):
    cells = []
    for k in range(COUNT):
        buffer = io.BytesIO()
        image = Image.fromarray(np.full((SIDE, SIDE, 3), 8 * k, np.uint8))
        (image.quantize() if mode == "P" else image.convert(mode)).save(buffer, "PNG")
        cells.append(buffer.getvalue())
    frames = decoded_frames(opened(with_images(cells), tmp_path), "image")
    assert frames.shape == (COUNT, SIDE, SIDE, 3)
    np.testing.assert_array_equal(frames[:, 0, 0, 0], 8 * np.arange(COUNT))


def test_images_are_turned_as_they_say(tmp_path):
    array = np.zeros((SIDE, SIDE, 3), np.uint8)
    array[0] = 255  # its uppermost row
    exif = Image.Exif()
    exif[274] = 6  # to be turned clockwise by 90 degrees
    dataset = opened(with_images([png(array, exif=exif)] * COUNT), tmp_path)
    np.testing.assert_array_equal(dataset.demonstration(0).frames[0], np.rot90(array, -1))


def with_images_beside():
    """A dataset whose pictures stand in files of their own, and by their names these."""
    files = {f"images/frame-{k:06d}.png": png(picture(k)) for k in range(COUNT)}
    return with_images([{"bytes": None, "path": name} for name in files], STRUCT), files


def test_images_beside_the_table_are_read(tmp_path):
    made, files = with_images_beside()
    folder = made.save(tmp_path / "dataset")
    (folder / "images").mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    assert shown(LeRobotDataset(folder)) == list(range(COUNT))
    (folder / "images/frame-000003.png").unlink()
    with pytest.raises(UserError, match=r"row 3: damaged: no such picture file"):
        LeRobotDataset(folder).demonstration(0)


@pytest.mark.parametrize("beside", [False, True])
def test_files_may_be_links_as_in_the_hub_cache(tmp_path, beside):
    made, files = with_images_beside() if beside else (draft(), {})
    folder = made.save(tmp_path / "hub/snapshots/0123abcd")
    (tmp_path / "hub/blobs").mkdir()
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    for k, path in enumerate(path for path in sorted(folder.rglob("*")) if path.is_file()):
        up = "../" * (len(path.relative_to(folder).parts) + 1)
        path.rename(tmp_path / f"hub/blobs/{k:040x}")
        path.symlink_to(f"{up}blobs/{k:040x}")
    assert shown(LeRobotDataset(folder)) == list(range(COUNT))


@pytest.mark.parametrize("path", ["../{chunk_index}", "/data/{file_index}", "data/../../{file_index}"])
@pytest.mark.parametrize("name", ["data_path", "video_path"])
def test_no_path_leads_out_of_the_dataset(tmp_path, name, path):
    made = draft()
    made.info[name] = path
    with pytest.raises(UserError, match="leads out of the dataset"):
        shown(opened(made, tmp_path))


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ({"bytes": None, "path": "../secret.png"}, "leads out of the dataset"),
        ({"bytes": None, "path": "/etc/hostname"}, "leads out of the dataset"),
        ({"bytes": None, "path": None}, "row 7: damaged: no picture there"),
        ({"bytes": b"", "path": None}, "row 7: damaged: no PNG, JPEG, WEBP, TIFF can be read"),
        ({"bytes": b"GIF89a" + bytes(40), "path": None}, "row 7: damaged: no PNG, JPEG, WEBP, TIFF can be read"),
        ({"bytes": png(picture(7))[:50], "path": None}, "row 7: damaged"),
        ({"bytes": png(np.zeros((8, 8, 3), np.uint8)), "path": None}, "of several sizes"),
        ({"bytes": png(np.zeros((SIDE, SIDE), np.uint16)), "path": None}, "row 7: not supported: .* mode I;16"),
        ({"bytes": png(np.zeros((1, 5000, 3), np.uint8)), "path": None}, "too large"),
    ],
)  # fmt: skip
def test_an_image_that_is_none_is_named(tmp_path, cell, message):
    cells = [{"bytes": png(picture(k)), "path": None} for k in range(COUNT)]
    cells[7] = cell
    dataset = opened(with_images(cells, STRUCT), tmp_path)
    for read in (lambda: decoded_frames(dataset, "image"), lambda: dataset.demonstration(1)):
        with pytest.raises(UserError, match=message) as raised:
            read()
        assert "file-000.parquet" in str(raised.value) or "dataset" in str(raised.value)
    assert not list(dataset.folder.rglob("*.npy"))


def test_an_image_column_that_is_missing_is_named(tmp_path):
    made = with_images([png(picture(k)) for k in range(COUNT)])
    del made.tables[TABLE][IMAGE]
    with pytest.raises(UserError, match=r"file-000\.parquet: damaged, or without pictures in 'observation\.image'"):
        decoded_frames(opened(made, tmp_path), "image")


def test_one_camera_in_videos_and_one_in_the_table(tmp_path):
    made = draft()
    made.info["features"]["observation.images.wrist"] = feature("image", (3, SIDE, SIDE))
    made.tables[TABLE]["observation.images.wrist"] = pa.array([png(picture(100 + k)) for k in range(COUNT)])
    dataset = opened(made, tmp_path)
    assert shown(dataset, "up") == list(range(COUNT))
    assert shown(dataset, "wrist") == list(range(100, 100 + COUNT))


RGB, DEPTH = "observation.images.rgb.head", "observation.images.depth.head"


@pytest.mark.parametrize("key", [DEPTH, "observation.images.head_depth", "observation.images.front"])
@pytest.mark.parametrize("mark", [{"video.is_depth_map": True}, {"is_depth_map": True}, {"video.pix_fmt": "gray12le"}])
def test_depth_maps_are_no_pictures(tmp_path, key, mark):
    made = draft(keys=(key, RGB))
    made.info["features"][key]["info"] = mark
    made.videos[key, 0, 0] = ([99] * COUNT, 20)
    dataset = opened(made, tmp_path)
    assert dataset.camera().name == "head"
    for name in (None, "head", "rgb.head", RGB):
        assert shown(dataset, name) == list(range(COUNT))
        assert dataset.camera(name).name == "head"
    with pytest.raises(UserError, match=rf"{key} is a depth map, not a camera's pictures: choose one of head"):
        dataset.camera(key)


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("observation.images.depth", "a depth map"),
        ("observation.images.wrist_depth", "a depth map"),
        ("observation.images.wristDepth", "a depth map"),
        ("observation.images.depth_0", "a depth map"),
        ("observation.images.seg_instance_id.head", "a segmentation"),
        ("observation.images.wrist_segmentation", "a segmentation"),
        ("observation.images.mask_cam_0", "a segmentation"),
        ("observation.images.depthimage", "a depth map"),
        ("observation.images.head_depths", "a depth map"),
        ("observation.images.labels", "a segmentation"),
        ("observation.images.bodymask", "a segmentation"),
        ("observation.images.rgb_depth", "a depth map"),
        ("observation.images.rgb.depth", "a depth map"),
        ("observation.images.depth_color", "a depth map"),
        ("observation.images.depth_rgb", "a depth map"),
        ("observation.images.aligned_depth_to_color.image_raw", "a depth map"),
        ("observation.images.depth_camera", "a depth map"),
        ("observation.images.depth_camera.rgb_depth", "a depth map"),
        ("observation.images.rgb_camera.depth_0", "a depth map"),
        ("observation.images.mask_rgb", "a segmentation"),
        ("observation.images.rgbd", "a depth map"),
        ("observation.images.normal", "a map of normals"),
        ("observation.images.optical_flow", "optical flow"),
    ],
)
@pytest.mark.parametrize("dtype", ["video", "image"])
def test_what_its_name_says_is_no_picture(tmp_path, key, kind, dtype):
    made = draft()
    features = made.info["features"]
    made.info["features"] = {key: feature(dtype, (SIDE, SIDE, 3), info={"video.is_depth_map": False}), **features}
    dataset = opened(made, tmp_path)  # not even where it stands is looked for
    assert dataset.camera().name == "up"
    with pytest.raises(UserError, match=f"{key} is {kind}, not a camera's pictures: choose one of up"):
        dataset.camera(key)


@pytest.mark.parametrize(
    "key",
    ["observation.images.depth_camera_rgb", "observation.images.masked_man", "in-depth.color",
     "observation.images.depth_camera.rgb", "depth.color.image_raw", "observation.images.rgbd_cam.rgb",
     "observation.images.workflow"],
)  # fmt: skip
def test_a_picture_may_have_depth_in_its_name(tmp_path, key):
    assert shown(opened(draft(keys=(key,)), tmp_path)) == list(range(COUNT))


def test_depth_maps_alone_are_not_supported(tmp_path):
    with pytest.raises(
        UserError, match=r"not supported: no camera's pictures .*observation\.images\.depth \(a depth map"
    ):
        opened(draft(keys=("observation.images.depth",)), tmp_path)


def test_cameras_of_one_last_word_are_told_apart(tmp_path):
    keys = ("observation.images.left.cam", "observation.images.right.cam", "observation.images.top")
    made = draft(keys=keys)
    for k, key in enumerate(keys):
        made.videos[key, 0, 0] = ([100 * k + n for n in range(COUNT)], 20)
    dataset = opened(made, tmp_path)
    assert dataset.camera().name == "left.cam"
    for k, names in enumerate((("left.cam", keys[0]), ("right.cam", keys[1]), ("top", keys[2]))):
        for name in names:
            assert dataset.camera(name).name == names[0]
            assert shown(dataset, name) == [100 * k + n for n in range(COUNT)]
    with pytest.raises(UserError, match=r"camera 'cam' may be .*left\.cam or .*right\.cam: choose one of left\.cam, r"):
        dataset.camera("cam")
    with pytest.raises(UserError, match=r"no camera 'bottom': choose one of left\.cam, right\.cam, top"):
        dataset.camera("bottom")


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((SIDE, SIDE, 1), SIDE),
        ((1, SIDE, SIDE), SIDE),
        ((SIDE, SIDE, 4), SIDE),
        ((4, SIDE, SIDE), SIDE),
        ((8, 8, 8), None),
    ],
)
def test_channels_are_one_three_or_four(tmp_path, shape, size):
    made = draft()
    made.info["features"][UP]["shape"] = list(shape)
    dataset = opened(made, tmp_path)
    if size is None:
        with pytest.raises(UserError, match="expected square ones"):
            dataset.image_size("up")
    else:
        assert dataset.image_size("up") == size


@pytest.mark.parametrize(
    ("dtype", "values"),
    [
        (pa.float32(), np.sin(np.arange(COUNT))),
        (pa.float64(), np.sin(np.arange(COUNT))),
        (pa.int64(), np.arange(COUNT) % 5),
        (pa.uint8(), np.arange(COUNT) % 5),
        (pa.bool_(), np.arange(COUNT) % 2 == 0),
        (pa.list_(pa.float64()), np.sin(np.arange(COUNT))[:, None]),
        (pa.large_list(pa.float32()), np.sin(np.arange(COUNT))[:, None]),
        (pa.list_(pa.float32(), 1), np.sin(np.arange(COUNT))[:, None]),
        (pa.list_(pa.list_(pa.float32())), np.sin(np.arange(COUNT))[:, None, None]),
        (pa.list_(pa.list_(pa.float64(), 3), 2), np.sin(np.arange(6 * COUNT)).reshape(COUNT, 2, 3)),
    ],
    ids=str,
)
def test_numbers_are_read_in_whatever_form(tmp_path, dtype, values):
    made = draft()
    made.tables[TABLE]["observation.state"] = pa.array(values.tolist(), dtype)
    dataset = opened(made, tmp_path)
    np.testing.assert_array_equal(dataset.column("observation.state"), values.reshape(COUNT, -1).astype(np.float32))
    np.testing.assert_array_equal(dataset.column("observation.state", [1]), values.reshape(COUNT, -1)[5:9].astype("f4"))


def test_rows_of_an_episode_are_found_in_any_order(tmp_path):
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 6, 300).tolist()
    made = draft(lengths)
    shuffled = pa.array(rng.permutation(sum(lengths)))
    made.tables[TABLE] = {name: pa.array(column).take(shuffled) for name, column in made.tables[TABLE].items()}
    made.videos.clear()
    dataset = opened(made, tmp_path)
    np.testing.assert_array_equal(dataset.column("index")[:, 0], np.arange(sum(lengths)))
    some = rng.permutation(len(lengths))[:50]
    naive = np.concatenate([np.arange(dataset.starts[k], dataset.starts[k + 1]) for k in some])
    np.testing.assert_array_equal(dataset.column("index", some)[:, 0], naive)


def test_a_table_in_row_groups_is_read(tmp_path):
    folder = with_images([png(picture(k)) for k in range(COUNT)]).save(tmp_path / "dataset")
    path = folder / "data/chunk-000/file-000.parquet"
    pq.write_table(pq.read_table(path), path, row_group_size=4)
    assert shown(LeRobotDataset(folder)) == list(range(COUNT))


def test_two_datasets_share_a_cache(tmp_path):
    cache, datasets = tmp_path / "cache", []
    for name, first in (("a/set", 0), ("b/set", 100)):
        made = draft()
        made.videos[UP, 0, 0] = (list(range(first, first + COUNT)), 20)
        datasets.append(LeRobotDataset(made.save(tmp_path / name)))
    told = []
    for _ in range(2):
        for first, dataset in zip((0, 100), datasets, strict=True):
            frames = decoded_frames(dataset, "up", told.append, cache=cache)
            assert numbers_in(frames) == list(range(first, first + COUNT))
    assert sum(told) == 2 * COUNT  # the second time, both are still there
    assert len(list(cache.glob("*.npy"))) == 2
    assert not (datasets[0].folder / "cache").exists()


def test_frames_that_stand_elsewhere_now_are_decoded_again(tmp_path):
    made = draft()
    folder = made.save(tmp_path / "dataset")
    assert numbers_in(decoded_frames(LeRobotDataset(folder), "up")) == list(range(COUNT))
    made.stand(0, 4)
    pq.write_table(pa.Table.from_pylist(made.episodes), folder / "meta/episodes/chunk-000/file-000.parquet")
    assert numbers_in(decoded_frames(LeRobotDataset(folder), "up")) == [4, 5, 6, 7, 8, *range(5, COUNT)]
    assert len(list((folder / "cache").glob("*.npy"))) == 1


def test_a_dataset_that_can_not_be_written_names_cache(tmp_path, monkeypatch):
    dataset, mkdir = opened(draft(), tmp_path), type(tmp_path).mkdir

    def read_only(path, *args, **kwargs):
        if path.is_relative_to(dataset.folder):
            raise OSError(30, "Read-only file system", str(path))
        mkdir(path, *args, **kwargs)

    monkeypatch.setattr(type(tmp_path), "mkdir", read_only)
    with pytest.raises(
        UserError, match=r"dataset: its frames can't be kept there .*Read-only.*: name a folder .* --cache"
    ):
        decoded_frames(dataset, "up")
    assert numbers_in(decoded_frames(dataset, "up", cache=tmp_path / "elsewhere")) == list(range(COUNT))


def test_a_video_that_is_larger_than_it_says_is_refused(tmp_path):
    folder = draft().save(tmp_path / "dataset")
    frames = np.zeros((COUNT, 32, 32, 3), np.uint8)
    write_video(folder / f"videos/{UP}/chunk-000/file-000.mp4", frames, 20, Compression(0, "yuv444p"))
    with pytest.raises(UserError, match=r"frames of \(32, 32, 3\), expected the \(16, 16, 3\) of its features"):
        decoded_frames(LeRobotDataset(folder), "up")
