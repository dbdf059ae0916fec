"""Reward by embedding distance, for one environment and for many at once.

The environment below observes a dict with ``image``, ``joints`` and ``velocities``, and tells in its info
which ``demonstration`` (index) it is at which ``step`` of. Nothing else is asked of it: any robot, real or
simulated, will do. Its own reward stays in the info as ``env_reward``; its true errors, if it knows them,
pass through, and are never in the observation or the reward.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.vector import VectorEnv, VectorWrapper
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from imitate.calls import check_order, check_same_step, checked_seed, checked_seeds
from imitate.checkpoint import TrainedEncoder
from imitate.demonstration import Demonstration
from imitate.encoders.layers import NORM
from imitate.errors import UserError
from imitate.finite import check_finite
from imitate.rewards import Floats, HuberReward, Moment, Reward

AHEAD, ALIKE = 3, 0.1  # frames that a robot may come on by in a step, and distance within which two look alike
MOST_AHEAD = 100  # frames that a policy may observe
NEVER = float("inf")
SEEN, FOLLOWED = ("image", "joints", "velocities"), ("demonstration", "step")  # of an observation, and of an info


class Targets:
    """The embeddings of the demonstrations, computed once.

    Args:
        encoder: That embeds them.
        demonstrations: To follow.

    Attributes:
        each: (length, dim) embeddings of each demonstration.
        poses: (frames, joints) that the robot has read off all of them, rad; None: not off every one.

    Raises:
        UserError: Frames that are not of the encoder's size, or no demonstration.
    """

    def __init__(self, encoder: TrainedEncoder, demonstrations: Sequence[Demonstration]) -> None:
        if not demonstrations:
            raise UserError("no demonstration to follow, expected at least one")
        for demonstration in demonstrations:
            demonstration.check_size(encoder.image_size)
        self.lengths = np.array([len(d) for d in demonstrations])
        self.starts = np.concatenate([[0], np.cumsum(self.lengths)[:-1]])
        self.embeddings = np.concatenate([encoder.embed(d.frames) for d in demonstrations])  # (frames, dim)
        self.each: list[Floats] = np.split(self.embeddings, self.starts[1:])
        read = [d.believed for d in demonstrations if d.believed is not None]
        self.poses = np.concatenate(read).astype(np.float32) if len(read) == len(demonstrations) else None

    def near_future(
        self, demonstration: NDArray[np.int64], step: NDArray[np.int64], frames: int, poses: bool
    ) -> tuple[Floats, Floats | None]:
        """What there is to come from (n,) ``step`` of each (n,) ``demonstration`` on, so many frames of it.

        Returns:
            (n, frames, dim) embeddings; and, if asked for, (n, frames, joints) poses, rad, read off the same frames.
        """
        which = self._frame(demonstration[:, None], step[:, None] + np.arange(frames))
        return self.embeddings[which], self.poses[which] if poses and self.poses is not None else None

    def at(self, demonstration: NDArray[np.int64], step: NDArray[np.int64]) -> Floats:
        """(n, dim) embeddings of frame ``step`` of each ``demonstration``; the last frame beyond the end."""
        return self.embeddings[self._frame(demonstration, step)]

    def reached(self, own: Floats, demonstration: NDArray[np.int64], frame: NDArray[np.int64]) -> NDArray[np.int64]:
        """(n,) frames, from (n,) ``frame`` on, that look most like (n, dim) ``own``.

        Of frames that look like that one, the last, so that a robot passes those of a pause.
        """
        few = frame[:, None] + np.arange(AHEAD + 1)
        few = np.minimum(few, self.lengths[demonstration][:, None] - 1)
        seen, rows = self.at(demonstration[:, None], few), np.arange(len(few))  # the first: (n, AHEAD + 1, dim)
        nearest = np.linalg.norm(seen - own[:, None], axis=2).argmin(axis=1)
        alike = np.linalg.norm(seen - seen[rows, nearest][:, None], axis=2) <= ALIKE
        return few[rows, AHEAD - alike[:, ::-1].argmax(axis=1)]

    def ahead(
        self, before: Floats, own: Floats, demonstration: NDArray[np.int64], step: NDArray[np.int64], clock: bool
    ) -> NDArray[np.int64]:
        """(n,) frames that the next step of robots is compared with.

        With a clock, the one after that of the last step. Without, the one after the frame that the robot has reached;
        but while it still comes nearer to that of the last step, it is waited for, and where it does not, the
        demonstration goes on.

        Args:
            before: (n, dim) their embeddings before the last step.
            own: (n, dim) after it.
            demonstration: (n,) which each follows.
            step: (n,) the frames that the last step was compared with.
            clock: Whether there is one.
        """
        onwards = step + 1
        if clock:
            return onwards
        target = self.at(demonstration, step)
        nearer = np.linalg.norm(before - target, axis=1) - np.linalg.norm(own - target, axis=1) > ALIKE
        reached = self.reached(own, demonstration, np.maximum(step - 1, 0))
        return np.maximum(reached + 1, np.where(nearer, step, onwards))

    def _frame(self, demonstration: NDArray[np.int64], step: NDArray[np.int64]) -> NDArray[np.int64]:
        return self.starts[demonstration] + np.minimum(step, self.lengths[demonstration] - 1)

    def moment(self, before: Floats, own: Floats, demonstration: NDArray[np.int64], step: NDArray[np.int64]) -> Moment:
        """What a reward is asked for, of robots that are at (n,) ``step`` of (n,) ``demonstration``."""
        return Moment(before, own, self.at(demonstration, step), [self.each[index] for index in demonstration])


def check_lookahead(frames: int) -> None:
    """Refuse what is no number of frames to look ahead.

    Raises:
        UserError: Less than one, or more than anything learns from.
    """
    if not isinstance(frames, int | np.integer) or not 1 <= frames <= MOST_AHEAD:
        raise UserError(f"lookahead is {frames!r}, expected 1 to {MOST_AHEAD} frames")


def policy_space(observation: spaces.Dict, dim: int, observe_pose: bool = False, lookahead: int = 1) -> spaces.Box:
    """The space of ``policy_observation``, for one environment.

    Raises:
        UserError: ``lookahead`` is no number of frames.
    """
    check_lookahead(lookahead)
    parts = [observation["joints"], observation["velocities"], *[observation["joints"]] * (lookahead * observe_pose)]
    norm = np.full((1 + lookahead) * dim, NORM)
    low = np.concatenate([part.low for part in parts] + [-norm])  # type: ignore[attr-defined]
    high = np.concatenate([part.high for part in parts] + [norm])  # type: ignore[attr-defined]
    return spaces.Box(low.astype(np.float32), high.astype(np.float32))


def policy_observation(
    observation: dict[str, Any], own: Floats, targets: Floats, poses: Floats | None = None
) -> Floats:
    """Joint positions, joint velocities, own embedding, embedding of the demonstration (section III.B).

    With ``poses``, which the paper has not, they stand before the embeddings.

    The demonstration's is that of the *next* frame: the one that the action about to be chosen will be
    compared with. With the frame of the same step, as the paper words it, the policy would have to guess
    where the demonstration goes. Those of the frames after it may follow.

    Args:
        observation: ``joints`` and ``velocities``, each (n, joints).
        own: (n, dim) embeddings of the robot's own frames.
        targets: (n, lookahead, dim) embeddings of the demonstrations' next frames.
        poses: (n, lookahead, joints) poses, rad, that the robot has read off the same frames.

    Returns:
        (n, 2 * joints + (1 + lookahead) * dim) float32; with ``poses``, lookahead * joints more.
    """
    # bfloat16 may round a component a hair beyond the norm
    embeddings = np.clip(np.concatenate([own, targets.reshape(len(own), -1)], axis=1), -NORM, NORM)
    read = [] if poses is None else [poses.reshape(len(own), -1)]
    body = [observation["joints"], observation["velocities"], *read]
    return np.concatenate([*body, embeddings], axis=1, dtype=np.float32)


class EmbeddingReward(gym.Wrapper):
    """One environment, rewarded by embedding distance to a demonstration.

    Info: ``embedding_distance``, ``env_reward``, and what the environment tells.

    Args:
        env: See the module.
        encoder: That embeds the frames.
        demonstrations: In the order of the environment's ``demonstration`` indices; or what this encoder made of them.
        reward: From a ``Moment`` to (n,) rewards; None: ``HuberReward()``.
        give_up: An episode terminates where the embeddings are farther apart than this: the robot has lost the
            demonstration, and nothing there is worth learning.
        observe_pose: Observe also the pose that the robot has read off the demonstration's next frame.
        lookahead: How many of the demonstration's next frames are observed.
        clock: The demonstration's next frame is that of the next step. If false, it is as ``Targets.ahead`` says, and
            the environment must have ``aim_at``, as ``KukaEnv`` and ``KukaVectorEnv`` do.

    Raises:
        UserError: The environment does not observe what the module asks, ``give_up`` is no distance, ``lookahead`` no
            number of frames, or a pose is to be observed that has not been read. At a reset or step: the environment's
            info does not tell which frame it is at.
    """

    def __init__(
        self,
        env: gym.Env,
        encoder: TrainedEncoder,
        demonstrations: Sequence[Demonstration] | Targets,
        reward: Reward | None = None,
        give_up: float = NEVER,
        observe_pose: bool = False,
        lookahead: int = 1,
        clock: bool = True,
    ) -> None:
        super().__init__(env)
        self.encoder = encoder
        self.targets = demonstrations if isinstance(demonstrations, Targets) else Targets(encoder, demonstrations)
        self.reward = _rewarding(reward)
        self.give_up = _distance(give_up)
        below = _checked_space(env, env.observation_space, encoder.image_size)
        self._observe_pose, self._lookahead = _readable(observe_pose, self.targets, below), lookahead
        self._clock = _checked_clock(env, clock)
        self.observation_space = policy_space(below, encoder.dim, observe_pose, lookahead)
        self._own: Floats = np.zeros((1, encoder.dim), np.float32)  # embedding of the robot's last frame
        self._begun = False

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Floats, dict[str, Any]]:
        """Reset the environment below."""
        observation, info = self.env.reset(seed=checked_seed(seed), options=options)
        self._own = self.encoder.embed(observation["image"][None])
        self._begun = True
        return self._observe(observation, info, self._own), info

    def step(self, action: Any) -> tuple[Floats, float, bool, bool, dict[str, Any]]:
        """Step the environment below; the reward is the embeddings'."""
        check_order("step", self._begun)
        observation, env_reward, terminated, truncated, info = self.env.step(action)
        before, self._own = self._own, self.encoder.embed(observation["image"][None])
        moment = self.targets.moment(before, self._own, **self._at(info))
        info["env_reward"] = env_reward
        info["embedding_distance"] = float(np.linalg.norm(moment.own - moment.target))
        reward = float(_checked(self.reward(moment), 1)[0])
        terminated = terminated or info["embedding_distance"] > self.give_up
        return self._observe(observation, info, before), reward, terminated, truncated, info

    def _at(self, info: dict[str, Any]) -> dict[str, NDArray[np.int64]]:
        return _followed(self.env, {key: np.array([info[key]]) for key in FOLLOWED if key in info}, self.targets)

    def _observe(self, observation: dict[str, Any], info: dict[str, Any], before: Floats) -> Floats:
        at = self._at(info)
        ahead = self.targets.ahead(before, self._own, **at, clock=self._clock)
        if not self._clock:
            self.env.unwrapped.aim_at(int(ahead[0]))  # type: ignore[attr-defined]
        batch = {key: observation[key][None] for key in ("joints", "velocities")}
        future = self.targets.near_future(at["demonstration"], ahead, self._lookahead, self._observe_pose)
        return policy_observation(batch, self._own, *future)[0]


