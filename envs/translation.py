"""A demonstration from elsewhere, as it would look where the robot stands.

Context translation (Liu and others, 2018, "Imitation from observation"), but by what the robot knows of itself instead
of a network: it imagines itself at the poses that it has read off the video.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

from imitate.data.camera import Camera
from imitate.data.demonstration import Demonstration
from imitate.errors import UserError

from .kuka import Kuka
from .robot import Robot


def translated(demonstration: Demonstration, robot: Robot, camera: Camera, image_size: int) -> Demonstration:
    """The demonstration as the robot would see itself do it.

    Args:
        demonstration: With the poses that are believed.
        robot: Its arm, and its scene.
        camera: That sees it there.
        image_size: Pixels a side of what that takes.

    Raises:
        UserError: Nothing is believed of it.
    """
    if demonstration.believed is None:
        raise UserError(f"demonstration {demonstration.name}: no poses to translate, expected those read: `believed`")
    with closing(Kuka(robot.arm, scene=robot.surroundings)) as kuka:
        frames = kuka.film_at(demonstration.believed, camera, image_size)
    scene = robot.surroundings.to_json()
    return replace(demonstration, frames=frames, camera=camera, scene=scene, believed_camera=camera)
