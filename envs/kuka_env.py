"""The Gymnasium environment that moves and films the arm: everything but the learned reward."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from imitate.errors import UserError
from imitate.keeping.call_checks import check_order, checked_actions, checked_seed
from imitate.keeping.finite import check_finite

from .cameras import CAMERAS
from .kuka import CONTROL_HZ, Kuka
from .robot import Robot, check_numbers

JOINT_BOUND = 4 * np.pi  # rad; the widest limits in the arms' descriptions are 10.4
VELOCITY_BOUND = 20.0  # rad/s, ten times a full action
BOUNDS = np.array([[JOINT_BOUND], [VELOCITY_BOUND]])
OPTIONS = ("demonstration", "start")  # of a reset
PIXELS = (16, 2048)  # a side of a picture
NO_LIMIT = -1  # steps, as `gym.make` has it


@dataclass(frozen=True)
class Reference:
    """What the robot is to do, as far as is known.

    Attributes:
        start: (joints,) first pose, rad.
        length: Number of frames.
        joints: (length, joints) poses, rad, to measure by; None where the demonstration is a bare video.
        believed: (length, joints) poses that the robot believes to see in the demonstration's frames, rad.
    """

    start: NDArray[np.float64]
    length: int
    joints: NDArray[np.float64] | None = None
    believed: NDArray[np.float64] | None = None

    @classmethod
    def from_joints(cls, joints: NDArray[np.floating]) -> Reference:
        """A reference that is known throughout, from (length, joints) rad."""
        poses = np.asarray(joints, np.float64)
        return cls(poses[0], len(poses), poses)

    def believing(self, poses: NDArray[np.floating]) -> Reference:
        """The same with these poses believed, (length, joints) rad: if none are known, it starts at the first."""
        believed = np.asarray(poses, np.float64)
        expected = (self.length, len(self.start))
        if believed.shape != expected:
            raise UserError(f"believed poses {believed.shape}, expected {expected}")
        return replace(self, believed=believed, start=believed[0] if self.joints is None else self.start)


class KukaEnv(gym.Env):
    """Follow a reference with the arm, seen by a camera.

    Time advances the reference by a frame each step: after step t the robot is compared with frame t, unless it is told
    to ``aim_at`` another. An episode is truncated at the reference's last frame: the video ends, the world does not.

    Observation (dict): ``image`` (size, size, 3) uint8; ``joints`` (n,) rad; ``velocities`` (n,) rad/s.

    Action: (n,) in [-1, 1], see ``imitate.envs.control``.

    Reward: minus the mean absolute joint error, rad: the *true* reward, which ``TCNImitate-v0`` replaces; 0
    where the reference's poses are unknown.

    Info: ``demonstration`` (index), ``step``, the frame of it that the robot is compared with, and where known
    ``ee_error_m`` and ``joint_error_rad``.

    Args:
        references: To follow; one is drawn at each reset. None: the arm's home pose for 100 frames.
        robot: That follows.
        render_mode: ``rgb_array`` or None.
        render_size: Pixels a side of what ``render`` returns.
        max_episode_steps: An episode is truncated after so many steps, if its reference does not end before; None or
            -1: only there. ``gym.make`` keeps this to itself, and does the same; ``gym.make_vec`` hands it on.
        settings: Of the robot, in place of its own, as ``gym.make`` hands them on: ``arm="iiwa_gripper"``.

    Raises:
        UserError: A setting that is none, a reference for another arm, no reference at all, or a renderer that takes no
            pictures.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": CONTROL_HZ}  # noqa: RUF012 (as Gymnasium has it)

    def __init__(
        self,
        references: Sequence[Reference] | None = None,
        robot: Robot = Robot(),
        render_mode: str | None = None,
        render_size: int = 256,
        max_episode_steps: int | None = None,
        **settings: Any,
    ) -> None:
        robot = replace(robot, **settings)
        self.camera, self.image_size = robot.eyes(CAMERAS["front"], 64)
        check_numbers(image_size=self.image_size, render_size=render_size)
        sizes = (self.image_size, render_size)
        if not PIXELS[0] <= min(sizes) <= max(sizes) <= PIXELS[1]:
            raise UserError("image_size {} and render_size {}: expected {} to {} pixels".format(*sizes, *PIXELS))
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise UserError(f"unknown render mode {render_mode!r}: choose rgb_array, or None")
        self.render_mode, self.render_size = render_mode, render_size
        self.max_episode_steps = _limit(max_episode_steps)
        self.start_noise, self.midway = robot.start_noise, robot.midway
        self._robot = robot
        self.kuka = Kuka(robot.arm, robot.control, robot.surroundings)
        n = robot.joints
        self.references = tuple(references) if references is not None else (Reference.from_joints(np.zeros((100, n))),)
        _check_references(self.references, robot)
        self.kuka.check_pictures(self.camera, self.image_size)
        self._flange = [None if r.joints is None else self.kuka.flange_positions(r.joints) for r in self.references]
        self.observation_space = observation_space(n, self.image_size)
        self.action_space = spaces.Box(-1.0, 1.0, (n,), np.float32)
        self.aim = 1  # the frame that the next step is compared with
        self._index = 0
        self._first = 0
        self._frame = 0
        self._pose = np.zeros(n)
        self._actions: list[NDArray[np.floating]] = []
        self._begun = self._closed = False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Go to the start of a reference: ``options["demonstration"]``, or one drawn at random.

        With ``options["start"]``, (joints,) rad, the episode starts there, at the first frame.

        Raises:
            UserError: An unknown option, or one that is none of these; what is no seed; or after ``close``.
        """
        check_order("reset", begun=True, closed=self._closed)
        options = self._checked(options or {})
        super().reset(seed=checked_seed(seed))
        drawn = int(self.np_random.integers(len(self.references)))
        self._index = options.get("demonstration", drawn)
        self._first, start = self._start(self.references[self._index])
        self._pose = start + self.np_random.uniform(-self.start_noise, self.start_noise, len(start))
        if "start" in options:
            self._first, self._pose = 0, options["start"]
        self._actions = []
        self._begun = True
        self._frame, self.aim = self._first, self._first + 1
        self.kuka.reset(self._pose)
        return self._sensed()

    def believe(self, poses: Sequence[NDArray[np.floating]]) -> None:
        """Believe from now on that the references show these poses, each (length, joints), rad.

        Episodes that start midway start there, and those of a reference whose poses are unknown at the first. What is
        observed of poses around this environment is not changed.

        Raises:
            UserError: There are more or fewer than references, or some are of another length or arm, or no numbers.
        """
        if len(poses) != len(self.references):
            raise UserError(f"poses of {len(poses)} demonstrations, expected those of {len(self.references)}")
        for own in poses:
            check_finite("a believed pose", own, "expected poses in rad")
        believing = [reference.believing(own) for reference, own in zip(self.references, poses, strict=True)]
        self.references = tuple(believing)

    def aim_at(self, frame: int) -> None:
        """Compare the next step with this frame of the reference, instead of the one after the last step's."""
        self.aim = int(np.clip(frame, 0, self.references[self._index].length - 1))

    def step(self, action: NDArray[np.floating]) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """Apply an action for 1/20 s.

        Raises:
            UserError: It is none, the simulation broke down, or it comes before ``reset`` or after ``close``.
        """
        check_order("step", self._begun, self._closed)
        action = checked_actions("action", action, self._pose.shape)
        check_finite("an action", action, "expected numbers in [-1, 1]")
        self.kuka.step(action)
        self._actions.append(np.array(action))
        self._frame, self.aim = self.aim, self.aim + 1
        observation, info = self._sensed()
        ended = self._frame >= self.references[self._index].length - 1
        truncated = ended or len(self._actions) >= self.max_episode_steps
        return observation, -info.get("joint_error_rad", 0.0), False, truncated, info

    def state(self) -> dict[str, Any]:
        """For ``restore``: the episode's start, what was done since, and the generator that draws the next one's."""
        return {
            "demonstration": self._index,
            "step": self._first,
            "frame": self._frame,
            "aim": self.aim,
            "pose": self._pose,
            "actions": np.array(self._actions),
            "generator": self.np_random.bit_generator.state,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state, to the bit, by doing again what was done: Bullet hides some of its own state."""
        check_order("restore", begun=True, closed=self._closed)
        self._index, self._first, self._pose = state["demonstration"], state["step"], state["pose"]
        self._frame, self.aim = state["frame"], state["aim"]
        self._actions = list(state["actions"])
        self.kuka.reset(self._pose)
        for action in self._actions:
            self.kuka.step(action)
        self.np_random.bit_generator.state = state["generator"]
        self._begun = True

    def render(self) -> NDArray[np.uint8] | None:
        """Take a picture for people (render_size, render_size, 3) uint8; without a render mode, None.

        Raises:
            UserError: It comes before ``reset`` or after ``close``.
        """
        check_order("render", self._begun, self._closed)
        if self.render_mode is None:
            gym.logger.warn('render of an environment without a render mode: make it with render_mode="rgb_array"')
            return None
        return self.kuka.film(self.camera, self.render_size)

    def close(self) -> None:
        """Free the simulation. Doing so twice is fine."""
        self._closed = True
        self.kuka.close()

    def _film(self) -> NDArray[np.uint8]:
        return self.kuka.film(self.camera, self.image_size)

    def _checked(self, options: dict[str, Any]) -> dict[str, Any]:
        """The options of a reset: an index, and a pose (joints,), rad."""
        checked: dict[str, Any] = {}
        for name, value in options.items():
            if name not in OPTIONS:
                raise UserError(f"unknown option {name!r}: choose one of {', '.join(OPTIONS)}")
            if name == "start":
                pose = checked_actions("a start", value, self._pose.shape)
                check_finite("a start", pose, "expected a pose in rad")
                checked[name] = pose.astype(np.float64)
            elif np.shape(value) or np.asarray(value).dtype.kind not in "iu":
                raise UserError(f"demonstration of type {type(value).__name__}, expected the index of one")
            elif not 0 <= value < len(self.references):
                raise UserError(f"no demonstration {value}, expected 0 to {len(self.references) - 1}")
            else:
                checked[name] = int(value)
        return checked

    def _start(self, reference: Reference) -> tuple[int, NDArray[np.float64]]:
        """The frame and the pose that an episode starts at."""
        if not self.midway or reference.believed is None or self.np_random.random() >= self.midway:
            return 0, reference.start
        step = int(self.np_random.integers(reference.length - 1))
        return step, reference.believed[step] if step else reference.start

    def _sensed(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The observation, and what is told of it."""
        state = self.kuka.joint_states()
        advice = "the simulation became unstable: choose another control, or smaller actions"
        check_finite("joints and velocities", state, advice)
        joints, velocities = state.clip(-BOUNDS, BOUNDS).astype(np.float32)
        observation = {
            "image": self._film(),
            "joints": joints,
            "velocities": velocities,
        }
        info: dict[str, Any] = {"demonstration": self._index, "step": self._frame}
        reference = self.references[self._index]
        if reference.joints is not None:
            t = min(self._frame, reference.length - 1)
            flange = self._flange[self._index]
            info["joint_error_rad"] = float(np.abs(state[0] - reference.joints[t]).mean())
            info["ee_error_m"] = float(np.linalg.norm(self.kuka.flange_position() - flange[t]))  # type: ignore[index]
        return observation, info


def _limit(max_episode_steps: int | None) -> float:
    """Steps after which an episode is truncated."""
    limit = NO_LIMIT if max_episode_steps is None else max_episode_steps
    if not isinstance(limit, (int, np.integer)) or (limit < 1 and limit != NO_LIMIT):
        raise UserError(f"max_episode_steps is {limit!r}, expected a number of 1 or more, or None")
    return np.inf if limit == NO_LIMIT else int(limit)


def _check_references(references: Sequence[Reference], robot: Robot) -> None:
    """Refuse what is nothing to follow, or is for another arm."""
    if not references:
        raise UserError("no demonstration to follow, expected at least one")
    n = robot.joints
    for reference in references:
        if len(reference.start) != n:
            found = len(reference.start)
            raise UserError(f"a demonstration of {found} joints, expected the {n} of the arm {robot.arm!r}")
        if reference.believed is not None and reference.believed.shape != (reference.length, n):
            raise UserError(f"believed poses {reference.believed.shape}, expected {(reference.length, n)}")


def observation_space(joints: int, image_size: int) -> spaces.Dict:
    """What a ``KukaEnv`` observes."""
    return spaces.Dict(
        {
            "image": spaces.Box(0, 255, (image_size, image_size, 3), np.uint8),
            "joints": spaces.Box(-JOINT_BOUND, JOINT_BOUND, (joints,), np.float32),
            "velocities": spaces.Box(-VELOCITY_BOUND, VELOCITY_BOUND, (joints,), np.float32),
        }
    )
