"""``benchmark_follow``: many demonstrations that nothing has seen before, each followed at once, as it is and worse.

No policy is trained for any of them: the poses that were read are taken, ``direct``, and a policy follows that has
learned to follow any, where there is one. Each row is kept as soon as it is known: interrupted, it goes on with the
next.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from imitate.data.video.writer import FOR_PEOPLE, write_video
from imitate.embedding.trained_encoder import TrainedEncoder, load_encoder
from imitate.envs.kuka import ARMS, CONTROL_HZ
from imitate.envs.practice import Practised
from imitate.envs.retargeting import as_own
from imitate.envs.robot import Robot
from imitate.errors import MANY, PROCESSES, SEED, UserError, check_bounds, choose
from imitate.keeping.manifest import sha256
from imitate.keeping.runs import Stage, kept_settings, read_json, write_json
from imitate.keeping.workers import end_with_parent, worked_off

from . import record
from .benchmarking.alone import learned_alone
from .benchmarking.conditions import CONDITIONS, IN_THE_OPEN, WORSE, Frames
from .benchmarking.filming import RECORD, check_filmed, shown_to
from .benchmarking.ways import LEARNED, of_all, print_ways, summarise
from .reporting.gallery import write_gallery
from .shared.cli import command, command_line
from .shared.demo import load_demo
from .shared.policy import DIRECT, chosen, following, reading_at_once
from .shared.reading import Mind, Read, Reading, check_reads
from .shared.results import Results, Rows, about, check_out, rounded, write_results
from .shared.rollout import baselines, beside, misread, poses_taken, roll_out

WEIGHTS = "encoder.safetensors"


@dataclass(frozen=True)
class Settings:
    """What is followed, and under what conditions."""

    run: Path = Path("runs/default")
    """The run directory."""
    name: str = "benchmark-follow"
    """The folder in it that demonstrations and figures go to."""
    encoder: Path | None = None
    """The folder of a trained encoder, with which poses are taken directly; None: the run's own, or if it has none, the
    one that comes with the package."""
    open_world: bool = False
    """Whether to take the encoder for the open world that comes with the package, and not the run's, where none is
    named."""
    shows: str = ""
    """Another arm that gives the demonstrations, such as panda: the robot's flange goes the way of its hand. If empty,
    the robot's own."""
    shown_encoder: Path | None = None
    """The folder of an encoder of that other arm, of 'embed open --arm', which reads its poses."""
    policy: str = ""
    """The stage of the run that has learned to follow any demonstration, measured beside the direct way; or direct:
    that way alone. If empty, imitate-any, or what comes with the package where the run has no encoder."""
    demos: int = 100
    """Demonstrations."""
    seed: int = 1000
    """That they are drawn with: another than the run's recording was."""
    conditions: tuple[str, ...] = ("plain", "half_speed", "double_speed", "away")
    """Of the list that this command prints when it does not know one."""
    guess: str | None = None
    """How the robot comes by the poses: imagination, of itself; pixels, which compares raw pixels from where the head
    guesses, to be measured against; head, the encoder's pose head; recordings, the run's; None: as the policy has
    learned to, or imagination."""
    practice: int | None = None
    """Steps that it then practises each demonstration, as it is shown, of all environments together, at most; None:
    none where poses are imagined, else 131,072, or, from recordings, 262,144. It ends when they are found."""
    learns: bool = False
    """Whether PPO learns each demonstration, too, by the reward alone, in another room: minutes each."""
    clock: bool = True
    """Demonstrations advance by a frame a step. Without, they wait for the robot."""
    films: int = 0
    """How many of the demonstrations, under the first of the conditions, are filmed: for gallery.html and gallery.png,
    best to worst."""
    jobs: int = 0
    """Processes, of one thread each; 0: one a core."""
    out: Path | None = None
    """Another table for the figures, such as results/any-video.csv, what is no row beside it as JSON; the run's own is
    written too."""


PRESETS = {
    "gallery": (
        "Twenty demonstrations, filmed, on one page.",
        Settings(name="gallery", demos=20, conditions=("plain",), films=20),
    ),
    "gallery-open": (
        "Twenty demonstrations from the open world, in rooms as nobody has arranged them, filmed, on one page.",
        Settings(name="gallery-open", open_world=True, demos=20, conditions=("room",), policy=DIRECT, films=20),
    ),
    "default": ("A hundred demonstrations, other speeds, other starts.", Settings()),
    "disturbed": (
        "Twenty demonstrations whose pictures are not what they were.",
        Settings(name="benchmark-follow-disturbed", demos=20, conditions=WORSE),
    ),
    "open": (
        "Twenty demonstrations from the open world.",
        Settings(name="benchmark-follow-open", open_world=True, demos=20, conditions=IN_THE_OPEN, policy=DIRECT),
    ),
}


