"""The environments' own reward in place of the embedding's."""

from __future__ import annotations

from typing import Any

from gymnasium.vector import VectorWrapper
from numpy.typing import NDArray

from imitate.errors import UserError
from imitate.keeping.finite import check_finite
from imitate.reward.rewards import Floats
from imitate.reward.vector_wrapper import EmbeddingRewardVector


class TrueReward(VectorWrapper):
    """The environment's own reward in place of the embedding's: what a learner can do with a perfect reward.

    Args:
        env: Tells its own reward as ``env_reward`` in its infos.
    """

    def __init__(self, env: EmbeddingRewardVector) -> None:
        super().__init__(env)

    def step(self, actions: Any) -> tuple[Floats, NDArray, NDArray, NDArray, dict[str, Any]]:
        """Step the environments below.

        Raises:
            UserError: They do not tell their own reward, or it is no number.
        """
        observation, _, terminated, truncated, infos = self.env.step(actions)
        if "env_reward" not in infos:
            raise UserError(f"{self.env}: no info 'env_reward', expected that of EmbeddingRewardVector: wrap it")
        check_finite("a true reward", infos["env_reward"], "the simulation became unstable: choose another control")
        return observation, infos["env_reward"], terminated, truncated, infos

    def state(self) -> dict[str, Any]:
        """For ``restore``."""
        return self.env.state()  # type: ignore[attr-defined]

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state. The next call is to be ``step``."""
        self.env.restore(state)  # type: ignore[attr-defined]
