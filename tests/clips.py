"""Videos as people have them, made of the demonstration that comes with the package."""

from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import numpy as np
from av.filter import Graph
from av.stream import Disposition
from av.video.frame import PictureType
from av.video.reformatter import ColorPrimaries, Colorspace, ColorTrc
from PIL import Image

from imitate.data.video.reader import read_video

ROOT = Path(__file__).resolve().parents[1]
MS = Fraction(1, 1000)
X264 = ("libx264", "yuv444p", {"crf": "0", "preset": "ultrafast"})
X264_B = ("libx264", "yuv420p", {"crf": "4", "bf": "3", "x264-params": "b-adapt=0"})  # frames that depend on later ones
MPEG4_B = ("mpeg4", "yuv420p", {"bf": "2", "b": "6M", "qmax": "2"})
X265 = ("libx265", "yuv444p10", {"x265-params": "lossless=1:log-level=none"})
VP9 = ("libvpx-vp9", "yuv444p", {"lossless": "1", "deadline": "realtime", "cpu-used": "8"})
FLAT = ("libx264", "yuv420p", {"crf": "0"})  # what old containers allow
REORDERED = (X264_B, MPEG4_B)
FFV1 = ("ffv1", "yuv444p", {})
MJPEG = ("mjpeg", "yuvj444p", {"qmin": "1", "qmax": "1"})


@cache
def shipped():
    """(100, 64, 64, 3) uint8, 20 a second."""
    return read_video(next((ROOT / "assets/demonstration").rglob("*.mp4"))).frames


def encode(
    path, frames, times=None, tick=MS, last=None, codec=X264, rate=20, matrix=None, aspect=None, hdr=None, kind=None
):  # fmt: skip
    """Write frames that are shown at ``times``, in ticks, the last one so many ticks; evenly, if there are none."""
    name, pixel_format, parameters = codec
    with av.open(str(path), "w", format=kind) as container:
        stream = container.add_stream(name, rate=rate, options=parameters)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt, stream.thread_count = pixel_format, 1
        if aspect:
            stream.sample_aspect_ratio = aspect
        if matrix:
            a, b, c, d = (round(65536 * number) for number in matrix)
            stream.set_display_matrix([a, b, 0, c, d, 0, 0, 0, 1 << 30])
        if hdr:
            stream.codec_context.color_trc = hdr
            stream.codec_context.color_primaries = ColorPrimaries.BT2020
            stream.codec_context.colorspace = Colorspace.BT2020
        tick = tick if times is not None else 1 / Fraction(rate)
        stream.codec_context.time_base = stream.time_base = tick
        packets = []
        to_hdr = hdr_graph(stream.width, stream.height, stream.pix_fmt, hdr) if hdr else None
        for k, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            if to_hdr:
                to_hdr.vpush(frame)
                frame = to_hdr.vpull()
            frame.pts, frame.time_base = k if times is None else times[k], tick
            packets += stream.encode(frame)
        packets += stream.encode()
        if last is not None:
            max(packets, key=lambda packet: packet.pts).duration = last
        for packet in packets:
            container.mux(packet)
    if codec in REORDERED and len(frames) > 4:  # it is what it is called
        with av.open(str(path)) as container:
            assert any(frame.pict_type == PictureType.B for frame in container.decode(video=0))
    return path


@cache  # of which the first frame takes seconds
def hdr_graph(width, height, pixels, transfer):
    """From frames to what a camera of high dynamic range would have filmed of the screen that shows them."""
    name = {ColorTrc.ARIB_STD_B67: "arib-std-b67", ColorTrc.SMPTE2084: "smpte2084"}[transfer]
    graph = Graph()
    source = graph.add_buffer(width=width, height=height, format=av.VideoFormat("rgb24"), time_base=MS)
    scale = graph.add(
        "scale",
        f"in_transfer=bt709:in_primaries=bt709:out_transfer={name}:out_primaries=bt2020:out_color_matrix=bt2020nc",
    )
    graph.link_nodes(source, scale, graph.add("format", f"pix_fmts={pixels}"), graph.add("buffersink")).configure()
    return graph


def turned(frames, matrix):
    """How square frames are stored that this display matrix (a, b, c, d) turns upright."""
    a, b, c, d = matrix
    y, x = np.mgrid[: frames.shape[1], : frames.shape[2]]
    shown_x, shown_y = a * x + c * y, b * x + d * y
    return frames[:, shown_y - shown_y.min(), shown_x - shown_x.min()]


def copied(path, source, cover=None):
    """Put a video into another container, with a picture of its cover first, last, or attached, or none."""
    picture = np.full((48, 80, 3), 99, np.uint8)
    with av.open(str(source)) as given, av.open(str(path), "w") as container:
        covers = []

        def add_cover():
            stream = container.add_stream("mjpeg", rate=1)
            stream.width, stream.height, stream.pix_fmt = 80, 48, "yuvj420p"
            stream.disposition = Disposition.attached_pic
            covers.append(stream)

        if cover == "first":
            add_cover()
        video = container.add_stream_from_template(given.streams.video[0])
        if cover == "last":
            add_cover()
        if cover == "attached":
            png = source.with_suffix(".png")
            av.VideoFrame.from_ndarray(picture, format="rgb24").save(str(png))
            container.add_attachment("cover.png", "image/png", png.read_bytes())
        for stream in covers:
            for packet in [*stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")), *stream.encode()]:
                container.mux(packet)
        for packet in given.demux(video=0):
            if packet.dts is not None:
                packet.stream = video
                container.mux(packet)
    return path


def animation(path, frames, milliseconds):
    """Write a GIF, WebP or PNG that moves, each frame shown for its time."""
    first, *others = (Image.fromarray(frame) for frame in frames)
    lossless = {"lossless": True} if path.suffix == ".webp" else {}
    first.save(path, save_all=True, append_images=others, duration=list(milliseconds), loop=0, **lossless)
    return path
