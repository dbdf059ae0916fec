"""A robot: its arm, how it moves, what sees it, and where it starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import numpy as np

from imitate.data.camera import Camera
from imitate.errors import UserError, choose

from .cameras import CAMERAS
from .control import CONTROLS
from .kuka import ARMS, Arm
from .scenes.named import SCENES
from .scenes.scene import Scene

Whole = TypeVar("Whole")


@dataclass(frozen=True)
class Robot:
    """A robot, and where it starts.

    Attributes:
        arm: One of ``ARMS``, or an arm of your own.
        control: One of ``CONTROLS``: what an action means.
        camera: One of ``CAMERAS``, or a camera of your own. None: the encoder's; where there is no encoder, front.
        image_size: Pixels a side of what the camera takes. None: the encoder's; where there is none, 64.
        scene: One of ``SCENES``, or a scene of your own: where it stands. Only seen: it touches nothing.
        start_noise: The first pose differs from the demonstration's by up to this, uniformly, in each joint, rad.
        midway: Share of the episodes that start at a random frame instead of the first, at the pose that the robot
            believes to see there (reference state initialisation, Peng et al., DeepMimic, 2018, section 6.1). Else
            nothing is learned of a frame before all the frames ahead of it are. No effect where no poses were read.
        translates: Whether it compares itself with what the demonstration would look like in its own scene, by its own
            camera, at the poses that it believes to see: of one from another room. ``KukaEnv`` compares nothing.

    Raises:
        UserError: An unknown name, or what is no number of its range.
    """

    arm: str | Arm = "iiwa"
    control: str = "velocity"
    camera: str | Camera | None = None
    image_size: int | None = None
    scene: str | Scene = "plain"
    start_noise: float = 0.0
    midway: float = 0.0
    translates: bool = False

    def __post_init__(self) -> None:
        kinds: tuple[tuple[str, Mapping[str, Any], tuple[type, ...]], ...] = (
            ("arm", ARMS, (Arm,)),
            ("control", CONTROLS, ()),
            ("camera", CAMERAS, (Camera, type(None))),
            ("scene", SCENES, (Scene,)),
        )
        for noun, registry, own in kinds:
            value = getattr(self, noun)
            if isinstance(value, str):
                choose(registry, value, noun)
            elif not isinstance(value, own):
                others = "".join(f", or a {kind.__name__}" for kind in own if kind is not type(None))
                raise UserError(f"{noun} is {value!r}, expected one of {', '.join(sorted(registry))}{others}")
        if not isinstance(self.translates, bool | np.bool_):
            raise UserError(f"translates is {self.translates!r}, expected True or False")
        check_numbers(start_noise=self.start_noise, midway=self.midway)
        if not 0 <= self.start_noise <= np.pi:
            raise UserError(f"start_noise is {self.start_noise}, expected 0 to pi rad")
        if not 0 <= self.midway <= 1:
            raise UserError(f"midway is {self.midway}, expected a share of 0 to 1")

    @property
    def own_arm(self) -> Arm:
        """Its arm."""
        return choose(ARMS, self.arm, "arm") if isinstance(self.arm, str) else self.arm

    @property
    def joints(self) -> int:
        """Of its arm."""
        return self.own_arm.joints

    @property
    def surroundings(self) -> Scene:
        """Its scene."""
        return choose(SCENES, self.scene, "scene") if isinstance(self.scene, str) else self.scene

    def eyes(self, camera: Camera, image_size: int) -> tuple[Camera, int]:
        """Its camera, and the pixels a side of what that takes; these, where it has none of its own."""
        own = choose(CAMERAS, self.camera, "camera") if isinstance(self.camera, str) else self.camera
        return own or camera, image_size if self.image_size is None else self.image_size


def check_numbers(**values: Any) -> None:
    """Refuse what is no number.

    Raises:
        UserError: One is none; the message has its name.
    """
    for name, value in values.items():
        if not isinstance(value, int | float | np.integer | np.floating):
            raise UserError(f"{name} is {value!r}, expected a number")


def taken(whole: Whole, settings: dict[str, Any]) -> Whole:
    """A dataclass with those of the settings that are its fields, which are taken out of the others.

    ``gym.make`` knows keywords only: this makes of them what a robot is, and how it follows.
    """
    names = [field.name for field in fields(whole) if field.name in settings]  # type: ignore[arg-type]
    return replace(whole, **{name: settings.pop(name) for name in names})  # type: ignore[type-var]