class EmbeddingRewardVector(VectorWrapper):
    """Many environments, rewarded by embedding distance, with one call of the encoder a step.

    The vector environment must reset in the same step (``AutoresetMode.SAME_STEP``), as Gymnasium's ``SyncVectorEnv``
    and ``AsyncVectorEnv`` do on request, with the last observations and infos of the episodes that ended under
    ``final_obs`` and ``final_info`` in its infos. To give up, it must also take ``options["reset_mask"]``, as they do;
    so does this.

    Args:
        env: Its environments are as the module asks.
        encoder: That embeds the frames of all of them.
        demonstrations: In the order of the environments' ``demonstration`` indices; or what this encoder made of them.
        reward: From a ``Moment`` to (n,) rewards; None: ``HuberReward()``.
        give_up: An episode terminates where the embeddings are farther apart than this: the robot has lost the
            demonstration, and nothing there is worth learning.
        observe_pose: Observe also the pose that the robot has read off the demonstration's next frame.
        lookahead: How many of the demonstration's next frames are observed.
        clock: The demonstration's next frame is that of the next step. If false, it is as ``Targets.ahead`` says, and
            the environment must have ``aim_at``, as ``KukaEnv`` and ``KukaVectorEnv`` do.

    Raises:
        UserError: The vector environment resets at another time or does not observe what the module asks, ``give_up``
            is no distance, ``lookahead`` no number of frames, or a pose is to be observed that has not been read. At a
            reset or step: an environment's info does not tell which frame it is at.
    """

    def __init__(
        self,
        env: VectorEnv,
        encoder: TrainedEncoder,
        demonstrations: Sequence[Demonstration] | Targets,
        reward: Reward | None = None,
        give_up: float = NEVER,
        observe_pose: bool = False,
        lookahead: int = 1,
        clock: bool = True,
    ) -> None:
        check_same_step(env)
        super().__init__(env)
        self.encoder = encoder
        self.targets = demonstrations if isinstance(demonstrations, Targets) else Targets(encoder, demonstrations)
        self.reward = _rewarding(reward)
        self.give_up = _distance(give_up)
        below = _checked_space(env, env.single_observation_space, encoder.image_size)
        self._observe_pose, self._lookahead = _readable(observe_pose, self.targets, below), lookahead
        self._clock = _checked_clock(env, clock)
        self.single_observation_space = policy_space(below, encoder.dim, observe_pose, lookahead)
        self.observation_space = batch_space(self.single_observation_space, env.num_envs)
        # Of each environment: its frame's embedding, the frame it is compared with next, and what it observes.
        self._own: Floats = np.zeros((env.num_envs, encoder.dim), np.float32)
        self._ahead: NDArray[np.int64] = np.zeros(env.num_envs, np.int64)
        self._shown: Floats = np.zeros(self.observation_space.shape or (), np.float32)
        self._begun = False

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Floats, dict[str, Any]]:
        """Reset all environments, or those of ``options["reset_mask"]``."""
        if seed is not None:
            seeds = checked_seeds(seed, self.num_envs)
            seed = seeds if np.ndim(seed) else seeds[0]  # type: ignore[arg-type]
        rows = np.array((options or {}).get("reset_mask", np.ones(self.num_envs, np.bool_)))
        check_order("reset of some of the environments", self._begun or bool(rows.all()))
        # A copy: Gymnasium's own take the mask out of what they are given.
        observation, infos = self.env.reset(seed=seed, options=options and dict(options))  # type: ignore[arg-type]
        self._begin(rows, observation, infos)
        self._aim()
        self._begun = True
        return self._shown.copy(), infos

    def step(self, actions: Any) -> tuple[Floats, NDArray, NDArray, NDArray, dict[str, Any]]:
        """Step all environments, and reset those whose episode ends."""
        check_order("step", self._begun)
        observation, env_rewards, terminated, truncated, infos = self.env.step(actions)
        ended = terminated | truncated
        images = observation["image"]
        if ended.any():  # the last frames of their episodes are embedded in the same call
            last = _batched(infos["final_obs"], observation)
            images = np.concatenate([images, last["image"][ended]])
        embedded = self.encoder.embed(images)
        before, self._own = self._own, embedded[: self.num_envs]
        scored = self._own.copy()
        scored[ended] = embedded[self.num_envs :]

        at = stepped = self._at(infos)
        if ended.any():  # before the resets
            final = _followed(self.env, infos["final_info"], self.targets, ended)
            stepped = {key: at[key].copy() for key in FOLLOWED}
            for key in FOLLOWED:
                stepped[key][ended] = final[key]
        moment = self.targets.moment(before, scored, **stepped)
        distance = np.linalg.norm(scored - moment.target, axis=-1)
        measured = {"env_reward": env_rewards, "embedding_distance": distance}
        infos.update(_told(measured, ~ended))
        if ended.any():
            infos["final_info"].update(_told(measured, ended))
            ahead = self.targets.ahead(before, scored, **stepped, clock=self._clock)
            infos["final_obs"] = self._observe(last, scored, stepped, ahead)
        self._ahead = self.targets.ahead(_mixed(ended, self._own, before), self._own, **at, clock=self._clock)
        self._shown = self._observe(observation, self._own, at, self._ahead)
        lost = (distance > self.give_up) & ~ended
        if lost.any():
            infos = self._give_up(lost, infos)
        self._aim()
        return (
            self._shown.copy(),
            _checked(self.reward(moment), self.num_envs),
            terminated | (distance > self.give_up),
            truncated,
            infos,
        )

    def state(self) -> dict[str, Any]:
        """For ``restore``, of environments that have both."""
        return {"own": self._own.copy(), "env": self.env.state()}  # type: ignore[attr-defined]

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state. The next call is to be ``step``."""
        self._own, self._begun = state["own"], True
        self.env.restore(state["env"])  # type: ignore[attr-defined]

    def _give_up(self, lost: NDArray[np.bool_], infos: dict[str, Any]) -> dict[str, Any]:
        """Reset the environments that have lost their demonstration; their last facts become the final ones."""
        before = {key: infos.pop(key) for key in list(infos) if key.lstrip("_") in ("final_obs", "final_info")}
        final_obs = _mixed(lost, self._shown, before.get("final_obs", self._shown))
        final_info = _merged(lost, infos, before.get("final_info", {}))
        ended = lost | before.get("_final_info", np.zeros_like(lost))
        observation, fresh = self.env.reset(options={"reset_mask": lost})
        self._begin(lost, observation, fresh)
        told = _merged(lost, fresh, infos)
        told |= {"final_obs": final_obs, "_final_obs": ended}
        return told | {"final_info": final_info, "_final_info": ended.copy()}

    def _begin(self, rows: NDArray[np.bool_], observation: dict[str, Any], infos: dict[str, Any]) -> None:
        """Take in how the episodes of these rows (num_envs,) begin."""
        first = {key: observation[key][rows] for key in SEEN}
        at, own = _followed(self.env, infos, self.targets, rows), self.encoder.embed(first["image"])
        ahead = self.targets.ahead(own, own, **at, clock=self._clock)
        self._own[rows], self._ahead[rows] = own, ahead
        self._shown[rows] = self._observe(first, own, at, ahead)

    def _at(self, infos: dict[str, Any]) -> dict[str, NDArray[np.int64]]:
        return _followed(self.env, infos, self.targets)

    def _aim(self) -> None:
        """Tell the environments what they are going to be compared with, if that is not the next frame."""
        if not self._clock:
            self.env.unwrapped.aim_at(self._ahead)  # type: ignore[attr-defined]

    def _observe(
        self, observation: dict[str, Any], own: Floats, at: dict[str, NDArray[np.int64]], ahead: NDArray[np.int64]
    ) -> Floats:
        future = self.targets.near_future(at["demonstration"], ahead, self._lookahead, self._observe_pose)
        return policy_observation(observation, own, *future)


def _checked_space(env: Any, space: spaces.Space, size: int) -> spaces.Dict:
    """What an environment observes, if an encoder of so many pixels a side can see and a policy feel by it."""
    wanted = "expected a Dict of image, joints and velocities"
    if not isinstance(space, spaces.Dict):
        raise UserError(f"{env} observes a {type(space).__name__}, {wanted}: wrap it to observe these")
    for key in SEEN:
        if key not in space.spaces:
            raise UserError(f"{env} does not observe {key!r}, {wanted}: wrap it to observe {key!r} too")
    image, joints, velocities = (space[key] for key in SEEN)
    if (image.shape, image.dtype) != ((size, size, 3), np.uint8):
        shape = f"({size}, {size}, 3) uint8"
        raise UserError(f"{env} observes an 'image' of {image.shape} {image.dtype}, expected the encoder's {shape}")
    for key, part in (("joints", joints), ("velocities", velocities)):
        if not isinstance(part, spaces.Box) or part.shape != joints.shape or len(part.shape) != 1:
            raise UserError(f"{env} observes {key!r} as {type(part).__name__} {part.shape}, expected a Box (joints,)")
    return space


def _followed(
    env: Any, infos: dict[str, Any], targets: Targets, rows: NDArray[np.bool_] | slice = slice(None)
) -> dict[str, NDArray[np.int64]]:
    """Which ``demonstration`` environments follow, and at which ``step`` of it they are: (n,) each, of these rows.

    Raises:
        UserError: An info does not tell, or tells of what there is not.
    """
    at = {}
    for key in FOLLOWED:
        mask = infos.get(f"_{key}")
        if key not in infos or (mask is not None and not mask[rows].all()):
            raise UserError(f"{env}: an info without {key!r}, expected 'demonstration' (index) and 'step': add it")
        at[key] = infos[key][rows]
    shown, step = at["demonstration"], at["step"]
    if shown.dtype.kind not in "iu" or step.dtype.kind not in "iu":
        raise UserError(f"{env}: an info of demonstration {shown.dtype} and step {step.dtype}, expected integers")
    if shown.min() < 0 or shown.max() >= len(targets.lengths) or step.min() < 0:
        raise UserError(
            f"{env}: an info of demonstration {shown.tolist()} at step {step.tolist()}, expected a demonstration of 0 "
            f"to {len(targets.lengths) - 1}, and a step of 0 or more"
        )
    return at


def _readable(observe_pose: bool, targets: Targets, below: spaces.Dict) -> bool:
    _check_bool("observe_pose", observe_pose)
    if observe_pose and targets.poses is None:
        raise UserError("expected the poses of each demonstration as the robot reads them: `believed` is missing")
    if observe_pose and targets.poses.shape[1:] != below["joints"].shape:  # type: ignore[union-attr]
        raise UserError(f"believed poses of {targets.poses.shape[1]} joints, expected {below['joints'].shape[0]}")  # type: ignore[union-attr, index]
    return observe_pose


def _checked_clock(env: Any, clock: bool) -> bool:
    _check_bool("clock", clock)
    if not clock and not hasattr(env.unwrapped, "aim_at"):
        raise UserError(f"{env.unwrapped}: expected aim_at, for it to be told the frame that a robot has reached")
    return clock


def _check_bool(name: str, value: Any) -> None:
    if not isinstance(value, bool | np.bool_):
        raise UserError(f"{name} is {value!r}, expected True or False")


def _rewarding(reward: Reward | None) -> Reward:
    if reward is not None and not callable(reward):
        raise UserError(f"reward is {reward!r}, expected a function from a Moment to (n,) rewards, or None")
    return reward or HuberReward()


def _distance(give_up: float) -> float:
    if not give_up >= 0:
        raise UserError(f"give_up is {give_up}, expected a distance of 0 or more")
    return give_up


def _checked(rewards: NDArray[np.floating], number: int) -> NDArray[np.floating]:
    """Rewards that a reward made, which may be a user's own.

    Raises:
        UserError: They are not one finite number for each robot.
    """
    if np.shape(rewards) != (number,):
        raise UserError(f"rewards of shape {np.shape(rewards)}, expected ({number},): one for each robot")
    check_finite("a reward", rewards, "expected a number: mend the reward")
    return rewards


def _mixed(rows: NDArray[np.bool_], taken: NDArray, other: NDArray) -> NDArray:
    """``taken`` (n, ...) in these rows (n,), and ``other`` in all others."""
    return np.where(rows.reshape(-1, *(1,) * (taken.ndim - 1)), taken, other)


def _told(infos: dict[str, NDArray], rows: NDArray[np.bool_]) -> dict[str, NDArray]:
    """Infos, and beside each its mask: the rows (n,) of the environments that tell it."""
    return infos | {f"_{key}": rows.copy() for key in infos}


def _merged(rows: NDArray[np.bool_], taken: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """The infos ``taken`` in these rows (n,), and ``other`` in all others; masked where they do not tell a key."""
    merged: dict[str, Any] = {}
    for key in other | taken:
        some = taken.get(key, other.get(key))
        if isinstance(some, dict):
            merged[key] = _merged(rows, taken.get(key, {}), other.get(key, {}))
        else:
            absent: Any = np.zeros_like(some) if key[0] == "_" else some
            merged[key] = _mixed(rows, taken.get(key, absent), other.get(key, absent))
    return merged


def _batched(final: Any, observation: dict[str, Any]) -> dict[str, Any]:
    """The last observations as one array a key, like ``observation``, which fills the rows of episodes that go on.

    Vector environments give an array of dicts, None where an episode goes on.
    """
    return {
        key: np.stack([row if last is None else last[key] for row, last in zip(observation[key], final, strict=True)])
        for key in SEEN
    }


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
