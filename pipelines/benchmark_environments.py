"""``benchmark_environments``: other people's environments learn from a video, beside their own reward, and pixels.

A known good policy shows something; of that a video is made, and nothing else. What is learned from it is measured by
the environment's own reward, and by how far it truly is from what was shown. Each run is a stage of its own: an
interrupted benchmark goes on with the run that is missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, Final, NamedTuple

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from imitate.data.video.writer import write_video
from imitate.embedding.trained_encoder import TrainedEncoder, load_encoder
from imitate.errors import SEED, UserError, check_bounds, choose
from imitate.keeping.lock import held
from imitate.keeping.manifest import sha256
from imitate.keeping.runs import Stage, kept_settings, written_aside
from imitate.measuring.metrics import spread
from imitate.measuring.ranking import mean_distance
from imitate.reward.filming import rendered
from imitate.reward.frames import Frames
from imitate.reward.video_reward import VideoReward

from . import embed
from .environments import imitating, recording
from .environments.checking import embeds
from .environments.episodes import Policy, at_random, at_rest, roll_out
from .environments.experts import EXPERTS, Expert, Truth
from .shared.cli import command, command_line
from .shared.demo import kept_demo
from .shared.policy import acting
from .shared.results import Results, Rows, about, check_out, read_results, rounded, write_results

METHODS = {
    "video": "reward and observation by the trained encoder",
    "pixels": "by the pixels themselves, 16 a side",
    "untrained": "by the same network, untrained",
    "oracle": "by the environment's own reward, in each episode what that asks for; observation by the trained encoder",
}
ALGORITHM: Final = "sac"  # that learns
DEMOS = 2000  # the seeds of what is shown; those from 1000 on were for tuning
NEXT = 100  # further on is what is shown instead, where that moves too little
PIXELS = 16  # a side: they are observed too, and learned from the more slowly the more there are
FOLLOWED = 0.2  # of holding still: whoever is nearer, in the episode that was filmed, has learned
RETURNS = [f"shown_{who}env_return" for who in ("", "hold_still_", "random_")]
FIGURES = (
    "shown_share",
    "share",
    "error",
    "hold_still_error",
    *RETURNS,
    "expert_env_return",
    "success",
    "learn_seconds",
)


@dataclass(frozen=True)
class Settings:
    """What is learned, and how."""

    run: Path = Path("runs/environments")
    """The folder of a run for each environment."""
    environments: tuple[str, ...] = tuple(EXPERTS)
    """Of the list that this command prints when it does not know one."""
    methods: tuple[str, ...] = tuple(METHODS)
    """video, pixels, untrained, oracle."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """Of the learner and of what it is shown: another demonstration for each."""
    out: Path | None = None
    """Another table for the figures, such as results/environments.csv; None: environments.csv in the folder."""
    add: bool = False
    """Keep what the file holds already of other environments, methods and seeds."""


PRESETS = {"default": ("Each environment, each method, five seeds.", Settings())}


class Shown(NamedTuple):
    """What an expert has shown.

    Attributes:
        video: Of it, a file.
        truths: (length, entries) how it truly stood.
        env_return: What it earned by the environment's own reward.
        seed: Of the episode.
    """

    video: Path
    truths: NDArray[np.float64]
    env_return: float
    seed: int


def run(settings: Settings) -> Results:
    """Learn what is missing, and summarise."""
    experts = {name: choose(EXPERTS, name, "environment") for name in settings.environments}
    for method in settings.methods:
        choose(METHODS, method, "method")
    if not experts or not settings.methods or not settings.seeds:
        raise UserError("expected at least one environment, one method and one seed")
    check_bounds(settings, seeds=SEED)
    out = settings.out or settings.run / "environments.csv"
    check_out(out)
    before = read_results(out, ("summary",)) if settings.add and out.exists() else Results([], {})
    if any(row["environment"] in experts and row.get("algorithm") != ALGORITHM for row in before.rows):
        raise UserError(f"{out}: holds what was learned otherwise than by {ALGORITHM}: leave add out")
    for expert in experts.values():
        expert.made.check()  # it may want a package: before hours go into the others
    commands = [before.about["command"]] if "command" in before.about else []
    commands.append(command_line("benchmark-environments", settings))
    of = about(" && ".join(dict.fromkeys(commands))) | {"methods": METHODS}
    results = before
    with held(settings.run):
        for name, expert in experts.items():  # hours lie between two: each stands in the table at once
            results = _with(results.rows, _learned(settings, name, expert), of)
            write_results(out, results)
    _print(results.more["summary"])
    print(f"figures in {out}")
    return results


def _with(before: Rows, rows: Rows, of: dict[str, Any]) -> Results:
    """Results, in order, of which the new rows take the place of those of the same run."""
    kept = {(row["environment"], row["method"], row["seed"]): row for row in [*before, *rows]}
    ordered = rounded([kept[one] for one in sorted(kept, key=_place)])
    return Results(ordered, of, {"summary": rounded(_summary(ordered))})


def _place(of: tuple[str, str, int]) -> tuple[int, int, int]:
    return list(EXPERTS).index(of[0]), list(METHODS).index(of[1]), of[2]


def _learned(settings: Settings, name: str, expert: Expert) -> Rows:
    """The rows of one environment."""
    run = settings.run / name
    recording.run(recording.Settings(**vars(expert.made), run=run))
    stage = embed.run(embed.Settings(run=run))
    encoder = load_encoder(stage.path("encoder"))
    seconds = {
        "play_seconds": Stage(run / "record").metrics.get("seconds"),
        "embed_seconds": stage.metrics["train_seconds"],
    }
    rows = []
    for seed in settings.seeds:
        shown = _shown(run, expert, seed)
        for method in settings.methods:
            learned = _run(run, expert, shown, encoder, method, seed)
            told = {"environment": name, "method": method, "algorithm": ALGORITHM, "seed": seed, "unit": expert.unit}
            made = {"encoder": learned.settings["encoder_sha256"], "git_commit": learned.config.get("git_commit")}
            rows.append(told | learned.metrics | seconds | made)
    return rows


def _shown(run: Path, expert: Expert, seed: int) -> Shown:
    """What the expert shows of a seed: filmed, if it has not been yet."""
    video, kept = (run / "shown" / f"{seed}.{suffix}" for suffix in ("mp4", "npz"))
    if not kept.exists():
        env = expert.made.make()
        episodes = (_acted(env, expert, at) for at in count(DEMOS + seed, NEXT))
        frames, shown = next(one for one in episodes if _moved(one[1]["truths"], expert) >= expert.moves)
        write_video(video, frames, int(env.metadata["render_fps"]))
        env.close()
        with written_aside(kept) as aside:
            np.savez(aside, **shown)
    with np.load(kept) as shown:
        return Shown(video, shown["truths"], float(shown["env_return"]), int(shown["seed"]))


def _acted(env: gym.Env, expert: Expert, seed: int) -> tuple[NDArray[np.uint8], dict[str, Any]]:
    """An episode of the expert's: its frames, and what ``Shown`` says of it."""
    observation, _ = env.reset(seed=seed)
    policy, frames, stood, earned, done = expert.act(env), [rendered(env)], [expert.truth(env)], 0.0, False
    while not done:
        observation, reward, terminated, truncated, _ = env.step(policy(observation))
        frames.append(rendered(env))
        stood.append(expert.truth(env))
        earned, done = earned + float(reward), terminated or truncated
    return np.stack(frames), {"truths": np.stack(stood), "env_return": earned, "seed": seed}


