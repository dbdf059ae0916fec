"""How a demonstration is followed: what is observed of it, when it goes on, and what is rewarded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imitate.errors import UserError
from imitate.keeping.finite import check_finite
from imitate.reward.rewards import HuberReward, Moment, Reward

NEVER = float("inf")
MOST_AHEAD = 100  # frames that a policy may observe


@dataclass(frozen=True)
class Following:
    """How a demonstration is followed.

    Attributes:
        reward: From a ``Moment`` to (n,) rewards: of ``imitate.reward.rewards``, or any function. None:
            ``HuberReward()``.
        give_up: An episode terminates where the embeddings are farther apart than this: the robot has lost the
            demonstration, and nothing there is worth learning. Never by default.
        observe_pose: Observe also the pose that the robot has read off the demonstration's next frame.
        lookahead: How many of the demonstration's next frames are observed.
        clock: The demonstration advances by a frame a step: its next frame is that of the next step. If false, it is as
            ``Targets.ahead`` says: the demonstration waits for a robot that comes nearer, and its next frame is the one
            after the nearest ahead, in the embedding; an episode takes as long as the robot.
        ends: Whether what the environment takes for an end is one: ``terminated``, after which there is nothing to be
            had. If false, that is ``truncated``: of a video it says nothing, and a learner takes it that it would have
            gone on from there. Else it is drawn to such ends, or shuns them, by no more than the sign of the reward
            (Kostrikov et al., "Discriminator-actor-critic", ICLR 2019).

    Raises:
        UserError: ``reward`` is no function, ``give_up`` no distance, ``lookahead`` no number of frames, or one of the
            others neither true nor false.
    """

    reward: Reward | None = None
    give_up: float = NEVER
    observe_pose: bool = False
    lookahead: int = 1
    clock: bool = True
    ends: bool = False

    def __post_init__(self) -> None:
        if self.reward is not None and not callable(self.reward):
            raise UserError(f"reward is {self.reward!r}, expected a function from a Moment to (n,) rewards, or None")
        if not isinstance(self.give_up, int | float | np.integer | np.floating) or not self.give_up >= 0:
            raise UserError(f"give_up is {self.give_up!r}, expected a distance of 0 or more")
        if not isinstance(self.lookahead, int | np.integer) or not 1 <= self.lookahead <= MOST_AHEAD:
            raise UserError(f"lookahead is {self.lookahead!r}, expected 1 to {MOST_AHEAD} frames")
        for name in ("observe_pose", "clock", "ends"):
            value = getattr(self, name)
            if not isinstance(value, bool | np.bool_):
                raise UserError(f"{name} is {value!r}, expected True or False")

    def rewards(self, moment: Moment) -> NDArray[np.floating]:
        """The (n,) rewards of n robots.

        Raises:
            UserError: The reward, which may be a user's own, made something else than a finite number for each.
        """
        rewards = (self.reward or HuberReward())(moment)
        number = len(moment.own)
        if np.shape(rewards) != (number,):
            raise UserError(f"rewards of shape {np.shape(rewards)}, expected ({number},): one for each robot")
        check_finite("a reward", rewards, "expected a number: mend the reward")
        return rewards
