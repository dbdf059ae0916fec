"""Every call to the Bullet physics engine."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imitate.errors import UserError

from .rendering.link import Link, Shape


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what Bullet's C code prints (its build time, ``argv[0]=``) out of the user's terminal."""
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 1)
    os.dup2(sink, 2)
    try:
        yield
    finally:
        ctypes.CDLL(None).fflush(None)  # C buffers what it prints: out with it while nobody listens
        for descriptor, copy in zip((1, 2), saved, strict=True):
            os.dup2(copy, descriptor)
            os.close(copy)
        os.close(sink)


with _quiet():
    import pybullet
    from pybullet_utils.bullet_client import BulletClient

Floats = NDArray[np.float64]
NEAR, FAR = 0.1, 6.0  # m, the slice of the world that a camera draws
KINDS = {
    pybullet.GEOM_SPHERE: "sphere",
    pybullet.GEOM_BOX: "box",
    pybullet.GEOM_CYLINDER: "cylinder",
    pybullet.GEOM_MESH: "mesh",
    pybullet.GEOM_CAPSULE: "capsule",
}
DRAWING = {"shadow": 0, "flags": pybullet.ER_NO_SEGMENTATION_MASK, "renderer": pybullet.ER_TINY_RENDERER}


@lru_cache(maxsize=64)
def _matrices(
    eye: tuple[float, ...], target: tuple[float, ...], up: tuple[float, ...], fov: float
) -> tuple[Sequence[float], Sequence[float]]:
    """View and projection of a camera, as Bullet takes them."""
    return (
        pybullet.computeViewMatrix(eye, target, up),
        pybullet.computeProjectionMatrixFOV(fov, 1.0, NEAR, FAR),
    )


def block_means(drawn: Sequence[NDArray[np.uint8]], samples: int) -> NDArray[np.uint8]:
    """Means of (samples, samples) blocks of ``drawn``, each (size * samples, size * samples, 4): (n, size, size, 3).

    Rounded where ``samples`` is a power of two; else some are 1 less. Of many pictures at once, because the renderer
    leaves a processor's caches full of its own.
    """
    side = len(drawn[0])
    size = side // samples
    pixels = np.concatenate(drawn)
    picture = Image.frombuffer("RGBX", (side, len(pixels)), pixels, "raw", "RGBX", 0, 1)  # no copy
    means = picture.reduce(samples).tobytes("raw", "RGB")
    return np.frombuffer(bytearray(means), np.uint8).reshape(len(drawn), size, size, 3)


def _frame(position: Sequence[float], orientation: Sequence[float]) -> Floats:
    """A frame (4, 4) at a position, m, turned by a quaternion, whose real part is last."""
    frame = np.eye(4)
    frame[:3, :3] = np.reshape(pybullet.getMatrixFromQuaternion(orientation), (3, 3))
    frame[:3, 3] = position
    return frame


def _axis(turned: Floats) -> Floats:
    """About what a matrix (3, 3) turns by 1 rad; zeros, if it does not turn."""
    skew = (turned - turned.T) / (2 * np.sin(1.0))
    return np.array([skew[2, 1], skew[0, 2], skew[1, 0]])


def _shape(data: tuple[Any, ...]) -> Shape:
    """One of ``getVisualShapeData``."""
    _, _, kind, size, file, position, orientation, colour, *_ = data
    if kind not in KINDS:
        raise UserError(f"a shape of kind {kind}, expected one of {', '.join(KINDS.values())}")
    path = Path(file.decode()) if KINDS[kind] == "mesh" else None
    return Shape(KINDS[kind], path, tuple(size), _frame(position, orientation)[:3], tuple(colour[:3]))


class _Client(BulletClient):
    """One that looks each function up once, rather than at each call."""

    def __getattr__(self, name: str) -> Any:
        function = super().__getattr__(name)
        setattr(self, name, function)
        return function