def _moved(truths: NDArray[np.float64], expert: Expert) -> float:
    """How far it is, on average, from where it began."""
    return float(np.mean([expert.apart(truth, truths[0]) for truth in truths]))


def _run(run: Path, expert: Expert, shown: Shown, encoder: TrainedEncoder, method: str, seed: int) -> Stage:
    """One run: learned, measured by the truth and filmed."""
    wanted = imitating.Settings(
        **vars(expert.made),
        run=run,
        demo=kept_demo(str(shown.video)),
        steps=expert.steps,
        seed=seed,
        algorithm=ALGORITHM,
        oracle=method == "oracle",
    )
    weights = sha256(run / "embed/encoder/encoder.safetensors")
    stage = Stage.named(run, f"{method}-{seed}")
    sums = {"demo_sha256": sha256(shown.video), "encoder_sha256": weights}
    if not stage.begin(kept_settings(wanted) | sums | {"method": method}):
        print(f"{stage.folder} has learned already")
        return stage
    sight = _sight(encoder, wanted, method)
    with imitating.one_env(wanted, sight) as env:
        model, figures = imitating.learned(wanted, stage, sight, f"{weights} {method} {env.demonstrations[0].digest}")
        figures |= imitating.outcome(wanted, stage, env, model)
        for where, seeds in {"": imitating.SEEDS, "shown_": [shown.seed]}.items():
            found = _measured(env, acting(model), expert, shown, seeds)
            figures |= {f"{where}{name}": value for name, value in found.items()}
            figures[f"{where}share"] = found["error"] / found["hold_still_error"]
        for who, policy in {"hold_still_": at_rest(env), "random_": at_random(env, seed)}.items():
            if policy is not None:
                found = _measured(env, policy, expert, shown, [shown.seed])
                figures[f"shown_{who}env_return"] = found["env_return"]
    figures["expert_env_return"] = shown.env_return
    stage.finish(figures)
    return stage


