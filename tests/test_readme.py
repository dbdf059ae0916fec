"""The tables of the README and of the docs are those of the files that commands wrote."""

import json
import re
from pathlib import Path
from statistics import median

import pytest

from imitate.envs.kuka import ASSETS
from imitate.keeping.manifest import sha256
from imitate.pipelines.benchmarking.summary import summarise
from imitate.pipelines.benchmarking.tables import earlier
from imitate.pipelines.shared.results import Results, numbers, read_results, rounded

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LINES = [line for page in PAGES for line in page.read_text().splitlines()]
TEXT = " ".join(" ".join(LINES).split())
FOLDER = ROOT / "results"
RESULTS = read_results(FOLDER / "imitation.csv", ("summary", "encoders"))
UNPRACTISED = read_results(FOLDER / "imitation-before.csv", ("summary",))
BENCH = read_results(FOLDER / "bench.csv", ("profile",))
TRAINING = read_results(FOLDER / "training.csv")
ANY, BEFORE, DISTURBED, AUGMENTED, WAITING, AHEAD_2, AHEAD_4 = (
    read_results(FOLDER / f"any-video{name}.csv")
    for name in ("", "-before", "-disturbed", "-augmented", "-no-clock", "-lookahead-2", "-lookahead-4")
)
AHEAD = {1: ANY, 2: AHEAD_2, 4: AHEAD_4}
HEAD, IMAGINED, GENERAL = (read_results(FOLDER / f"any-video-{name}.csv") for name in ("head", "practised", "guesses"))
FOUND_OF_MANY = {
    "guessed by the pose head": (HEAD, "direct"),
    "found by practice from these": (HEAD, "practised"),
    "imagined": (IMAGINED, "direct"),
    "found by practice from those": (IMAGINED, "practised"),
}
TORTURE = {(row["figure"], row["of"]): row["value"] for row in read_results(FOLDER / "torture.csv").rows}
COMPRESSED = {(row["pixels"], row["crf"]): row for row in read_results(FOLDER / "compression.csv").rows}
MOST_LINES = 300  # of a file that is to be read
LEAST = {"film_vs_tiny": 10, "film_many_vs_tiny": 10, "growth_film_threads_2": 1.8}
LEAST |= {"record_vs_limit": 0.8, "record_vs_tiny": 4, "embed_vs_limit": 0.9, "imitate_vs_limit": 0.4}
LEAST |= {"imitate_vs_paper": 60, "imitate_vs_paper_float32": 90}
MOST = {
    "agent_error": 0.01,
    "follow_seconds": 6,
    **dict.fromkeys(("memory_record", "memory_embed", "memory_imitate"), 2147),
}
MISSED = (
    "film_vs_tiny",
    "record_vs_limit",
    "record_vs_tiny",
    "embed_vs_limit",
    "imitate_vs_limit",
    "imitate_vs_paper",
    "imitate_vs_paper_float32",
    "follow_seconds",
)
LEARNERS = {
    "tcn_self": "the default, with self-regression (`tcn_self`)",
    "tcn": "the plain TCN as encoder (`tcn`)",
    "torque": "joint torques (`torque`)",
    "oracle": "the true joint error as reward (`oracle`)",
    "guesses": "guesses of the pose head, nothing imagined (`guesses`)",
    "tcn_pixels": "from pixels and time alone, nothing imagined (`tcn_pixels`)",
    "reward_alone": "the same guesses, none observed, nothing practised, 150,000 steps (`reward_alone`)",
    "direct": "the poses that `tcn_self` reads, taken, nothing learned (`direct`)",
    "practised": "those that it finds by practice, taken, nothing learned (`practised`)",
    "hold_still": "holding still",
    "random": "acting at random",
}
LEARNERS_BEFORE = {
    "tcn_self": "the default, with self-regression, before",
    "tcn": "the plain TCN as encoder, before",
    "tcn_pixels": "the plain TCN, and no pose is read either, 150,000 steps",
    "torque": "joint torques, before",
    "paper": "the paper's recipe, 12 joints (`paper`), 150,000 steps",
    "oracle": "the true joint error as reward, before",
}
LEARNED = ("tcn_self", "tcn", "guesses", "tcn_pixels", "oracle", "torque")  # after practice
CHECKED = {
    "near_spearman_ee": "poses near the demonstration: Spearman correlation, flange",
    "near_spearman_joint": "the same, joints",
    "policy_spearman_ee": "poses that a policy visits: Spearman correlation, flange",
    "policy_spearman_joint": "the same, joints",
    "kendall_tau": "replays at other speeds and with pauses: Kendall's tau",
    "alignment_error": "replays: alignment error",
    "voc": "replays at a fifth to five times the speed: value-order correlation",
    "clips_spearman_joint": "whole clips beside the demonstration: Spearman correlation, joints",
    "policy_regret_ee": "poses that a policy visits: regret of taking the best paid, flange",
    "policy_regret_joint": "the same regret, joints",
}
VALIDATED = {  # what it says, times what, to how many digits
    "triplet_accuracy": ("triplets in order, of 1,000", 1000, 0),
    "triplet_accuracy_margin": ("triplets with margin 2.0", 1000, 0),
    "retrieval_ee_error_m": ("flange error of the nearest frame of another video, m", 1, 3),
    "pose_spearman_ee": ("Spearman correlation with the true flange distance", 1, 2),
    "pose_spearman_joint": ("Spearman correlation with the true joint distance", 1, 2),
}
WITHSTOOD = {  # how many, and how many of them went wrong
    **{
        f"`{of.replace('_', '-')}` killed by SIGKILL; runs that end otherwise than an undisturbed one": (
            TORTURE["kills", of],
            TORTURE["differences", of],
        )
        for figure, of in TORTURE
        if figure == "kills" and of is not None
    },
    **{
        what: (TORTURE[tried, None], TORTURE[wrong, None])
        for what, tried, wrong in (
            ("files damaged; used all the same", "corruptions_tried", "corruptions_accepted"),
            ("pieces of code planted in files; run", "codes_planted", "codes_executed"),
            ("bad inputs generated; not one line and exit code 2", "bad_inputs", "tracebacks"),
            ("mutated files read; crashes", "fuzz_executions", "fuzz_crashes"),
        )
    },
}


