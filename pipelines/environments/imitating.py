"""A policy learns, in any environment that renders, to do what a video shows: by the reward from that."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

import torch
from gymnasium import spaces
from gymnasium.vector import AsyncVectorEnv
from stable_baselines3 import PPO, SAC

from imitate.embedding.device import pick_device
from imitate.embedding.trained_encoder import TrainedEncoder, load_encoder
from imitate.errors import SEED, UserError, check_bounds, choose
from imitate.keeping.manifest import SNAPSHOT, sha256
from imitate.keeping.runs import Stage, kept_settings, read_json, write_json
from imitate.keeping.snapshot import Snapshots
from imitate.keeping.workers import WorkerDied, starting
from imitate.measuring.figures import env_curve_figure, save_figure
from imitate.policy.ppo import Learner, build_plain_ppo, save_policy
from imitate.policy.sac import SACLearner, build_sac, check_actions, suits
from imitate.policy.vec_env import SB3VecEnv
from imitate.reward.environment import rate_of
from imitate.reward.following import NEVER, Following
from imitate.reward.frames import Frames
from imitate.reward.observation import FORMS
from imitate.reward.rewards import HuberReward, reward_of
from imitate.reward.shown import Embedding
from imitate.reward.true_reward import TrueReward
from imitate.reward.video_reward import VideoReward, VideoRewardVector

from ..shared.demo import kept_demo, stage_name
from ..shared.learning import learn
from ..shared.policy import acting
from ..shared.rollout import side_by_side, write_videos
from .checking import ENOUGH, check_reward
from .episodes import FIGURES, at_random, at_rest, enlarged, measured, roll_out
from .made import Made
from .seeing import check_video, completed, find_encoder

SEEDS = range(10_000, 10_005)  # of the episodes that a policy is measured in: no learner is reset with these


@dataclass(frozen=True)
class Settings(Made):
    """Which environment learns what, and how. What is not said of the environment is as it was recorded."""

    run: Path = Path("runs/default")
    """The run directory."""
    name: str = ""
    """The stage's folder in it; if empty, imitate and the video's name."""
    demo: str = ""
    """A video file of this environment, by any means made."""
    encoder: Path | None = None
    """The folder of a trained encoder; None: the run's own."""
    steps: int = 20_000
    """At most so many, of all environments together: whole rollouts, and one at least."""
    observe: str = "flat"
    """What the policy observes: flat, the environment's observation and the embeddings; or env, without these."""
    clock: bool = True
    """A frame of the video goes by at each step. Without, the video waits for whoever comes nearer."""
    give_up: float = 0.0
    """While learning, end an episode where the embeddings are farther apart than this; 0: never."""
    oracle: bool = False
    """Learn from the environment's own reward instead: what this learner can do with that."""
    algorithm: Literal["auto", "sac", "ppo"] = "auto"
    """sac, soft actor-critic, which remembers each step; or ppo. auto: sac, where actions are numbers within bounds."""
    sac: SACLearner = field(default_factory=SACLearner)
    """Of soft actor-critic."""
    learner: Learner = field(
        default_factory=lambda: Learner(
            n_envs=8, n_steps=128, batch_size=256, gamma=0.95, learning_rate=1e-3, log_std=-1.0, width=128
        )
    )
    """Of PPO."""
    reward_form: str = "huber"
    """huber, how near it is; difference, how much nearer it came; progress, how many frames it advanced."""
    reward: HuberReward = field(default_factory=lambda: HuberReward(alpha=0.2, beta=4.0, scale=0.05, bonus=1.0))
    """Of the embeddings: steep where it is near, which soft actor-critic wants. Progress, which knows no distance, has
    its scale and bonus."""
    seed: int = 0
    """Seed of everything random."""
    device: str = "auto"
    """auto, cpu or cuda, of the encoder; the learner's small networks stay on the CPU."""


@dataclass(frozen=True)
class Sight:
    """What a reward is made of.

    Attributes:
        encoder: That embeds.
        frames: What it is shown of the environment.
    """

    encoder: Embedding
    frames: Frames


def check(settings: Settings) -> None:
    """Refuse settings that can't be.

    Raises:
        UserError: One is unknown, or out of its range.
    """
    check_video(settings.demo)
    choose(FORMS, settings.observe, "observe")
    if settings.observe == "dict":
        raise UserError("observe is 'dict', which this learner does not take: expected flat or env")
    following_of(settings)
    pick_device(settings.device)
    check_bounds(settings, seed=SEED, steps=(1, 10**12))


def following_of(settings: Settings, learning: bool = True) -> Following:
    """How it follows: while it learns, and as it is measured."""
    give_up = settings.give_up or NEVER if learning else NEVER
    reward = reward_of(settings.reward_form, settings.reward)
    return Following(reward, give_up, clock=settings.clock, ends=settings.oracle)


def run(settings: Settings) -> Stage:
    """Learn, then measure and film what was learned."""
    check(settings)
    folder = find_encoder(settings, settings.run, settings.encoder, settings.device)
    encoder = load_encoder(folder, pick_device(settings.device))
    settings = completed(settings, settings.run, encoder)
    sight = Sight(encoder, settings.frames)
    with one_env(settings, sight) as env:  # a mistake in the settings shows before anything is written
        env.reset(seed=settings.seed)
        settings = settled(settings, env.action_space)
        stage = Stage.named(settings.run, settings.name or stage_name("imitate", [settings.demo]))
        weights = sha256(folder / "encoder.safetensors")
        wanted = kept_settings(replace(settings, demo=kept_demo(settings.demo)))
        wanted |= {"demo_sha256": sha256(Path(settings.demo)), "encoder_sha256": weights}
        if not stage.begin(wanted):
            print(f"{stage.folder} has learned already")
            return stage
        if not settings.oracle:
            _warn(settings, encoder)
        of = f"{weights}{env.demonstrations[0].digest} {encoder.device.type}"
        model, figures = learned(settings, stage, sight, of)
        figures |= outcome(settings, stage, env, model)
    stage.finish(figures)
    report(figures, stage.path("side_by_side.gif"))
    return stage