class Bullet:
    """One headless physics client, with one robot in it.

    Several may live in one process. A client does not survive a fork or a spawn: make it where it is used.
    """

    def __init__(self, robot: Path, physics_hz: int = 240) -> None:
        with _quiet():
            self._client = _Client(pybullet.DIRECT)
            self._open = True
            if robot.suffix == ".sdf":
                self._robot = self._client.loadSDF(str(robot))[0]
            else:
                self._robot = self._client.loadURDF(
                    str(robot), useFixedBase=True, flags=pybullet.URDF_USE_INERTIA_FROM_FILE
                )
        self.seconds = 1.0 / physics_hz  # of a physics step
        self._client.setGravity(0, 0, -9.81)
        self._client.setPhysicsEngineParameter(
            fixedTimeStep=self.seconds, numSubSteps=0, deterministicOverlappingPairs=1
        )
        infos = [self._client.getJointInfo(self._robot, j) for j in range(self._client.getNumJoints(self._robot))]
        self._links = {i[12].decode(): i[0] for i in infos}
        self.link_names = ["base", *self._links]
        self._indices = [i[0] for i in infos if i[2] == pybullet.JOINT_REVOLUTE]
        # Bullet's links come with a damping of their own and a default motor at each joint: both off, so
        # that a joint does what its controller says and nothing else.
        for index in range(-1, len(infos)):
            self._client.changeDynamics(self._robot, index, linearDamping=0, angularDamping=0, jointDamping=0)
        self.release_motors()

    def __reduce__(self) -> str:
        """Refuse to be copied, or sent to another process: the number of a client means another one there.

        Raises:
            UserError: Always.
        """
        raise UserError("a simulation can't be copied, nor leave its process: make another")

    def close(self) -> None:
        """Disconnect. Doing so twice is fine."""
        if self._open:
            self._open = False
            self._client.disconnect()

    def release_motors(self) -> None:
        """Take the motors' force away."""
        self.drive_velocities(np.zeros(len(self._indices)), np.zeros(len(self._indices)))

    def set_joints(self, positions: Floats) -> None:
        """Put the joints at ``positions`` (joints,), rad, at rest."""
        for index, position in zip(self._indices, positions, strict=True):
            self._client.resetJointState(self._robot, index, position, 0.0)
        self.release_motors()

    def joint_states(self) -> Floats:
        """Positions, rad, and velocities, rad/s: (2, joints)."""
        states = self._client.getJointStates(self._robot, self._indices)
        return np.array([[s[0] for s in states], [s[1] for s in states]])

    def joint_positions(self) -> Floats:
        """The first of them, (joints,), rad."""
        return np.array([state[0] for state in self._client.getJointStates(self._robot, self._indices)])

    def link_position(self, link: str) -> Floats:
        """Position of the frame of ``link`` in the world (3,), m."""
        state = self._client.getLinkState(self._robot, self._links[link], computeForwardKinematics=1)
        return np.array(state[4])

    def links(self) -> list[Link]:
        """What is seen of the robot, and how its links hang together. Leaves the joints at 0.

        Raises:
            UserError: A shape of a kind that is not known here, or a joint that does not turn about its link's origin.
        """
        turned = [self._link_frames(np.full(len(self._indices), angle)) for angle in (1.0, 0.0)]
        shapes: dict[int, list[Shape]] = {}
        for data in self._client.getVisualShapeData(self._robot):
            shapes.setdefault(data[1], []).append(_shape(data))
        links = []
        for number in range(-1, self._client.getNumJoints(self._robot)):
            info = self._client.getJointInfo(self._robot, number) if number >= 0 else None
            if info and number not in self._indices and info[2] != pybullet.JOINT_FIXED:
                raise UserError(f"joint {info[1].decode()} does not turn: it can't be drawn by this renderer")
            parent = info[16] if info else None
            at_1, at_0 = (
                frames[number] if parent is None else np.linalg.inv(frames[parent]) @ frames[number]
                for frames in turned
            )
            if not np.allclose(at_1[:3, 3], at_0[:3, 3], atol=1e-6):
                name = self.link_names[number + 1]
                raise UserError(f"link {name} does not turn about its own origin: it can't be drawn by this renderer")
            links.append(
                Link(
                    name=info[12].decode() if info else "base",
                    parent=-1 if parent is None else parent + 1,
                    joint=self._indices.index(number) if number in self._indices else -1,
                    frame=at_0[:3],
                    axis=_axis(at_0[:3, :3].T @ at_1[:3, :3]),
                    shapes=tuple(shapes.get(number, ())),
                )
            )
        return links

    def _link_frames(self, positions: Floats) -> dict[int, Floats]:
        """Frames (4, 4) of the links in the world, with the joints at ``positions`` (joints,), rad."""
        self.set_joints(positions)
        base = _frame(*self._client.getBasePositionAndOrientation(self._robot))
        inertial = _frame(*self._client.getDynamicsInfo(self._robot, -1)[3:5])
        frames = {-1: base @ np.linalg.inv(inertial)}
        for number in range(self._client.getNumJoints(self._robot)):
            state = self._client.getLinkState(self._robot, number, computeForwardKinematics=1)
            frames[number] = _frame(*state[4:6])
        return frames

    def drive_velocities(self, velocities: Floats, forces: Floats) -> None:
        """Let motors hold ``velocities`` (joints,), rad/s, with at most ``forces`` (joints,), N m."""
        self._client.setJointMotorControlArray(
            self._robot,
            self._indices,
            pybullet.VELOCITY_CONTROL,
            targetVelocities=velocities.tolist(),
            forces=forces.tolist(),
        )

    def drive_positions(self, positions: Floats, forces: Floats, max_velocity: float) -> None:
        """Let motors go to ``positions`` (joints,), rad, with at most ``forces`` (joints,), N m."""
        for index, position, force in zip(self._indices, positions, forces, strict=True):
            self._client.setJointMotorControl2(
                self._robot,
                index,
                pybullet.POSITION_CONTROL,
                targetPosition=position,
                force=force,
                positionGain=0.3,
                velocityGain=1.0,
                maxVelocity=max_velocity,
            )

    def apply_torques(self, torques: Floats) -> None:
        """Apply ``torques`` (joints,), N m, during the next physics step."""
        self._client.setJointMotorControlArray(
            self._robot, self._indices, pybullet.TORQUE_CONTROL, forces=torques.tolist()
        )

    def mass_matrix(self, positions: Floats) -> Floats:
        """Inertia (joints, joints), kg m², that the joints feel at ``positions`` (joints,), rad."""
        return np.array(self._client.calculateMassMatrix(self._robot, positions.tolist()))

    def gravity_torques(self, positions: Floats) -> Floats:
        """Torques (joints,), N m, that hold the robot still at ``positions`` (joints,), rad."""
        still = [0.0] * len(positions)
        return np.array(self._client.calculateInverseDynamics(self._robot, positions.tolist(), still, still))

    def step(self, steps: int = 1) -> None:
        """Advance the physics by ``steps`` of its time steps."""
        for _ in range(steps):
            self._client.stepSimulation()

    def draw(
        self, eye: Sequence[float], target: Sequence[float], up: Sequence[float], fov: float, side: int
    ) -> NDArray[np.uint8]:
        """Draw a picture (side, side, 4), uint8, with the TinyRenderer. Its last channel means nothing.

        Raises:
            UserError: PyBullet returns none.
        """
        picture = self._client.getCameraImage(
            side, side, *_matrices(tuple(eye), tuple(target), tuple(up), fov), **DRAWING
        )
        pixels = picture[2]
        found = (pixels.shape, pixels.dtype) if isinstance(pixels, np.ndarray) else f"a {type(pixels).__name__}"
        if found != ((side, side, 4), np.uint8):  # a tuple of a PyBullet that was built without NumPy
            raise UserError(
                f"PyBullet draws {found}, expected a uint8 array of ({side}, {side}, 4): it was built without NumPy; "
                "say pip install numpy setuptools, then pip install --force-reinstall --no-deps --no-cache-dir "
                "--no-build-isolation pybullet"
            )
        return pixels

    def replay(
        self,
        velocities: Floats,
        forces: Floats,
        steps: int,
        eye: Sequence[float],
        target: Sequence[float],
        up: Sequence[float],
        fov: float,
        drawn: int,
    ) -> None:
        """Make the calls of an episode, look at nothing that they return, and do nothing else: the limit of its speed.

        A picture of (drawn, drawn) pixels as ``draw`` draws it; then, for each row of ``velocities`` (n, joints),
        rad/s, ``drive_velocities`` and ``step`` as they are, and another picture.
        """
        camera = (drawn, drawn, *_matrices(tuple(eye), tuple(target), tuple(up), fov))
        look = partial(pybullet.getCameraImage, *camera, **DRAWING, physicsClientId=self._client._client)
        for _ in self._played(velocities, forces, steps):
            look()

    def replay_poses(self, velocities: Floats, forces: Floats, steps: int) -> Floats:
        """The same, but for the pictures: the poses (n + 1, joints), rad, that they would be of."""
        look = partial(pybullet.getJointStates, self._robot, self._indices, physicsClientId=self._client._client)
        return np.array([[state[0] for state in look()] for _ in self._played(velocities, forces, steps)])

    def _played(self, velocities: Floats, forces: Floats, steps: int) -> Iterator[None]:
        control = partial(pybullet.setJointMotorControlArray, self._robot, self._indices, pybullet.VELOCITY_CONTROL)
        client, held = {"physicsClientId": self._client._client}, forces.tolist()
        yield
        for row in velocities.tolist():
            control(targetVelocities=row, forces=held, **client)
            for _ in range(steps):
                pybullet.stepSimulation(**client)
            yield