def cells(*texts: str) -> str:
    return f"| {' | '.join(texts)} |"


def learner(name: str, of: Results = RESULTS, says: dict[str, str] = LEARNERS) -> str:
    (row,) = (row for row in of.more["summary"] if row["method"] == name)
    low, high = row["ee_error_m_low"], row["ee_error_m_high"]
    known = {key: f"{row[key]:.{digits}f}" if row.get(key) is not None else "-" for key, digits in (
        ("ee_error_m", 4), ("final_ee_error_m", 4), ("joint_error_rad", 3), ("direct_ee_error_m", 4),
        ("practised_ee_error_m", 4),
        ("hold_still_ee_error_m", 3), ("success", 2),
    )}  # fmt: skip
    error, *others = known.values()
    return cells(says[name], str(row["runs"]), f"{error} ({low:.4f} to {high:.4f})", *others)


def added(name: str) -> str:
    """What learning adds to practice."""
    runs = [row for row in RESULTS.rows if row["method"] == name]
    farther = [row["ee_error_m"] - row["practised_ee_error_m"] for row in runs]
    poorer = sum(row["reward"] < row["practised_reward"] for row in runs)
    kept = {row.get("learned_kept") for row in runs}
    undone = "-" if None in kept else str(sum(not row["learned_kept"] for row in runs))
    counted = f"{sum(one > 0 for one in farther)} of {len(runs)}", f"{1000 * median(farther):+.2f}"
    return cells(f"`{name}`", *counted, f"{poorer} of {len(runs)}", undone)


def demonstration(demo: str) -> str:
    rows = [row for row in RESULTS.rows if row["demo"] == demo]
    names = ("tcn_self", "guesses", "tcn_pixels")
    errors = [median(row["ee_error_m"] for row in rows if row["method"] == name) for name in names]
    direct, still = (
        median(row[f"{key}_ee_error_m"] for row in rows if row["method"] == "tcn_self")
        for key in ("direct", "hold_still")
    )
    return cells(f"`{demo}`", *(f"{error:.4f}" for error in (*errors, direct)), f"{still:.3f}")