@contextmanager
def one_env(settings: Settings, sight: Sight) -> Iterator[VideoReward]:
    """The environment as a policy is measured in it."""
    following = following_of(settings, learning=False)
    made, demo, observe, fps = settings.make(), settings.demo, settings.observe, settings.fps
    env = VideoReward(made, demo, sight.encoder, following, sight.frames, observe, fps)
    try:
        yield env
    finally:
        env.close()


@contextmanager
def learning_envs(settings: Settings, sight: Sight, number: int) -> Iterator[SB3VecEnv]:
    """So many environments, that the policy learns in, each in a process."""
    # Made alone, whose module brings no network into the processes.
    alone = Made(**{one.name: getattr(settings, one.name) for one in fields(Made)})
    with starting():
        vector = AsyncVectorEnv([alone.make] * number, context="spawn")
    try:
        demo, observe, fps = settings.demo, settings.observe, settings.fps
        envs = VideoRewardVector(vector, demo, sight.encoder, following_of(settings), sight.frames, observe, fps)
        yield SB3VecEnv(TrueReward(envs) if settings.oracle else envs)
    except (EOFError, ConnectionError) as error:
        raise WorkerDied(
            f"a process of {settings.env} ended ({type(error).__name__}): if memory was short, lower n-envs"
        ) from None
    finally:
        vector.close(terminate=True)


def settled(settings: Settings, actions: spaces.Space) -> Settings:
    """The settings, with the algorithm that they mean by auto.

    Raises:
        UserError: It can't learn such actions, or not in so few steps.
    """
    if settings.algorithm == "sac":
        check_actions(actions)
        settings.sac.check_steps(settings.steps)
        return settings
    if settings.algorithm == "auto" and suits(actions):
        return settled(replace(settings, algorithm="sac"), actions)
    return replace(settings, algorithm="ppo")


def learned(settings: Settings, stage: Stage, sight: Sight, of: str) -> tuple[PPO | SAC, dict[str, float]]:
    """The policy, and figures of learning; its curve and weights stand in the stage.

    Args:
        settings: Of it, settled.
        stage: That keeps it.
        sight: That the reward is made of.
        of: What a snapshot must be of, to go on from.
    """
    snapshots = Snapshots(stage.path(SNAPSHOT), of)
    number = settings.sac.n_envs if settings.algorithm == "sac" else settings.learner.n_envs
    with learning_envs(settings, sight, number) as envs:
        device, seed, logs = torch.device("cpu"), settings.seed, stage.path("tensorboard")
        model: PPO | SAC
        if settings.algorithm == "sac":
            model = build_sac(settings.sac, envs, settings.steps, seed, device, logs)
        else:
            model = build_plain_ppo(settings.learner, envs, seed, device, logs)
        curve, seconds = learn(model, envs, settings.steps, snapshots, ("env_reward",))
    save_policy(model, stage.path("policy.zip"))
    write_json(stage.path("curve.json"), curve)
    return model, {"env_steps": model.num_timesteps, "learn_seconds": seconds}


def outcome(settings: Settings, stage: Stage, env: VideoReward, model: PPO | SAC) -> dict[str, Any]:
    """What became of it: figures, and a film of the first episode, beside the demonstration."""
    figures: dict[str, Any] = measured(env, acting(model), SEEDS)
    figures |= measured(env, at_random(env, settings.seed), SEEDS, "random_")
    if (rest := at_rest(env)) is not None:
        figures |= measured(env, rest, SEEDS, "hold_still_")
    episode = roll_out(env, acting(model), SEEDS[0], film=True)
    fps = rate_of(env, settings.fps)
    write_json(stage.path("rollout.json"), {"fps": fps, **episode.series()})
    save_figure(stage.path("learning.png"), env_curve_figure(read_json(stage.path("curve.json"))))
    said = [f"   embedding distance {distance:.1f}" for distance in episode.distances]
    assert episode.frames is not None
    film = side_by_side(enlarged(env.demonstrations[0].frames), episode.frames, episode.shown, said)
    write_videos(stage.folder, "side_by_side", film, max(round(fps), 1))
    return figures


def _warn(settings: Settings, encoder: TrainedEncoder) -> None:
    """Say so if the reward may mislead, before hours go into learning from it."""
    env = settings.make()
    try:
        found = check_reward(env, settings.demo, encoder, settings.frames, episodes=ENOUGH, fps=settings.fps)
    finally:
        env.close()
    if found.weakness:
        print(f"the reward may mislead: {found.weakness}", file=sys.stderr)


def report(figures: dict[str, Any], look_at: Path) -> None:
    """Print the policy beside doing nothing and acting at random."""
    shown = {"policy": "", "doing nothing": "hold_still_", "random": "random_"}
    shown = {who: prefix for who, prefix in shown.items() if f"{prefix}reward" in figures}
    print(f"{'':20}" + "".join(f"{who:>15}" for who in shown))
    for name in FIGURES:
        if name in figures:
            values = [figures.get(prefix + name) for prefix in shown.values()]
            print(f"{name:20}" + "".join(f"{'-' if one is None else format(one, '.3f'):>15}" for one in values))
    print(f"look at {look_at}")
