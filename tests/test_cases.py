"""Files as people have them: the right frame at the right time, or a line that says what to do."""

from fractions import Fraction
from itertools import pairwise
from types import SimpleNamespace

import av
import numpy as np
import pytest
from av.video.reformatter import ColorTrc
from clips import FFV1, FLAT, MJPEG, MPEG4_B, VP9, X264, X264_B, X265, animation, copied, encode, shipped, turned
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.spatial.distance import cdist

import imitate.data.video.decoder
from imitate.data.demonstration import demonstration_from_video
from imitate.data.video.display import TURNS, Showing
from imitate.data.video.reader import read_video, shown_size
from imitate.data.video.timeline import Stamp, timeline_of
from imitate.data.video.writer import Compression, write_video
from imitate.errors import UserError

FEW = 12
EVENLY = 34 + np.arange(FEW)  # of the demonstration: where the arm moves, so that no frame is like another
AT = [50 * k for k in range(FEW)]  # ms
MATRICES = [(*first, *second) for first, second in TURNS]


def apart(frames, others):
    """How far each frame is from each other one, on average over its pixels."""
    return cdist(*(some.reshape(len(some), -1) for some in (frames, others)), "cityblock") / frames[0].size


def check(path, expected, within=0.1, size=None):
    """Each frame at each twentieth of a second is that of the demonstration which is shown then."""
    read = demonstration_from_video(path, 20, size)
    assert len(read) == len(expected)
    off = apart(read.frames, shipped())  # (frames, 100)
    wanted = off[np.arange(len(expected)), expected]
    assert wanted.max() <= within
    assert (wanted <= off.min(axis=1) + 0.01).all()  # no other is nearer
    return read


def lossy(codec):
    """How far frames may be off that a codec has written."""
    return 2.5 if codec in (FLAT, X264_B, MPEG4_B) else 0.1


def shown_then(times, end, tick):
    """Which frame is shown at each twentieth of a second: by Python's fractions, one after the other."""
    expected, now = [], Fraction(times[0]) * tick
    while now < Fraction(end) * tick:
        expected.append(max(k for k, time in enumerate(times) if time * tick <= now))
        now += Fraction(1, 20)
    return expected


# -- times ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv", "a.nut"])
def test_nothing_is_written_while_the_picture_stands_still(tmp_path, name):
    times = [50 * k for k in range(50)] + [2000 + 50 * k for k in range(50, 100)]
    read = check(encode(tmp_path / name, shipped(), times, last=50), np.r_[0:50, [49] * 40, 50:100])
    assert str(read.source) == (
        "100 frames in 7.00 s, 14.29 a second, 64x64; frames 50 to 2050 ms apart; followed at 20 a second: 140 frames"
    )


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_the_last_frame_stays_as_long_as_the_file_says(tmp_path, name):
    path = encode(tmp_path / name, shipped()[EVENLY], AT, last=2000)
    check(path, np.r_[EVENLY, [EVENLY[-1]] * 39])


@pytest.mark.parametrize("suffix", ["gif", "webp", "png"])
def test_each_frame_of_an_animation_has_its_own_time(tmp_path, suffix):
    shown = shipped()[20:32]
    path = animation(tmp_path / f"a.{suffix}", shown, [50] * 5 + [2000] + [50] * 6)
    expected = np.r_[20:25, [25] * 40, 26:32]
    read = check(path, expected, within=6 if suffix == "gif" else 0.01)  # 256 colours
    np.testing.assert_array_equal(apart(read.frames, shown).argmin(axis=1), expected - 20)