def of_encoder(method: str, split: str, embedding: str = "trained") -> dict:
    (encoder,) = {row["encoder"] for row in RESULTS.rows if row["method"] == method}
    (row,) = (
        row
        for row in RESULTS.more["encoders"]
        if (row["encoder"], row["split"], row["embedding"]) == (encoder, split, embedding)
    )
    return row


def checked(figure: str) -> str:
    shown = [of_encoder("tcn_self", "test"), of_encoder("tcn_pixels", "test")]
    shown += [of_encoder("tcn_self", "test", embedding) for embedding in ("untrained", "pixels")]
    return cells(CHECKED[figure], *(f"{row[figure]:.3f}" for row in shown))


def validated(figure: str) -> str:
    says, scale, digits = VALIDATED[figure]
    shown = [of_encoder("tcn_self", "validation", embedding) for embedding in ("trained", "untrained", "pixels")]
    return cells(says, *(f"{scale * row[figure]:,.{digits}f}" for row in shown))


def fast(row: dict) -> str:
    low, high = row["ratio_low"], row["ratio_high"]
    ratio = f"{row['ratio']:.3g}" + (f" ({low:.3g} to {high:.3g})" if low != high else "")
    sizes = [f"{row[key]:.4g} {row['unit']}" for key in ("ours", "reference")]
    least, most = LEAST.get(row["name"]), MOST.get(row["name"])
    wanted = f"ratio at least {least}" if least else f"at most {most} {row['unit']}" if most else ""
    return cells(f"`{row['name']}`", *sizes, ratio, wanted)


def trained(row: dict) -> str:
    """Beside the default."""
    (default,) = (one for one in TRAINING.rows if one["variant"] == "default")
    seconds = (f"{row[name] / default[name]:.2f}" for name in ("train_seconds", "read_seconds"))
    errors = f"{100 * row['ee_error_m']:.2f}", f"{100 * row['ee_error_m_mean']:.2f}", f"{row['joint_error_rad']:.3f}"
    return cells(f"`{row['variant']}`", *seconds, *errors, f"{row['success']:.2f}")


def withstood(what: str) -> str:
    return cells(what, *(f"{number:,}" for number in WITHSTOOD[what]))


def condition(way: str, name: str, results: Results = ANY, demos: int | None = None) -> dict:
    wanted = {"way": way, "condition": name, "demos": demos or results.about["settings"]["demos"]}
    (row,) = (row for row in results.rows if row.items() >= wanted.items())
    return row


def error(row: dict) -> str:
    return f"{row['ee_error_m']:.4f} ({row['ee_error_m_low']:.4f} to {row['ee_error_m_high']:.4f})"


def followed(way: str, name: str) -> str:
    row = condition(way, name)
    others = f"{row['final_ee_error_m']:.4f}", f"{row['joint_error_rad']:.3f}", f"{row['success']:.2f}"
    says = ANY.about["conditions"][name]
    return cells(says, f"`{way}`", error(row), *others, f"{row['hold_still_ee_error_m']:.3f}")


def found_of_many(says: str) -> str:
    of, way = FOUND_OF_MANY[says]
    row = condition(way, "plain", of)
    others = f"{row['final_ee_error_m']:.4f}", f"{row['joint_error_rad']:.3f}", f"{row['success']:.2f}"
    return cells(says, str(row["demos"]), error(row), *others)


def disturbed(name: str) -> str:
    shown = [
        condition(*of) for of in (("direct", name, DISTURBED), ("policy", name, DISTURBED), ("direct", name, AUGMENTED))
    ]
    return cells(DISTURBED.about["conditions"][name], *(f"{error(row)}, {row['success']:.2f}" for row in shown))


def ahead(frames: int) -> str:
    shown = [condition(way, name, AHEAD[frames]) for name in ("plain", "away") for way in ("policy", "direct")]
    return cells(str(frames), *(f"{error(row)}, {row['success']:.2f}" for row in shown))


def waiting(name: str) -> str:
    """Beside the clock, on the same demonstrations."""
    with_a_clock = ANY if name in ANY.about["conditions"] else DISTURBED
    shown = [condition(way, name, of, 20) for of in (with_a_clock, WAITING) for way in ("direct", "policy")]
    return cells(
        WAITING.about["conditions"][name], *(f"{row['ee_error_m']:.4f}, {row['success']:.2f}" for row in shown)
    )


