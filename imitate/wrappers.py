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
from gymnasium.vector import AutoresetMode, VectorEnv, VectorWrapper
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from imitate.checkpoint import TrainedEncoder
from imitate.demonstration import Demonstration
from imitate.encoders.layers import NORM
from imitate.errors import UserError
from imitate.finite import check_finite
from imitate.rewards import Floats, HuberReward, Moment, Reward

AHEAD, ALIKE = 3, 0.1  # frames that a robot may come on by in a step, and distance within which two look alike
MOST_AHEAD = 100  # frames that a policy may observe
NEVER = float("inf")


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
    if not 1 <= frames <= MOST_AHEAD:
        raise UserError(f"lookahead is {frames}, expected 1 to {MOST_AHEAD} frames")


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
        UserError: ``give_up`` is no distance, ``lookahead`` no number of frames, or a pose is to be observed that has
            not been read.
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
        self.reward = reward or HuberReward()
        self.give_up = _distance(give_up)
        self._observe_pose, self._lookahead = _readable(observe_pose, self.targets), lookahead
        self._clock = _checked_clock(env, clock)
        below: spaces.Dict = env.observation_space  # type: ignore[assignment]
        self.observation_space = policy_space(below, encoder.dim, observe_pose, lookahead)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Floats, dict[str, Any]]:
        """Reset the environment below."""
        observation, info = self.env.reset(seed=seed, options=options)
        self._own = self.encoder.embed(observation["image"][None])
        return self._observe(observation, info, self._own), info

    def step(self, action: Any) -> tuple[Floats, float, bool, bool, dict[str, Any]]:
        """Step the environment below; the reward is the embeddings'."""
        observation, env_reward, terminated, truncated, info = self.env.step(action)
        before, self._own = self._own, self.encoder.embed(observation["image"][None])
        moment = self.targets.moment(before, self._own, np.array([info["demonstration"]]), np.array([info["step"]]))
        info["env_reward"] = env_reward
        info["embedding_distance"] = float(np.linalg.norm(moment.own - moment.target))
        reward = float(_checked(self.reward(moment), 1)[0])
        terminated = terminated or info["embedding_distance"] > self.give_up
        return self._observe(observation, info, before), reward, terminated, truncated, info

    def _observe(self, observation: dict[str, Any], info: dict[str, Any], before: Floats) -> Floats:
        shown, step = np.array([info["demonstration"]]), np.array([info["step"]])
        ahead = self.targets.ahead(before, self._own, shown, step, self._clock)
        if not self._clock:
            self.env.unwrapped.aim_at(int(ahead[0]))  # type: ignore[attr-defined]
        batch = {key: observation[key][None] for key in ("joints", "velocities")}
        future = self.targets.near_future(shown, ahead, self._lookahead, self._observe_pose)
        return policy_observation(batch, self._own, *future)[0]


