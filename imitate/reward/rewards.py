"""Rewards from embeddings: the robot's own and the demonstration's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from imitate.errors import UserError, choose
from imitate.measuring.alignment import nearest_frames

Floats = NDArray[np.float32]


class Moment(NamedTuple):
    """A step of n robots, as a reward sees it.

    Attributes:
        before: (n, dim) embeddings of the robots' frames before the step; after a reset, of the frame it led to.
        own: (n, dim) embeddings of their frames after it.
        target: (n, dim) embeddings of the demonstrations' frames of the same step as ``own``.
        demonstrations: n times (length, dim), the embeddings of the whole demonstration that each robot follows.
    """

    before: Floats
    own: Floats
    target: Floats
    demonstrations: Sequence[Floats]


Reward = Callable[[Moment], NDArray[np.float64]]  # to (n,) rewards


@dataclass(frozen=True)
class HuberReward:
    r"""The Huber-style reward of the paper (section II.B), times a scale, plus a bonus.

    .. math:: R(v, w) = b - s \left(\alpha \|w - v\|^2 + \beta \sqrt{\gamma + \|w - v\|^2}\right)

    The squared term pulls from afar, the root keeps pulling when the embeddings are almost equal.

    Attributes:
        alpha: Weight of the squared distance.
        beta: Weight of the distance.
        gamma: Keeps the root differentiable at zero. Not the discount factor.
        scale: Factor s. Embeddings of norm 10 are up to 20 apart; 0.01 keeps the returns of an episode
            in the tens, which PPO's value function learns without normalisation.
        bonus: Added at each step; 0 in the paper. Where an episode ends early because the robot has lost the
            demonstration, following it must be worth more than ending (Peng et al., DeepMimic, 2018).
    """

    alpha: float = 1.0
    beta: float = 1.0
    gamma: float = 0.001
    scale: float = 0.01
    bonus: float = 0.0

    def __post_init__(self) -> None:
        _check(self, "alpha", "beta", "gamma", "scale")

    def __call__(self, moment: Moment) -> NDArray[np.float64]:
        """Reward of being where the demonstration is: (n,), at most ``bonus - scale * beta * sqrt(gamma)``."""
        return self.bonus + self.closeness(moment.own, moment.target)

    def closeness(self, own: NDArray, target: NDArray) -> NDArray[np.float64]:
        """The reward without its bonus, of (..., dim) embeddings where the demonstration is at (..., dim): (...)."""
        squared = np.square(own.astype(np.float64) - target).sum(axis=-1)
        return -self.scale * (self.alpha * squared + self.beta * np.sqrt(self.gamma + squared))


@dataclass(frozen=True)
class DifferenceReward:
    """By how much a step brought the robot nearer to the demonstration's frame of that step.

    As of VIP (Ma et al., 2023), where the frame is one goal that stays, and H minus the L2 distance::

        R = bonus + H(own, target) - H(before, target)

    Towards a frame that stays, the rewards of an episode sum up to what was gained, by whatever way.

    Attributes:
        huber: H. Its bonus, which would cancel out, is added to the difference.
    """

    huber: HuberReward = field(default_factory=HuberReward)

    def __call__(self, moment: Moment) -> NDArray[np.float64]:
        """(n,) rewards."""
        after, before = (self.huber.closeness(place, moment.target) for place in (moment.own, moment.before))
        return self.huber.bonus + after - before


@dataclass(frozen=True)
class ProgressReward:
    """By how many frames the step advanced the demonstration's frame that looks most like the robot.

    ::

        R = bonus + scale * (nearest(own) - nearest(before))

    The rewards of an episode sum up to how far it came: going back and forth earns nothing. No clock is asked: whoever
    is late, or ahead, earns as much a frame.

    Attributes:
        scale: What a frame is worth: a demonstration of 100 frames 10, in the tens as the returns of ``HuberReward``.
            Not a share of the demonstration, because a discounting learner looks as many frames ahead in a long one.
        bonus: Added at each step.
    """

    scale: float = 0.1
    bonus: float = 0.0

    def __post_init__(self) -> None:
        _check(self, "scale")

    def __call__(self, moment: Moment) -> NDArray[np.float64]:
        """(n,) rewards."""
        pairs = zip(np.stack([moment.before, moment.own], axis=1), moment.demonstrations, strict=True)
        advanced = np.array([np.diff(nearest_frames(pair, shown))[0] for pair, shown in pairs])
        return self.bonus + self.scale * advanced


FORMS: dict[str, Callable[[HuberReward], Reward]] = {
    "huber": lambda huber: huber,
    "difference": DifferenceReward,
    "progress": lambda huber: ProgressReward(10 * huber.scale, huber.bonus),
}


def reward_of(form: str, huber: HuberReward) -> Reward:
    """A reward of one of ``FORMS``, with the settings of ``huber`` as far as the form has them.

    Raises:
        UserError: There is no such form.
    """
    return choose(FORMS, form, "reward form")(huber)


def _check(reward: HuberReward | ProgressReward, *weights: str) -> None:
    for name in weights:
        if not 0 <= getattr(reward, name) < float("inf"):
            raise UserError(f"reward.{name} is {getattr(reward, name)}, expected a number of 0 or more")
    if not np.isfinite(reward.bonus):
        raise UserError(f"reward.bonus is {reward.bonus}, expected a number")
