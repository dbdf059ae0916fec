"""Environments with a policy that is known to be good, and a truth to measure by: what a benchmark learns from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from imitate.envs import SHADOWLESS

from .episodes import Policy
from .made import Made
from .planning import planned

Truth = NDArray[np.float64]
LINKS = (0.1, 0.11)  # of Reacher's arm, m
UPRIGHT = 5.0  # energy of Pendulum-v1's rod where it stands on its head, J
STEADY = (0.5, 10.0, 2.5)  # rad from there, within which it is held; by a torque of so many N m a rad, and a rad/s
BALANCE = np.array([1.81, 9.94, 1.86, 1.76])  # force on InvertedPendulum-v5's cart for position, angle, and their rates
SWING, PERIOD = 0.1, (3.0, 5.0)  # of its cart: m to each side, and s to and fro
POLE = 0.6  # m
PUSHING = (4.0, 0.5, 0.02)  # the cost of the object's way to its goal, of the tip's to the object, and of effort
STRIDE = 0.15  # of the longest step of Panda's hand


@dataclass(frozen=True)
class Expert:
    """An environment, whoever does well in it by its own reward, and how it truly stands.

    Attributes:
        made: The environment.
        act: What makes, of an environment that was reset, the policy that does well from there.
        truth: (entries,) how an environment truly stands.
        apart: From two of these to how far they are apart.
        unit: Of that.
        moves: How far, on average over what is shown, that is at least from where it began: nothing is shown where an
            episode asks for less, as where the target is at hand.
        steps: That are learned.
    """

    made: Made
    act: Callable[[gym.Env], Policy]
    truth: Callable[[gym.Env], Truth]
    apart: Callable[[Truth, Truth], float]
    unit: str
    moves: float
    steps: int


def _turned(one: Truth, other: Truth) -> float:
    """Mean difference of angles, rad, by the shorter way."""
    return float(np.abs((one - other + np.pi) % (2 * np.pi) - np.pi).mean())


def _distance(one: Truth, other: Truth) -> float:
    return float(np.linalg.norm(one - other))


def _points(one: Truth, other: Truth) -> float:
    """Mean distance of two points in a plane."""
    return float(np.linalg.norm((one - other).reshape(-1, 2), axis=1).mean())


def _reacher(env: gym.Env) -> Policy:
    """Turns the joints to where the tip is at the target, by the nearer of the two ways."""
    core: Any = env.unwrapped
    goals = [_bent(core.data.qpos[2:4], side) for side in (1, -1)]
    goal = min(goals, key=lambda one: _turned(one, core.data.qpos[:2]))

    def act(_: Any) -> NDArray[np.float32]:
        away = (goal - core.data.qpos[:2] + np.pi) % (2 * np.pi) - np.pi
        return np.clip(0.6 * away - 0.12 * core.data.qvel[:2], -0.3, 0.3).astype(np.float32)

    return act


def _bent(target: NDArray[np.float64], side: int) -> Truth:
    """The joints of a two-link arm whose tip is at a target: (2,) rad."""
    first, second = LINKS
    cosine = (target @ target - first**2 - second**2) / (2 * first * second)
    elbow = side * np.arccos(np.clip(cosine, -1, 1))
    shoulder = np.arctan2(target[1], target[0]) - np.arctan2(second * np.sin(elbow), first + second * np.cos(elbow))
    return np.array([shoulder, elbow])


def _pendulum(env: gym.Env) -> Policy:
    """Swings the rod up by its energy (Astrom and Furuta, "Swinging up a pendulum by energy control"), and holds it."""
    core: Any = env.unwrapped
    near, stiffness, damping = STEADY

    def act(_: Any) -> NDArray[np.float32]:
        angle, speed = (core.state[0] + np.pi) % (2 * np.pi) - np.pi, core.state[1]
        if abs(angle) < near:
            torque = -stiffness * angle - damping * speed
        else:
            missing = UPRIGHT - (speed**2 / 6 + UPRIGHT * np.cos(angle))
            torque = missing * (1 if speed >= 0 else -1)
        return np.clip([torque], -core.max_torque, core.max_torque).astype(np.float32)

    return act


def _pole(env: gym.Env) -> Policy:
    """Balances the pole (a linear-quadratic regulator), on a cart that is to go to and fro."""
    core: Any = env.unwrapped
    swing, period = core.np_random.choice([-1, 1]) * SWING, core.np_random.uniform(*PERIOD)

    def act(observation: Any) -> NDArray[np.float32]:
        phase = 2 * np.pi * core.data.time / period
        wanted = np.array([swing * np.sin(phase), 0, swing * 2 * np.pi / period * np.cos(phase), 0])
        return np.clip([BALANCE @ (observation - wanted)], -3, 3).astype(np.float32)

    return act


def _pusher(env: gym.Env) -> Policy:
    """Pushes the object to its goal. The parts of the cost are those of the environment's own reward, weighed anew."""
    core: Any = env.unwrapped
    tip, thing, goal = (core.model.body(name).id for name in ("tips_arm", "object", "goal"))
    far, near, effort = PUSHING

    def cost(data: Any, action: NDArray[np.float64]) -> float:
        places = data.xipos
        away, apart = places[thing] - places[goal], places[thing] - places[tip]
        return float(far * np.linalg.norm(away) + near * np.linalg.norm(apart) + effort * action @ action)

    return planned(env, cost)


