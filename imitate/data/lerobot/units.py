"""Which entries of a state are joint angles, and whether they are in rad."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imitate.data.lerobot.features import words
from imitate.errors import UserError

MOST = 4 * np.pi  # rad: further than that no joint of a robot turns
LEAST_DEGREES = 2 * np.pi  # a robot that nowhere turns further than that, in degrees, hardly moves: it is in rad
ADVICE = (
    "bring the dataset to rad; to embed it, --degrees converts degrees, --joints NAME ... chooses, and "
    "--self-regression 0 does without, as percent must"
)
OTHERS = {  # words in the names of entries that are no angles of joints
    "velocity": "velocity velocities vel vels speed speeds qvel dq qd dot qdot acc acceleration rpm",
    "force": (
        "effort efforts eff torque torques force forces current currents load tau wrench pressure pwm contact contacts "
        "touch tactile"
    ),
    "gripper": "gripper grippers claw jaw grasp grasped opening width",
    "place": (
        "x y z xyz ee eef tcp cartesian effector endeffector endpose posx posy posz rx ry rz orientation quat "
        "quaternion qx qy qz qw rotmat rotvec axisangle"
    ),
    "length": "mm cm meter meters metre metres height slider slide rail linear prismatic",
    "else": "temperature temp voltage raw encoder encoders timestamp time pad padding reward done success",
}
NO_ANGLES = frozenset(" ".join(OTHERS.values()).split())
PLACE = frozenset(OTHERS["place"].split())
UNLESS = {  # words that are such too, unless one of these stands beside them
    "lift": frozenset({"shoulder", "elbow", "wrist"}),  # else of a torso, in m
    "finger": frozenset({"thumb", "index", "middle", "ring", "little", "pinky"}),  # else of a gripper
}
SIX = re.compile(r"6d(?![a-z])", re.IGNORECASE)  # rot_6d, r6d: an orientation
ORIENTATION = frozenset({"roll", "pitch", "yaw", "rpy", "rot", "rotation", "euler"})  # alone; wrist_roll is a joint
SIDES = frozenset({"left", "right", "l", "r"})
NAMED = (
    "joint joints jnt j q qpos axis motor servo arm forearm shoulder elbow wrist waist torso hip knee ankle neck head "
    "pan tilt flex thumb index middle ring little pinky"
)
JOINTS = frozenset(NAMED.split())  # words in the names of joints
DEGREES = frozenset({"deg", "degs", "degree", "degrees"})
RADIANS = frozenset({"rad", "rads", "radian", "radians"})
NO_UNITS = frozenset({"percent", "percentage", "pct", "tick", "ticks", "count", "counts"})


class UnitsError(UserError):
    """A state that has no joint angles in rad."""


@dataclass(frozen=True)
class Choice:
    """What a user says of a state.

    Attributes:
        joints: The names of the entries that are joint angles, or their numbers, from 0 on, where they have none;
            empty: all, but for those whose name says that they are none.
        degrees: They are in degrees.
    """

    joints: tuple[str, ...] = ()
    degrees: bool = False


@dataclass(frozen=True)
class State:
    """The entries of a state.

    Attributes:
        where: What it is of, for messages.
        names: (entries,) of each.
        chosen: (joints,) which are joint angles.
        degrees: These are in degrees.
    """

    where: str
    names: tuple[str, ...]
    chosen: tuple[int, ...]
    degrees: bool = False

    @classmethod
    def of(cls, where: str, said: Any, width: int, choice: Choice) -> State:
        """Choose among the entries of a state.

        Args:
            where: What it is of, for messages.
            said: The names that the dataset says, in whatever form.
            width: Number of entries.
            choice: What the user says of them.

        Raises:
            UnitsError: None are joint angles, or they are in another unit by their names.
            UserError: One that was chosen is not among them.
        """
        names = entry_names(said, width)
        for name in choice.joints:
            if name not in names:
                raise UserError(f"{where}: no entry {name!r} among them: choose joints of {', '.join(names)}")
        if len(set(choice.joints)) < len(choice.joints):
            raise UserError(f"{where}: joints are {' '.join(choice.joints)}, expected each once")
        chosen = [names.index(name) for name in choice.joints]
        if not choice.joints:
            chosen = [k for k, name in enumerate(names) if _may_be_angle(name)]
        if not chosen:
            raise UnitsError(f"{where}: no joint angles by the names {', '.join(names)}: {ADVICE}")
        if not choice.joints and any(map(_of_place, names)) and not any(_like_joint(names[k]) for k in chosen):
            doubtful = ", ".join(names[k] for k in chosen)
            raise UnitsError(f"{where}: {doubtful} may be no joints among {', '.join(names)}, by the names: {ADVICE}")
        state = cls(where, names, tuple(chosen), choice.degrees)
        wrong = NO_UNITS | (RADIANS if choice.degrees else DEGREES)
        strange = [names[k] for k in chosen if wrong & set(words(names[k]))]
        if strange:
            unit = "degrees" if choice.degrees else "rad"
            raise UnitsError(
                f"{where}: {', '.join(strange)} can't be in {unit}, by the name: {_advice(choice.degrees)}"
            )
        return state

    @property
    def taken(self) -> tuple[str, ...]:
        """Names of the entries that are joint angles."""
        return tuple(self.names[k] for k in self.chosen)

    @property
    def left_out(self) -> tuple[str, ...]:
        """Names of the entries that are no joint angles."""
        return tuple(name for k, name in enumerate(self.names) if k not in self.chosen)

    def check(self, low: NDArray[np.floating], high: NDArray[np.floating]) -> None:
        """Refuse what can't be angles in the unit.

        Args:
            low: (entries,) least of each, in whatever unit.
            high: (entries,) greatest.

        Raises:
            UnitsError: Some can't.
        """
        farthest = np.maximum(np.abs(low), np.abs(high))
        most = float(farthest[list(self.chosen)].max())
        if self.degrees and most <= LEAST_DEGREES:
            raise UnitsError(
                f"{self.where}: nothing beyond {most:.3g}: it is in rad already, or hardly moves in degrees: leave "
                "--degrees out"
            )
        beyond = np.flatnonzero(farthest > (np.rad2deg(MOST) if self.degrees else MOST)).tolist()
        ranges = {k: f"{self.names[k]} ({low[k]:.3g} to {high[k]:.3g})" for k in beyond}
        unit = "degrees" if self.degrees else "rad"
        if wrong := [ranges[k] for k in beyond if k in self.chosen]:
            raise UnitsError(f"{self.where}: {', '.join(wrong)} can't be angles in {unit}: {_advice(self.degrees)}")
        doubtful = [ranges[k] for k in beyond if k not in self.chosen and _may_be_angle(self.names[k])]
        if doubtful and not self.degrees:  # as a rule, the entries of a state are in one unit
            print(
                f"imitate: {self.where}: {', '.join(doubtful)} can't be angles in rad: if the joints that were chosen "
                "are in degrees too, say --degrees",
                file=sys.stderr,
            )

    def joints(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """The joint angles (n, joints), rad, of (n, entries) rows."""
        chosen = rows[:, list(self.chosen)]
        return np.deg2rad(chosen.astype(np.float64)).astype(np.float32) if self.degrees else chosen


def _advice(degrees: bool) -> str:
    return ADVICE.replace("--degrees converts degrees, ", "") if degrees else ADVICE


def entry_names(said: Any, width: int) -> tuple[str, ...]:
    """The names of a state's entries: a list, or one in a mapping such as ``{"motors": [...]}``; else their numbers."""
    names = _flat(said)
    if len(names) != width or len(set(names)) != width:
        return tuple(map(str, range(width)))
    return tuple(names)


def _flat(said: Any) -> list[str]:
    if isinstance(said, dict):
        if said and all(type(value) is int for value in said.values()):  # by name, which entry it is
            return sorted(said, key=lambda name: said[name])
        return [name for value in said.values() for name in _flat(value)]
    if isinstance(said, list):
        return [name for value in said for name in _flat(value)]
    return [said] if isinstance(said, str) else []


def _may_be_angle(name: str) -> bool:
    said = set(words(name))
    other = said & NO_ANGLES or any(word in said and not said & beside for word, beside in UNLESS.items())
    return not other and not _of_place(name)


def _of_place(name: str) -> bool:
    """Whether an entry is of where something is, or how it is turned, by its name."""
    said = words(name)
    if PLACE & set(said) or SIX.search(name) or (said[-1:] == ["w"] and name[-1] in "wW"):  # w_0 is a joint
        return True
    turned = set(said) - SIDES
    return bool(turned) and turned <= ORIENTATION


def _like_joint(name: str) -> bool:
    return bool(JOINTS & set(words(name)))