def rows() -> list[str]:
    return [
        *map(learner, LEARNERS),
        *map(added, LEARNED),
        *(learner(name, UNPRACTISED, LEARNERS_BEFORE) for name in LEARNERS_BEFORE),
        *(demonstration(f"test:{number}") for number in range(5)),
        *map(validated, VALIDATED),
        *map(checked, CHECKED),
        *map(fast, BENCH.rows),
        *map(trained, TRAINING.rows),
        *map(withstood, WITHSTOOD),
        *(followed(way, name) for name in ANY.about["conditions"] for way in ("direct", "policy")),
        *map(found_of_many, FOUND_OF_MANY),
        *map(disturbed, DISTURBED.about["conditions"]),
        *map(ahead, AHEAD),
        *map(waiting, WAITING.about["conditions"]),
    ]


@pytest.mark.parametrize("row", rows())
def test_a_row_of_the_docs_is_that_of_the_results(row):
    assert row in LINES


def test_the_readme_repeats_rows_of_the_docs():
    told = [line for line in PAGES[0].read_text().splitlines() if "| `policy` |" in line]
    assert told
    assert set(told) <= set(rows())


def test_the_docs_have_no_other_rows_of_the_benchmark():
    names = {row["name"] for row in BENCH.rows}
    assert names >= {*LEAST, *MOST}
    told = {line for line in LINES if line.count(" | ") == 4 and line.split("`")[1:2] and line.split("`")[1] in names}
    assert told == set(map(fast, BENCH.rows))


def test_results_can_be_read():
    files = [path for path in FOLDER.iterdir() if path.suffix != ".png"]
    assert {path.suffix for path in files} == {".csv", ".json"}
    for path in files:
        assert len(path.read_text().splitlines()) <= MOST_LINES, path.name


