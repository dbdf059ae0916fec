"""What every environment asks of those who call it: their order, seeds and actions, alike for one and for many."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import error
from gymnasium.vector import AutoresetMode, VectorEnv
from numpy.typing import NDArray

from imitate.errors import UserError

ALTOGETHER = ("reset", "step", "restore", "close")  # calls that all environments get at once


class ResetNeeded(UserError, error.ResetNeeded):
    """A call that needs an episode, before there is one."""


class ClosedEnvironment(UserError, error.ClosedEnvironmentError):
    """A call of an environment that has been closed."""


def check_order(call: str, begun: bool, closed: bool = False) -> None:
    """Refuse a call that comes too early or too late.

    Args:
        call: Its name.
        begun: Whether there was a reset.
        closed: Whether the environment is.

    Raises:
        ResetNeeded: It comes before the first reset.
        ClosedEnvironment: It comes after ``close``.
    """
    if closed:
        raise ClosedEnvironment(f"{call} of an environment that is closed: make another")
    if not begun:
        raise ResetNeeded(f"{call} before the first reset: call reset first")


def checked_seed(seed: Any) -> int | None:
    """A seed as Gymnasium's generators take it. Theirs must be Python's integers; here NumPy's will do.

    Raises:
        UserError: It is no integer, or negative.
    """
    if seed is None:
        return None
    try:
        number = int(operator.index(seed))
    except TypeError:
        raise UserError(f"a seed of type {type(seed).__name__}, expected an integer of 0 or more, or None") from None
    if number < 0:
        raise UserError(f"seed is {number}, expected 0 or more")
    return number


def checked_seeds(seed: Any, number: int) -> list[int | None]:
    """The seeds of so many environments: environment i takes ``seed + i``, or the i-th of a list.

    Raises:
        UserError: A list of another length, or what is no seed.
    """
    if np.ndim(seed):
        if len(seed) != number:
            raise UserError(f"{len(seed)} seeds, expected one, or one for each of the {number} environments")
        return [checked_seed(one) for one in seed]
    first = checked_seed(seed)
    return [None if first is None else first + i for i in range(number)]


def checked_actions(what: str, actions: Any, shape: tuple[int, ...]) -> NDArray[Any]:
    """Actions as an array of numbers; of no other shape, which NumPy might broadcast.

    Args:
        what: They are, for the message.
        actions: To check.
        shape: That is expected.

    Raises:
        UserError: They are of another shape, or no numbers.
    """
    try:
        array = np.asarray(actions)
    except ValueError:  # rows of different lengths
        raise UserError(f"{what} of no shape: rows of different lengths, expected {shape}") from None
    if array.shape != shape:
        raise UserError(f"{what} of shape {array.shape}, expected {shape}")
    if array.dtype.kind not in "fiub":
        raise UserError(f"{what} of type {array.dtype}, expected numbers")
    return array


def called(envs: Iterable[gym.Env], name: str, args: tuple, kwargs: dict[str, Any]) -> list[Any]:
    """What a method of each environment returns, or an attribute of each is.

    Raises:
        AttributeError: One has none; then none is called.
    """
    found = [env.get_wrapper_attr(name) for env in envs]
    return [one(*args, **kwargs) if callable(one) else one for one in found]


def check_same_step(env: VectorEnv) -> None:
    """Refuse a vector environment that resets at another time than in the step that ends an episode.

    Raises:
        UserError: It does, or does not say.
    """
    mode = env.metadata.get("autoreset_mode")
    if mode != AutoresetMode.SAME_STEP:
        raise UserError(f"a vector environment of autoreset mode {mode}, expected {AutoresetMode.SAME_STEP}")
