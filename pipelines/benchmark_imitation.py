"""``benchmark_imitation``: learn held-out demonstrations in several ways, and put the figures into one file.

Each run is a stage of its own, the same that ``imitate`` makes, so that an interrupted benchmark goes on with
the run that is missing. Several are learned side by side, each on one core: none waits for another's processes.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from threading import RLock
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from imitate.errors import PROCESSES, SEED, UserError, check_bounds, choose
from imitate.keeping.lock import held
from imitate.keeping.manifest import sha256
from imitate.keeping.runs import DEVICE, Stage, kept_settings, read_json, write_json
from imitate.keeping.workers import end_with_parent, worked_off
from imitate.measuring.figures import benchmark_figure, save_figure
from imitate.measuring.metrics import spread, success
from imitate.policy.ppo import Learner
from imitate.reward.rewards import HuberReward

from . import check_reward, embed, imitate, record
from .shared.cli import command, command_line
from .shared.demo import check_demo, has_poses, recording_of, stage_name
from .shared.signals import Interrupted

RECORD, EMBED, IMITATE = (module.PRESETS["default"][1] for module in (record, embed, imitate))
PLAIN_EMBED, PLAIN = (module.PRESETS["plain"][1] for module in (embed, imitate))
PAPER_RECORD, PAPER_EMBED, PAPER = (module.PRESETS["paper"][1] for module in (record, embed, imitate))


DISTANCE = HuberReward(alpha=0, beta=1, gamma=0, scale=0.1)
CURVE, POINTS = ("steps", "seconds", "ee_error_m"), 50  # what the results keep of a learning curve
ERRORS = ("ee_error_m", "final_ee_error_m", "joint_error_rad", "embedding_distance")
BASELINES = ("hold_still_ee_error_m", "random_ee_error_m")
FIGURES = (*ERRORS, "gap_closed", *[f"direct_{name}" for name in ERRORS], *BASELINES)  # direct: before it learned
STAGES = {"record": record, "embed": embed, "imitate": imitate}
PARTS = ("methods", "settings", "encoders")  # of the results, which are dicts


@dataclass(frozen=True)
class Method:
    """A way to learn: the settings of each stage.

    Attributes:
        says: What it is.
        embed: The encoder's, whose name is that of its folder. Methods with equal ones share it.
        imitate: The learner's.
        record: The recording's; None: the run's own.
    """

    says: str
    embed: embed.Settings = EMBED
    imitate: imitate.Settings = IMITATE
    record: record.Settings | None = None


METHODS = {
    "tcn_self": Method("the defaults: with self-regression"),
    "tcn": Method("the plain time-contrastive network as encoder", replace(PLAIN_EMBED, name="embed-plain")),
    "tcn_pixels": Method(
        "from pixels and time alone, also in the learner: no pose is read; 150,000 steps",
        replace(PLAIN_EMBED, name="embed-plain"),
        PLAIN,
    ),
    "oracle": Method("the true joint error as reward", imitate=replace(IMITATE, oracle=True)),
    "torque": Method("joint torques", imitate=replace(IMITATE, control="torque")),
    "paper": Method(
        "the paper's recipe at 64x64 pixels, with the small encoder and 50 epochs: 190 videos, triplets, SGD, "
        "12 joints, torques, gamma 0.99",
        replace(PAPER_EMBED, encoder="conv", epochs=50),
        PAPER,
        replace(PAPER_RECORD, image_size=RECORD.image_size),
    ),
    # What one setting changes. Those of the learner first: they share the default encoder.
    "no_pose": Method(
        "no pose is observed; 150,000 steps, wider exploration", imitate=replace(PLAIN, midway=IMITATE.midway)
    ),
    "first_frame": Method("no episode starts midway", imitate=replace(IMITATE, midway=0.0)),
    "gamma_0.99": Method("discount 0.99", imitate=replace(IMITATE, learner=Learner(gamma=0.99))),
    "distance": Method("minus the distance as reward", imitate=replace(IMITATE, reward=DISTANCE)),
    "difference": Method(
        "how much nearer each step came as reward",
        imitate=replace(IMITATE, reward_form="difference", reward=DISTANCE),
    ),
    "progress": Method("frames advanced as reward", imitate=replace(IMITATE, reward_form="progress")),
    "square": Method("minus the squared distance as reward", imitate=replace(IMITATE, reward=HuberReward(1, 0, 0))),
    "give_up": Method(
        "early termination, with a bonus for following",
        imitate=replace(IMITATE, give_up=10.0, reward=HuberReward(bonus=1.0)),
    ),
    "triplet": Method(
        "triplets instead of infonce, with self-regression", replace(EMBED, objective="triplet", name="embed-triplet")
    ),
    "no_noise": Method("no noise in the encoder's training", replace(EMBED, noise=0.0, name="embed-no-noise")),
    "aliased": Method(
        "pictures whose edges jump from pixel to pixel", record=replace(RECORD, cameras=("front_aliased",))
    ),
    "pixels_96": Method("images of 96x96", record=replace(RECORD, image_size=96)),
    "videos_300": Method("a tenth of the videos", record=replace(RECORD, train=300)),
}
HEADLINE = ("tcn_self", "tcn", "tcn_pixels", "oracle", "torque", "paper")
ABLATIONS = tuple(name for name in METHODS if name not in HEADLINE)


@dataclass(frozen=True)
class Settings:
    """What is learned, and how."""

    run: Path = Path("runs/default")
    """The run directory."""
    name: str = "benchmark"
    """The folder in it that the figures go to, as imitation.json; the learning curves beside it, as PNG."""
    methods: tuple[str, ...] = ("tcn_self", "tcn", "tcn_pixels", "oracle")
    """Of the list that this command prints when it does not know one; the oracle closes the gap."""
    demos: tuple[str, ...] = ("test:0", "test:1", "test:2", "test:3", "test:4")
    """Demonstrations that neither encoder nor tuning has seen."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Of the learner, each for every demonstration."""
    jobs: int = 0
    """Runs that are learned side by side, one core each; 0: one a core; 1: one after the other, on all cores."""
    out: Path | None = None
    """Another file for the figures, such as results/imitation.json; None: the run's own."""
    add: bool = False
    """Keep what the file holds already of other methods, demonstrations and seeds."""


