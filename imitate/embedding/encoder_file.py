"""The files that an encoder is kept in: what it is, as JSON, and its weights. Nothing in them is ever run."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from imitate.errors import UserError, first_line
from imitate.keeping.finite import check_weights
from imitate.keeping.manifest import sha256, verified
from imitate.keeping.runs import read_json, write_json, written_aside

FACTS, WEIGHTS = "encoder.json", "encoder.safetensors"
FORMAT = 1
PREPROCESSING = "[-1, 1]"  # what `preprocess` makes of pixels
BOUNDS = {  # of an encoder that is read
    "image_size": (16, 1024), "dim": (1, 100_000), "pose_head_joints": (0, 10_000), "landmarks": (0, 10_000),
    "sequence_head_width": (0, 10_000),
}  # fmt: skip
LATER = ("landmarks", "sequence_head_width")  # what older encoders do not tell: 0


def keep(folder: Path, facts: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
    """Write an encoder's files.

    Args:
        folder: That they are written to.
        facts: Of the encoder.
        tensors: Its weights, by name.

    Raises:
        UserError: There is NaN or infinity in the weights.
    """
    check_weights("the encoder", tensors, "lower the learning rate")
    weights = save({key: value.contiguous().cpu() for key, value in tensors.items()})
    with written_aside(folder / WEIGHTS) as aside:
        aside.write_bytes(weights)
    told = {"format": FORMAT, **facts, "preprocessing": PREPROCESSING, "sha256": hashlib.sha256(weights).hexdigest()}
    write_json(folder / FACTS, told)


def read(folder: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """The facts of an encoder, whose sizes are within ``BOUNDS``, and its weights by name.

    Raises:
        UserError: A file is missing, damaged, or of another version.
    """
    if not (folder / FACTS).is_file():
        inside = [*folder.glob(f"encoder/{FACTS}"), *sorted(folder.glob(f"*/encoder/{FACTS}"))]  # a stage, a run
        hint = f", expected the folder of an encoder, such as {inside[0].parent}" if inside else ""
        raise UserError(f"{folder / FACTS}: no such file{hint}")
    facts = read_json(folder / FACTS)
    if not isinstance(facts, dict) or (facts.get("format"), facts.get("preprocessing")) != (FORMAT, PREPROCESSING):
        raise UserError(f"{folder / FACTS}: not an encoder of format {FORMAT} with pixels in {PREPROCESSING}")
    weights = folder / WEIGHTS
    with sound(weights):
        digest = sha256(verified(weights))
        if facts.get("sha256", digest) != digest:  # encoders of older versions do not tell theirs
            raise ValueError("another sha256 than it was written with")
        state = load_file(weights)
        facts = {**dict.fromkeys(LATER, 0), **facts}
        _check_sizes(facts)
    check_weights(str(weights), state, "damaged: train the encoder anew")
    return facts, state


@contextmanager
def sound(weights: Path) -> Iterator[None]:
    """Say of whatever goes wrong that the weights are damaged, or of something else.

    Raises:
        UserError: Something went wrong.
    """
    try:
        yield
    except FileNotFoundError:
        raise UserError(f"{weights}: no such file") from None
    except UserError:
        raise
    except (LookupError, TypeError, ValueError, ArithmeticError, RuntimeError, SafetensorError, OSError) as error:
        raise UserError(f"{weights}: damaged, or not of this encoder ({first_line(error)})") from None


def part(state: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    """Those of the weights whose names begin so, by the rest of these."""
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}


def _check_sizes(facts: dict[str, Any]) -> None:
    """Refuse a network that no weights can be of, before it takes memory."""
    for name, (least, most) in BOUNDS.items():
        if type(facts[name]) is not int or not least <= facts[name] <= most:
            raise ValueError(f"{name} is {facts[name]!r}, expected {least} to {most}")
    if facts["sequence_head_width"] and not (facts["landmarks"] and facts["pose_head_joints"]):
        raise ValueError("a sequence head without landmarks, or without a pose head")
