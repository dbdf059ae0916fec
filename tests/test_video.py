import shutil
import subprocess
import sys
import threading
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import av
import numpy as np
import pytest

import imitate.data.video.decoder
from imitate.data.demonstration import demonstration_from_video
from imitate.data.video.reader import check_name, read_video
from imitate.data.video.writer import FOR_PEOPLE, Compression, write_video
from imitate.errors import UserError
from imitate.pipelines.shared.demo import parse_demo

LOSSLESS = Compression(0, "yuv444p")


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)


@pytest.mark.parametrize("shape", [(7, 32, 32), (25, 33, 47), (1, 17, 16)])
def test_what_is_written_comes_back(tmp_path, shape):
    frames = noise(*shape)
    write_video(tmp_path / "a.mp4", frames, 25, LOSSLESS)
    video = read_video(tmp_path / "a.mp4")
    read, fps = video.frames, video.timeline.rate
    assert read.dtype == np.uint8
    assert read.shape == frames.shape
    assert np.abs(read.astype(int) - frames).max() <= 3  # the way from RGB to YUV and back
    assert fps == pytest.approx(25)


def test_a_video_for_people_looks_like_what_was_written(tmp_path):
    y, x = np.mgrid[0:64, 0:96]
    frames = np.stack([np.stack([2 * x, 3 * y, np.full_like(x, 8 * k)], axis=-1) for k in range(12)]).astype(np.uint8)
    write_video(tmp_path / "a.mp4", iter(frames), 20, FOR_PEOPLE)
    read = read_video(tmp_path / "a.mp4").frames
    assert read.shape == frames.shape
    assert np.abs(read.astype(int) - frames).mean() < 4
    assert (np.diff(read[..., 2].mean(axis=(1, 2))) > 4).all()  # in order


def test_a_video_for_people_begins_with_its_index_and_has_the_colours_that_browsers_play(tmp_path):
    write_video(tmp_path / "a.mp4", noise(12, 64, 96), 20, FOR_PEOPLE)
    content = (tmp_path / "a.mp4").read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")
    with av.open(str(tmp_path / "a.mp4")) as container:
        (stream,) = container.streams.video
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")


def test_equal_frames_give_equal_bytes(tmp_path):
    frames = noise(12, 48, 48)
    for name in ("a", "b"):
        write_video(tmp_path / f"{name}.mp4", frames, 20, Compression(18, "yuv444p"))
    write_video(tmp_path / "c.mp4", frames[::-1], 20, Compression(18, "yuv444p"))
    a, b, c = ((tmp_path / f"{name}.mp4").read_bytes() for name in "abc")
    assert a == b
    assert a != c


def test_stronger_compression_makes_smaller_files(tmp_path):
    sizes = []
    for crf in (0, 18, 40):
        write_video(tmp_path / f"{crf}.mp4", noise(10, 48, 48), 20, Compression(crf, "yuv444p"))
        sizes.append((tmp_path / f"{crf}.mp4").stat().st_size)
    assert sizes[0] > sizes[1] > sizes[2]


@pytest.mark.parametrize("shape", [(40, 64), (64, 40), (8, 12)])
def test_size_crops_the_middle_and_scales(tmp_path, shape):
    height, width = shape
    side = min(shape)
    frames = np.zeros((2, height, width, 3), np.uint8)
    top, left = (height - side) // 2, (width - side) // 2
    middle = frames[:, top : top + side, left : left + side]
    middle[:, : side // 2, :, 0] = 200
    middle[:, :, : side // 2, 1] = 100
    write_video(tmp_path / "a.mp4", frames, 20, LOSSLESS)
    read = read_video(tmp_path / "a.mp4", size=20).frames
    assert read.shape == (2, 20, 20, 3)
    expected = np.zeros((20, 20, 3))
    expected[:10, :, 0] = 200
    expected[:, :10, 1] = 100
    away = np.r_[0:7, 13:20]  # from the edges in the middle, which scaling softens
    assert np.abs(read[0][np.ix_(away, away)] - expected[np.ix_(away, away)]).max() < 12


def truncated(path):
    write_video(path, noise(10, 32, 32), 20, LOSSLESS)
    path.write_bytes(path.read_bytes()[:1000])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "no such video file"),
        (lambda path: path.mkdir(), "no such video file"),
        (lambda path: path.write_bytes(b""), "an empty file, expected a video"),
        (lambda path: path.write_text("not a video\n" * 100), "not a readable video"),
        (lambda path: path.write_bytes(noise(50, 50).tobytes()), "not a readable video"),
        (truncated, "not a readable video"),
    ],
    ids=["missing", "folder", "empty", "text", "noise", "truncated"],
)
def test_what_is_no_video_is_named(tmp_path, make, message):
    make(tmp_path / "a.mp4")
    with pytest.raises(UserError, match=rf"a\.mp4: {message}") as refused:
        read_video(tmp_path / "a.mp4")
    assert "Errno" not in str(refused.value)


