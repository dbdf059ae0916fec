"""Many arms at once: worker processes step and film, and hand frames over through shared memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from imitate.errors import UserError
from imitate.keeping.call_checks import ALTOGETHER, called, check_order, checked_actions, checked_seeds
from imitate.keeping.workers import Alone, Crew, start_method

from .kuka_env import KukaEnv
from .returned_memory import zero_pages_returned

SENSED = ("joints", "velocities")
OBSERVED = ("image", *SENSED)
TOLD = {"demonstration": np.int64, "step": np.int64, "ee_error_m": np.float64, "joint_error_rad": np.float64}
Arrays = dict[str, NDArray[Any]]


class KukaVectorEnv(VectorEnv):
    """``num_envs`` times ``KukaEnv``, stepped by worker processes with several of them each.

    Behaves as Gymnasium's ``SyncVectorEnv`` does. Resets in the same step: the last observation and info of an episode
    stand in ``infos["final_obs"]`` and ``infos["final_info"]``. Errors that are not known are NaN, and not marked in
    the masks, ``infos["_ee_error_m"]``.

    Args:
        num_envs: Number of environments.
        workers: Number of processes; 0 steps them in this one, and so needs no ``if __name__ == "__main__"``.
        kwargs: Of ``KukaEnv``.

    Raises:
        UserError: As ``KukaEnv`` does.
        WorkerDied: A process did, whatever was asked of it.
    """

    metadata = KukaEnv.metadata | {"autoreset_mode": AutoresetMode.SAME_STEP}

    def __init__(self, num_envs: int = 1, workers: int = 0, **kwargs: Any) -> None:
        if num_envs < 1:
            raise UserError(f"{num_envs} environments, expected at least 1")
        self.closed = True  # until there is something to close
        model = KukaEnv(**kwargs)  # finds a user's mistake here, rather than in a worker
        model.close()
        self.num_envs = num_envs
        self.render_mode = model.render_mode
        self.single_observation_space = model.observation_space
        self.single_action_space = model.action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)

        workers = min(workers, num_envs)
        raw = {name: _allocate(dtype, shape, shared=workers > 0) for name, (dtype, shape) in self._plan().items()}
        self._arrays = _arrays(raw)
        parts = np.array_split(np.arange(num_envs), max(workers, 1))
        slices = [slice(int(part[0]), int(part[-1]) + 1) for part in parts]
        self._slices = slices
        own = [(raw, part, kwargs, workers > 0) for part in slices]
        self._crew = Crew("environments", _Rows, own) if workers else Alone(_Rows, own)
        self._begun = self.closed = False

    def _plan(self) -> dict[str, tuple[np.dtype, tuple[int, ...]]]:
        plan = {key: (space.dtype, space.shape) for key, space in self.observation_space.spaces.items()}  # type: ignore[attr-defined]
        plan |= {key: (np.dtype(dtype), (self.num_envs,)) for key, dtype in TOLD.items()}
        plan |= {f"final_{key}": value for key, value in plan.items()}
        plan["action"] = (np.dtype(np.float64), self.action_space.shape)  # as exact as one environment is given it
        plan["reward"] = (np.dtype(np.float64), (self.num_envs,))
        plan["truncated"] = (np.dtype(np.bool_), (self.num_envs,))
        return plan

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Arrays, dict[str, Any]]:
        """Reset all; environment i takes ``seed + i``, or the i-th of a list.

        ``options["demonstration"]`` may be one index, or one each, and ``options["start"]`` one pose (joints,), rad, or
        (num_envs, joints); ``options["reset_mask"]`` (num_envs,) leaves out the environments where it is false.

        Raises:
            UserError: What is no seed, an option that is unknown or of another shape, or it comes after ``close``.
        """
        check_order("reset", begun=True, closed=self.closed)
        seeds, each, mask = checked_seeds(seed, self.num_envs), *self._options(options or {})
        self._run(lambda part: ("reset", seeds[part], each[part], mask[part]))
        self._begun = True
        return self._observed(), self._told("", mask)

    def step(self, actions: NDArray[np.floating]) -> tuple[Arrays, NDArray, NDArray, NDArray, dict[str, Any]]:
        """Step all, and reset those whose reference ends.

        Raises:
            UserError: There is no action (joints,) for each, or it comes before ``reset`` or after ``close``.
        """
        check_order("step", self._begun, self.closed)
        self._arrays["action"][:] = checked_actions("actions", actions, self._arrays["action"].shape)
        self._run(lambda part: ("step",))
        truncated = self._arrays["truncated"].copy()
        infos: dict[str, Any] = self._told("", np.ones_like(truncated))
        if truncated.any():
            infos |= {"final_obs": self._last(truncated), "_final_obs": truncated.copy()}
            infos |= {"final_info": self._told("final_", truncated), "_final_info": truncated.copy()}
        reward = self._arrays["reward"].copy()
        return self._observed(), reward, np.zeros(self.num_envs, np.bool_), truncated, infos

    def believe(self, poses: Sequence[NDArray[np.floating]]) -> None:
        """Let all believe that their references show these poses, each (length, joints), rad."""
        self._run(lambda part: ("believe", poses))

    def aim_at(self, frames: NDArray[np.int64]) -> None:
        """Compare the next step of each with this frame (num_envs,) of its reference."""
        frames = checked_actions("frames to aim at", frames, (self.num_envs,))
        self._run(lambda part: ("aim_at", frames[part]))

    def state(self) -> list[dict[str, Any]]:
        """For ``restore``: the state of each environment."""
        return [state for states in self._run(lambda part: ("state",)) for state in states]

    def restore(self, states: list[dict[str, Any]]) -> None:
        """Go on from a state, in any number of processes. The next call is to be ``step``."""
        self._run(lambda part: ("restore", states[part]))
        self._begun = True

    def render(self) -> tuple[Any, ...]:
        """A picture for people of each environment, (render_size, render_size, 3) uint8, as ``KukaEnv`` takes it."""
        return self.call("render")

    def call(self, name: str, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        """What a method of each environment returns, or an attribute of each is; a copy, where it is in a process.

        Raises:
            UserError: It is a method that all get at once.
            AttributeError: There is none.
        """
        return self.call_rows(range(self.num_envs), name, *args, **kwargs)

    def call_rows(self, rows: Sequence[int], name: str, /, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        """``call`` of the environments in these rows only, each 0 to ``num_envs - 1``, in their order.

        Raises:
            UserError: There is no such row, or it is a method that all get at once.
            AttributeError: One has none.
        """
        if name in ALTOGETHER:
            raise UserError(f"{name} of one environment would leave the others behind: call {name} of them all")
        if wrong := [row for row in rows if not 0 <= row < self.num_envs]:
            raise UserError(f"{name} of environment {wrong[0]}, expected 0 to {self.num_envs - 1}")

        def task(part: slice) -> tuple:
            own = {place: row for place, row in enumerate(rows) if part.start <= row < part.stop}
            return "call", own, name, args, kwargs

        answers = {place: answer for part in self._run(task) for place, answer in part.items()}
        return tuple(answers[place] for place in range(len(rows)))

    def get_attr(self, name: str) -> tuple[Any, ...]:
        """An attribute of each environment."""
        return self.call(name)

    def set_attr(self, name: str, values: Any) -> None:
        """Set an attribute of each environment: to one value, or to a list's or tuple's, one each.

        Raises:
            UserError: There are more or fewer values than environments.
        """
        each = list(values) if isinstance(values, (list, tuple)) else [values] * self.num_envs
        if len(each) != self.num_envs:
            raise UserError(f"{len(each)} values of {name}, expected one for each of the {self.num_envs} environments")
        self._run(lambda part: ("set_attr", name, each[part]))

    @property  # type: ignore[misc]
    def np_random(self) -> tuple[np.random.Generator, ...]:  # type: ignore[override]
        """The generator of each environment."""
        return self.get_attr("np_random")

    @property
    def np_random_seed(self) -> tuple[int, ...]:  # type: ignore[override]
        """The seed of each environment's generator."""
        return self.get_attr("np_random_seed")

    def close_extras(self, **kwargs: Any) -> None:
        """End the workers."""
        self._crew.close()

    def _run(self, task: Callable[[slice], tuple]) -> list[Any]:
        """Let every worker do its part of a task at the same time."""
        check_order("a call", begun=True, closed=self.closed)
        return self._crew.ask([task(part) for part in self._slices])

    def _options(self, options: dict[str, Any]) -> tuple[list[dict[str, Any]], NDArray[np.bool_]]:
        """The options of each environment's reset, and which of them to reset (num_envs,)."""
        each: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        single: dict[str, tuple[int, ...]] = {"demonstration": (), "start": self.single_action_space.shape or ()}
        for name, value in options.items():
            values: Any = [value] * self.num_envs  # what is unknown, each refuses
            if name in single:
                shape = np.shape(value)
                if shape not in (single[name], (self.num_envs, *single[name])):
                    raise UserError(f"{name} of shape {shape}, expected {single[name]}, or one each")
                values = np.broadcast_to(value, (self.num_envs, *single[name]))
            if name != "reset_mask":
                for option, own in zip(each, values, strict=True):
                    option[name] = own
        mask = np.asarray(options.get("reset_mask", np.ones(self.num_envs, np.bool_)))
        if mask.shape != (self.num_envs,) or mask.dtype != np.bool_ or not mask.any():
            expected = f"({self.num_envs},) bool, one or more true"
            raise UserError(f"reset_mask of shape {mask.shape} {mask.dtype}, expected {expected}")
        check_order("reset of some of the environments", self._begun or bool(mask.all()))
        return each, mask

    def _observed(self) -> Arrays:
        return {key: self._arrays[key].copy() for key in OBSERVED}

    def _last(self, rows: NDArray[np.bool_]) -> NDArray[np.object_]:
        """The last observations of the episodes that ended in these rows (num_envs,); None in all others."""
        last = np.full(self.num_envs, None, np.object_)
        for row in np.flatnonzero(rows):
            last[row] = {key: self._arrays[f"final_{key}"][row].copy() for key in OBSERVED}
        return last

    def _told(self, prefix: str, rows: NDArray[np.bool_]) -> dict[str, Any]:
        """The infos, and beside each the mask of the environments, among these rows (num_envs,), that tell it."""
        told = {key: self._arrays[prefix + key].copy() for key in TOLD}
        return told | {f"_{key}": rows & ~np.isnan(values) for key, values in told.items()}