@pytest.mark.parametrize("rate", [20, 1000])
@pytest.mark.parametrize(("codec", "name"), [(VP9, "a.webm"), (X264, "a.mkv"), (X264_B, "a.mkv"), (FLAT, "a.flv")])
def test_frames_of_a_browser_come_when_they_come(tmp_path, codec, name, rate):
    rng = np.random.default_rng(0)
    times = np.r_[0, rng.integers(16, 121, 40).cumsum()].tolist()
    picked = [min(99, time // 50) for time in times]
    path = encode(tmp_path / name, shipped()[picked], times, codec=codec, rate=rate)
    last = round(float(np.median(np.diff(times))))  # which nothing tells: it stays as long as is usual
    expected = [picked[k] for k in shown_then(times, times[-1] + last, Fraction(1, 1000))]
    check(path, expected, within=lossy(codec))


@pytest.mark.parametrize("rate", [1000, 7])
def test_a_rate_in_the_header_is_not_what_the_frames_say(tmp_path, rate):
    path = encode(tmp_path / "a.webm", shipped()[EVENLY], AT, codec=VP9, rate=rate)
    check(path, EVENLY)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    gaps=st.lists(st.integers(1, 400), min_size=3, max_size=12),
    last=st.integers(1, 400),
    late=st.sampled_from([0, 33, 700]),
    tick=st.sampled_from([Fraction(1, 1000), Fraction(1, 90_000) * 9, Fraction(1, 30_000), Fraction(1001, 240_000)]),
    name=st.sampled_from(["a.mp4", "a.mkv", "a.mov"]),
)
def test_whatever_the_times_are_each_frame_is_the_one_shown_then(tmp_path, gaps, last, late, tick, name):
    tick = Fraction(1, 1000) if name == "a.mkv" else tick  # all that Matroska has
    gaps = [max(1, round(Fraction(gap, 1000) / tick)) for gap in gaps]  # ms to ticks
    times = np.r_[0, np.cumsum(gaps)].tolist()
    started = [round(Fraction(late, 1000) / tick) + time for time in times]
    last = max(1, round(Fraction(last, 1000) / tick))
    frames = shipped()[10 : 10 + 3 * len(times) : 3]
    path = encode(tmp_path / name, frames, started, tick, last=last)
    read = read_video(path)
    assert len(read.frames) == len(times)
    expected, shown = shown_then(times, times[-1] + last, tick), read.timeline.shown(20)
    if name == "a.mkv":  # which does not say how long frames last
        expected, shown = shown_then(times, times[-1] + 1, tick), shown[shown < len(times)]
        shown = shown[: len(expected)]
    np.testing.assert_array_equal(shown, expected)


@pytest.mark.parametrize(
    ("rate", "expected"),
    [
        (10, np.arange(FEW).repeat(2)),
        (20, np.arange(FEW)),
        (60, [0, 3, 6, 9]),
        (30, [0, 1, 3, 4, 6, 7, 9, 10]),
        (24, [0, 1, 2, 3, 4, 6, 7, 8, 9, 10]),
        (25, [0, 1, 2, 3, 5, 6, 7, 8, 10, 11]),
        (Fraction(30_000, 1001), [0, 1, 2, 4, 5, 7, 8, 10, 11]),
        (Fraction(24_000, 1001), [0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11]),
        (240, [0]),
    ],
)
@pytest.mark.parametrize("name", ["a.mp4", "a.avi", "a.ts"])
def test_of_another_rate_the_frame_is_taken_that_is_shown(tmp_path, rate, expected, name):
    path = encode(tmp_path / name, shipped()[EVENLY], rate=rate)
    video = read_video(path)
    np.testing.assert_array_equal(video.timeline.shown(20), expected)
    if len(expected) > 1:
        check(path, EVENLY[expected])


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        *((f"a.{container}", X264_B) for container in ("mp4", "mov", "mkv", "ts", "flv", "avi", "asf", "nut")),
        *((f"a.{container}", MPEG4_B) for container in ("mp4", "avi", "mkv", "wmv")),
        ("a.avi", FFV1),
        ("a.asf", FLAT),
    ],
)
def test_frames_that_were_decoded_in_another_order_are_shown_in_theirs(tmp_path, name, codec):
    check(encode(tmp_path / name, shipped()[EVENLY], codec=codec), EVENLY, within=lossy(codec))


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        *(("a.avi", codec) for codec in (X264, FFV1, MJPEG, X264_B, MPEG4_B)),
        *((f"a.{container}", X264_B) for container in ("mp4", "mkv", "asf", "ts")),
    ],
)
def test_frames_that_were_dropped_leave_the_one_before_on_the_screen(tmp_path, name, codec):
    frames = np.arange(34, 50)
    times = [0, 1, 2, 3, 8, 9, 10, 11, 12, 13, 14, 15]
    path = encode(tmp_path / name, shipped()[frames[times]], times, Fraction(1, 20), codec=codec)
    check(path, frames[[0, 1, 2, 3, 3, 3, 3, 3, 8, 9, 10, 11, 12, 13, 14, 15]], within=2.5)


