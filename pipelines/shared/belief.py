"""Keep what is believed of a demonstration, how sure that is, and what it looks like over the video."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from imitate.data.camera import Camera
from imitate.data.demonstration import Demonstration
from imitate.data.video.writer import FOR_PEOPLE, write_video
from imitate.envs.close_look import Viewing, by_second
from imitate.envs.kuka import CONTROL_HZ
from imitate.envs.room import Painter, painters_of
from imitate.envs.tcn_imitate import TCNImitateEnv
from imitate.envs.watching import Sight, likeliest, unlike
from imitate.keeping.runs import Stage, write_json

from .rollout import PEOPLE, enlarged, misread

OUTLINE, WIDE = (255, 0, 255), 2  # colour, which no robot has, and pixels


def write_belief(
    stage: Stage, demonstration: Demonstration, guessed: NDArray[np.floating] | None, env: TCNImitateEnv
) -> dict[str, float]:
    """Keep the poses that are believed, and those that were guessed, as ``poses.json``; draw them as ``believed.mp4``.

    Returns:
        How well they are known, as of ``misread``; and of an encoder for the open world, how much of what is seen they
        explain, and how far the camera is believed to stand, and to look, from where it should. Moves the arm.
    """
    believed, frames = demonstration.believed, demonstration.frames
    assert believed is not None
    poses = {"joints": believed, "guessed": believed if guessed is None else guessed}
    written = {name: np.asarray(of, np.float64).tolist() for name, of in poses.items()}
    figures, domain = misread(demonstration, believed, env), env.encoder.domain
    painters, usual = painters_of(env.kuka_env.kuka.arm), env.encoder.camera
    camera, painter = demonstration.believed_camera or usual, painters[0]
    if domain is not None:
        viewings = [Viewing(frames, one, camera, 1 / CONTROL_HZ) for one in painters]
        seen, sight = [viewing.judged(believed) for viewing in viewings], Sight.of(env.encoder, frames)
        which = likeliest([unlike(sight, viewing, own) for viewing, own in zip(viewings, seen, strict=True)])
        painter, explained = painters[which], seen[which].explained
        written["explained"] = explained.tolist()
        figures |= _least_sure(explained) | _displaced(usual, camera)
    facts = {"fps": CONTROL_HZ, "of": demonstration.digest, "camera": camera.to_json()}
    write_json(stage.path("poses.json"), facts | written)
    write_video(stage.path("believed.mp4"), outlined(frames, believed, painter, camera), CONTROL_HZ, FOR_PEOPLE)
    return figures


def outlined(
    frames: NDArray[np.uint8], poses: NDArray[np.floating], painter: Painter, camera: Camera
) -> NDArray[np.uint8]:
    """A video, enlarged, with the outline of an arm drawn over it: (length, PEOPLE, PEOPLE, 3).

    Args:
        frames: (length, size, size, 3).
        poses: (length, joints) of the arm, rad.
        painter: Of the arm.
        camera: That filmed it.
    """
    there = painter.there(poses, replace(camera, renderer="raster", samples=1), PEOPLE) > 0
    edge = ndimage.maximum_filter(there, size=(1, 2 * WIDE + 1, 2 * WIDE + 1)) & ~there
    drawn = enlarged(frames)
    drawn[edge] = OUTLINE
    return drawn


def _displaced(usual: Camera, camera: Camera) -> dict[str, float]:
    """How far a camera stands from where it should, m, and by how much it looks elsewhere, rad."""
    eyes, targets = (np.array([getattr(one, part) for one in (usual, camera)]) for part in ("eye", "target"))
    looks = (targets - eyes) / np.linalg.norm(targets - eyes, axis=1, keepdims=True)
    return {
        "camera_moved_m": float(np.linalg.norm(eyes[1] - eyes[0])),
        "camera_turned_rad": float(np.arccos(np.clip(looks[0] @ looks[1], -1.0, 1.0))),
    }


def _least_sure(sure: NDArray[np.float64]) -> dict[str, float]:
    """How much of what is seen of the arm is explained on average, and in the second that it is least; when that is."""
    seconds = by_second(sure, 1 / CONTROL_HZ)
    worst = int(seconds.argmin())
    return {
        "explained": float(sure.mean()),
        "explained_worst": float(seconds[worst]),
        "explained_worst_at": worst / CONTROL_HZ,
    }
