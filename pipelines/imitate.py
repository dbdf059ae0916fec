"""``imitate``: learn to do what a demonstration shows, with PPO on the embedding reward."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from contextlib import closing
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import torch
from stable_baselines3 import PPO

from imitate.data.demonstration import Demonstration
from imitate.embedding.device import pick_device
from imitate.embedding.trained_encoder import TrainedEncoder, load_encoder
from imitate.envs.robot import Robot
from imitate.envs.scenes.scene import PLAIN
from imitate.envs.tcn_imitate import TCNImitateEnv, check_scene, tcn_imitate_vector
from imitate.errors import MANY, PROCESSES, SEED, UserError, check_bounds, choose
from imitate.keeping.manifest import SNAPSHOT, sha256
from imitate.keeping.runs import Stage, kept_settings, write_json
from imitate.keeping.snapshot import Snapshots
from imitate.measuring.figures import learning_curve_figure, save_figure
from imitate.policy.ppo import Learner, build_ppo, save_policy
from imitate.policy.vec_env import SB3VecEnv
from imitate.reward.following import NEVER, Following
from imitate.reward.rewards import HuberReward, reward_of
from imitate.reward.true_reward import TrueReward

from . import embed, record
from .checking.verdict import warn
from .environments import imitating
from .shared.cli import GOES_ON, command
from .shared.demo import (
    check_demo,
    has_poses,
    kept_demo,
    load_demo,
    load_training,
    recording_of,
    say_what_was_read,
    stage_name,
)
from .shared.learning import keep_the_better, learn
from .shared.outcome import outcome
from .shared.policy import ANY, acting, report, robots_scene, single_env
from .shared.reading import Mind, Reading
from .shared.rollout import roll_out

DEFAULT_DEMO = "test:0"
PRACTISED = "practice.json"  # what practice found, of an unfinished stage
MOST_STEPS = 10**12


@dataclass(frozen=True)
class Settings:
    """Who imitates what, and how it learns."""

    run: Path = Path("runs/default")
    """The run directory."""
    name: str = ""
    """The stage's folder in it; if empty, imitate, or for another demonstration imitate-test-3 and the like."""
    demo: str = DEFAULT_DEMO
    """test:N, an episode that neither encoder nor tuning has seen; DATASET:N; or a video file."""
    resize: bool = False
    """Crop and scale a video to the encoder's size."""
    encoder: Path | None = None
    """The folder of a trained encoder; None: the run's own, trained first if it is missing."""
    arm: str = "iiwa"
    """iiwa, iiwa_gripper or panda."""
    control: str = "velocity"
    """velocity, position or torque."""
    scene: str = "plain"
    """Where it stands: plain, table, or random, one that is drawn with the seed. Of others than the plain one it wants
    an encoder of 'embed open'."""
    translate: bool = False
    """Learn from what the demonstration would look like there, at the poses that are read off it in its own room."""
    steps: int = 20_000
    """At most so many, of all environments together: whole rollouts, of 2048 by default, and one at least."""
    episodes: int = 0
    """Practise with so many of the run's training episodes instead of with the demonstration, and so learn to follow
    any; the demonstration is what the robot is then measured on. 0: learn the demonstration."""
    start_noise: float = 0.0
    """Start away from the demonstration's first pose by up to this in each joint, rad."""
    guess: str = "imagination"
    """How it comes by the poses: imagination; pixels, compared raw; head, the encoder's; recordings, its own."""
    practice: int | None = None
    """Steps that it then practises, at most, to find better poses before it learns; None: 131,072, or, from recordings,
    262,144. It ends when they are found."""
    observe_pose: bool = True
    """Let the policy observe the pose that the robot believes to see in the demonstration's next frame, and begin with
    taking it. Without, learning wants more steps and another learner."""
    lookahead: int = 1
    """How many of the demonstration's next frames, and poses, the policy observes."""
    midway: float = 0.5
    """While learning, share of the episodes that start at a random frame of the demonstration, at the pose that the
    robot believes to see there."""
    give_up: float = 0.0
    """While learning, end an episode where the embeddings, of norm 10, are farther apart than this; 0: never."""
    oracle: bool = False
    """Learn from the true joint error instead of the embeddings': what this learner can do with a perfect reward."""
    learner: Learner = field(default_factory=Learner)
    """Of PPO."""
    reward_form: str = "huber"
    """huber, how near the robot is; difference, how much nearer it came; progress, how many frames it advanced."""
    reward: HuberReward = field(default_factory=HuberReward)
    """Of the embeddings; progress, which knows no distance, has its scale and bonus."""
    seed: int = 0
    """Seed of everything random."""
    device: str = "auto"
    """auto, cpu or cuda, of the encoder; PPO's small networks stay on the CPU."""
    workers: int = 0
    """Processes that simulate and render; 0: one a core."""
    preset: str = "default"
    """Of ``record`` and ``embed``, if they have to run first."""