def test_recordings_that_were_joined_go_on(tmp_path):
    """The times of a transport stream begin anew where another was appended."""
    parts = [encode(tmp_path / f"{k}.ts", shipped()[part]) for k, part in enumerate((slice(30, 38), slice(40, 48)))]
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    check(joined, np.r_[30:38, 40:48])


def test_recordings_that_were_joined_long_after_go_on_too(tmp_path):
    parts = [
        encode(tmp_path / f"{k}.ts", shipped()[part], [4500 * j + late for j in range(8)], Fraction(1, 90_000))
        for k, (part, late) in enumerate(((slice(30, 38), 0), (slice(40, 48), 9_000_000)))
    ]
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    read = check(joined, np.r_[30:38, 40:48])
    assert read.source.found == ()


def test_a_file_that_was_cut_off_is_told(tmp_path):
    path = encode(tmp_path / "a.mkv", shipped(), [50 * k for k in range(100)], last=50)
    assert read_video(path).source.found == ()
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    video = read_video(path)
    assert len(video.frames) < 80
    assert video.source.found == ("cut off: 5.00 s by what the file says",)


def test_what_is_shorter_than_a_step_of_the_robot_is_told(tmp_path):
    path = encode(tmp_path / "a.mp4", shipped()[EVENLY[:5]], rate=240)
    with pytest.raises(UserError, match=r"a\.mp4: 0\.021 s long, expected more than the robot's step, 0\.05 s"):
        demonstration_from_video(path, 20)


@pytest.mark.parametrize(
    ("name", "codec"), [("a.h264", X264), ("a.h264", X264_B), ("a.hevc", X265), ("bare.m4v", MPEG4_B)]
)
def test_a_bare_stream_has_the_rate_that_it_says(tmp_path, name, codec):
    kind = "m4v" if codec is MPEG4_B else None
    read = check(encode(tmp_path / name, shipped()[EVENLY], codec=codec, kind=kind), EVENLY, within=lossy(codec))
    assert "no times in the file: 20 frames a second, as its pictures say" in read.source.found
    slow = encode(tmp_path / f"10{name}", shipped()[EVENLY], codec=codec, rate=10, kind=kind)
    check(slow, EVENLY.repeat(2), within=lossy(codec))


def test_a_bare_stream_that_says_no_rate_is_refused_with_the_way_out(tmp_path):
    path = encode(tmp_path / "my clip.mjpeg", shipped()[EVENLY], codec=MJPEG)
    with pytest.raises(
        UserError, match=r"no times and no rate .* ffmpeg -f mjpeg -framerate 20 -i 'my clip\.mjpeg' 'my clip\.mp4'"
    ):
        read_video(path)


FORMATS = {  # that docs/files.md names, and a codec of each
    "a.mp4": ("libsvtav1", "yuv420p", {"crf": "10", "preset": "10"}),
    "a.mov": ("prores_ks", "yuv422p10", {}),
    "a.m4v": X264,
    "a.3gp": FLAT,
    "a.mkv": ("libx264", "yuv420p", {"crf": "8"}),
    "a.webm": ("libvpx", "yuv420p", {"b": "4M"}),
    "a.avi": ("mpeg4", "yuv420p", {"b": "4M", "qmax": "3"}),
    "a.ts": FLAT,
    "a.mpg": ("mpeg2video", "yuv420p", {"b": "8M"}),
    "a.vob": ("mpeg2video", "yuv420p", {"b": "8M"}),
    "a.mxf": ("mpeg2video", "yuv420p", {"b": "8M"}),
    "a.flv": FLAT,
    "a.wmv": ("wmv2", "yuv420p", {"b": "4M"}),
    "a.asf": FLAT,
    "a.nut": FFV1,
    "a.y4m": ("rawvideo", "yuv444p", {}),
    "a.ivf": VP9,
    "a.h264": X264,
    "a.hevc": X265,
    "a.m2v": ("mpeg2video", "yuv420p", {"b": "8M"}),
    "a.gif": ("gif", "rgb8", {}),
    "a.apng": ("apng", "rgb24", {}),
}