@pytest.mark.parametrize("frames", [[], np.empty((0, 32, 32, 3), np.uint8)], ids=["list", "array"])
def test_a_video_of_no_frames_is_not_written(tmp_path, frames):
    with pytest.raises(UserError, match=r"a\.mp4: no frames to write"):
        write_video(tmp_path / "a.mp4", frames, 20, LOSSLESS)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["http://x/y.mp4", "file:a.mp4", "concat:a.mp4|b.mp4", "a.mp4?b"])
def test_a_url_is_no_file(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "a.mp4", noise(2, 32, 32), 20, LOSSLESS)
    with pytest.raises(UserError, match="no such video file"):
        read_video(Path(name))


def test_that_urls_are_not_read_is_said():
    with pytest.raises(UserError, match=r"http://x/y\.mp4: .* only local files are read"):
        check_name("http://x/y.mp4")


@pytest.mark.parametrize(
    "name", ["file:a.mp4", "concat:a.mp4|a.mp4", "pipe:0.mp4", "subfile,,start,0,end,0,,:a.mp4", "-i.mp4", "--demo.mp4"]
)
def test_a_file_with_a_protocols_or_options_name_is_no_demonstration(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "a.mp4", noise(2, 32, 32), 20, LOSSLESS)
    shutil.copyfile("a.mp4", tmp_path / name)
    with pytest.raises(UserError, match=r"no such video file: (a URL or protocol|reads as an option)"):
        demonstration_from_video(Path(name), 20)
    with pytest.raises(UserError, match=r"no such video file: (a URL or protocol|reads as an option)"):
        parse_demo(name)
    assert len(demonstration_from_video(tmp_path / name, 20)) == 2  # the whole path says that it is a file