@pytest.mark.parametrize("about", sorted(FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_results_are_a_table_and_what_it_is_of(about):
    results = read_results(about.with_suffix(".csv"))
    assert results.rows
    assert results.rows == rounded(results.rows)
    command = results.about["command"].split()
    assert command[0] == "imitate"
    assert not re.search(r"[ =\"]/", json.dumps([results.about["command"], results.about.get("settings")]))
    said = results.about.get("came_with_commit") or results.about.get("git_commit")
    assert said or any(row.get("git_commit") for row in results.rows)
    own = f"results/{about.stem.removesuffix('-before')}.csv"
    assert own in results.about["command"] or command == ["imitate", "compression"]


@pytest.mark.slow
def test_the_summary_is_that_of_the_runs():
    names = {name for row in RESULTS.more["summary"] for name in row}
    again = rounded(summarise(RESULTS.rows))
    assert RESULTS.more["summary"] == [{name: row.get(name) for name in names} for row in again]


def test_learning_curves_are_thinned_and_can_be_added_to():
    found = earlier(FOLDER / "imitation.csv")
    for row in found.more["curves"]:
        steps, seconds, errors = (numbers(row[name]) for name in ("steps", "seconds", "ee_error_m"))
        assert 9 <= len(steps) == len(seconds) == len(errors) <= 20
        assert steps == sorted(steps)


def test_what_is_wanted_of_any_video_is_missed_only_where_the_docs_say():
    plain = {way: condition(way, "plain", demos=100) for way in ("direct", "policy")}
    assert plain["direct"]["ee_error_m"] <= 0.06
    assert plain["policy"]["ee_error_m"] <= 0.04
    assert plain["policy"]["success"] >= 0.8
    times = {
        (way, name): condition(way, name)["ee_error_m"] / plain[way]["ee_error_m"]
        for name in ANY.about["conditions"]
        for way in ("direct", "policy")
    }
    missed = {of: f"{ratio:.2f}" for of, ratio in times.items() if ratio > 1.5}
    assert list(missed) == [(way, name) for name in ("away", "double_speed") for way in ("direct", "policy")]
    away, fast = ((missed["direct", name], missed["policy", name]) for name in ("away", "double_speed"))
    assert f"from 0.3 rad away it is {' and '.join(away)} times, and at twice the speed {' and '.join(fast)}" in TEXT


def test_what_is_wanted_where_nothing_is_imagined_is_met():
    found = {row["method"]: row for row in RESULTS.more["summary"]}
    guesses, pixels, imagined = (found[name] for name in ("guesses", "tcn_pixels", "tcn_self"))
    steps = {name: [row["practice_steps"] + row["env_steps"] for row in RESULTS.rows if row["method"] == name]
             for name in found}  # fmt: skip
    assert guesses["direct_ee_error_m"] >= 0.06
    assert guesses["ee_error_m"] <= 0.02
    assert guesses["joint_error_rad"] <= 0.05
    assert guesses["success"] >= 0.9
    assert max(steps["guesses"]) <= 150_000
    assert pixels["ee_error_m"] <= 0.03
    assert pixels["success"] >= 0.8
    assert max(steps["tcn_pixels"]) <= 600_000
    assert imagined["ee_error_m_high"] < imagined["direct_ee_error_m_low"]
    for name, said in (("guesses", "of guesses"), ("tcn_pixels", "from pixels and time alone")):
        assert f"{said}, {median(steps[name]):,} steps ({min(steps[name]):,} to {max(steps[name]):,})" in TEXT


def test_what_is_wanted_of_any_video_where_nothing_is_imagined_is_met():
    found = condition("practised", "plain", HEAD, 100)
    assert found["ee_error_m"] <= 0.04
    assert found["success"] >= 0.7
    assert HEAD.about["settings"]["seed"] == 1000
    guessed, found = (condition(way, "plain", HEAD, 100) for way in ("direct", "practised"))
    assert found["success"] == 1
    said = f"in the median to {1000 * found['ee_error_m']:.1f} mm. It begins with guesses that are off by "
    assert said + f"{100 * guessed['ee_error_m']:.0f} cm, and imagines nothing." in TEXT


def test_what_a_policy_makes_of_guesses_alone_is_what_the_docs_say():
    policy, guesses = (condition(way, "plain", GENERAL, 100) for way in ("policy", "direct"))
    assert guesses["ee_error_m"] == condition("direct", "plain", HEAD, 100)["ee_error_m"]
    said = f"its flange error is {policy['ee_error_m']:.4f} m ({error(policy).partition('(')[2]}, where that of the "
    said += f"guesses is {guesses['ee_error_m']:.4f}. It is the larger in {policy['farther_than_direct']}."
    assert said in TEXT


def test_what_the_reward_alone_teaches_is_what_the_docs_say():
    runs = [row for row in RESULTS.rows if row["method"] == "reward_alone"]
    way = [f"{median(row[key] for row in runs):.3f}" for key in (
        "direct_ee_error_m", "ee_error_m", "direct_joint_error_rad", "joint_error_rad")]  # fmt: skip
    assert f"the flange from {way[0]} to {way[1]} m, the joints from {way[2]} to {way[3]} rad" in TEXT


def test_what_learning_adds_to_practice_is_what_the_docs_say():
    """Nothing to velocities, whoever pays; something to torques, where taking poses is not exact."""
    summary = {row["method"]: row for row in RESULTS.more["summary"]}
    oracle = [row for row in RESULTS.rows if row["method"] == "oracle"]
    practised = median(row["practised_ee_error_m"] for row in oracle)
    assert f"comes to {summary['oracle']['ee_error_m']:.4f} m, from {practised:.4f}" in TEXT
    torque = [row for row in RESULTS.rows if row["method"] == "torque"]
    assert all(row["ee_error_m"] < row["practised_ee_error_m"] for row in torque)
    assert all(row["reward"] > row["practised_reward"] for row in torque)
    way = (median(row[f"{name}ee_error_m"] for row in torque) for name in ("direct_", "practised_", ""))
    assert "from {:.4f} as they are read to {:.4f} by practice and {:.4f} by learning".format(*way) in TEXT


def test_where_pixels_rank_no_worse_is_what_the_docs_say():
    figures = {name: of_encoder("tcn_self", "test", name) for name in ("trained", "pixels")}
    for truth, wanted in (("ee", 0.7), ("joint", 0.6)):
        own, pixels = (figures[name][f"policy_spearman_{truth}"] for name in ("trained", "pixels"))
        assert own < wanted
        assert f"is {own:.3f} where {wanted} was wanted, and raw pixels {pixels:.3f}" in TEXT
    own, pixels, untrained = (
        [of_encoder("tcn_self", "test", name)[f"policy_regret_{truth}"] for truth in ("ee", "joint")]
        for name in ("trained", "pixels", "untrained")
    )
    for said in (
        f"loses {own[0]:.3f} of what there is to lose for the flange and {own[1]:.3f} for the joints",
        f"with raw pixels {pixels[0]:.3f} and {pixels[1]:.3f}, with an untrained network {untrained[0]:.3f} and "
        f"{untrained[1]:.3f}",
    ):
        assert said in TEXT


def test_what_got_worse_with_our_renderer_is_what_the_docs_say():
    worse = {}
    for name in ANY.about["conditions"]:
        for way in ("direct", "policy"):
            before, now = condition(way, name, BEFORE), condition(way, name)
            if now["ee_error_m"] > before["ee_error_m_high"] and before["ee_error_m"] < now["ee_error_m_low"]:
                worse[way, name] = error(before)
    assert list(worse) == [("direct", "half_speed"), ("policy", "half_speed")]
    assert f"directly {worse['direct', 'half_speed']}, with the policy {worse['policy', 'half_speed']}." in TEXT
    assert f"it was {condition('direct', 'plain', BEFORE)['final_ee_error_m']:.4f} directly" in TEXT


def test_how_the_policy_compares_is_what_the_docs_say():
    row = condition("policy", "plain")
    said = f"larger in {row['farther_than_direct']}, by a median of {1000 * row['farther_by_m']:.1f} mm"
    assert f"{said}, and its learned reward the lower in {row['less_reward_than_direct']}." in TEXT


def test_what_is_shipped_is_what_was_measured():
    shipped = json.loads((ROOT / "assets" / "encoder" / "encoder.json").read_text())
    assert shipped["sha256"] == ANY.about["encoder"]
    assert (ROOT / "assets" / "policy" / "policy.zip").stat().st_size < 1_000_000


def test_what_is_said_of_other_pictures_is_so():
    still = condition("direct", "plain", DISTURBED)["hold_still_ee_error_m"]
    lost = [
        name for name in DISTURBED.about["conditions"] if condition("policy", name, DISTURBED)["ee_error_m"] > still
    ]
    assert sorted(lost) == ["covered", "darker"]
    assert f"holds still ({still:.3f} m)" in TEXT


def test_what_is_compared_followed_the_same():
    own = (DISTURBED, WAITING, AHEAD_2, AHEAD_4)
    assert {of.about["encoder"] for of in own} == {ANY.about["encoder"]}
    first = condition("direct", "plain", DISTURBED)
    for of in (ANY, WAITING, AHEAD_2, AHEAD_4):
        read = {name: value for name, value in condition("direct", "plain", of, 20).items() if "believed" in name}
        assert len(read) == 9
        assert read.items() <= first.items()
    still = {name: value for name, value in condition("direct", "plain", AUGMENTED, 20).items() if "still" in name}
    assert len(still) == 3
    assert still.items() <= first.items()


def test_what_is_said_of_compression_is_so():
    assert f"in {COMPRESSED['yuv444p', 0]['bytes_per_frame']:.0f} bytes a frame" in TEXT
    assert f"At crf 18, {COMPRESSED['yuv444p', 18]['bytes_per_frame']:.0f} bytes" in TEXT
    moved = {of: row["embedding_moved_steps"] for of, row in COMPRESSED.items()}
    assert f"by {moved['yuv444p', 18]:.2f} of what one frame to the next does" in TEXT
    assert f"lossless, by {moved['yuv444p', 0]:.2f}" in TEXT
    assert f"halved colour resolution, by {moved['yuv420p', 0]:.1f} even so" in TEXT


def test_the_long_run_is_that_of_the_results():
    soak = {figure.removeprefix("soak_"): value for (figure, _), value in TORTURE.items() if figure.startswith("soak_")}
    said = (
        f"{soak['steps']:,} steps and {soak['resets']:,} resets: memory grew by "
        f"{soak['memory_growth']:.2%}, open files by {soak['files_growth']}, and steps a second "
        f"changed by {soak['speed_change']:.1%}."
    ).replace("%", " %")
    assert said in TEXT


def test_what_is_missed_is_what_the_docs_say():
    missed = [row["name"] for row in BENCH.rows if row["ratio"] < LEAST.get(row["name"], 0)]
    missed += [row["name"] for row in BENCH.rows if row["ours"] > MOST.get(row["name"], row["ours"])]
    assert sorted(missed) == sorted(MISSED)
    assert f"{len(MISSED)} rows miss what is wanted." in TEXT


def test_what_takes_the_time_is_what_the_docs_say():
    share = {(part["stage"], part["part"]): part["share"] for part in BENCH.more["profile"]}
    said = f"spends {share['record', 'render']:.0%} of its time on rendering"
    assert said.replace("%", " %") in TEXT
    assert f"{share['record', 'physics']:.0%} on physics".replace("%", " %") in TEXT


def test_what_a_reward_costs_is_as_measured():
    for row in read_results(FOLDER / "bench-wrapping.csv").rows:
        ratio = f"{row['ratio']:.2f} ({row['ratio_low']:.2f} to {row['ratio_high']:.2f})"
        assert f"| `{row['name']}` | {row['ours']:.0f} | {row['reference']:.0f} | {ratio} |" in LINES


def test_other_environments_are_as_measured():
    """Of each environment and method a row; the experts and what doing nothing earns stand beside."""
    found = read_results(FOLDER / "environments.csv", ("summary",))
    for row in found.more["summary"]:
        ours = [of for of in found.rows if (of["environment"], of["method"]) == (row["environment"], row["method"])]
        share = " | ".join(
            f"{row[k]:.3f} ({row[f'{k}_low']:.3f} to {row[f'{k}_high']:.3f})" for k in ("shown_share", "share")
        )
        returns = " | ".join(f"{row[name]:.1f}" for name in ("shown_env_return", "expert_env_return"))
        expected = (
            f"| `{row['environment']}` | `{row['method']}` | {share} | {row['learned']} of {row['runs']} | {returns} |"
        )
        assert expected in LINES
        assert row["learned"] == sum(of["shown_share"] <= 0.2 for of in ours)
    assert set(found.about["methods"]) == {row["method"] for row in found.rows}


def test_the_way_of_another_arm_is_as_measured():
    found = read_results(FOLDER / "open-panda.csv")
    (row,) = found.rows
    error = f"{row['ee_error_m']:.3f} ({row['ee_error_m_low']:.3f} to {row['ee_error_m_high']:.3f})"
    cells = f"{error} | {row['success']:.2f} | {row['hold_still_ee_error_m']:.3f}"
    assert f"| a Panda, {found.about['conditions'][row['condition']]} | {cells} |" in LINES
    assert row["demos"] == 20


def test_the_open_world_is_as_measured():
    """A row a condition; where it was, with what is read by the encoder of the plain scene, and by raw pixels."""
    found, sterile, pixels = (read_results(FOLDER / f"open{of}.csv") for of in ("", "-sterile", "-pixels"))
    assert {row["condition"] for row in found.rows} == set(found.about["conditions"])
    beside = [{row["condition"]: row for row in other.rows} for other in (sterile, pixels)]
    for row in found.rows:
        others = [other.get(row["condition"]) for other in beside]
        cells = " | ".join(f"{o['ee_error_m']:.3f} | {o['success']:.2f}" if o else "- | -" for o in others)
        error = f"{row['ee_error_m']:.3f} ({row['ee_error_m_low']:.3f} to {row['ee_error_m_high']:.3f})"
        still = f"{row['hold_still_ee_error_m']:.3f}"
        says = found.about["conditions"][row["condition"]]
        assert f"| {says} | {error} | {row['success']:.2f} | {cells} | {still} |" in LINES
        assert row["demos"] == 20
    assert found.about["encoder"] == sha256(ASSETS / "open/encoder.safetensors")
    for other in (sterile, pixels):
        assert other.about["encoder"] == sha256(ASSETS / "encoder/encoder.safetensors")