@pytest.mark.parametrize("name", FORMATS)
def test_the_formats_that_the_docs_name_are_read(tmp_path, name):
    rate = 25 if FORMATS[name][0] == "mpeg2video" else 20  # all that MPEG-2 has
    read = demonstration_from_video(encode(tmp_path / name, shipped()[EVENLY], codec=FORMATS[name], rate=rate), rate)
    np.testing.assert_array_equal(apart(read.frames, shipped()[EVENLY]).argmin(axis=1), np.arange(FEW))


def test_pictures_one_after_the_other_say_no_rate(tmp_path):
    for frame in shipped()[EVENLY]:
        Image.fromarray(frame).save(tmp_path / "one.png")
        with (tmp_path / "all.png").open("ab") as file:
            file.write((tmp_path / "one.png").read_bytes())
    with pytest.raises(UserError, match=r"no times and no rate .* ffmpeg -f png_pipe -framerate 20"):
        read_video(tmp_path / "all.png")


@pytest.mark.parametrize("rate", [24, 30])
def test_a_bare_stream_of_mpeg_2_has_its_own_rate(tmp_path, rate):
    codec = ("mpeg2video", "yuv420p", {"b": "8M", "bf": "2"})
    video = read_video(encode(tmp_path / "a.m2v", shipped()[EVENLY], codec=codec, rate=rate))
    assert (len(video.frames), video.timeline.rate) == (FEW, pytest.approx(rate))


def test_a_time_that_is_out_of_order_shifts_no_other():
    stamps = [
        Stamp(start, decoded, 50) for start, decoded in zip([0, 100, 50, 150, 200], range(50, 300, 50), strict=True)
    ]
    timeline = timeline_of(stamps, 0.001, 20)
    np.testing.assert_allclose(timeline.starts - timeline.starts[0], np.arange(5) / 20)
    assert timeline.seconds == pytest.approx(0.25)


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4"])
@pytest.mark.parametrize(("times", "last"), [([0, 1000], 300), ([0, 1000, 1200], 500)])
def test_the_last_frame_has_a_time_of_its_own_however_uneven_the_others(tmp_path, name, times, last):
    path = encode(tmp_path / name, shipped()[EVENLY[: len(times)]], times, last=last)
    assert read_video(path).timeline.seconds == pytest.approx((times[-1] + last) / 1000)


@pytest.mark.parametrize("suffix", ["gif", "webp", "png"])
def test_frames_that_are_to_last_next_to_nothing_are_shown_as_browsers_do(tmp_path, suffix):
    path = animation(tmp_path / f"a.{suffix}", shipped()[EVENLY], [0] * 6 + [10] * 3 + [50] * 3)
    if suffix != "png":  # of which Pillow writes no 0
        np.testing.assert_allclose(np.diff(read_video(path).timeline.starts), [0.1] * 9 + [0.05] * 2)
    path = animation(tmp_path / f"b.{suffix}", shipped()[EVENLY], [10] * FEW)
    assert read_video(path).timeline.seconds == pytest.approx(0.1 * FEW)


# -- pictures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.mp4", "a.mov"])
@pytest.mark.parametrize("matrix", MATRICES)
def test_the_display_matrix_turns_and_mirrors(tmp_path, matrix, name):
    path = encode(tmp_path / name, turned(shipped()[EVENLY], matrix), matrix=matrix)
    read = check(path, EVENLY)
    (words,) = {TURNS[matrix[:2], matrix[2:]]} - {""} or {None}
    assert read.source.found == ((words,) if words else ())


def test_all_eight_orientations_are_told_apart():
    assert len(TURNS) == len(set(TURNS.values())) == 8
    stored = [turned(shipped()[:1], matrix) for matrix in MATRICES]
    assert all(not np.array_equal(a, b) for a, b in pairwise(stored))


