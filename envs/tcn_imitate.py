"""``TCNImitate-v0``: the arm, rewarded for looking like a demonstration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from imitate.data.camera import Camera
from imitate.data.demonstration import Demonstration
from imitate.data.lerobot.dataset import LeRobotDataset
from imitate.data.viewpoint import bearing
from imitate.embedding.trained_encoder import TrainedEncoder, load_encoder
from imitate.errors import UserError
from imitate.reward.following import Following
from imitate.reward.rewards import Floats
from imitate.reward.targets import Targets
from imitate.reward.vector_wrapper import EmbeddingRewardVector
from imitate.reward.wrapper import EmbeddingReward

from .imagination import watch
from .kuka import ASSETS, Arm
from .kuka_env import KukaEnv, Reference
from .robot import Robot, taken
from .scenes.scene import PLAIN, Scene
from .translation import translated
from .vector import KukaVectorEnv
from .watching import believing

ASIDE = 10.0  # degrees about the base that cameras may stand from each other, and still see the same pose alike


class TCNImitateEnv(gym.Env):
    """Follow a demonstration video, rewarded by the distance between embeddings.

    Observation: (n + n + dim + dim,) float32: joint positions, rad; joint velocities, rad/s; the embedding of
    the robot's own image; the embedding of the demonstration's next frame, which is the one that the coming
    action will be scored against. With ``observe_pose`` (3 * n + 2 * dim,): before the embeddings stands the pose that
    the robot reads off that frame, rad, by imagining itself (``imitate.envs.imagination``). With a ``lookahead``,
    embeddings and poses of so many next frames.

    Action: (n,) in [-1, 1]; what it means is the control mode's.

    Reward: the paper's, ``-scale * (alpha d^2 + beta sqrt(gamma + d^2))``, d the L2 distance between the
    embeddings of the robot's image and of the demonstration's frame at the same step.

    Info: ``embedding_distance``; and, never in observation or reward, where the demonstration's poses are known:
    ``ee_error_m`` (distance of the flanges), ``joint_error_rad`` (mean absolute difference), ``env_reward``.

    Args:
        encoder: A trained encoder, or the folder of one. None: the one that comes with the package.
        demonstrations: To follow; one is drawn at each reset. None: the one that comes with the package.
        following: How a demonstration is followed.
        robot: That follows. Its camera is the encoder's, or one within the encoder's domain; any other is refused, and
            so is another scene than the plain one, unless the domain holds scenes. With ``midway``, as with
            ``observe_pose``, the poses of each demonstration are read off it first, which takes seconds.
        settings: Of ``Following`` and ``Robot``, in place of theirs, as ``gym.make`` hands them on: ``lookahead=2,
            start_noise=0.1``; and of ``KukaEnv``: render_mode, render_size, max_episode_steps.

    Raises:
        UserError: An unknown name, a camera, a scene or an arm that the encoder does not know, or a demonstration of
            the wrong size.
    """

    metadata = KukaEnv.metadata

    def __init__(
        self,
        encoder: TrainedEncoder | str | Path | None = None,
        demonstrations: Demonstration | Sequence[Demonstration] | None = None,
        following: Following = Following(),
        robot: Robot = Robot(),
        **settings: Any,
    ) -> None:
        following, robot = taken(following, settings), taken(robot, settings)
        trained, targets, inside = _resolve(encoder, demonstrations, following, robot)
        self._encoder = trained
        self._env = EmbeddingReward(KukaEnv(**inside, **settings), trained, targets, following)
        self.render_mode = self._env.render_mode
        self.observation_space = self._env.observation_space
        self.action_space = self._env.action_space

    @property
    def encoder(self) -> TrainedEncoder:
        """That embeds the robot's frames and the demonstrations'."""
        return self._encoder

    @property
    def kuka_env(self) -> KukaEnv:
        """The environment inside, without the learned reward."""
        return self._env.unwrapped  # type: ignore[return-value]

    # All randomness is that of the environment inside: one generator, known to both. Gymnasium's own `np_random` and
    # `np_random_seed` read and write it here.
    @property
    def _np_random(self) -> np.random.Generator | None:
        return self.kuka_env._np_random

    @_np_random.setter
    def _np_random(self, generator: np.random.Generator | None) -> None:
        self.kuka_env._np_random = generator

    @property
    def _np_random_seed(self) -> int | None:
        return self.kuka_env._np_random_seed

    @_np_random_seed.setter
    def _np_random_seed(self, seed: int | None) -> None:
        self.kuka_env._np_random_seed = seed

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Go to the start of a demonstration; ``options`` as of ``KukaEnv.reset``."""
        return self._env.reset(seed=seed, options=options)

    def step(self, action: Any) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Apply an action for 1/20 s."""
        return self._env.step(action)

    def render(self) -> NDArray[np.uint8] | None:
        """Take a picture for people (render_size, render_size, 3) uint8; without a render mode, None."""
        return self._env.render()  # type: ignore[return-value]

    def close(self) -> None:
        """Free the simulation. Doing so twice is fine."""
        self._env.close()


def tcn_imitate_vector(
    num_envs: int = 1,
    encoder: TrainedEncoder | str | Path | None = None,
    demonstrations: Demonstration | Sequence[Demonstration] | None = None,
    following: Following = Following(),
    robot: Robot = Robot(),
    workers: int = 0,
    **settings: Any,
) -> EmbeddingRewardVector:
    """``num_envs`` times ``TCNImitateEnv``, with one call of the encoder a step for all of them.

    Args as of ``TCNImitateEnv`` and ``KukaVectorEnv``.
    """
    following, robot = taken(following, settings), taken(robot, settings)
    trained, targets, inside = _resolve(encoder, demonstrations, following, robot)
    env = KukaVectorEnv(num_envs, workers, **inside, **settings)
    return EmbeddingRewardVector(env, trained, targets, following)


def _resolve(
    encoder: TrainedEncoder | str | Path | None,
    demonstrations: Demonstration | Sequence[Demonstration] | None,
    following: Following,
    robot: Robot,
) -> tuple[TrainedEncoder, Targets, dict[str, Any]]:
    """Fill in what comes with the package, and check that robot, encoder and demonstrations go together.

    Returns:
        The encoder, what the demonstrations are to it, and the robot and its references, as ``KukaEnv`` takes them.
    """
    trained = encoder if isinstance(encoder, TrainedEncoder) else load_encoder(Path(encoder or ASSETS / "encoder"))
    if isinstance(demonstrations, Demonstration):
        demonstrations = [demonstrations]
    if demonstrations is None:
        demonstrations = [LeRobotDataset(ASSETS / "demonstration").demonstration(0)]
    camera, image_size = robot.eyes(trained.camera, trained.image_size)
    trained.check_camera(camera, image_size)
    trained.check_arm(robot.own_arm)
    check_scene(robot.surroundings, trained)
    _check_demonstrations(demonstrations, robot, trained)
    if following.observe_pose or robot.midway > 0 or robot.translates:
        demonstrations = [believing(shown, trained, robot.arm) for shown in demonstrations]
    if robot.translates:
        demonstrations = [translated(shown, robot, camera, image_size) for shown in demonstrations]
    targets = Targets(trained, demonstrations)
    _check_sides(demonstrations, camera)
    references = [
        reference_of(demonstration, embeddings, trained, robot.arm)
        for demonstration, embeddings in zip(demonstrations, targets.each, strict=True)
    ]
    return trained, targets, {"references": references, "robot": replace(robot, camera=camera, image_size=image_size)}


def check_scene(scene: Scene, encoder: TrainedEncoder) -> None:
    """Refuse a scene that an encoder does not know.

    Raises:
        UserError: It is another than the plain one, and the encoder was trained in that.
    """
    if scene != PLAIN and not encoder.any_scene:
        raise UserError(
            f"scene {scene.name!r}: this encoder was trained in the plain one, expected that, or an encoder of 'embed "
            "open'; others are of KukaEnv"
        )


def _check_demonstrations(demonstrations: Sequence[Demonstration], robot: Robot, encoder: TrainedEncoder) -> None:
    """Refuse what is none, or is of another arm, or shows it where the encoder does not know it."""
    for shown in demonstrations:
        if not isinstance(shown, Demonstration):
            raise UserError(f"a demonstration of type {type(shown).__name__}, expected a Demonstration")
        plain = shown.scene is None or encoder.any_scene or (scene := Scene.from_json(shown.scene)) == PLAIN
        if not plain:
            raise UserError(
                f"demonstration {shown.name} was recorded in the scene {scene.name!r}: this encoder was trained in the "
                "plain one, expected that, or an encoder of 'embed open'"
            )
        for poses in (shown.joints, shown.believed):
            if poses is not None and poses.shape[1] != robot.joints:
                found, wanted = poses.shape[1], robot.joints
                raise UserError(f"a demonstration of {found} joints, expected the {wanted} of the arm {robot.arm!r}")


def _check_sides(demonstrations: Sequence[Demonstration], camera: Camera) -> None:
    """Refuse a demonstration that was filmed from another side of the base than the robot is.

    An encoder that knows both cameras sees the robot turned: what looks alike there is another pose.
    """
    for shown in demonstrations:
        if shown.camera is not None and shown.camera.known and camera.known:
            aside = np.degrees(bearing(shown.camera) - bearing(camera))
            aside = (aside + 180.0) % 360.0 - 180.0
            if abs(aside) > ASIDE:
                raise UserError(
                    f"demonstration {shown.name} was filmed {aside:.0f} degrees about the base from the camera here: "
                    f"what looks alike is another pose, expected {ASIDE:.0f} at most, or camera=demonstration.camera"
                )


def reference_of(
    demonstration: Demonstration, embeddings: Floats, encoder: TrainedEncoder, arm: str | Arm
) -> Reference:
    """Where the robot starts, what it believes to see, and, if the true poses are known, what to measure by.

    A bare video says nothing of joints: the robot starts at the pose that it believes to see in the first frame, and
    where it believes nothing yet, at what it reads off that.
    """
    joints, believed = demonstration.joints, demonstration.believed
    if joints is not None:
        reference = Reference.from_joints(joints)
    else:
        start = watch(encoder, embeddings[:1], arm).poses[0] if believed is None else believed[0]
        reference = Reference(np.asarray(start, np.float64), len(demonstration))
    return reference if believed is None else reference.believing(believed)