PAPERS = Learner(
    n_envs=16, n_steps=63, batch_size=252, n_epochs=4, gamma=0.99, learning_rate=3e-4, anneal=False, log_std=0.0
)
PRESETS = {
    "default": ("Joint velocities, gamma 0.9: minutes on two cores.", Settings()),
    "any": (
        "One policy for any demonstration: it practises with training episodes.",
        # It begins with nearly all that there is to be had: with the default's steps and noise it would get worse.
        Settings(
            episodes=500,
            steps=100_000,
            start_noise=0.1,
            learner=Learner(width=128, learning_rate=1e-4, log_std=-3.0),
        ),
    ),
    "thorough": (
        "Two and a half times the steps, on three times the recording, and an encoder trained twice as long.",
        Settings(steps=50_000, preset="thorough"),
    ),
    "plain": (
        "From pixels and time alone: poses are guessed by its own recordings, and found by practice.",
        Settings(guess="recordings", preset="plain"),
    ),
    "paper": (
        "Tables 1 and 2 of the paper: torques on 12 joints, gamma 0.99, an update every 1,008 steps.",
        Settings(
            arm="iiwa_gripper",
            control="torque",
            steps=150_000,
            observe_pose=False,
            midway=0.0,
            workers=16,
            learner=PAPERS,
            preset="paper",
        ),
    ),
}


ELSEWHERE = {"environment": ("Any Gymnasium environment learns from a video of it.", imitating.Settings())}


def check(settings: Settings) -> None:
    """Refuse settings that can't be, whatever is imitated.

    Raises:
        UserError: One is unknown, or out of its range.
    """
    check_bounds(settings, seed=SEED, workers=PROCESSES, steps=(1, MOST_STEPS), episodes=(0, MANY))
    robot_of(settings)
    following_of(settings)
    reading_of(settings)
    pick_device(settings.device)


def robot_of(settings: Settings) -> Robot:
    """The robot that learns."""
    return Robot(
        settings.arm,
        settings.control,
        scene=robots_scene(settings.scene, settings.seed),
        start_noise=settings.start_noise,
        midway=settings.midway,
        translates=settings.translate,
    )


def following_of(settings: Settings) -> Following:
    """How it follows while it learns."""
    return Following(
        reward_of(settings.reward_form, settings.reward),
        settings.give_up or NEVER,
        settings.observe_pose,
        settings.lookahead,
    )


def reading_of(settings: Settings) -> Reading:
    """How it reads poses, if it reads any: none are practised where there are hundreds of demonstrations.

    Raises:
        UserError: There is no such way, or they are to be practised.
    """
    if settings.practice and settings.episodes:
        raise UserError("practice is for one demonstration, not for many episodes: leave one of the two out")
    if settings.practice and settings.translate:
        raise UserError("practice compares across rooms, which translate is not to: leave one of the two out")
    wanted = settings.observe_pose or settings.midway > 0
    if settings.practice and not wanted:
        raise UserError("practice finds poses, which are neither observed nor started at: leave --practice out")
    practised = wanted and not settings.episodes and not settings.translate
    return Reading(settings.guess, settings.practice if practised else 0)


def learning_env(settings: Settings, encoder: TrainedEncoder, demonstrations: Sequence[Demonstration]) -> SB3VecEnv:
    """The environments that the policy learns in, to be closed: each episode shows one of the demonstrations."""
    number, workers = settings.learner.n_envs, settings.workers or os.cpu_count() or 1
    robot, following = robot_of(settings), following_of(settings)
    vector = tcn_imitate_vector(number, encoder, demonstrations, following, robot, workers)
    return SB3VecEnv(TrueReward(vector) if settings.oracle else vector)


def _check_demo(settings: Settings) -> None:
    """Refuse a demonstration before an encoder is trained for it, by what is known by now."""
    reading_of(settings).check_shown(settings.run, [settings.demo])
    if settings.oracle and not has_poses(settings.demo):
        raise UserError(f"{settings.demo}: the oracle needs a demonstration whose poses are known, not a bare video")
    if settings.encoder is not None or Stage(settings.run / "embed").finished:
        return  # it is checked with the encoder at once
    if settings.scene != PLAIN.name:
        raise UserError(f"scene is {settings.scene}, but there is no encoder: name one of 'embed open' by --encoder")
    preset = choose(embed.PRESETS, settings.preset, "preset")[1]
    recording = recording_of(settings.run, record.PRESETS[preset.preset][1])
    check_demo(settings.demo, settings.run, recording, settings.arm, settings.resize)


def stage_of(settings: Settings) -> Stage:
    """Where what these settings learn stands."""
    demos = [settings.demo] if settings.demo != DEFAULT_DEMO else []
    base = ANY if settings.episodes else "imitate"
    return Stage.named(settings.run, settings.name or stage_name(base, demos))