def test_a_phone_held_upright_makes_an_upright_picture(tmp_path):
    wide = np.zeros((2, 32, 64, 3), np.uint8)
    wide[:, :, :16] = 200  # the left of what is stored is the top of what is shown
    read = read_video(encode(tmp_path / "a.mp4", wide, matrix=(0, 1, -1, 0)))
    assert read.frames.shape == (2, 64, 32, 3)
    assert (read.source.width, read.source.height) == (32, 64)
    assert read.frames[:, :15].min() > 195
    assert read.frames[:, 17:].max() < 5


def test_a_display_matrix_of_nothing_is_none(tmp_path):
    check(encode(tmp_path / "a.mp4", shipped()[EVENLY], matrix=(0, 0, 0, 0)), EVENLY)


def test_a_picture_that_would_stand_askew_is_refused(tmp_path):
    path = encode(tmp_path / "a.mp4", shipped()[:2], matrix=(0.7, 0.7, -0.7, 0.7))
    with pytest.raises(UserError, match=r"a\.mp4: .*turned by 45 degrees, expected a multiple of 90"):
        read_video(path)


@pytest.mark.parametrize(("stored", "aspect"), [((64, 48), (4, 3)), ((48, 64), (3, 4)), ((64, 32), (2, 1))])
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_pixels_that_are_not_square_are_not_stretched(tmp_path, stored, aspect, name):
    height, width = stored
    frames = [
        np.asarray(Image.fromarray(frame).resize((width, height), Image.Resampling.BICUBIC))
        for frame in shipped()[EVENLY]
    ]
    path = encode(tmp_path / name, frames, aspect=Fraction(*aspect))
    assert shown_size(path) == (64, 64)
    read = check(path, EVENLY, within=4)
    assert f"pixels of {aspect[0]}:{aspect[1]}" in read.source.found


@pytest.mark.parametrize(
    ("name", "cover"),
    [("a.mp4", "first"), ("a.mp4", "last"), ("a.mkv", "first"), ("a.mkv", "last"), ("a.mkv", "attached")],
)
def test_a_cover_is_no_video(tmp_path, name, cover):
    path = copied(tmp_path / name, encode(tmp_path / "plain.mp4", shipped()[EVENLY]), cover)
    check(path, EVENLY)


def test_a_cover_alone_is_told(tmp_path):
    path = tmp_path / "a.mkv"
    Image.fromarray(shipped()[0]).save(tmp_path / "cover.png")
    with av.open(str(path), "w") as container:
        sound = container.add_stream("aac", rate=8000)
        container.add_attachment("cover.png", "image/png", (tmp_path / "cover.png").read_bytes())
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        silence.sample_rate = 8000
        for packet in [*sound.encode(silence), *sound.encode()]:
            container.mux(packet)
    with pytest.raises(UserError, match=r"a\.mkv: no video in this file, only a cover picture"):
        read_video(path)


@pytest.mark.slow
@pytest.mark.parametrize("transfer", [ColorTrc.ARIB_STD_B67, ColorTrc.SMPTE2084])
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_high_dynamic_range_is_mapped_to_the_tones_of_a_screen(tmp_path, transfer, name):
    path = encode(tmp_path / name, shipped()[EVENLY], codec=X265, hdr=transfer)
    read = check(path, EVENLY, within=1.2)
    assert [found for found in read.source.found if "HDR" in found]


@pytest.mark.slow
def test_phones_do_several_of_these_at_once(tmp_path):
    matrix = (0, 1, -1, 0)
    stored = turned(shipped()[EVENLY], matrix)
    path = encode(
        tmp_path / "a.mov", stored, [100 * k for k in range(FEW)], last=100, codec=X265, matrix=matrix,
        hdr=ColorTrc.ARIB_STD_B67,
    )  # fmt: skip
    read = check(path, EVENLY.repeat(2), within=0.8)
    assert read.source.found == (
        "turned by 90 degrees", "HDR (HLG), its tones mapped", "followed at 20 a second: 24 frames",
    )  # fmt: skip