@pytest.fixture
def server():
    """A web server, and the paths that it was asked for."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *args):
            pass

    web = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{web.server_port}", asked
    web.shutdown()
    thread.join()
    web.server_close()


@pytest.mark.parametrize("suffix", ["m3u8", "mp4", "ffconcat"])
@pytest.mark.parametrize(
    "text",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{}/a.ts\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile {}/a.ts\n",
    ],
)
def test_a_playlist_fetches_nothing(tmp_path, server, suffix, text):
    address, asked = server
    (tmp_path / f"a.{suffix}").write_text(text.format(address))
    with pytest.raises(UserError, match="not a readable video"):
        read_video(tmp_path / f"a.{suffix}")
    assert asked == []


def test_a_playlist_opens_no_other_file(tmp_path):
    write_video(tmp_path / "secret.mp4", noise(2, 32, 32), 20, LOSSLESS)
    (tmp_path / "a.mp4").write_text("ffconcat version 1.0\nfile secret.mp4\n")
    with pytest.raises(UserError, match="not a readable video"):
        read_video(tmp_path / "a.mp4")


@pytest.mark.parametrize(
    ("limit", "value", "size"),
    [
        ("FRAMES", 9, None),
        ("BYTES", 9 * 3 * 32 * 32, None),
        ("BYTES", 999, 6),
        ("SIDE", 31, None),
        ("FILE_BYTES", 100, None),
    ],
)
def test_too_large_a_video_is_refused_before_it_is_decoded(tmp_path, monkeypatch, limit, value, size):
    write_video(tmp_path / "a.mp4", noise(10, 32, 32), 20, LOSSLESS)
    monkeypatch.setenv(f"IMITATE_VIDEO_MAX_{limit}", str(value))
    with monkeypatch.context() as patched:
        patched.setattr(imitate.data.video.decoder, "Projector", None)  # no frame comes so far
        with pytest.raises(UserError, match=rf"a\.mp4: too large a video: .* or set IMITATE_VIDEO_MAX_{limit}$"):
            read_video(tmp_path / "a.mp4", size)
    monkeypatch.setenv(f"IMITATE_VIDEO_MAX_{limit}", str(10**6))
    assert len(read_video(tmp_path / "a.mp4", size).frames) == 10


@pytest.mark.parametrize("value", ["", "0", "-1", "1e6", "many", "1" * 30])
def test_a_limit_that_is_no_number_is_named(tmp_path, monkeypatch, value):
    write_video(tmp_path / "a.mp4", noise(2, 32, 32), 20, LOSSLESS)
    monkeypatch.setenv("IMITATE_VIDEO_MAX_SIDE", value)
    with pytest.raises(UserError, match=r"IMITATE_VIDEO_MAX_SIDE is .*, expected a whole number of 1 or more"):
        read_video(tmp_path / "a.mp4")


def raw(path, *sizes, length=3):
    """A bare H.264 stream whose pictures change their size on the way."""
    parts = []
    for size in sizes:
        made = path.with_suffix(f".{size}.h264")
        with av.open(str(made), "w", format="h264") as container:
            stream = container.add_stream("libx264", rate=20)
            stream.width = stream.height = size
            stream.pix_fmt = "yuv420p"
            for frame in noise(length, size, size):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            container.mux(stream.encode())
        parts.append(made.read_bytes())
        made.unlink()
    path.write_bytes(b"".join(parts))


def test_pictures_that_grow_on_the_way_are_refused(tmp_path, monkeypatch):
    raw(tmp_path / "a.h264", 32, 128)
    with pytest.raises(
        UserError, match=r"a\.h264: not a readable video \(frames of \(32, 32, 3\) and of \(128, 128, 3\)"
    ):
        read_video(tmp_path / "a.h264")
    monkeypatch.setenv("IMITATE_VIDEO_MAX_SIDE", "64")
    with pytest.raises(UserError, match=r"a\.h264: "):
        read_video(tmp_path / "a.h264", size=16)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="needs /proc")
def test_a_picture_beyond_the_limit_takes_no_memory(tmp_path):
    script = (
        "import resource, sys; from pathlib import Path; from imitate.data.video.reader import read_video\n"
        "from imitate.errors import UserError\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try:\n    read_video(Path(sys.argv[1]))\nexcept UserError as error:\n    print(error)\n"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)"
    )
    path = tmp_path / "large.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=20)
        stream.width = stream.height = 6000
        stream.pix_fmt = "gray"
        for _ in range(2):
            frame = av.VideoFrame.from_ndarray(np.zeros((6000, 6000), np.uint8), format="gray")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True)
    line, megabytes = done.stdout.splitlines()
    assert "large.mkv" in line
    assert int(megabytes) < 30  # a picture would be 108


def test_two_frames_far_apart_are_no_endless_demonstration(tmp_path):
    path = tmp_path / "slow.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(1, 100_000))  # a frame a day, or so
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        for frame in noise(2, 32, 32):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    assert len(read_video(path).frames) == 2
    with pytest.raises(UserError, match=r"slow\.mp4: too large a video: frames [0-9]{7,}"):
        demonstration_from_video(path, 20)


def test_a_video_that_does_not_say_how_long_it_is_is_refused_where_it_gets_too_long(tmp_path, monkeypatch):
    path = tmp_path / "a.mkv"  # Matroska has no number of frames
    write_video(path.with_suffix(".mp4"), noise(10, 32, 32), 20, LOSSLESS)
    with av.open(str(path.with_suffix(".mp4"))) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    assert len(read_video(path).frames) == 10
    monkeypatch.setenv("IMITATE_VIDEO_MAX_BYTES", str(9 * 3 * 32 * 32))
    with pytest.raises(UserError, match=r"a\.mkv: too large a video"):
        read_video(path)


def test_wherever_a_file_ends_it_is_whole_or_refused(tmp_path):
    path = tmp_path / "a.mp4"
    write_video(path, noise(10, 32, 32), 20, LOSSLESS)
    content = path.read_bytes()
    said = []
    for cut in range(1, 1200, 13):
        path.write_bytes(content[:-cut])
        try:
            frames = read_video(path).frames
        except UserError as error:
            said.append(str(error))
        else:
            assert len(frames) == 10
    assert len(said) > 50
    assert all(line.startswith(f"{path}: ") for line in said)


@pytest.mark.parametrize("whole", [0, 3])
def test_an_interrupted_video_leaves_nothing(tmp_path, whole):
    def frames():
        yield from noise(whole, 32, 32)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_video(tmp_path / "a.mp4", frames(), 20, LOSSLESS)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_video_leaves_the_old_one(tmp_path):
    path = tmp_path / "a.mp4"
    write_video(path, noise(4, 32, 32), 20, LOSSLESS)
    before = path.read_bytes()

    def frames():
        yield from noise(3, 32, 32)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_video(path, frames(), 20, LOSSLESS)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