PRESETS = {
    "default": ("The first five test demonstrations, three seeds each.", Settings()),
    "ablations": (
        "What one setting changes, beside the defaults; one seed each.",
        Settings(name="benchmark-ablations", methods=("tcn_self", *ABLATIONS), seeds=(0,)),
    ),
}


def run(settings: Settings) -> dict[str, Any]:
    """Learn what is missing, and summarise."""
    methods = {name: choose(METHODS, name, "method") for name in settings.methods}
    _check(settings, methods)
    out = settings.out or settings.run / settings.name / "imitation.json"
    if settings.add:
        _earlier(out)  # before hours of learning
    with held(settings.run / settings.name):
        return _benchmarked(settings, methods, out)


def _benchmarked(settings: Settings, methods: dict[str, Method], out: Path) -> dict[str, Any]:
    encoders = {name: _encoder(settings.run, name, method) for name, method in methods.items()}
    weights = {name: sha256(encoder.path("encoder") / "encoder.safetensors") for name, (_, encoder) in encoders.items()}
    recipes = {name: _recipe(method, *encoders[name]) for name, method in methods.items()}
    if settings.add:
        _check_recipes(out, recipes)
    asked = {
        (name, demo, seed): _wanted(*encoders[name], name, methods[name], demo, seed)
        for name in methods
        for seed in settings.seeds
        for demo in settings.demos
    }
    _learn(list(asked.values()), settings.jobs or os.cpu_count() or 1)
    results: dict[str, Any] = {
        "command": command_line("benchmark-imitation", settings),
        "methods": {name: method.says for name, method in methods.items()},
        "settings": recipes,
        "encoders": {
            weights[name]: made[1].metrics
            | {"test": _checked(*made, asked[name, settings.demos[0], settings.seeds[0]])}
            for name, made in reversed(encoders.items())  # of methods with one encoder, the first has its policy
        },
        "runs": [
            {"method": name, "demo": demo, "seed": seed, "encoder": weights[name], **_figures(imitate.stage_of(wanted))}
            for (name, demo, seed), wanted in asked.items()
        ],
    }
    if settings.add:
        _check_recipes(out, recipes)  # another command may have added to it meanwhile
        results = _together(_earlier(out), results)
    _close_gaps(results["runs"])
    results["summary"] = summarise(results["runs"])
    write_json(out, results)
    save_figure(out.with_suffix(".png"), benchmark_figure(results["runs"]))
    _report(results["summary"])
    print(f"figures in {out}")
    return results


def _recipe(method: Method, folder: Path, encoder: Stage) -> dict[str, Any]:
    """The settings of each stage, but for what differs between runs; those of finished ones as they were made."""
    learner = json.loads(json.dumps(kept_settings(method.imitate)))  # as it will be read: tuples are lists
    for name in ("name", "demo", "seed"):
        del learner[name]
    made = {"record": Stage(folder / "record").settings, "embed": encoder.settings, "imitate": learner}
    return {stage: {name: value for name, value in of.items() if name != DEVICE} for stage, of in made.items()}


