"""What the demonstrations of a benchmark are filmed as: what an encoder knows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from imitate.embedding.trained_encoder import load_encoder
from imitate.envs.kuka import ARMS
from imitate.errors import UserError

from .. import record
from .conditions import Condition

RECORD = record.PRESETS["default"][1]


def shown_to(folder: Path, arm: str) -> record.Settings:
    """What an encoder is shown of its arm: drawn as it knows it.

    Raises:
        UserError: It could not embed what is recorded.
    """
    encoder = load_encoder(folder)
    planned = replace(RECORD, image_size=encoder.image_size, arm=arm)
    if encoder.camera.known:
        planned = replace(planned, renderer=encoder.camera.renderer)  # type: ignore[arg-type]  # checked as it draws
    encoder.check_camera(record.cameras_of(planned)[0], planned.image_size)
    encoder.check_arm(ARMS[planned.arm])
    return planned


def check_filmed(conditions: Iterable[Condition], shown: record.Settings) -> None:
    """Refuse what can't be filmed anew as the encoder knows it.

    Raises:
        UserError: PyBullet would have to draw a scene.
    """
    for condition in conditions:
        if condition.filmed is not None and shown.renderer == "tiny":
            raise UserError(
                f"'{condition.says}' can't be drawn by PyBullet, whose pictures this encoder knows: leave it out"
            )
