"""What an encoder for the open world sees, and what it has become blind to, on scenes that it has not learned from."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from imitate.data.domain import Domain
from imitate.embedding.trained_encoder import TrainedEncoder
from imitate.embedding.training import HALF, Course
from imitate.envs.kuka import Arm, Kuka
from imitate.envs.studio import Studio, Takes
from imitate.measuring.contact_sheet import contact_sheet

HELD_OUT = 2  # what these scenes are told apart by from those that are learned from
STEPS, MOMENTS = 5, 96
MARKED, ENLARGED = 8, 4  # frames a row of the picture, and by how much
FOUND = (255, 0, 255)  # the colour of a landmark

Frames = NDArray[np.uint8]


def seen_by(encoder: TrainedEncoder, arm: Arm, seed: int, picture: Path | None = None) -> dict[str, float]:
    """Measure it on moments that are filmed in the plain scene, and in others.

    Args:
        encoder: With a pose head, landmarks and a domain.
        arm: That it sees.
        seed: Of its training.
        picture: Where to draw the landmarks that it finds in some.
    """
    camera, size, domain = encoder.camera, encoder.image_size, encoder.domain
    assert domain is not None
    studio = Studio(arm, camera, size, domain, (seed, HELD_OUT))
    others = Takes(*map(np.concatenate, zip(*(studio.takes(step, MOMENTS, 1) for step in range(STEPS)), strict=True)))
    plain = studio.as_usual(others.joints)
    others = others._replace(frames=_disturbed(domain, others.frames, seed))
    figures: dict[str, float] = {}
    for name, takes in (("plain", plain), ("open", others)):
        joints = encoder.decode_joints(encoder.embed(takes.frames))
        there = np.abs(takes.landmarks).max(axis=-1) <= 1  # in the picture; NaN is not
        off = np.linalg.norm(encoder.find(takes.frames) - takes.landmarks, axis=-1)[there] * size / 2
        turned = (joints - takes.joints + np.pi) % (2 * np.pi) - np.pi  # the first one goes all the way round
        figures[f"{name}_joint_error_rad"] = float(np.abs(turned).mean())
        figures[f"{name}_landmark_error_px"] = float(off.mean())
    with closing(Kuka(arm)) as kuka:
        flange = kuka.flange_positions(plain.joints)
    for name, embed in (("", encoder.embed), ("pixels_", _pixels)):
        figures |= {f"{name}{key}": value for key, value in _through(embed, plain, others, flange).items()}
    if picture is not None:
        _draw(picture, encoder, plain, others)
    return figures


def report(figures: dict[str, float]) -> None:
    """Print what was measured."""
    print(f"{'held-out scenes':34}{'plain':>10}{'open':>10}")
    for name, what in (("joint_error_rad", "joints, rad"), ("landmark_error_px", "landmarks, pixels")):
        print(f"{what:34}{figures[f'plain_{name}']:10.3f}{figures[f'open_{name}']:10.3f}")
    print(f"{'the same moment, seen plain':34}{'encoder':>10}{'untrained':>10}{'pixels':>10}")
    for name, what in (("same_moment", "is the nearest"), ("nearest_ee_error_m", "the nearest is off by, m")):
        cells = [figures[f"{prefix}{name}"] for prefix in ("", "untrained_", "pixels_")]
        print(f"{what:34}" + "".join(f"{value:10.3f}" for value in cells))


def _disturbed(domain: Domain, frames: Frames, seed: int) -> Frames:
    """Frames as those that it learns from are."""
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        images = Course.within(domain).disturbed(torch.from_numpy(frames)).permute(0, 2, 3, 1)
    return ((images + 1) * HALF).round().clamp(0, 255).to(torch.uint8).numpy()


def _through(embed: Callable[[Frames], Any], plain: Takes, others: Takes, flange: NDArray) -> dict[str, float]:
    """Of a frame in another scene, how often the nearest plain one is of the same moment, and where its flange is."""
    known, asked = embed(plain.frames), embed(others.frames)
    squares = (known**2).sum(axis=1) - 2 * asked @ known.T
    nearest = squares.argmin(axis=1)
    same = (plain.joints[nearest] == others.joints).all(axis=1)
    apart = np.linalg.norm(flange[nearest] - flange, axis=1)
    return {"same_moment": float(same.mean()), "nearest_ee_error_m": float(np.median(apart))}


def _pixels(frames: Frames) -> NDArray[np.float32]:
    return frames.reshape(len(frames), -1).astype(np.float32) / np.float32(255)


def _draw(path: Path, encoder: TrainedEncoder, *rows: Takes) -> None:
    """Some frames, with the landmarks that are found in them."""
    sheet = []
    for takes in rows:
        some = np.linspace(0, len(takes.frames) - 1, MARKED).astype(int)
        frames, found = takes.frames[some], encoder.find(takes.frames[some])
        large = frames.repeat(ENLARGED, axis=1).repeat(ENLARGED, axis=2)
        for frame, places in zip(large, found, strict=True):
            for across, down in np.clip((places + 1) / 2 * len(frame), 1, len(frame) - 2).astype(int):
                frame[down - 1 : down + 2, across - 1 : across + 2] = FOUND
        sheet.append(large)
    contact_sheet(path, sheet, ["plain, with the landmarks that are found", "in the open"])