def _checked(run: Path, encoder: Stage, learned: imitate.Settings) -> dict[str, Any]:
    """The reward check of an encoder on test demonstrations, and on what one policy visits."""
    stage = check_reward.run(
        check_reward.Settings(
            run=run,
            encoder=encoder.path("encoder"),
            split="test",
            policy=imitate.stage_of(learned).folder.name,
        )
    )
    return stage.metrics


def _figures(stage: Stage) -> dict[str, Any]:
    """What the results say of one run: its metrics, the code that made it, and some of its learning curve."""
    rows = read_json(stage.path("curve.json"))
    kept = [rows[k] for k in np.unique(np.linspace(0, len(rows) - 1, POINTS).astype(int))]
    return stage.metrics | {
        "git_commit": stage.config.get("git_commit"),
        "curve": {key: [float(f"{row[key]:.5g}") for row in kept] for key in CURVE},
    }


def _earlier(out: Path) -> dict[str, Any]:
    """What a file of results holds; nothing if there is none yet.

    Raises:
        UserError: It holds something else.
    """
    if not out.exists():
        return {"command": "", **{part: {} for part in PARTS}, "runs": []}
    found = read_json(out)
    try:
        whole = all(isinstance(found[part], dict) for part in PARTS) and isinstance(found["command"], str)
        for recipe in found["settings"].values():
            whole &= all(isinstance(recipe[stage], dict) for stage in STAGES)
        for row in found["runs"]:
            whole &= row["method"] in METHODS and {"demo", "seed", "ee_error_m", *BASELINES} <= set(row)
            whole &= set(CURVE) <= set(row["curve"])
    except (KeyError, TypeError):
        whole = False
    if not whole:
        raise UserError(f"{out}: not the results of this version's 'benchmark_imitation': name another --out")
    return dict(found)


def _check_recipes(out: Path, recipes: dict[str, Any]) -> None:
    """Refuse to put our runs beside runs of the same method that were not learned like them."""
    kept = _earlier(out)["settings"]
    defaults = {stage: json.loads(json.dumps(kept_settings(module.Settings()))) for stage, module in STAGES.items()}
    for name, recipe in recipes.items():
        # A setting that there was not yet was as it is by default.
        known = {stage: defaults[stage] | kept.get(name, recipe)[stage] for stage in STAGES}
        if any(known[stage] != defaults[stage] | recipe[stage] for stage in STAGES):
            raise UserError(
                f"{out}: its runs of {name} were learned with other settings: name another --out, or leave out --add"
            )


def _together(earlier: dict[str, Any], ours: dict[str, Any]) -> dict[str, Any]:
    """The earlier results, with ours beside them or in their place."""
    both = {part: earlier[part] | ours[part] for part in PARTS}
    both["encoders"] |= earlier["encoders"]  # one is checked with the policy of the first that learned with it
    runs = {(row["method"], row["demo"], row["seed"]): row for row in earlier["runs"] + ours["runs"]}
    order = list(METHODS)
    inorder = sorted(runs.values(), key=lambda row: (order.index(row["method"]), row["seed"]))
    commands = [command for command in earlier["command"].split(" && ") if command not in ("", ours["command"])]
    return {"command": " && ".join([*commands, ours["command"]]), **both, "runs": inorder}


def _check(settings: Settings, methods: dict[str, Method]) -> None:
    """Refuse what only the last of many runs would stumble over."""
    if not methods or not settings.demos or not settings.seeds:
        raise UserError("expected at least one method, one demonstration and one seed")
    check_bounds(settings, jobs=PROCESSES, seeds=SEED)
    for demo in settings.demos:
        if not has_poses(demo):
            raise UserError(f"{demo}: a bare video has no true poses to measure by, expected episodes such as test:0")
    for method in methods.values():
        for seed in settings.seeds:
            imitate.check(replace(method.imitate, seed=seed))
    shown_to = [(_folder(settings.run, n, m), m.record or RECORD, m.imitate.arm) for n, m in methods.items()]
    for folder, planned, arm in dict.fromkeys(shown_to):  # most methods share them
        recording = recording_of(folder, planned)
        for demo in settings.demos:
            check_demo(demo, folder, recording, arm)


def _folder(run: Path, name: str, method: Method) -> Path:
    """The run directory of a method: one of its own if it records by itself."""
    return run if method.record is None else run / name


def _encoder(run: Path, name: str, method: Method) -> tuple[Path, Stage]:
    """The run directory and the encoder of a method; both made if they are missing."""
    folder = _folder(run, name, method)
    if method.record is not None:
        record.run(replace(method.record, run=folder))
    return folder, embed.run(replace(method.embed, run=folder))