class EmbeddingRewardVector(VectorWrapper):
    """Many environments, rewarded by embedding distance, with one call of the encoder a step.

    The vector environment must reset in the same step (``AutoresetMode.SAME_STEP``), as Gymnasium's ``SyncVectorEnv``
    and ``AsyncVectorEnv`` do on request, with the last observations and infos of the episodes that ended under
    ``final_obs`` and ``final_info`` in its infos. To give up, it must also take ``options["reset_mask"]``, as they do.

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
        UserError: The vector environment resets at another time, ``give_up`` is no distance, ``lookahead`` no number
            of frames, or a pose is to be observed that has not been read.
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
        mode = env.metadata.get("autoreset_mode")
        if mode != AutoresetMode.SAME_STEP:
            raise UserError(f"a vector environment of autoreset mode {mode}, expected {AutoresetMode.SAME_STEP}")
        super().__init__(env)
        self.encoder = encoder
        self.targets = demonstrations if isinstance(demonstrations, Targets) else Targets(encoder, demonstrations)
        self.reward = reward or HuberReward()
        self.give_up = _distance(give_up)
        self._observe_pose, self._lookahead = _readable(observe_pose, self.targets), lookahead
        self._clock = _checked_clock(env, clock)
        below: spaces.Dict = env.single_observation_space  # type: ignore[assignment]
        self.single_observation_space = policy_space(below, encoder.dim, observe_pose, lookahead)
        self.observation_space = batch_space(self.single_observation_space, env.num_envs)

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Floats, dict[str, Any]]:
        """Reset all environments."""
        observation, infos = self.env.reset(seed=seed, options=options)  # type: ignore[arg-type]
        self._own = self.encoder.embed(observation["image"])
        ahead = self._ahead(self._own, self._own, infos)
        self._aim_at(ahead)
        return self._observe(observation, self._own, infos, ahead), infos

    def step(self, actions: Any) -> tuple[Floats, NDArray, NDArray, NDArray, dict[str, Any]]:
        """Step all environments, and reset those whose episode ends."""
        observation, env_rewards, terminated, truncated, infos = self.env.step(actions)
        ended = terminated | truncated
        images = observation["image"]
        if ended.any():  # the last frames of their episodes are embedded in the same call
            infos["final_obs"] = _batched(infos["final_obs"], observation)
            images = np.concatenate([images, infos["final_obs"]["image"][ended]])
        embedded = self.encoder.embed(images)
        before, self._own = self._own, embedded[: self.num_envs]
        scored = self._own.copy()
        scored[ended] = embedded[self.num_envs :]

        stepped = infos  # what the infos were before the resets
        if ended.any():
            final = infos["final_info"]
            stepped = {key: np.where(ended, final[key], infos[key]) for key in ("demonstration", "step")}
        moment = self.targets.moment(before, scored, stepped["demonstration"], stepped["step"])
        distance = np.linalg.norm(scored - moment.target, axis=-1)
        infos.update(env_reward=env_rewards, embedding_distance=distance)
        if ended.any():
            infos["final_info"].update(env_reward=env_rewards, embedding_distance=distance)
            last = self._ahead(before, scored, stepped)
            infos["final_obs"] = self._observe(infos["final_obs"], scored, stepped, last)
        ahead = self._ahead(_mixed(ended, self._own, before), self._own, infos)
        policy = self._observe(observation, self._own, infos, ahead)
        lost = (distance > self.give_up) & ~ended
        if lost.any():
            policy, infos, ahead = self._give_up(lost, policy, infos, ahead)
        self._aim_at(ahead)
        return (
            policy,
            _checked(self.reward(moment), self.num_envs),
            terminated | (distance > self.give_up),
            truncated,
            infos,
        )

    def state(self) -> dict[str, Any]:
        """For ``restore``, of environments that have both."""
        return {"own": self._own, "env": self.env.state()}  # type: ignore[attr-defined]

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state. The next call is to be ``step``."""
        self._own = state["own"]
        self.env.restore(state["env"])  # type: ignore[attr-defined]

    def _give_up(
        self, lost: NDArray[np.bool_], policy: Floats, infos: dict[str, Any], ahead: NDArray[np.int64]
    ) -> tuple[Floats, dict[str, Any], NDArray[np.int64]]:
        """Reset the environments that have lost their demonstration; their last facts become the final ones."""
        columns = {k: v for k, v in infos.items() if isinstance(v, np.ndarray) and k[0] != "_" and k != "final_obs"}
        final = infos.get("final_info", {})
        final_info = {k: _mixed(lost, v, final.get(k, v)) for k, v in columns.items()}
        final_obs = _mixed(lost, policy, infos.get("final_obs", policy))
        observation, fresh = self.env.reset(options={"reset_mask": lost})
        policy = policy.copy()
        rows = {key: value[lost] for key, value in observation.items()}
        self._own[lost] = self.encoder.embed(rows["image"])
        at = {key: fresh[key][lost] for key in ("demonstration", "step")}
        ahead = ahead.copy()
        ahead[lost] = self._ahead(self._own[lost], self._own[lost], at)
        policy[lost] = self._observe(rows, self._own[lost], at, ahead[lost])
        kept = {key: _mixed(lost, fresh.get(key, value), value) for key, value in columns.items()}
        ended = lost | infos.get("_final_info", np.zeros_like(lost))
        infos = {**kept, "final_obs": final_obs, "_final_obs": ended}
        return policy, infos | {"final_info": final_info, "_final_info": ended.copy()}, ahead

    def _ahead(self, before: Floats, own: Floats, infos: dict[str, Any]) -> NDArray[np.int64]:
        return self.targets.ahead(before, own, infos["demonstration"], infos["step"], self._clock)

    def _aim_at(self, ahead: NDArray[np.int64]) -> None:
        """Tell the environments what they are going to be compared with, if that is not the next frame."""
        if not self._clock:
            self.env.unwrapped.aim_at(ahead)  # type: ignore[attr-defined]

    def _observe(
        self, observation: dict[str, Any], own: Floats, infos: dict[str, Any], ahead: NDArray[np.int64]
    ) -> Floats:
        future = self.targets.near_future(infos["demonstration"], ahead, self._lookahead, self._observe_pose)
        return policy_observation(observation, own, *future)


def _readable(observe_pose: bool, targets: Targets) -> bool:
    if observe_pose and targets.poses is None:
        raise UserError("expected the poses of each demonstration as the robot reads them: `believed` is missing")
    return observe_pose


def _checked_clock(env: Any, clock: bool) -> bool:
    if not clock and not hasattr(env.unwrapped, "aim_at"):
        raise UserError(f"{env.unwrapped}: expected aim_at, for it to be told the frame that a robot has reached")
    return clock


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
    """``taken`` (n, ...) in these rows (n,), and a copy of ``other`` in all others."""
    mixed = other.copy()
    mixed[rows] = taken[rows]
    return mixed


def _batched(final: Any, observation: dict[str, Any]) -> dict[str, Any]:
    """The last observations as one array a key, like ``observation``, which fills the rows of episodes that go on.

    Gymnasium's own vector environments give an array of dicts, None where an episode goes on.
    """
    if isinstance(final, dict):
        return final
    return {
        key: np.stack([row if last is None else last[key] for row, last in zip(rows, final, strict=True)])
        for key, rows in observation.items()
    }


class TrueReward(VectorWrapper):
    """The environment's own reward in place of the embedding's: what a learner can do with a perfect reward.

    Args:
        env: Tells its own reward as ``env_reward`` in its infos.
    """

    def __init__(self, env: EmbeddingRewardVector) -> None:
        super().__init__(env)

    def step(self, actions: Any) -> tuple[Floats, NDArray, NDArray, NDArray, dict[str, Any]]:
        """Step the environments below."""
        observation, _, terminated, truncated, infos = self.env.step(actions)
        check_finite("a true reward", infos["env_reward"], "the simulation became unstable: choose another control")
        return observation, infos["env_reward"], terminated, truncated, infos

    def state(self) -> dict[str, Any]:
        """For ``restore``."""
        return self.env.state()  # type: ignore[attr-defined]

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state. The next call is to be ``step``."""
        self.env.restore(state)  # type: ignore[attr-defined]
