"""What an action in [-1, 1] means to the joints."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .bullet import Bullet

VELOCITY_SCALE = 2.0  # rad/s of a full action
MOTOR_FORCE = 300.0  # N m, the limit in the arm's description

Floats = NDArray[np.float64]


class Control(Protocol):
    """Applies an action for a number of physics steps."""

    def __call__(self, bullet: Bullet, action: Floats, torques: Floats, steps: int) -> None:
        """Apply ``action`` (joints,), in [-1, 1]; ``torques`` (joints,), N m, are those of a full action."""


def velocity(bullet: Bullet, action: Floats, torques: Floats, steps: int) -> None:
    """A full action turns a joint at 2 rad/s."""
    bullet.drive_velocities(VELOCITY_SCALE * action, np.full(len(action), MOTOR_FORCE))
    bullet.step(steps)


def position(bullet: Bullet, action: Floats, torques: Floats, steps: int) -> None:
    """A full action moves a joint's target 0.1 rad (2 rad/s for as long as it lasts) away from where it is."""
    positions, _ = bullet.joint_states()
    targets = positions + VELOCITY_SCALE * steps * bullet.seconds * action
    bullet.drive_positions(targets, np.full(len(action), MOTOR_FORCE), 2 * VELOCITY_SCALE)
    bullet.step(steps)


def torque(bullet: Bullet, action: Floats, torques: Floats, steps: int) -> None:
    """A full action is a torque, on top of gravity compensation and viscous damping.

    Both are renewed at every physics step, as a real arm's joint controllers do, much faster than the policy
    acts: held over a control step they would let the arm drift, and nothing was learned that way. The damping
    balances a full torque at 2 rad/s.
    """
    damping = torques / VELOCITY_SCALE
    for _ in range(steps):
        positions, velocities = bullet.joint_states()
        # A wrist is so light that damping taken from the velocity before the step overshoots. Taken from
        # the velocity after it, v' = (M + dt D)^-1 (M v + dt u), it is stable whatever the inertia.
        inertia = bullet.mass_matrix(positions)
        after = np.linalg.solve(
            inertia + bullet.seconds * np.diag(damping),
            inertia @ velocities + bullet.seconds * torques * action,
        )
        bullet.apply_torques(torques * action - damping * after + bullet.gravity_torques(positions))
        bullet.step()


CONTROLS: dict[str, Control] = {"velocity": velocity, "position": position, "torque": torque}
