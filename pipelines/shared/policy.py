"""A policy, as the commands share it: what it was learned with, and how it acts."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3 import PPO, SAC
from stable_baselines3.common.vec_env import DummyVecEnv

from imitate.data.demonstration import Demonstration
from imitate.embedding.trained_encoder import TrainedEncoder
from imitate.envs.kuka import ASSETS, CONTROL_HZ
from imitate.envs.practice import Practised
from imitate.envs.robot import Robot
from imitate.envs.scenes.named import scene_named
from imitate.envs.scenes.scene import Scene
from imitate.envs.tcn_imitate import TCNImitateEnv
from imitate.errors import UserError
from imitate.keeping.runs import Stage, read_json
from imitate.policy.ppo import Learner, build_ppo, load_policy
from imitate.reward.following import NEVER, Following
from imitate.reward.rewards import HuberReward, reward_of

from .demo import kept_demo
from .reading import Mind, Read, Reading
from .rollout import Policy, follower

ANY = "imitate-any"  # the stage of a policy for any demonstration
DIRECT = "direct"  # in place of a policy: the poses are taken as they were read
OPEN = ASSETS / "open"  # the encoder for the open world that comes with the package
STANDS = 1  # what a robot's scene is told apart by from all else that is drawn with a seed
EXPLAINED = 0.8  # share of what is seen of the arm, in a second, below which it may be lost there
LOST = 2.5  # mean distance of embeddings, of norm 10


class KeptPoses(NamedTuple):
    """Poses that were read off a demonstration.

    Attributes:
        of: The digest of its frames: a video of the same name may be another by now.
        guessed: (length, joints) rad, at first.
        believed: (length, joints) rad, in the end.
    """

    of: str
    guessed: NDArray[np.float64]
    believed: NDArray[np.float64]


@dataclass(frozen=True)
class Learned:
    """What a policy was learned with, as far as it matters afterwards: settings of ``imitate``, and the poses it knew.

    Attributes:
        poses: That were read off ``demo``; None: not kept.
    """

    demo: str
    resize: bool
    encoder: Path | None
    learner: Learner
    robot: Robot
    following: Following
    reading: Reading
    seed: int
    poses: KeptPoses | None

    def read(self, text: str, demonstration: Demonstration, mind: Mind) -> Read:
        """A demonstration with its poses: those that it was learned with, or as they were read then."""
        if self.poses is not None and kept_demo(text) == self.demo and self.poses.of == demonstration.digest:
            return Read(self.poses.guessed, Practised(replace(demonstration, believed=self.poses.believed)))
        return self.reading.read(demonstration, self.robot, mind, self.seed)


def robots_scene(name: str, seed: int) -> Scene:
    """Where a robot stands that learns with a seed, which draws it if it is a random one.

    Raises:
        UserError: There is no such scene.
    """
    return scene_named(name, np.random.default_rng([seed, STANDS]))


def learned_with(stage: Stage) -> Learned:
    """The settings that a policy was learned with.

    Raises:
        UserError: There is no finished policy there.
    """
    if not stage.finished:
        raise UserError(f"{stage.folder}: no finished policy there: learn one with 'imitate' first")
    if not stage.path("policy.zip").is_file():
        raise UserError(f"{stage.path('policy.zip')}: no such policy")
    settings = stage.settings
    if "env" in settings:
        raise UserError(f"{stage.folder}: a policy of {settings['env']}, expected one of the arm")
    try:
        encoder = settings["encoder"]
        return Learned(
            settings["demo"],
            settings["resize"],
            stage.folder.parent / encoder if encoder else None,
            Learner(**settings["learner"]),
            Robot(
                settings["arm"],
                settings["control"],
                scene=robots_scene(settings.get("scene", "plain"), settings["seed"]),
                start_noise=settings["start_noise"],
                translates=settings.get("translate", False),
            ),
            Following(
                reward_of(settings["reward_form"], HuberReward(**settings["reward"])),
                observe_pose=settings["observe_pose"],
                lookahead=settings.get("lookahead", 1),  # policies were learned before it was a setting
            ),
            Reading(
                settings.get("guess", "imagination"),
                0 if settings.get("episodes") or settings.get("translate") else settings.get("practice", 0),
            ),
            settings["seed"],
            _kept_poses(stage),
        )
    except (KeyError, TypeError) as error:
        raise UserError(f"{stage.path('config.json')}: not the settings of a policy ({error})") from None


def _kept_poses(stage: Stage) -> KeptPoses | None:
    """The poses of the demonstration, if an imitate of this version kept them."""
    if not stage.path("poses.json").is_file():
        return None
    kept = read_json(stage.path("poses.json"))
    return KeptPoses(kept["of"], np.array(kept["guessed"]), np.array(kept["joints"])) if "of" in kept else None


def single_env(
    encoder: TrainedEncoder, demonstration: Demonstration, robot: Robot, following: Following
) -> TCNImitateEnv:
    """The environment as a policy is measured in it: from the first frame to the last."""
    return TCNImitateEnv(
        encoder,
        [demonstration],
        following,
        robot,
        midway=0.0,
        give_up=NEVER,
    )


def load(learned: Learned, env: TCNImitateEnv, path: Path) -> PPO:
    """The policy in a file, for one environment."""
    alone = replace(learned.learner, batch_size=learned.learner.n_steps)  # SB3 warns of a batch above one env's steps
    envs = DummyVecEnv([partial(_same, env)])
    model = build_ppo(
        alone, envs, 0, torch.device("cpu"), dim=env.encoder.dim, lookahead=learned.following.lookahead, learns=False
    )
    return load_policy(model, path)


def reading_at_once(guess: str | None, practice: int | None, policy: Stage | None) -> Reading:
    """How poses are read by a command that follows at once: where they are imagined, it does not practise by itself.

    Args:
        guess: Of ``Reading``; None: that of the policy, or imagination.
        practice: Of ``Reading``.
        policy: That follows; None: poses are taken directly.
    """
    own = guess or (learned_with(policy).reading.guess if policy else "imagination")
    return Reading(own, 0 if practice is None and own in ("imagination", "pixels") else practice)


def chosen(
    run: Path, policy: str, encoder: Path | None, arm: str, open_world: bool = False
) -> tuple[Path, Stage | None]:
    """With what any demonstration is followed.

    Args:
        run: The run directory; it need not exist.
        policy: The name of a stage in it, or direct. If empty, imitate-any, or what comes with the package where the
            run has no encoder; and direct where that is not.
        encoder: The folder of one, with which poses are taken directly; None: the run's own, or if it has none, the one
            that comes with the package.
        arm: Of the robot that follows.
        open_world: Whether to take the encoder for the open world that comes with the package, where none is named.

    Returns:
        The folder of the encoder, and the policy; None: take the poses as they were read.

    Raises:
        UserError: The policy is not there, or was learned with something else.
    """
    trained = Stage(run / "embed")
    if policy not in ("", DIRECT):
        named = Stage.named(run, policy)
        learned = learned_with(named)
        own = learned.robot.arm
        if encoder is not None or own != arm:
            raise UserError(
                f"policy {policy!r} was learned with its own encoder and the arm {own}: expected no --encoder, "
                f"and that arm, not {arm}"
            )
        return learned.encoder or trained.path("encoder"), named
    if encoder is not None or open_world:
        return encoder or OPEN, None
    if trained.finished:
        folder, general = trained.path("encoder"), Stage(run / ANY)
    else:
        folder, general = ASSETS / "encoder", Stage(ASSETS / "policy")
    if policy == DIRECT or not general.finished:
        return folder, None
    learned = learned_with(general)
    return folder, general if learned.encoder is None and learned.robot.arm == arm else None


def following(
    policy: Stage | None,
    encoder: TrainedEncoder,
    demonstration: Demonstration,
    robot: Robot = Robot(),
    clock: bool = True,
) -> tuple[TCNImitateEnv, Policy]:
    """An environment, and what follows the demonstration in it.

    Args:
        policy: One for any demonstration, with the settings that it was learned with; None: take the poses that were
            read, with velocities.
        encoder: Of the policy.
        demonstration: With the poses that were read off it.
        robot: That takes the poses. With a policy it is the policy's, and only starts as this one.
        clock: The demonstration advances by a frame a step.
    """
    if policy is None:
        env = single_env(encoder, demonstration, robot, Following(clock=clock))
        assert demonstration.believed is not None
        return env, follower(env.kuka_env, demonstration.believed)
    how = learned_with(policy)
    own = replace(how.robot, start_noise=robot.start_noise)
    env = single_env(encoder, demonstration, own, replace(how.following, clock=clock))
    return env, acting(load(how, env, policy.path("policy.zip")))


def _same(env: gym.Env) -> gym.Env:
    return env


def acting(model: PPO | SAC, explore: bool = False) -> Policy:
    """The policy, without exploration unless asked for."""

    def act(observation: NDArray[np.float32]) -> NDArray[np.float32]:
        return model.predict(observation, deterministic=not explore)[0]

    return act


def warn_if_lost(demonstration: Demonstration, metrics: dict[str, Any]) -> None:
    """Say so if the robot hardly looks like the demonstration at the poses that it believes to see in it.

    In the open, where that is worst: in what second.
    """
    distance, worst = metrics["believed_embedding_distance"], metrics.get("explained_worst")
    if worst is not None and worst < EXPLAINED:
        at = metrics["explained_worst_at"]
        until = min(at + 1, len(demonstration) / CONTROL_HZ)
        there, whole = (round(100 * max(share, 0.0)) for share in (worst, metrics["explained"]))
        known = not metrics.get("camera_moved_m")
        elsewhere = "; if the camera stands elsewhere, try --no-camera-known, and another --name" if known else ""
        print(
            f"from second {at:.1f} to {until:.1f} of {demonstration.name}, the poses that are believed explain "
            f"{there} % of what moves, and {whole} % in all of it, expected {100 * EXPLAINED:.0f} % or more: they may "
            "be wrong, look at believed.mp4. Expected one arm of this kind, all of it in the picture; a camera and a "
            f"room that do not move{elsewhere}",
            file=sys.stderr,
        )
    elif worst is None and distance > LOST:
        found = ", ".join(demonstration.source.found) if demonstration.source else ""
        print(
            f"the robot does not recognise itself in {demonstration.name}: at the poses that it believes, its "
            f"embeddings are {distance:.1f} from the video's, where 0.5 is usual. Expected a video of this arm, filmed "
            "by the encoder's camera, an encoder that has learned enough, and practice where poses were only "
            f"guessed{found and f'. In the file: {found}'}",
            file=sys.stderr,
        )


def report(metrics: dict[str, Any], look_at: Path) -> None:
    """Print the policy beside taking the poses, as practised and as read, holding still and acting at random.

    What is unknown is left out: a bare video has no poses to measure against. It is NaN, or null where it comes back
    from a file.
    """
    shown = {
        "robot": "",
        "practised": "practised_",
        "direct": "direct_",
        "holding still": "hold_still_",
        "random": "random_",
    }
    shown = {who: prefix for who, prefix in shown.items() if f"{prefix}reward" in metrics}
    print(f"{'':24}" + "".join(f"{who:>15}" for who in shown))
    for name in ("ee_error_m", "final_ee_error_m", "joint_error_rad", "embedding_distance"):
        values = [metrics[prefix + name] for prefix in shown.values()]
        if all(value is not None and np.isfinite(value) for value in values):
            print(f"{name:24}" + "".join(f"{value:15.3f}" for value in values))
    print(f"look at {look_at}")
