"""MuJoCo's environments without shadows, which take long where no graphics card draws them."""

from __future__ import annotations

from typing import Any

import gymnasium as gym

from imitate.errors import UserError


def shadowless(of: str = "", **keywords: Any) -> gym.Env:
    """Make one, whose lamps cast no shadows. Its episodes are as long as its own.

    Args:
        of: Its id, such as ``Reacher-v5``.
        keywords: That it is made with.

    Raises:
        UserError: It is none of MuJoCo's.
    """
    if not of:
        raise UserError("of is empty, expected the id of one of MuJoCo's environments: of=Reacher-v5")
    env = gym.make(of, disable_env_checker=True, **keywords)  # it is checked from outside
    lamps = getattr(getattr(env.unwrapped, "model", None), "light_castshadow", None)
    if lamps is None:
        env.close()
        raise UserError(f"of is {of!r}, which has no lamps of MuJoCo's, expected one of its environments")
    lamps[:] = False
    return env