def _panda(_: gym.Env) -> Policy:
    """Moves the hand straight to the target, slowly enough that it can be watched."""

    def act(observation: Any) -> NDArray[np.float32]:
        away = 20 * (observation["desired_goal"] - observation["achieved_goal"])
        return (away * min(1.0, STRIDE / max(float(np.linalg.norm(away)), 1e-9))).astype(np.float32)

    return act


def _joints(number: int) -> Callable[[gym.Env], Truth]:
    return lambda env: np.array(env.unwrapped.data.qpos[:number])  # type: ignore[attr-defined]


def _angle(env: gym.Env) -> Truth:
    return np.array(env.unwrapped.state[:1])  # type: ignore[attr-defined]


def _pushed(env: gym.Env) -> Truth:
    """Where the tip is, and the object: (4,) m, seen from above."""
    data = env.unwrapped.data  # type: ignore[attr-defined]
    return np.concatenate([data.body(name).xipos[:2] for name in ("tips_arm", "object")])


def _cart(env: gym.Env) -> Truth:
    """Where the cart is, and the pole's tip: (4,) m."""
    place, angle = env.unwrapped.data.qpos  # type: ignore[attr-defined]
    return np.array([place, 0.0, place + POLE * np.sin(angle), POLE * np.cos(angle)])


def _hand(env: gym.Env) -> Truth:
    return np.asarray(env.unwrapped.robot.get_ee_position(), np.float64)  # type: ignore[attr-defined]


EXPERTS = {
    "reacher": Expert(
        Made(
            "Reacher-v5",
            (
                "width=128",
                "height=128",
                'default_camera_config={"trackbodyid": -1, "lookat": [0, 0, 0], "distance": 0.65, "elevation": -90}',
            ),
        ),
        _reacher,
        _joints(2),
        _turned,
        "rad",
        0.5,
        5120,
    ),
    "pendulum": Expert(Made("Pendulum-v1", ("max_episode_steps=100",)), _pendulum, _angle, _turned, "rad", 1.0, 15_360),
    "pole": Expert(
        Made(
            "InvertedPendulum-v5",
            (
                "width=128",
                "height=128",
                "max_episode_steps=100",
                'default_camera_config={"trackbodyid": -1, "lookat": [0, 0, 0.3], "distance": 1.3, "elevation": 0}',
            ),
        ),
        _pole,
        _cart,
        _points,
        "m",
        0.03,
        30_720,
    ),
    "pusher": Expert(
        Made(
            SHADOWLESS,
            (
                "of=Pusher-v5",
                "width=128",
                "height=128",
                'default_camera_config={"trackbodyid": -1, "lookat": [0.3, -0.2, -0.2], "distance": 1.7, '
                '"elevation": -50, "azimuth": 90}',
            ),
        ),
        _pusher,
        _pushed,
        _points,
        "m",
        0.1,
        10_240,
    ),
    "panda": Expert(
        Made(
            "panda_gym:PandaReach-v3",
            (
                "render_width=128",
                "render_height=128",
                "render_target_position=[-0.05, 0, 0.15]",
                "render_distance=0.6",
            ),
        ),
        _panda,
        _hand,
        _distance,
        "m",
        0.05,
        4096,
    ),
}
