"""A trained encoder: weights, and everything that its embeddings depend on."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from imitate.data.camera import Camera
from imitate.data.domain import Domain
from imitate.data.rendering import Rendering
from imitate.embedding.device import mixed_precision
from imitate.embedding.encoders import build_encoder, look
from imitate.embedding.encoders.layers import NORM
from imitate.embedding.pose_head import PoseHead
from imitate.embedding.preprocess import preprocess
from imitate.errors import UserError, first_line
from imitate.keeping.finite import check_finite, check_weights
from imitate.keeping.manifest import sha256, verified
from imitate.keeping.runs import read_json, write_json, written_aside

FORMAT = 1
PREPROCESSING = "[-1, 1]"  # what `preprocess` makes of pixels
BOUNDS = {  # of an encoder that is read
    "image_size": (16, 1024), "dim": (1, 100_000), "pose_head_joints": (0, 10_000), "landmarks": (0, 10_000),
}  # fmt: skip
CHUNK = 512  # frames that are embedded at once

# A process that is forked from one that has computed, as Gymnasium forks its AsyncVectorEnv's, lacks the threads that
# PyTorch had: it would wait for them for ever.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=partial(torch.set_num_threads, 1))


class Jointed(Protocol):
    """An arm, as far as an encoder asks for it."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def joints(self) -> int:
        """Number of joints."""


