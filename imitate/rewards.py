"""Rewards from the distance between two embeddings: the robot's own and the demonstration's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imitate.errors import UserError


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
        for name in ("alpha", "beta", "gamma", "scale"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise UserError(f"reward.{name} is {getattr(self, name)}, expected a number of 0 or more")
        if not np.isfinite(self.bonus):
            raise UserError(f"reward.bonus is {self.bonus}, expected a number")

    def __call__(self, own: NDArray[np.float32], target: NDArray[np.float32]) -> NDArray[np.float64]:
        """Reward of being at ``own`` where the demonstration is at ``target``.

        Args:
            own: (..., dim) embeddings of the robot's own frames.
            target: (..., dim) embeddings of the demonstration's frames.

        Returns:
            (...) rewards, at most ``bonus - scale * beta * sqrt(gamma)``.
        """
        squared = np.square(own.astype(np.float64) - target).sum(axis=-1)
        return self.bonus - self.scale * (self.alpha * squared + self.beta * np.sqrt(self.gamma + squared))
