"""What demonstrations are to an encoder: the frames that robots are compared with."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from imitate.data.demonstration import Demonstration
from imitate.embedding.any_encoder import AnyEncoder
from imitate.embedding.trained_encoder import TrainedEncoder
from imitate.errors import UserError
from imitate.reward.rewards import Floats, Moment

Encoder = TrainedEncoder | AnyEncoder
AHEAD = 3  # frames that a robot may come on by in a step
ALIKE = 0.01  # of the embeddings' norm, or, where that is not known, of how far two are apart: nearer, two look alike


class Targets:
    """The embeddings of the demonstrations, computed once.

    Args:
        encoder: That embeds them.
        demonstrations: To follow.

    Attributes:
        each: (length, dim) embeddings of each demonstration.
        poses: (frames, joints) that the robot has read off all of them, rad; None: not off every one.

    Raises:
        UserError: Frames that are not of the encoder's size, or are known to be of another camera; or no demonstration.
    """

    def __init__(self, encoder: Encoder, demonstrations: Sequence[Demonstration]) -> None:
        if not demonstrations:
            raise UserError("no demonstration to follow, expected at least one")
        for demonstration in demonstrations:
            demonstration.check_size(encoder.image_size)
            if demonstration.camera is not None and isinstance(encoder, TrainedEncoder) and encoder.camera.known:
                encoder.check_camera(demonstration.camera, encoder.image_size)
        self.lengths = np.array([len(d) for d in demonstrations])
        self.starts = np.concatenate([[0], np.cumsum(self.lengths)[:-1]])
        self.embeddings = np.concatenate([encoder.embed(d.frames) for d in demonstrations])  # (frames, dim)
        self.each: list[Floats] = np.split(self.embeddings, self.starts[1:])
        apart = math.sqrt(2 * self.embeddings.var(axis=0).sum())  # root mean square
        self._alike = ALIKE * (encoder.norm if math.isfinite(encoder.norm) else apart)
        read = [d.believed for d in demonstrations if d.believed is not None]
        self.poses = np.concatenate(read).astype(np.float32) if len(read) == len(demonstrations) else None

    def near_future(
        self, demonstration: NDArray[np.int64], step: NDArray[np.int64], frames: int, poses: bool
    ) -> tuple[Floats, Floats | None]:
        """What there is to come from (n,) ``step`` of each (n,) ``demonstration`` on, so many frames of it.

        Returns:
            (n, frames, dim) embeddings; and, if asked for, (n, frames, joints) poses, rad, read off the same frames.
        """
        which = self._frame(demonstration[:, None], step[:, None] + np.arange(frames))
        return self.embeddings[which], self.poses[which] if poses and self.poses is not None else None

    def at(self, demonstration: NDArray[np.int64], step: NDArray[np.int64]) -> Floats:
        """(n, dim) embeddings of frame ``step`` of each ``demonstration``; the last frame beyond the end."""
        return self.embeddings[self._frame(demonstration, step)]

    def reached(self, own: Floats, demonstration: NDArray[np.int64], frame: NDArray[np.int64]) -> NDArray[np.int64]:
        """(n,) frames, from (n,) ``frame`` on, that look most like (n, dim) ``own``.

        Of frames that look like that one, the last, so that a robot passes those of a pause.
        """
        few = frame[:, None] + np.arange(AHEAD + 1)
        few = np.minimum(few, self.lengths[demonstration][:, None] - 1)
        seen, rows = self.at(demonstration[:, None], few), np.arange(len(few))  # the first: (n, AHEAD + 1, dim)
        nearest = np.linalg.norm(seen - own[:, None], axis=2).argmin(axis=1)
        alike = np.linalg.norm(seen - seen[rows, nearest][:, None], axis=2) <= self._alike
        return few[rows, AHEAD - alike[:, ::-1].argmax(axis=1)]

    def ahead(
        self, before: Floats, own: Floats, demonstration: NDArray[np.int64], step: NDArray[np.int64], clock: bool
    ) -> NDArray[np.int64]:
        """(n,) frames that the next step of robots is compared with.

        With a clock, the one after that of the last step. Without, the one after the frame that the robot has reached;
        but while it still comes nearer to that of the last step, it is waited for, and where it does not, the
        demonstration goes on.

        Args:
            before: (n, dim) their embeddings before the last step.
            own: (n, dim) after it.
            demonstration: (n,) which each follows.
            step: (n,) the frames that the last step was compared with.
            clock: Whether there is one.
        """
        onwards = step + 1
        if clock:
            return onwards
        target = self.at(demonstration, step)
        nearer = np.linalg.norm(before - target, axis=1) - np.linalg.norm(own - target, axis=1) > self._alike
        reached = self.reached(own, demonstration, np.maximum(step - 1, 0))
        return np.maximum(reached + 1, np.where(nearer, step, onwards))

    def _frame(self, demonstration: NDArray[np.int64], step: NDArray[np.int64]) -> NDArray[np.int64]:
        return self.starts[demonstration] + np.minimum(step, self.lengths[demonstration] - 1)

    def moment(self, before: Floats, own: Floats, demonstration: NDArray[np.int64], step: NDArray[np.int64]) -> Moment:
        """What a reward is asked for, of robots that are at (n,) ``step`` of (n,) ``demonstration``."""
        return Moment(before, own, self.at(demonstration, step), [self.each[index] for index in demonstration])