def run(settings: Settings) -> Results:
    """Follow what is missing, and summarise."""
    conditions = {name: choose(CONDITIONS, name, "condition") for name in settings.conditions}
    _check(settings)
    stage = Stage.named(settings.run, settings.name)
    encoder, policy = chosen(settings.run, settings.policy, settings.encoder, RECORD.arm, settings.open_world)
    reading = reading_at_once(settings.guess, settings.practice, policy)
    reader, by = settings.shown_encoder or encoder, settings.shows or RECORD.arm
    if not stage.finished:
        _check_encoders(settings, encoder, reader, reading)
    weights = sha256(encoder / WEIGHTS)
    kept = kept_settings(replace(settings, out=None, jobs=0))
    sums = {"encoder_sha256": weights, "policy_sha256": sha256(policy.path("policy.zip")) if policy else None}
    if settings.shown_encoder is not None:
        sums["shown_encoder_sha256"] = sha256(settings.shown_encoder / WEIGHTS)
    begun = stage.begin(kept | sums, resumable=True)
    if begun:
        planned = replace(shown_to(reader, by), run=stage.folder, seed=settings.seed)
        record.run(replace(planned, train=1, validation=2, test=settings.demos))
        _follow(stage, settings, encoder, policy)
    followed = {
        name: [read_json(_row(stage.folder, name, number)) for number in range(settings.demos)] for name in conditions
    }
    practised = reading.steps() > 0
    ways = ("direct", *(["practised"] if practised else []), *(["policy"] if policy else []))
    said = {"conditions": {name: condition.says for name, condition in conditions.items()}, "encoder": weights}
    own = stage.path("any-video.csv")
    summary = summarise(followed, (*ways, LEARNED) if settings.learns else ways)
    folders = {"encoder": settings.encoder, "shown_encoder": settings.shown_encoder}
    named = {name: str(folder) if folder else None for name, folder in folders.items()}  # not where on this machine
    results = Results(rounded(summary), _made(settings, stage, own) | said | {"settings": kept | named})
    out = settings.out or own
    for place in ([own] if begun else []) + ([settings.out] if settings.out else []):
        write_results(place, results)
    if begun and settings.films:
        films = [_film(stage.folder, number) for number in range(settings.films)]
        write_gallery(stage.folder, followed[settings.conditions[0]][: settings.films], films, ways[-1])
    if begun:
        stage.finish(_medians(summary))
    print_ways(summary)
    print(f"figures in {out}")
    if settings.films:
        print(f"look at {stage.path('gallery.html')}")
    return results


def _check_encoders(settings: Settings, encoder: Path, reader: Path, reading: Reading) -> None:
    """Refuse encoders that can't do what is asked for, before anything is filmed."""
    check_filmed((CONDITIONS[name] for name in settings.conditions), shown_to(encoder, RECORD.arm))
    if settings.shows:
        check_reads(load_encoder(reader), reader, settings.shows)
    reading.check(load_encoder(reader), settings.run)
    if settings.learns and not load_encoder(encoder).any_scene:
        raise UserError(f"learns: the encoder {encoder} knows one room only, expected one of 'embed open'")
    if settings.learns and (not settings.clock or any(CONDITIONS[name].away for name in settings.conditions)):
        raise UserError("learns: by the clock, and from the first pose, expected no other condition and no --no-clock")


def _follow(stage: Stage, settings: Settings, encoder: Path, policy: Stage | None) -> None:
    """Follow each demonstration under the conditions that it is missing, one a process."""
    missing = {
        number: [name for name in settings.conditions if not stage.noted(f"{name}-{number}")]
        for number in range(settings.demos)
    }
    jobs = [
        partial(_follow_one, encoder, policy, stage, settings, names, number)
        for number, names in missing.items()
        if names
    ]
    with (
        closing(worked_off(jobs, settings.jobs or os.cpu_count() or 1, _on_one_core)) as done,
        tqdm(total=len(jobs), desc="follow") as bar,
    ):
        for _ in done:
            bar.update()


def _made(settings: Settings, stage: Stage, own: Path) -> dict[str, Any]:
    """The command, and what the demonstrations were followed with; of a finished stage, on the machine of then."""
    said = about(command_line("benchmark-follow", settings))
    if stage.finished:
        before = own.with_suffix(".json")  # an older version did not write it wherever there was another --out
        said["machine"] = read_json(before).get("machine") if before.exists() else None
    return said | {key: stage.config.get(key) for key in ("git_commit", "versions")}


def _medians(summary: Rows) -> dict[str, dict[str, float]]:
    """The flange errors over all demonstrations, by way and condition."""
    rows = of_all(summary)
    return {
        way: {row["condition"]: row["ee_error_m"] for row in rows if row["way"] == way}
        for way in dict.fromkeys(row["way"] for row in rows)
    }