def _wanted(run: Path, encoder: Stage, name: str, method: Method, demo: str, seed: int) -> imitate.Settings:
    """What ``imitate`` is asked for."""
    wanted = replace(method.imitate, run=run, demo=demo, seed=seed)
    own = method.embed.name == EMBED.name  # of the run: `imitate` finds it by itself
    if not own:
        wanted = replace(wanted, encoder=encoder.path("encoder"))
    if method.imitate != IMITATE or not own or seed:  # else it is what `imitate` makes
        wanted = replace(wanted, name=stage_name(f"imitate-{name}-seed-{seed}", [demo]))
    return wanted


def _learn(asked: Sequence[imitate.Settings], jobs: int) -> None:
    """Learn what has not been learned yet, ``jobs`` at a time."""
    missing = [wanted for wanted in asked if not imitate.stage_of(wanted).finished]
    for wanted in asked:
        if jobs == 1 or wanted not in missing:  # the latter too: it says so, or that the settings have changed
            imitate.run(wanted)
    if jobs == 1 or not missing:
        return
    work = [partial(_learn_one, replace(wanted, workers=1)) for wanted in missing]
    with closing(worked_off(work, jobs, _on_one_core)) as done, tqdm(total=len(missing), desc="runs") as bar:
        for _ in done:
            bar.update()


def _learn_one(wanted: imitate.Settings) -> None:
    """Runs in a process of the pool, which knows nothing of signals: told to stop, it ends when all is kept."""
    try:
        imitate.run(wanted)
    except Interrupted as stop:
        os._exit(stop.exit_code)


def _on_one_core() -> None:
    """Prepare a process of the pool: one thread, no progress bar of its own, and its end with that of the benchmark."""
    torch.set_num_threads(1)
    sys.stderr = open(os.devnull, "w")  # noqa: SIM115, as long as the process
    tqdm.set_lock(RLock())  # not one between processes, which would be left over where this one is ended
    end_with_parent()


def _close_gaps(runs: list[dict[str, Any]]) -> None:
    """Add ``gap_closed`` to the runs that an oracle stands beside, of the same ``_conditions``."""
    oracles = {_conditions(row): row["ee_error_m"] for row in runs if METHODS[row["method"]].imitate.oracle}
    for row in runs:
        oracle = oracles.get(_conditions(row))
        if oracle is not None and not METHODS[row["method"]].imitate.oracle:
            still = row["hold_still_ee_error_m"]
            row["gap_closed"] = (still - row["ee_error_m"]) / (still - oracle)


def _conditions(row: dict[str, Any]) -> tuple[str, int, str, str, bool]:
    """What else a run is learned under: demonstration, seed, arm, control, and whether poses are observed."""
    learner = METHODS[row["method"]].imitate
    return row["demo"], row["seed"], learner.arm, learner.control, learner.observe_pose


def summarise(runs: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """By method, the median of each figure over its runs, its interquartile mean and its 95 % bootstrap interval.

    Demonstrations are drawn for the interval, with all their runs: seeds of one differ less than demonstrations do.

    Taking the poses that were read, holding still and acting at random stand beside the methods, as measured where the
    first method was.
    """
    summary: dict[str, dict[str, Any]] = {}
    for name in dict.fromkeys(row["method"] for row in runs):
        summary[name] = _summary([row for row in runs if row["method"] == name], "")
    first = [row for row in runs if row["method"] == runs[0]["method"]]
    others = [name for name in ("direct", "hold_still", "random") if f"{name}_ee_error_m" in first[0]]
    return summary | {name: _summary(first, f"{name}_") for name in others}


def _summary(rows: list[dict[str, Any]], prefix: str) -> dict[str, Any]:
    ours = [{key: row.get(prefix + key) for key in FIGURES} for row in rows]
    figures: dict[str, Any] = {"success": sum(map(bool, map(success, ours))) / len(rows), "runs": len(rows)}
    for key in FIGURES:
        known = {k: value for k, one in enumerate(ours) if (value := one[key]) is not None}
        if known:
            median, middle, low, high = spread(list(known.values()), [rows[k]["demo"] for k in known])
            figures |= {key: median, f"{key}_iqm": middle, f"{key}_interval": [low, high]}
    return figures


def _report(summary: dict[str, dict[str, Any]]) -> None:
    print(f"{'median':12}{'flange error, m':>17}{'95 % interval':>17}{'joint error, rad':>18}{'success':>9}")
    for name, row in summary.items():
        low, high = row["ee_error_m_interval"]
        cells = f"{row['ee_error_m']:17.3f}{f'{low:.3f} to {high:.3f}':>17}{row['joint_error_rad']:18.3f}"
        print(f"{name:12}{cells}{row['success']:9.2f}")


def main() -> None:
    """Run from the command line."""
    command("benchmark-imitation", PRESETS, run)


if __name__ == "__main__":
    main()