@dataclass
class TrainedEncoder:
    """An encoder with the camera that its frames must come from.

    Attributes:
        name: Of the architecture, one of ``ENCODERS``.
        module: The network.
        image_size: Pixels a side of the frames.
        dim: Of the embeddings.
        camera: That took the frames.
        pose_head: From embeddings to joints, if one was trained.
        rendering: What the frames must be rendered with; None: nobody says, or a camera took them.
        domain: In what frames may differ from what the camera takes in the plain scene; None: in nothing.
        arm: The name of the one that they show; None: nobody says.
    """

    name: str
    module: nn.Module
    image_size: int
    dim: int
    camera: Camera
    pose_head: PoseHead | None = None
    rendering: Rendering | None = None
    domain: Domain | None = None
    arm: str | None = None

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.module.parameters()).device

    @property
    def landmarks(self) -> int:
        """How many it finds."""
        return getattr(self.module, "landmarks", 0)

    @property
    def any_scene(self) -> bool:
        """Whether it knows the robot in scenes that it has not seen it in."""
        return self.domain is not None and self.domain.scenes

    @property
    def norm(self) -> float:
        """Of its embeddings."""
        return NORM

    def to(self, device: torch.device) -> TrainedEncoder:
        """Move the network, and set it to inference."""
        self.module = self.module.to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
        if self.pose_head is not None:
            self.pose_head = self.pose_head.to(device).eval()
        return self

    def embed(self, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Embed (n, image_size, image_size, 3) uint8 frames to (n, dim) float32, of the encoder's norm.

        Raises:
            UserError: Frames of another size.
        """
        return self._seen(frames)[0]

    def find(self, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Where the robot's parts are in each of (n, image_size, image_size, 3) uint8 frames.

        Returns:
            (n, landmarks, 2) from -1, the left and upper edge, to 1.

        Raises:
            UserError: Frames of another size, or an encoder that finds nothing.
        """
        if not self.landmarks:
            raise UserError("this encoder finds no landmarks, expected one of the preset open of 'embed'")
        return self._seen(frames)[1]

    @torch.inference_mode()
    def _seen(self, frames: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Embeddings (n, dim) and landmarks (n, landmarks, 2)."""
        size = self.image_size
        if frames.shape[1:] != (size, size, 3) or frames.dtype != np.uint8:
            raise UserError(f"frames of shape {frames.shape} {frames.dtype}, expected (n, {size}, {size}, 3) uint8")
        out = np.empty((len(frames), self.dim), np.float32)
        found = np.empty((len(frames), self.landmarks, 2), np.float32)
        for first in range(0, len(frames), CHUNK):
            chunk = torch.from_numpy(np.ascontiguousarray(frames[first : first + CHUNK]))
            with mixed_precision(self.device):
                seen = look(self.module, preprocess(chunk.to(self.device, non_blocking=True)))
            out[first : first + CHUNK] = seen.embeddings.float().cpu().numpy()
            if seen.landmarks is not None:
                found[first : first + CHUNK] = seen.landmarks.float().cpu().numpy()
        check_finite("an embedding", out, "the encoder is of no use: train it anew")
        check_finite("a landmark", found, "the encoder is of no use: train it anew")
        return out, found

    @torch.inference_mode()
    def decode_joints(self, embeddings: NDArray[np.float32]) -> NDArray[np.float64]:
        """Map (n, dim) embeddings to (n, joints), rad.

        Raises:
            UserError: The encoder was trained without self-regression.
        """
        return self._decoded(self._head.angles, embeddings)

    @torch.inference_mode()
    def decode_directions(self, embeddings: NDArray[np.float32]) -> NDArray[np.complex128]:
        """Map (n, dim) embeddings to where (n, joints) joints point: numbers of length about 1, shorter if not sure.

        Of several poses that may be it says the mean, which is the shorter, the farther apart these are.

        Raises:
            UserError: The encoder was trained without self-regression.
        """
        sines, cosines = np.split(self._decoded(self._head, embeddings), 2, axis=1)
        return cosines + 1j * sines

    @property
    def _head(self) -> PoseHead:
        if self.pose_head is None:
            raise UserError("this encoder has no pose head: train one with --self-regression above 0")
        return self.pose_head

    def _decoded(
        self, decode: Callable[[torch.Tensor], torch.Tensor], embeddings: NDArray[np.float32]
    ) -> NDArray[np.float64]:
        decoded = decode(torch.from_numpy(embeddings).to(self.device)).double().cpu().numpy()
        check_finite("a decoded joint", decoded, "the encoder is of no use: train it anew")
        return decoded

    def check_camera(self, camera: Camera, image_size: int) -> None:
        """Refuse to score what another camera sees, unless it is within the encoder's domain.

        Raises:
            UserError: The camera, or the size of its pictures, differs; the message says in what. Or it is not known
                what camera the encoder was trained on.
        """
        if not self.camera.known:
            raise UserError(
                f"the encoder was trained on a dataset that does not say where its camera {self.camera.name!r} stood: "
                "nothing can be filmed for it; train one on what 'record' makes"
            )
        differences = (
            self.camera.differences(camera) if self.domain is None else self.domain.differences(self.camera, camera)
        )
        if image_size != self.image_size:
            differences.append(f"image_size {self.image_size} != {image_size}")
        if differences:
            raise UserError(
                f"the encoder was trained on another camera than {camera.name!r} ({'; '.join(differences)}): "
                f"use that camera{', or one within its domain' if self.domain else ''}, or train an encoder on this one"
            )

    def check_rendering(self, rendering: Rendering) -> None:
        """Refuse to score what an environment renders otherwise.

        Raises:
            UserError: It does, and the message says in what; or the encoder was trained on a camera's frames.
        """
        if self.camera.known:
            raise UserError(
                f"the encoder was trained on the camera {self.camera.name!r}, not on what {rendering.environment} "
                "renders: fit one to that environment"
            )
        if self.rendering is not None and (differences := self.rendering.differences(rendering)):
            raise UserError(
                f"the encoder was trained on what is rendered otherwise ({'; '.join(differences)}): render as it was, "
                "or fit an encoder to this environment"
            )

    def check_arm(self, arm: Jointed) -> None:
        """Refuse to read the poses of another arm.

        Raises:
            UserError: The pose head, if there is one, was trained on as many joints as it says, or on the arm of
                another name.
        """
        if self.pose_head is not None and self.pose_head.joints != arm.joints:
            raise UserError(
                f"the encoder was trained on an arm of {self.pose_head.joints} joints, expected the {arm.joints} of "
                "the arm that is to imitate: use its arm, or train an encoder on this one"
            )
        if self.arm not in (None, arm.name):
            raise UserError(
                f"the encoder was trained on the arm {self.arm}, expected {arm.name}: name one of that, or train it"
            )

    @classmethod
    def from_pretrained(cls, folder: str | Path, device: torch.device | None = None) -> TrainedEncoder:
        """``load_encoder``, by the name that others of the field have for it. Local folders only."""
        return load_encoder(folder, device)

    def save_pretrained(self, folder: str | Path) -> None:
        """``save``, by the name that others of the field have for it."""
        self.save(folder)

    def save(self, folder: str | Path, half: bool = False) -> None:
        """Write ``encoder.json`` and ``encoder.safetensors``.

        Args:
            folder: That they are written to.
            half: Whether weights are kept in half precision, which takes half of the room.

        Raises:
            UserError: There is NaN or infinity in the weights.
        """
        folder = Path(folder)
        tensors = {f"encoder.{key}": value for key, value in self.module.state_dict().items()}
        joints = 0
        if self.pose_head is not None:
            tensors |= {f"pose_head.{key}": value for key, value in self.pose_head.state_dict().items()}
            joints = self.pose_head.joints
        if half:
            tensors = {key: value.half() if value.is_floating_point() else value for key, value in tensors.items()}
        check_weights("the encoder", tensors, "lower the learning rate")
        weights = save({key: value.contiguous().cpu() for key, value in tensors.items()})
        with written_aside(folder / "encoder.safetensors") as aside:
            aside.write_bytes(weights)
        facts = {
            "format": FORMAT,
            "encoder": self.name,
            "image_size": self.image_size,
            "dim": self.dim,
            "camera": self.camera.to_json(),
            "preprocessing": PREPROCESSING,
            "pose_head_joints": joints,
            **({"landmarks": self.landmarks} if self.landmarks else {}),
            **({} if self.domain is None else {"domain": self.domain.to_json()}),
            **({} if self.rendering is None else {"rendering": self.rendering.to_json()}),
            **({} if self.arm is None else {"arm": self.arm}),
            "sha256": hashlib.sha256(weights).hexdigest(),
        }
        write_json(folder / "encoder.json", facts)


def load_encoder(folder: str | Path, device: torch.device | None = None) -> TrainedEncoder:
    """Read what ``TrainedEncoder.save`` wrote. Nothing in it is run: JSON and safetensors only.

    Raises:
        UserError: It is missing, damaged, or of another version.
    """
    folder = Path(folder)
    if not (folder / "encoder.json").is_file():
        inside = [
            *folder.glob("encoder/encoder.json"),
            *sorted(folder.glob("*/encoder/encoder.json")),
        ]  # a stage, a run
        hint = f", expected the folder of an encoder, such as {inside[0].parent}" if inside else ""
        raise UserError(f"{folder / 'encoder.json'}: no such file{hint}")
    facts = read_json(folder / "encoder.json")
    if not isinstance(facts, dict) or (facts.get("format"), facts.get("preprocessing")) != (FORMAT, PREPROCESSING):
        raise UserError(f"{folder / 'encoder.json'}: not an encoder of format {FORMAT} with pixels in {PREPROCESSING}")
    weights = folder / "encoder.safetensors"
    try:
        digest = sha256(verified(weights))
        if facts.get("sha256", digest) != digest:  # encoders of older versions do not tell theirs
            raise ValueError("another sha256 than it was written with")
        state = load_file(weights)
        landmarks = facts.setdefault("landmarks", 0)
        _check_sizes(facts)
        module = build_encoder(facts["encoder"], facts["image_size"], facts["dim"], landmarks)
        joints = facts["pose_head_joints"]
        head = PoseHead(facts["dim"], joints) if joints else None
        module.load_state_dict(_part(state, "encoder."))
        if head is not None:
            head.load_state_dict(_part(state, "pose_head."))
    except FileNotFoundError:
        raise UserError(f"{weights}: no such file") from None
    except UserError:
        raise
    except (LookupError, TypeError, ValueError, ArithmeticError, RuntimeError, SafetensorError, OSError) as error:
        raise UserError(f"{weights}: damaged, or not of this encoder ({first_line(error)})") from None
    check_weights(str(weights), state, "damaged: train the encoder anew")
    camera = Camera.from_json(facts.get("camera"))
    rendering = Rendering.from_json(facts["rendering"]) if "rendering" in facts else None
    domain = Domain.from_json(facts["domain"]) if "domain" in facts else None
    name, size, dim, arm = facts["encoder"], facts["image_size"], facts["dim"], facts.get("arm")
    if not isinstance(arm, str | None):
        raise UserError(f"{folder / 'encoder.json'}: arm is {arm!r}, expected a name")
    encoder = TrainedEncoder(name, module, size, dim, camera, head, rendering, domain, arm)
    return encoder.to(device or torch.device("cpu"))


def _check_sizes(facts: dict[str, Any]) -> None:
    """Refuse a network that no weights can be of, before it takes memory."""
    for name, (least, most) in BOUNDS.items():
        if type(facts[name]) is not int or not least <= facts[name] <= most:
            raise ValueError(f"{name} is {facts[name]!r}, expected {least} to {most}")


def _part(state: dict[str, Any], prefix: str) -> dict[str, Any]:
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
