"""The arms, and one arm with cameras in a simulation of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from imitate.data.camera import Camera, Vector, check_pixels
from imitate.errors import UserError, choose

from .bullet import Bullet, block_means
from .control import CONTROLS, MOTOR_FORCE, VELOCITY_SCALE
from .film import Film
from .scenes.scene import PLAIN, Scene

if TYPE_CHECKING:
    from .rendering.kernel import Body
    from .rendering.rasteriser import Rasteriser

ASSETS = Path(__file__).resolve().parent.parent / "assets"
PHYSICS_HZ = 240
CONTROL_HZ = 20
RENDERERS = ("raster", "tiny")  # ours, and PyBullet's


@dataclass(frozen=True)
class Arm:
    """An arm that can be simulated.

    Attributes:
        file: Its description below ``assets``, or an absolute path.
        flange: The link whose position is the arm's end.
        lower: (joints,) lower ends of the range that random poses are drawn from, rad.
        upper: (joints,) upper ends, rad.
        torques: (joints,) torque of a full action, N m. It also sets the viscous damping of torque control,
            so that a full action ends at the full velocity.
        marks: Points of its last link, in that link's frame, m, by which is seen how it is turned.
        sister: (links,) of another size of the same arm, without a tool: factors that each link is farther from the one
            before it by, the base first; empty: there is none.
    """

    file: str
    flange: str
    lower: tuple[float, ...]
    upper: tuple[float, ...]
    torques: tuple[float, ...]
    marks: tuple[Vector, ...] = ()
    sister: tuple[float, ...] = ()

    @property
    def joints(self) -> int:
        """Number of joints."""
        return len(self.lower)

    @property
    def name(self) -> str:
        """What it is called, as its description is."""
        return Path(self.file).stem


# 0.8 of the joint limits of the iiwa, so that a policy may overshoot a demonstration by a little. Joints 3, 5
# and 7, which turn along the arm, stay within half a turn: one joint between two others turned by half a turn,
# with its neighbours turned the other way, gives nearly the same picture of another pose.
_IIWA = tuple(limit for limit in (2.374, 1.675, 1.5, 1.675, 1.5, 1.675, 1.5))
_IIWA_TORQUES = (40.0, 40.0, 20.0, 20.0, 4.0, 4.0, 1.0)

ARMS = {
    "iiwa": Arm(
        file="kuka/iiwa.urdf",
        flange="lbr_iiwa_link_7",
        lower=tuple(-limit for limit in _IIWA),
        upper=_IIWA,
        torques=_IIWA_TORQUES,
        marks=((0.2, 0.0, 0.14), (-0.06, 0.0, 0.14)),  # both ends of the tool
        sister=(1.0, *(0.34 / 0.36,) * 2, *(0.4 / 0.42,) * 2, 1.0, 1.0, 1.0, 1.0),  # the iiwa 7: KUKA's data sheets
    ),
    # The paper's: 7 joints of the arm, one between arm and gripper, and two for each of the two fingers.
    # The gripper's limits in the file are three turns wide: fingers stay within what looks like a gripper.
    "iiwa_gripper": Arm(
        file="kuka/iiwa_gripper.sdf",
        flange="lbr_iiwa_link_7",
        lower=(*(-limit for limit in _IIWA), -1.5, -0.6, -0.3, 0.0, -0.3),
        upper=(*_IIWA, 1.5, 0.0, 0.3, 0.6, 0.3),
        torques=(*_IIWA_TORQUES[:6], 1.0, 0.5, 0.05, 0.05, 0.05, 0.05),
    ),
    # Franka's, with its hand: to be shown. 0.8 of its limits, and joints that turn along the arm as those above.
    "panda": Arm(
        file="panda/panda.urdf",
        flange="panda_hand",
        lower=(-2.374, -1.466, -1.5, -2.827, -1.5, 0.304, -1.5),
        upper=(2.374, 1.466, 1.5, -0.314, 1.5, 3.431, 1.5),
        torques=_IIWA_TORQUES,
        marks=((0.0, 0.06, 0.11), (0.0, -0.06, 0.11), (0.04, 0.0, 0.0)),  # beside its fingers, and before its palm
    ),
}


@lru_cache(maxsize=8)
def body_of(file: str) -> Body:
    """What is seen of the arm with this description, and how it hangs together.

    Raises:
        UserError: A mesh that can't be read, or an arm of which nothing is seen.
    """
    from .rendering import body  # compiled: who does not draw with it need not wait for that

    bullet = Bullet(ASSETS / file)
    try:
        return body.body_of(bullet.links())
    finally:
        bullet.close()


@lru_cache(maxsize=8)
def rasteriser_of(file: str) -> Rasteriser:
    """What draws the arm with this description, for all that have it: it keeps what it draws on.

    Raises:
        UserError: As ``body_of`` does.
    """
    from .rendering.rasteriser import Rasteriser

    return Rasteriser(body_of(file))


class Kuka:
    """One arm in a simulation of its own, moved by normalised actions and filmed by cameras.

    Args:
        arm: One of ``ARMS``, or an arm of your own.
        control: One of ``CONTROLS``: what an action means.
        scene: Where it stands.

    Raises:
        UserError: Unknown arm or control.
    """

    def __init__(self, arm: str | Arm = "iiwa", control: str = "velocity", scene: Scene = PLAIN) -> None:
        self.arm = choose(ARMS, arm, "arm") if isinstance(arm, str) else arm
        self._control = choose(CONTROLS, control, "control")
        self._bullet = Bullet(ASSETS / self.arm.file, physics_hz=PHYSICS_HZ)
        self._torques = np.array(self.arm.torques)
        self._checked: set[tuple[Camera, int]] = set()  # whose pictures are pictures
        self._scenes = (scene,)

    def reset(self, positions: NDArray[np.floating]) -> None:
        """Put the joints at ``positions`` (joints,), rad, at rest."""
        self._bullet.set_joints(np.asarray(positions, np.float64))

    def step(self, action: NDArray[np.floating]) -> None:
        """Apply ``action`` (joints,), in [-1, 1], for one control step (1/20 s)."""
        clipped = np.asarray(action, np.float64).clip(-1.0, 1.0)
        self._control(self._bullet, clipped, self._torques, PHYSICS_HZ // CONTROL_HZ)

    def joint_states(self) -> NDArray[np.float64]:
        """Positions, rad, and velocities, rad/s: (2, joints)."""
        return self._bullet.joint_states()

    def flange_position(self) -> NDArray[np.float64]:
        """Position of the flange in the world (3,), m."""
        return self._bullet.link_position(self.arm.flange)

    def flange_positions(self, poses: NDArray[np.floating]) -> NDArray[np.float64]:
        """Positions (n, 3), m, of the flange at ``poses`` (n, joints), rad. The arm ends at the last one."""
        positions = np.empty((len(poses), 3))
        for k, pose in enumerate(poses):
            self.reset(pose)
            positions[k] = self.flange_position()
        return positions

    def film(self, camera: Camera, size: int) -> NDArray[np.uint8]:
        """Take a picture (size, size, 3), uint8.

        Raises:
            UserError: The camera's renderer is unknown, or a picture without pixels.
        """
        if self._drawn_by_bullet(camera):
            return self.develop([self.expose(camera, size)], camera, size)[0]
        return self.rasteriser.draw(self._bullet.joint_positions()[None], camera, size, self._scenes)[0]

    def expose(self, camera: Camera, size: int) -> NDArray:
        """What ``film`` makes a picture of, for ``develop``: a drawing, or the pose that is drawn.

        Raises:
            UserError: The camera's renderer is unknown.
        """
        if self._drawn_by_bullet(camera):
            check_pixels(size)
            return self._bullet.draw(camera.eye, camera.target, camera.up, camera.fov, size * camera.samples)
        return self._bullet.joint_positions()

    def develop(self, exposed: Sequence[NDArray], camera: Camera, size: int) -> NDArray[np.uint8]:
        """The pictures (n, size, size, 3), uint8, of what this arm, or others like it, ``expose`` to a camera."""
        if self._drawn_by_bullet(camera):
            return block_means(exposed, camera.samples)
        return self.rasteriser.draw(np.asarray(exposed), camera, size, self._scenes)

    def film_at(self, poses: NDArray[np.floating], camera: Camera, size: int) -> NDArray[np.uint8]:
        """Take a picture at each of ``poses`` (n, joints), rad: (n, size, size, 3), uint8. The arm ends at the last.

        Raises:
            UserError: As ``film`` does; and as ``check_pictures``, before the first.
        """
        self.check_pictures(camera, size)
        if not self._drawn_by_bullet(camera):
            frames = self.rasteriser.draw(poses, camera, size, self._scenes)
            if len(poses):
                self.reset(poses[-1])
            return frames
        film = Film(self, camera, size, len(poses))
        for pose in poses:
            self.reset(pose)
            film.add(self.expose(camera, size))
        return film.frames()

    @property
    def scene(self) -> Scene:
        """What the arm stands in and is filmed in. It is only seen, and touches nothing."""
        return self._scenes[0]

    @scene.setter
    def scene(self, scene: Scene) -> None:
        if self._scenes != (scene,):
            self._scenes = (scene,)
            self._checked.clear()  # its pictures are others

    @property
    def rasteriser(self) -> Rasteriser:
        """What draws the pictures of a camera whose renderer is ``raster``."""
        return rasteriser_of(self.arm.file)

    @property
    def links(self) -> list[str]:
        """Names of the links, as ``Rasteriser.identify`` counts them."""
        return self._bullet.link_names

    def _drawn_by_bullet(self, camera: Camera) -> bool:
        """Whether PyBullet draws its pictures."""
        if camera.renderer not in RENDERERS:
            known = ", ".join(RENDERERS)
            raise UserError(f"camera {camera.name!r} has the renderer {camera.renderer!r}, expected one of {known}")
        if camera.renderer == "raster":
            return False
        if self.scene != PLAIN:
            raise UserError(
                f"scene {self.scene.name!r} can't be drawn by the renderer {camera.renderer!r} of camera "
                f"{camera.name!r}, which knows the plain one only: take one of renderer raster"
            )
        return True

    def check_pictures(self, camera: Camera, size: int) -> None:
        """Film two poses, as a broken renderer does not: two pictures, in each of which the arm is seen. Moves the arm.

        Raises:
            UserError: They are blank, without the arm, or the same.
        """
        if (camera, size) in self._checked:
            return
        lower, upper = np.array(self.arm.lower), np.array(self.arm.upper)
        poses = [lower + share * (upper - lower) for share in (0.5, 0.8)]
        pictures = []
        for pose in poses:
            self.reset(pose)
            pictures.append(self.film(camera, size))
        seen = f"camera {camera.name!r} at {size}x{size} pixels"
        if any(picture.min() == picture.max() for picture in pictures):
            raise UserError(
                f"{seen} takes blank pictures: it looks away from the arm, is within it, or its renderer is broken"
            )
        if self.scene != PLAIN and not self._sees_itself(np.array(poses), camera, size):
            raise UserError(
                f"{seen} does not see the arm in the scene {self.scene.name!r}: move it, or what is before it"
            )
        if np.array_equal(pictures[0], pictures[1]):
            raise UserError(
                f"{seen} takes the same picture of two poses: it does not see the arm, or its renderer is broken"
            )
        self._checked.add((camera, size))

    def _sees_itself(self, poses: NDArray[np.floating], camera: Camera, size: int) -> bool:
        """Whether something of the arm is in the picture at each of ``poses`` (n, joints), rad."""
        seen = self.rasteriser.identify(poses, camera, size, self.scene) >= 0
        return bool(seen.any(axis=(1, 2)).all())

    def replay(self, actions: NDArray[np.floating], camera: Camera, size: int) -> None:
        """Make the engine's part of a ``film``, and of a ``step`` and a ``film`` for each of ``actions`` (n, joints).

        Nothing else, and nothing comes of it: a benchmark asks how fast that is. Actions are velocities.
        """
        velocities = VELOCITY_SCALE * np.clip(np.asarray(actions, np.float64), -1.0, 1.0)
        forces, steps, drawn = np.full(self.arm.joints, MOTOR_FORCE), PHYSICS_HZ // CONTROL_HZ, size * camera.samples
        if self._drawn_by_bullet(camera):
            self._bullet.replay(velocities, forces, steps, camera.eye, camera.target, camera.up, camera.fov, drawn)
        else:
            self.rasteriser.draw(self._bullet.replay_poses(velocities, forces, steps), camera, size, self._scenes)

    def close(self) -> None:
        """Free the simulation. Doing so twice is fine."""
        self._bullet.close()
