"""The encoder of an environment: the run's own, which is made first if it is missing."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import TypeVar

from imitate.embedding.trained_encoder import TrainedEncoder
from imitate.errors import UserError
from imitate.keeping.runs import Stage

from .. import embed
from . import recording
from .made import Made

T = TypeVar("T", bound=Made)


def completed(settings: T, run: Path, encoder: TrainedEncoder) -> T:
    """Settings of a command, in which what is not said of the environment is as the encoder has seen it played.

    Raises:
        UserError: It has seen none.
    """
    if encoder.rendering is None:
        raise UserError("the encoder was not trained on an environment's play: record it with 'record environment'")
    known = Made.like(encoder.rendering, settings.fps)
    played = Stage(run / "record")
    if played.finished:  # with the module that is to be imported before, its length, and its own rate
        known |= {name: played.settings[name] for name in ("env", "fps") if name in played.settings}
        known["env_kwargs"] = tuple(played.settings.get("env_kwargs", known["env_kwargs"]))
    return replace(settings, **{name: getattr(settings, name) or value for name, value in known.items()})


def check_video(demo: str) -> None:
    """Refuse what is no video file, before minutes of play.

    Raises:
        UserError: There is none.
    """
    if not demo:
        raise UserError("demo is empty, expected a video of the environment: --demo expert.mp4")
    if not Path(demo).is_file():
        raise UserError(f"{demo}: no such video file")


def find_encoder(made: Made, run: Path, encoder: Path | None, device: str) -> Path:
    """The folder of an encoder; where none is named and the run has none, the environment plays, and one is trained.

    Raises:
        UserError: There is none, and nothing to train one on.
    """
    if encoder is not None:
        return encoder
    trained, recorded = Stage(run / "embed"), Stage(run / "record")
    if trained.finished:
        return trained.path("encoder")
    if recorded.finished:
        if "env" not in recorded.settings:
            raise UserError(f"{recorded.folder}: no environment's play, but another recording: choose another run")
    elif made.env:
        recording.run(recording.Settings(**{one.name: getattr(made, one.name) for one in fields(Made)}, run=run))
    else:
        raise UserError(f"{run}: no encoder there, and no play to train one on: say --env, or choose another run")
    embed.run(embed.Settings(run=run, device=device))
    return trained.path("encoder")