def test_one_picture_is_no_demonstration(tmp_path):
    for name in ("a.webp", "a.png", "a.jpg", "a.gif"):
        Image.fromarray(shipped()[0]).save(tmp_path / name)
        with pytest.raises(UserError, match="one picture, expected a video"):
            demonstration_from_video(tmp_path / name, 20)


def test_a_bare_stream_that_breaks_off_before_its_first_picture_is_told(tmp_path):
    path = encode(tmp_path / "a.h264", shipped()[EVENLY])
    path.write_bytes(path.read_bytes()[:100])
    for read in (shown_size, read_video):
        with pytest.raises(UserError, match=r"a\.h264: not a readable video"):
            read(path)


def test_a_text_is_no_video(tmp_path):
    (tmp_path / "a.txt").write_text("hello world\n" * 200)
    with pytest.raises(UserError, match=r"a\.txt: a text, expected a video"):
        demonstration_from_video(tmp_path / "a.txt", 20, 64)


def test_dolby_vision_of_its_own_colours_is_refused_by_name():
    frame = SimpleNamespace(side_data={"DOVI_METADATA": b""}, color_trc=ColorTrc.UNSPECIFIED)
    with pytest.raises(ValueError, match="Dolby Vision"):
        Showing.of(frame, Fraction(1))
    frame.color_trc = ColorTrc.ARIB_STD_B67  # which other players show
    assert Showing.of(frame, Fraction(1)).hdr == "HLG"


# -- sizes ------------------------------------------------------------------------------------------------------------


def test_a_size_that_is_wrong_is_told_before_anything_is_decoded(tmp_path, monkeypatch):
    path = encode(tmp_path / "a.mp4", np.zeros((3, 1080, 1920, 3), np.uint8))
    with monkeypatch.context() as patched:
        patched.setattr(imitate.data.video.decoder, "Projector", None)  # no frame comes so far
        assert shown_size(path) == (1920, 1080)
    read = demonstration_from_video(path, 20, 64)
    assert read.frames.shape == (3, 64, 64, 3)
    assert read.source.found == ("its middle scaled to 64x64",)


def test_a_webp_that_claims_to_be_large_is_refused_before_it_is_opened(tmp_path, monkeypatch):
    path = animation(tmp_path / "a.webp", shipped()[EVENLY], [50] * FEW)
    content = bytearray(path.read_bytes())
    content[24:30] = b"\xff\x3f\x00" * 2
    path.write_bytes(content)
    monkeypatch.setattr(imitate.data.video.decoder.Image, "open", None)
    with pytest.raises(UserError, match=r"a\.webp: too large a video: side 16384"):
        read_video(path)


# -- places -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("span", [(0.0, 0.25), (0.25, 0.5), (0.55, 2.0), (0.2, 0.25)])
def test_a_span_of_a_video_is_read_alone(tmp_path, span):
    path = tmp_path / "a.mp4"
    write_video(path, shipped()[EVENLY], 20, Compression(0, "yuv444p", keyframes=4))
    read = read_video(path, span=span)
    first, end = (min(FEW, round(20 * time)) for time in span)
    np.testing.assert_allclose(read.timeline.starts, np.arange(first, end) / 20, atol=1e-9)
    np.testing.assert_array_equal(read.frames, read_video(path).frames[first:end])


def test_a_span_without_frames_is_told(tmp_path):
    write_video(tmp_path / "a.mp4", shipped()[EVENLY], 20, Compression(0, "yuv444p"))
    with pytest.raises(UserError, match=r"a\.mp4: a video without frames from 7\.00 to 8\.00 s"):
        read_video(tmp_path / "a.mp4", span=(7.0, 8.0))


def test_a_frame_that_is_missing_is_told(tmp_path):
    times = [0, 50, 100, 250, 300]
    timeline = read_video(encode(tmp_path / "a.mp4", shipped()[: len(times)], times, last=50)).timeline
    np.testing.assert_array_equal(timeline.nearest(np.array([0.301, 0.0, 0.099]), 0.01), [4, 0, 2])
    with pytest.raises(ValueError, match=r"no frame at 0\.150 s: 2 of 7 are missing"):
        timeline.nearest(np.arange(7) / 20, 0.01)