class _Unseen(KukaEnv):
    """One that takes no picture by itself: all are asked for theirs once all have moved, and developed together."""

    def expose(self) -> NDArray[np.uint8]:
        """What its picture is made of, to be developed."""
        return self.kuka.expose(self.camera, self.image_size)

    def _film(self) -> NDArray[np.uint8]:
        return np.empty(0, np.uint8)


class _Rows:
    """The environments of one worker, writing to their rows of the arrays.

    Args:
        raw: The arrays, as they cross processes.
        rows: Its own.
        kwargs: Of ``KukaEnv``.
        apart: Whether they are in a process of their own.
    """

    def __init__(self, raw: dict[str, Any], rows: slice, kwargs: dict[str, Any], apart: bool) -> None:
        self._arrays = _arrays(raw)
        self._rows = range(rows.start, rows.stop)
        self._envs = []
        for _ in self._rows:
            with zero_pages_returned() if apart else nullcontext():  # more than half of the 29 MB that Bullet takes
                self._envs.append(_Unseen(**kwargs))

    def __call__(self, name: str, *args: Any) -> Any:
        """Do one of the following."""
        return getattr(self, name)(*args)

    def reset(self, seeds: list[int | None], options: list[dict[str, Any]], mask: NDArray[np.bool_]) -> None:
        for row, env, seed, option, wanted in zip(self._rows, self._envs, seeds, options, mask, strict=True):
            if wanted:
                self._write(row, "", *env.reset(seed=seed, options=option))
        self._film([row for row, wanted in zip(self._rows, mask, strict=True) if wanted])

    def step(self) -> None:
        for row, env in zip(self._rows, self._envs, strict=True):
            observation, reward, _, truncated, info = env.step(self._arrays["action"][row])
            self._arrays["reward"][row] = reward
            self._arrays["truncated"][row] = truncated
            if truncated:
                self._write(row, "final_", observation, info)
                self._arrays["final_image"][row] = env.kuka.film(env.camera, env.image_size)
                observation, info = env.reset()
            self._write(row, "", observation, info)
        self._film(self._rows)

    def believe(self, poses: Sequence[NDArray[np.floating]]) -> None:
        for env in self._envs:
            env.believe(poses)

    def aim_at(self, frames: NDArray[np.int64]) -> None:
        for env, frame in zip(self._envs, frames, strict=True):
            env.aim_at(frame)

    def state(self) -> list[dict[str, Any]]:
        return [env.state() for env in self._envs]

    def restore(self, states: list[dict[str, Any]]) -> None:
        for env, state in zip(self._envs, states, strict=True):
            env.restore(state)

    def call(self, rows: dict[int, int], name: str, args: tuple, kwargs: dict[str, Any]) -> dict[int, Any]:
        """Answers by the keys of their rows."""
        envs = [self._envs[row - self._rows.start] for row in rows.values()]
        return dict(zip(rows, called(envs, name, args, kwargs), strict=True))

    def set_attr(self, name: str, values: list[Any]) -> None:
        for env, value in zip(self._envs, values, strict=True):
            env.set_wrapper_attr(name, value)

    def close(self) -> None:
        for env in self._envs:
            env.close()

    def _write(self, row: int, prefix: str, observation: dict[str, Any], info: dict[str, Any]) -> None:
        for key in SENSED:
            self._arrays[prefix + key][row] = observation[key]
        for key in TOLD:
            self._arrays[prefix + key][row] = info.get(key, np.nan)

    def _film(self, rows: Sequence[int]) -> None:
        """Take the pictures of these rows."""
        if len(rows):
            envs = [self._envs[row - self._rows.start] for row in rows]
            first = envs[0]
            exposed = [env.expose() for env in envs]
            self._arrays["image"][list(rows)] = first.kuka.develop(exposed, first.camera, first.image_size)


def _allocate(dtype: np.dtype, shape: tuple[int, ...], shared: bool) -> Any:
    size = int(np.prod(shape)) * dtype.itemsize
    buffer = start_method().RawArray("b", size) if shared else bytearray(size)
    return buffer, dtype, shape


def _arrays(raw: dict[str, Any]) -> Arrays:
    return {name: np.frombuffer(buffer, dtype).reshape(shape) for name, (buffer, dtype, shape) in raw.items()}