def _measured(env: VideoReward, policy: Policy, expert: Expert, shown: Shown, seeds: Sequence[int]) -> dict[str, float]:
    """How far, over the frames of what is shown, an environment truly is from it, and would be if nothing moved.

    One whose episode ends before the video stands where it ended: else whoever is lost at once would err the least.

    Returns:
        Means over the episodes: ``error``, ``hold_still_error``, and ``env_return``, its own.
    """
    errors, still, returns = [], [], []
    for seed in seeds:
        stood: list[Truth] = []
        episode = roll_out(env, policy, seed, look=partial(_note, stood, expert, env))
        errors += [expert.apart(one, shown.truths[at]) for one, at in zip(stood[1:], episode.shown, strict=True)]
        errors += [expert.apart(stood[-1], truth) for truth in shown.truths[episode.shown[-1] + 1 :]]
        still += [expert.apart(stood[0], truth) for truth in shown.truths[1:]]
        returns.append(episode.env_rewards.sum())
    named = {"error": errors, "hold_still_error": still, "env_return": returns}
    return {name: float(np.mean(values)) for name, values in named.items()}


def _note(stood: list[Truth], expert: Expert, env: Any) -> None:
    stood.append(expert.truth(env))


def _sight(encoder: TrainedEncoder, wanted: imitating.Settings, method: str) -> imitating.Sight:
    """What embeds: two frames that are shown are as far apart by it as by the encoder, on average."""
    trained = imitating.Sight(encoder, wanted.frames)
    if method in ("video", "oracle"):
        return trained
    embed_frames = _pixels if method == "pixels" else embeds(encoder)["untrained"]
    with imitating.one_env(wanted, trained) as env:
        frames = env.demonstrations[0].frames
    factor = mean_distance(encoder.embed(frames)) / mean_distance(embed_frames(frames))
    return imitating.Sight(
        lambda frames: factor * embed_frames(frames), Frames(wanted.key, wanted.crop, encoder.image_size)
    )


def _pixels(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(n, 3 * PIXELS**2) mean colours of (n, size, size, 3) frames, whose size is a multiple of ``PIXELS``."""
    side = frames.shape[1] // PIXELS
    return (
        frames.reshape(len(frames), PIXELS, side, PIXELS, side, 3)
        .mean(axis=(2, 4), dtype=np.float32)
        .reshape(len(frames), -1)
    )


def _summary(rows: Rows) -> Rows:
    """By environment and method, the median of each figure and its 95 % bootstrap interval; how many have learned."""
    summary = []
    for name, method in dict.fromkeys((row["environment"], row["method"]) for row in rows):
        ours = [row for row in rows if (row["environment"], row["method"]) == (name, method)]
        figures: dict[str, Any] = {"environment": name, "method": method, "runs": len(ours)}
        shares = [row["shown_share"] for row in ours if row.get("shown_share") is not None]
        figures["learned"] = sum(share <= FOLLOWED for share in shares)
        for key in FIGURES:
            known = [row[key] for row in ours if row.get(key) is not None]
            if known:
                of = spread(known)
                figures |= {key: of.median, f"{key}_low": of.low, f"{key}_high": of.high}
        summary.append(figures)
    return summary


def _print(summary: Rows) -> None:
    print(
        f"{'where it was filmed':24}{'of holding still':>18}{'95 % interval':>18}{'learned':>9}{'own':>9}{'expert':>9}"
    )
    for row in summary:
        interval = f"{row['shown_share_low']:.3f} to {row['shown_share_high']:.3f}"
        learned = f"{row['learned']}/{row['runs']}"
        print(
            f"{row['environment'] + ' ' + row['method']:24}{row['shown_share']:18.3f}{interval:>18}{learned:>9}"
            f"{row['shown_env_return']:9.2f}{row['expert_env_return']:9.2f}"
        )


def main() -> None:
    """Run from the command line."""
    command("benchmark-environments", PRESETS, run)


if __name__ == "__main__":
    main()