def _begun(stage: Stage, settings: Settings) -> bool:
    """Whether there is anything to learn."""
    wanted = kept_settings(replace(settings, demo=kept_demo(settings.demo)))
    begun = stage.begin(wanted, resumable=stage.path(PRACTISED).exists())
    if not begun:
        print(f"{stage.folder} has learned already")
    return begun


def run(settings: Settings) -> Stage:
    """Learn, then measure and film what was learned."""
    check(settings)
    device = pick_device(settings.device)
    _check_demo(settings)
    folder = embed.find_encoder(settings.run, settings.encoder, settings.preset, settings.device)
    encoder = load_encoder(folder, device)
    demonstration = load_demo(settings.demo, settings.run, encoder, settings.resize)
    robot, following, reading = robot_of(settings), following_of(settings), reading_of(settings)
    encoder.check_arm(robot.own_arm)
    check_scene(robot.surroundings, encoder)
    reading.check(encoder, settings.run, [settings.demo])
    say_what_was_read(settings.demo, demonstration)
    stage = stage_of(settings)
    if stage.finished and not _begun(stage, settings):  # before poses are read, which takes seconds
        return stage
    training = load_training(settings.episodes, settings.run, encoder) if settings.episodes else None
    mind = Mind(encoder, settings.arm, settings.run, settings.workers or os.cpu_count() or 1)
    reads = settings.observe_pose or settings.midway > 0 or settings.translate
    if reads or demonstration.joints is None:  # where it starts
        demonstration = reading.guessed(demonstration, mind)
    # A mistake in the settings shows before anything is written.
    single_env(encoder, demonstration, robot, following).close()
    if not _begun(stage, settings):
        return stage
    if not settings.oracle:
        warn(folder)
    guessed, kept = demonstration.believed, stage.path(PRACTISED)
    practice = reading.practised(demonstration, robot, mind, settings.seed, kept)
    demonstration = practice.demonstration
    env = single_env(encoder, demonstration, robot, following)
    if training and reads:
        training = reading.supposed(training, mind, settings.seed)
    believed = b"" if demonstration.believed is None else demonstration.believed.tobytes()
    shown = demonstration.frames.tobytes() + believed
    of = sha256(folder / "encoder.safetensors") + hashlib.sha256(shown).hexdigest()
    snapshots = Snapshots(stage.path(SNAPSHOT), f"{of} {device.type}")
    model, curve, learning = _learned(settings, stage, encoder, training or [demonstration], snapshots, env)
    save_policy(model, stage.path("policy.zip"))
    curve = practice.put_before(curve)
    write_json(stage.path("curve.json"), curve)
    metrics = outcome(stage, env, model, demonstration, guessed, settings.seed)
    metrics |= learning | practice.metrics()
    save_figure(stage.path("learning.png"), learning_curve_figure(curve, metrics))
    env.close()
    kept.unlink(missing_ok=True)
    stage.finish(metrics)
    report(metrics, stage.path("side_by_side.gif"))
    return stage


def run_any(settings: Settings | imitating.Settings) -> Stage:
    """Learn with the arm, or in another environment."""
    return run(settings) if isinstance(settings, Settings) else imitating.run(settings)


def _learned(
    settings: Settings,
    stage: Stage,
    encoder: TrainedEncoder,
    demonstrations: Sequence[Demonstration],
    snapshots: Snapshots,
    env: TCNImitateEnv,
) -> tuple[PPO, list[dict[str, float]], dict[str, float]]:
    """The policy, its learning curve, and the figures of learning.

    Where it is to follow the demonstration of ``env`` only, it does not become a poorer follower than it was.
    """
    with closing(learning_env(settings, encoder, demonstrations)) as envs:
        model = build_ppo(
            settings.learner, envs, settings.seed, torch.device("cpu"), stage.path("tensorboard"), encoder.dim,
            settings.lookahead,
        )  # fmt: skip
        begun = deepcopy(model.policy.state_dict())
        curve, seconds = learn(model, envs, settings.steps, snapshots)
    figures = {"env_steps": model.num_timesteps, "env_steps_per_second": model.num_timesteps / seconds}
    if settings.episodes:
        return model, curve, figures
    return model, curve, figures | {"learned_kept": int(keep_the_better(model, begun, partial(_earned, settings, env)))}


def _earned(settings: Settings, env: TCNImitateEnv, model: PPO) -> float:
    """What a policy earns in an episode, of the reward that it learns from."""
    rollout = roll_out(env, acting(model), settings.seed)
    return float(-rollout.joint_errors.sum() if settings.oracle else rollout.rewards.sum())


def main() -> None:
    """Run from the command line."""
    command("imitate", {**PRESETS, **ELSEWHERE}, run_any, f"{GOES_ON}, but for practice that had not ended")


if __name__ == "__main__":
    main()
