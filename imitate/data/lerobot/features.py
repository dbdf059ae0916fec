"""Which features of a dataset are pictures, and what their cameras are called."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from imitate.errors import UserError

Feature = dict[str, Any]
VISUAL = ("video", "image")
CHANNELS = (1, 3, 4)
KINDS = {  # words in the names of what only looks like pictures
    "a depth map": r"\w*depth\w*|disparity|disparities|rgbd",
    "a segmentation": r"\w*seg|segm|segment\w*|semantics?|instances?|\w*masks?|panoptic|labels?|labelmaps?",
    "a map of normals": r"normals?|normalmaps?",
    "optical flow": r"(optical)?flows?",
}
NO_PICTURE = "|".join(KINDS.values())
CAMERA = re.compile(  # depth names the camera where what it films in colour is said after: depth_camera.rgb, depth.rgb
    rf"\b({NO_PICTURE})(?= (\.|cam|camera) .*\b(rgb|bgr|rgba|colou?r)\b)"
)
DEEP = re.compile(r"gray(9|1\d)|gray.*f|.*p16")  # pixel formats that no picture is kept in


def pictures_of(folder: Path, features: Any) -> tuple[dict[str, Feature], dict[str, str]]:
    """The features that a camera's pictures stand in, and those that look like it but are none.

    Returns:
        By key, the features that are pictures; and by key, what each of the others is.

    Raises:
        UserError: The features are damaged, or none are pictures.
    """
    if not isinstance(features, dict) or not all(isinstance(feature, dict) for feature in features.values()):
        raise UserError(f"{folder}: damaged: features in meta/info.json are no mapping of names to features")
    visual = {key: feature for key, feature in features.items() if feature.get("dtype") in VISUAL}
    others = {key: kind for key, feature in visual.items() if (kind := _no_picture(key, feature))}
    pictures = {key: feature for key, feature in visual.items() if key not in others}
    for key in pictures:
        if not re.fullmatch(r"[A-Za-z0-9._-]+", key):
            raise UserError(f"{folder}: camera {key!r}, expected letters, digits, '.', '_' and '-'")
    if not pictures:
        found = ", ".join(f"{key} ({others.get(key, feature.get('dtype'))})" for key, feature in features.items())
        raise UserError(
            f"{folder}: not supported: no camera's pictures among its features: {found or 'there are none'}"
        )
    return pictures, others


def _no_picture(key: str, feature: Feature) -> str | None:
    """What a feature is that only looks like pictures; None if it is pictures.

    What ``lerobot`` itself writes says ``video.is_depth_map: false`` of whatever it did not ask about, so that only the
    names tell of masks and of older depth maps: depth_rgb is a depth map in colours.
    """
    info = feature.get("info") or feature.get("video_info") or {}
    info = info if isinstance(info, dict) else {}
    marks = [source.get(name) for source in (info, feature) for name in ("is_depth_map", "video.is_depth_map")]
    if any(str(mark).lower() in ("true", "1") for mark in marks):
        return "a depth map"
    if DEEP.match(str(info.get("video.pix_fmt"))):
        return "a depth map"
    said = key
    if (_layout(feature) or (0, 0, 0))[2] == 1:  # they may say of what; of three, "depth" may be their number
        said = f"{feature.get('names')}.{key}"
    spoken = CAMERA.sub("", " . ".join(" ".join(words(part)) for part in said.split(".")))
    return next((kind for kind, word in KINDS.items() if re.search(rf"\b({word})\b", spoken)), None)


def words(name: str) -> list[str]:
    """The words that a name is made of, in small letters and without numbers."""
    return [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)]


def meant(name: str, keys: Iterable[str]) -> list[str]:
    """The keys that a name may mean: the one that it is, or those whose last words it is."""
    keys = list(keys)
    return [name] if name in keys else [key for key in keys if key.endswith(f".{name}")]


def called(key: str, keys: Iterable[str]) -> str:
    """The shortest name of a key that means no other: its last word, or as many as it takes."""
    parts, keys = key.split("."), list(keys)
    names = [".".join(parts[k:]) for k in range(len(parts) - 1, 0, -1)]
    return next((name for name in names if meant(name, keys) == [key]), key)


def size_of(feature: Feature) -> tuple[int, int] | None:
    """Height and width of a feature's pictures, pixels, as it says; None if it does not."""
    layout = _layout(feature)
    return None if layout is None else layout[:2]


def _layout(feature: Feature) -> tuple[int, int, int] | None:
    """Height, width and channels."""
    match feature.get("shape"):  # channels stand first or last
        case [int(height), int(width), int(channels)] if channels in CHANNELS:
            return height, width, channels
        case [int(channels), int(height), int(width)] if channels in CHANNELS:
            return height, width, channels
    return None
