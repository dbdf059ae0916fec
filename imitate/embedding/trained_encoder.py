"""A trained encoder: weights, and everything that its embeddings depend on."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from imitate.data.camera import Camera
from imitate.data.domain import Domain
from imitate.data.rendering import Rendering
from imitate.embedding.device import mixed_precision
from imitate.embedding.encoder_file import FACTS, WEIGHTS, keep, part, read, sound
from imitate.embedding.encoders import build_encoder, look
from imitate.embedding.encoders.layers import NORM
from imitate.embedding.pose_head import PoseHead
from imitate.embedding.preprocess import preprocess
from imitate.embedding.sequence_head import SequenceHead
from imitate.errors import UserError
from imitate.keeping.finite import check_finite

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
        sequence_head: From what is seen in the frames of a video to joints, if one was trained.
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
    sequence_head: SequenceHead | None = None

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
        if self.sequence_head is not None:
            self.sequence_head = self.sequence_head.to(device).eval()
        return self

    def embed(self, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Embed (n, image_size, image_size, 3) uint8 frames to (n, dim) float32, of the encoder's norm.

        Raises:
            UserError: Frames of another size.
        """
        return self.look(frames)[0]

    def find(self, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Where the robot's parts are in each of (n, image_size, image_size, 3) uint8 frames.

        Returns:
            (n, landmarks, 2) from -1, the left and upper edge, to 1.

        Raises:
            UserError: Frames of another size, or an encoder that finds nothing.
        """
        if not self.landmarks:
            raise UserError("this encoder finds no landmarks, expected one of the preset open of 'embed'")
        return self.look(frames)[1]

    @torch.inference_mode()
    def look(self, frames: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """What ``embed`` and ``find`` say, at once; landmarks of an encoder that finds none are (n, 0, 2)."""
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
    def decode_directions(
        self, embeddings: NDArray[np.float32], landmarks: NDArray[np.float32] | None = None
    ) -> NDArray[np.complex128]:
        """Map (n, dim) embeddings to where (n, joints) joints point: numbers of length about 1, shorter if not sure.

        Of several poses that may be it they say the mean, which is the shorter, the farther apart these are.

        Args:
            embeddings: Of frames.
            landmarks: (n, landmarks, 2) of the same, frames of one video, which are read together, by the sequence
                head; None: each by itself, by the pose head.

        Raises:
            UserError: The encoder was trained without that head.
        """
        if landmarks is None:
            return _directions(self._decoded(self._head, embeddings))
        if self.sequence_head is None:
            raise UserError("this encoder has no sequence head: train one with 'imitate embed sequence'")
        seen = torch.from_numpy(landmarks).to(self.device)[None]
        together, alone = self.sequence_head, self._head
        return _directions(self._decoded(lambda own: together(own[None], seen, alone(own)[None])[0], embeddings))

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
        heads = {"pose_head": self.pose_head, "sequence_head": self.sequence_head}
        modules = {"encoder": self.module, **{name: head for name, head in heads.items() if head is not None}}
        tensors = {f"{name}.{key}": value for name, one in modules.items() for key, value in one.state_dict().items()}
        if half:
            tensors = {key: value.half() if value.is_floating_point() else value for key, value in tensors.items()}
        facts = {
            "encoder": self.name,
            "image_size": self.image_size,
            "dim": self.dim,
            "camera": self.camera.to_json(),
            "pose_head_joints": 0 if self.pose_head is None else self.pose_head.joints,
            **({"landmarks": self.landmarks} if self.landmarks else {}),
            **({} if self.sequence_head is None else {"sequence_head_width": self.sequence_head.width}),
            **({} if self.domain is None else {"domain": self.domain.to_json()}),
            **({} if self.rendering is None else {"rendering": self.rendering.to_json()}),
            **({} if self.arm is None else {"arm": self.arm}),
        }
        keep(Path(folder), facts, tensors)


def load_encoder(folder: str | Path, device: torch.device | None = None) -> TrainedEncoder:
    """Read what ``TrainedEncoder.save`` wrote. Nothing in it is run: JSON and safetensors only.

    Raises:
        UserError: It is missing, damaged, or of another version.
    """
    folder = Path(folder)
    facts, state = read(folder)
    size, dim, joints, landmarks = (facts[name] for name in ("image_size", "dim", "pose_head_joints", "landmarks"))
    with sound(folder / WEIGHTS):
        module = build_encoder(facts["encoder"], size, dim, landmarks)
        module.load_state_dict(part(state, "encoder."))
        head = sequence_head = None
        if joints:
            head = PoseHead(dim, joints)
            head.load_state_dict(part(state, "pose_head."))
        if width := facts["sequence_head_width"]:
            sequence_head = SequenceHead(dim, landmarks, joints, width)
            sequence_head.load_state_dict(part(state, "sequence_head."))
    camera = Camera.from_json(facts.get("camera"))
    rendering = Rendering.from_json(facts["rendering"]) if "rendering" in facts else None
    domain = Domain.from_json(facts["domain"]) if "domain" in facts else None
    arm = facts.get("arm")
    if not isinstance(arm, str | None):
        raise UserError(f"{folder / FACTS}: arm is {arm!r}, expected a name")
    encoder = TrainedEncoder(facts["encoder"], module, size, dim, camera, head, rendering, domain, arm, sequence_head)
    return encoder.to(device or torch.device("cpu"))


def _directions(decoded: NDArray[np.float64]) -> NDArray[np.complex128]:
    """Of sines, then cosines (n, 2 * joints)."""
    sines, cosines = np.split(decoded, 2, axis=1)
    return cosines + 1j * sines