def _check(settings: Settings) -> None:
    check_bounds(settings, demos=(1, MANY), seed=SEED, jobs=PROCESSES)
    if not settings.conditions:
        raise UserError("no conditions, expected at least one")
    for name in settings.conditions:
        CONDITIONS[name].wants()
    check_bounds(settings, films=(0, settings.demos))
    recorded = Stage(settings.run / "record")
    own = recorded.settings["seed"] if recorded.finished else RECORD.seed
    if own == settings.seed:
        raise UserError(f"seed is {own}, that of the run's own recording: choose another")
    if settings.out is not None:
        check_out(settings.out)
    if not settings.shows and settings.shown_encoder is None:
        return
    choose(ARMS, settings.shows, "shows")
    if settings.shown_encoder is None or settings.shows == RECORD.arm:
        raise UserError(f"shows is {settings.shows}, expected another arm than the robot's, and its --shown-encoder")
    if settings.guess not in (None, "imagination") or settings.practice:
        raise UserError(f"the poses of {settings.shows} are imagined, expected no other guess and no practice")
    for name in settings.conditions:
        if CONDITIONS[name].filmed or CONDITIONS[name].times or CONDITIONS[name].away:
            raise UserError(f"condition {name} is of the robot's own arm: leave it out where {settings.shows} is shown")


def _row(folder: Path, condition: str, number: int) -> Path:
    return folder / "rows" / f"{condition}-{number}.json"


def _on_one_core() -> None:
    torch.set_num_threads(1)
    end_with_parent()


def _film(folder: Path, number: int) -> Path:
    return folder / "films" / f"{number}.mp4"


def _follow_one(
    encoder_folder: Path,
    policy: Stage | None,
    stage: Stage,
    settings: Settings,
    names: Sequence[str],
    number: int,
) -> None:
    """One demonstration under some conditions. Runs in a worker process."""
    encoder = load_encoder(encoder_folder)
    by = settings.shows or RECORD.arm
    reader = load_encoder(settings.shown_encoder) if settings.shown_encoder else encoder
    recorded = load_demo(f"test:{number}", stage.folder, reader)
    reading = reading_at_once(settings.guess, settings.practice, policy)
    minds = {known: Mind(reader, by, settings.run, 0, known) for known in (True, False)}
    read: dict[tuple[bytes, bool], Read] = {}  # by its frames, of which some conditions show the same
    for name in names:
        condition = CONDITIONS[name]
        shown = condition.shown(recorded, reader, number)
        pictures = shown.frames.tobytes(), condition.camera_known
        if pictures not in read:
            theirs = reading.read(shown, Robot(by), minds[condition.camera_known], number)
            read[pictures] = theirs if by == RECORD.arm else _as_own(theirs, by, encoder)
        filmed = number < settings.films and name == settings.conditions[0]
        figures, frames = _followed(encoder, policy, read[pictures], settings.clock, number, condition.away, filmed)
        if settings.learns:
            figures |= learned_alone(encoder, read[pictures].demonstration, number).metrics(f"{LEARNED}_")
        made = [_row(stage.folder, name, number)]
        write_json(made[0], {"demo": f"test:{number}", **figures})
        if frames is not None:
            made.append(_film(stage.folder, number))
            made[1].parent.mkdir(exist_ok=True)
            write_video(made[1], frames, CONTROL_HZ, FOR_PEOPLE)
        stage.note(f"{name}-{number}", made)


def _as_own(read: Read, by: str, encoder: TrainedEncoder) -> Read:
    """What was read off a demonstration by another arm, as the robot would give it."""
    own = as_own(read.demonstration, ARMS[by], ARMS[RECORD.arm], encoder)
    return Read(own.believed, Practised(own))


def _followed(
    encoder: TrainedEncoder,
    policy: Stage | None,
    read: Read,
    clock: bool,
    seed: int,
    away: float,
    film: bool,
) -> tuple[dict[str, float], Frames | None]:
    """The figures of every way to follow a demonstration; a film of the policy or, without one, of the direct way."""
    guessed, shown = read.guessed, read.demonstration
    assert shown.joints is not None  # it was recorded here
    start = shown.joints[0] + away * np.random.default_rng(seed).choice([-1.0, 1.0], shown.joints.shape[1])
    env, act = following(None, encoder, shown, Robot(RECORD.arm), clock)
    figures = baselines(env, seed, start, poses_taken(env, seed, start, guessed))
    assert guessed is not None
    assert shown.believed is not None
    figures |= misread(shown, guessed, env)
    figures |= {f"practised_{name}": value for name, value in misread(shown, shown.believed, env).items()}
    figures |= read.practised.metrics()
    if policy is not None:
        env.close()
        env, act = following(policy, encoder, shown, clock=clock)
    rollout = roll_out(env, act, seed, film, start)
    if policy is not None:
        figures |= rollout.metrics("policy_")
    frames = beside(shown, env.kuka_env, rollout) if film else None
    env.close()
    return figures, frames


def main() -> None:
    """Run from the command line."""
    command("benchmark-follow", PRESETS, run)


if __name__ == "__main__":
    main()
