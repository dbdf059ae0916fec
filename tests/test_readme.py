"""The tables of the README and of the docs are those of the files that commands wrote."""

import json
from pathlib import Path
from statistics import mean, median

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LINES = [line for page in PAGES for line in page.read_text().splitlines()]
TEXT = " ".join(" ".join(LINES).split())
RESULTS = json.loads((ROOT / "results" / "imitation.json").read_text())
BENCH = json.loads((ROOT / "results" / "bench.json").read_text())
ANY = json.loads((ROOT / "results" / "any-video.json").read_text())
DISTURBED, AUGMENTED, WAITING, AHEAD_2, AHEAD_4 = (
    json.loads((ROOT / "results" / f"any-video-{name}.json").read_text())
    for name in ("disturbed", "augmented", "no-clock", "lookahead-2", "lookahead-4")
)
AHEAD = {1: ANY, 2: AHEAD_2, 4: AHEAD_4}
TORTURE = json.loads((ROOT / "results" / "torture.json").read_text())
LEAST = {"record_vs_limit": 0.9, "embed_vs_limit": 0.9, "imitate_vs_limit": 0.5, "imitate_vs_paper": 60}
MOST = {
    "agent_fast_seconds": 300,
    "agent_fast_error": 0.05,
    "follow_seconds": 20,
    **dict.fromkeys(("memory_record", "memory_embed", "memory_imitate"), 2147),
}
MISSED = ("record_vs_limit", "imitate_vs_paper")
LEARNERS = {
    "tcn_self": "the default, with self-regression (`tcn_self`)",
    "tcn": "the plain TCN as encoder (`tcn`)",
    "tcn_pixels": "the plain TCN, and no pose is read either (`tcn_pixels`), 150,000 steps",
    "torque": "joint torques (`torque`)",
    "paper": "the paper's recipe, 12 joints (`paper`), 150,000 steps",
    "oracle": "the true joint error as reward (`oracle`)",
    "direct": "the poses that `tcn_self` reads, taken, nothing learned (`direct`)",
    "hold_still": "holding still",
    "random": "acting at random",
}
CHECKED = {
    "near_spearman_ee": "poses near the demonstration: Spearman correlation, flange",
    "near_spearman_joint": "the same, joints",
    "policy_spearman_ee": "poses that a policy visits: Spearman correlation, flange",
    "policy_spearman_joint": "the same, joints",
    "kendall_tau": "replays at other speeds and with pauses: Kendall's tau",
    "alignment_error": "replays: alignment error",
}


WITHSTOOD = {  # how many, and how many of them went wrong
    **{
        f"`{stage}` killed by SIGKILL; runs that end otherwise than an undisturbed one": (
            of["kills"],
            of["differences"],
        )
        for stage, of in TORTURE.get("stages", {}).items()
    },
    **{
        what: (TORTURE[tried], TORTURE[wrong])
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


def learner(name: str) -> str:
    row = RESULTS["summary"][name]
    low, high = row["ee_error_m_interval"]
    known = {key: f"{row[key]:.{digits}f}" if key in row else "-" for key, digits in (
        ("ee_error_m", 4), ("final_ee_error_m", 4), ("joint_error_rad", 3), ("direct_ee_error_m", 4),
        ("hold_still_ee_error_m", 3), ("gap_closed", 3), ("success", 2),
    )}  # fmt: skip
    error, *others = known.values()
    return cells(LEARNERS[name], str(row["runs"]), f"{error} ({low:.4f} to {high:.4f})", *others)


def demonstration(demo: str) -> str:
    rows = [row for row in RESULTS["runs"] if row["demo"] == demo]
    names = ("tcn_self", "tcn", "tcn_pixels", "torque", "oracle")
    errors = [median(row["ee_error_m"] for row in rows if row["method"] == name) for name in names]
    direct, still = (
        median(row[f"{key}_ee_error_m"] for row in rows if row["method"] == "tcn_self")
        for key in ("direct", "hold_still")
    )
    return cells(f"`{demo}`", *(f"{error:.4f}" for error in (*errors, direct)), f"{still:.3f}")


def checked(figure: str) -> str:
    used = {row["method"]: row["encoder"] for row in RESULTS["runs"]}
    own, plain = (RESULTS["encoders"][used[name]]["test"] for name in ("tcn_self", "tcn"))
    values = [own[figure], plain[figure], own[f"untrained_{figure}"], own[f"pixels_{figure}"]]
    return cells(CHECKED[figure], *(f"{value:.3f}" for value in values))


def fast(row: dict) -> str:
    low, high = row["spread"]
    ratio = f"{row['ratio']:.3g}" + (f" ({low:.3g} to {high:.3g})" if low != high else "")
    sizes = [f"{row[key]:.4g} {row['unit']}" for key in ("ours", "reference")]
    least, most = LEAST.get(row["name"]), MOST.get(row["name"])
    wanted = f"ratio at least {least}" if least else f"at most {most} {row['unit']}" if most else ""
    return cells(f"`{row['name']}`", *sizes, ratio, wanted)


def withstood(what: str) -> str:
    return cells(what, *(f"{number:,}" for number in WITHSTOOD[what]))


def condition(way: str, name: str, results: dict = ANY) -> dict:
    return results[way] if name == "plain" else results[way][name]


def error(row: dict) -> str:
    low, high = row["ee_error_m_interval"]
    return f"{row['median_ee_error_m']:.4f} ({low:.4f} to {high:.4f})"


def followed(way: str, name: str) -> str:
    row = condition(way, name)
    others = f"{row['median_final_ee_error_m']:.4f}", f"{row['median_joint_error_rad']:.3f}", f"{row['success']:.2f}"
    return cells(ANY["conditions"][name], f"`{way}`", error(row), *others, f"{row['median_hold_still_ee_error_m']:.3f}")


def disturbed(name: str) -> str:
    shown = [
        condition(*of) for of in (("direct", name, DISTURBED), ("policy", name, DISTURBED), ("direct", name, AUGMENTED))
    ]
    return cells(DISTURBED["conditions"][name], *(f"{error(row)}, {row['success']:.2f}" for row in shown))


def ahead(frames: int) -> str:
    shown = [condition(way, name, AHEAD[frames]) for name in ("plain", "away") for way in ("policy", "direct")]
    return cells(str(frames), *(f"{error(row)}, {row['success']:.2f}" for row in shown))


def waiting(name: str) -> str:
    """Beside the clock, on the same demonstrations."""
    with_a_clock = (ANY if name in ANY["runs"] else DISTURBED)["runs"][name]
    shown = []
    for rows in (with_a_clock, WAITING["runs"][name]):
        for way in ("direct", "policy"):
            errors = [[row[f"{way}_{key}"] for key in ("ee_error_m", "final_ee_error_m")] for row in rows[:20]]
            good = mean(max(both) < 0.05 for both in errors)
            shown.append(f"{median(error for error, _ in errors):.4f}, {good:.2f}")
    return cells(WAITING["conditions"][name], *shown)


def rows() -> list[str]:
    return [
        *map(learner, LEARNERS),
        *(demonstration(f"test:{number}") for number in range(5)),
        *map(checked, CHECKED),
        *map(fast, BENCH),
        *map(withstood, WITHSTOOD),
        *(followed(way, name) for name in ANY["conditions"] for way in ("direct", "policy")),
        *map(disturbed, DISTURBED["conditions"]),
        *map(ahead, AHEAD),
        *map(waiting, WAITING["conditions"]),
    ]


@pytest.mark.parametrize("row", rows())
def test_a_row_of_the_docs_is_that_of_the_results(row):
    assert row in LINES


def test_the_readme_repeats_rows_of_the_docs():
    told = [line for line in PAGES[0].read_text().splitlines() if "| `policy` |" in line]
    assert told
    assert set(told) <= set(rows())


def test_the_docs_have_no_other_rows_of_the_benchmark():
    names = {row["name"] for row in BENCH}
    assert names >= {*LEAST, *MOST}
    told = {line for line in LINES if line.count(" | ") == 4 and line.split("`")[1:2] and line.split("`")[1] in names}
    assert told == set(map(fast, BENCH))


def test_what_is_wanted_of_any_video_is_missed_only_where_the_docs_say():
    assert ANY["direct"]["demos"] == ANY["policy"]["demos"] == 100
    assert ANY["direct"]["median_ee_error_m"] <= 0.06
    assert ANY["policy"]["median_ee_error_m"] <= 0.04
    assert ANY["policy"]["success"] >= 0.8
    times = {
        (way, name): condition(way, name)["median_ee_error_m"] / ANY[way]["median_ee_error_m"]
        for name in ANY["conditions"]
        for way in ("direct", "policy")
    }
    missed = [of for of, ratio in times.items() if ratio > 1.5]
    assert missed == [("direct", "away")]
    assert f"directly from 0.3 rad away it is {times[missed[0]]:.3f} times" in TEXT


def test_how_the_policy_compares_is_what_the_docs_say():
    rows = ANY["runs"]["plain"]
    larger = sum(row["policy_ee_error_m"] > row["direct_ee_error_m"] for row in rows)
    lower = sum(row["policy_reward"] < row["direct_reward"] for row in rows)
    by = 1000 * median(row["policy_ee_error_m"] - row["direct_ee_error_m"] for row in rows)
    assert f"larger in {larger}, by a median of {by:.1f} mm, and its learned reward the lower in {lower}." in TEXT


def test_what_is_shipped_is_what_was_measured():
    shipped = json.loads((ROOT / "assets" / "encoder" / "encoder.json").read_text())
    assert shipped["sha256"] == ANY["encoder"]
    assert (ROOT / "assets" / "policy" / "policy.zip").stat().st_size < 1_000_000


def test_what_is_said_of_other_pictures_is_so():
    still = DISTURBED["direct"]["median_hold_still_ee_error_m"]
    lost = [
        name for name in DISTURBED["conditions"] if condition("policy", name, DISTURBED)["median_ee_error_m"] > still
    ]
    assert sorted(lost) == ["covered", "darker"]
    assert f"holds still ({still:.3f} m)" in TEXT


def test_what_is_compared_followed_the_same():
    assert ANY["encoder"] == DISTURBED["encoder"] == WAITING["encoder"] == AHEAD_2["encoder"] == AHEAD_4["encoder"]
    first = DISTURBED["runs"]["plain"]
    assert {len(of["runs"]["plain"]) for of in (DISTURBED, AUGMENTED, WAITING)} == {len(first)} == {20}
    assert {len(of["runs"]["plain"]) for of in AHEAD.values()} == {100}
    for of in (ANY, WAITING, AHEAD_2, AHEAD_4):
        read = [row["believed_ee_error_m"] for row in of["runs"]["plain"][: len(first)]]
        assert read == [row["believed_ee_error_m"] for row in first]
    still = [row["hold_still_ee_error_m"] for row in first]
    assert [row["hold_still_ee_error_m"] for row in AUGMENTED["runs"]["plain"]] == still


def test_the_long_run_is_that_of_the_results():
    said = (
        f"{TORTURE['soak_steps']:,} steps and {TORTURE['soak_resets']:,} resets: memory grew by "
        f"{TORTURE['soak_memory_growth']:.2%}, open files by {TORTURE['soak_files_growth']}, and steps a second "
        f"changed by {TORTURE['soak_speed_change']:.1%}."
    ).replace("%", " %")
    assert said in TEXT


def test_what_is_missed_is_what_the_docs_say():
    missed = [row["name"] for row in BENCH if row["ratio"] < LEAST.get(row["name"], 0)]
    missed += [row["name"] for row in BENCH if row["ours"] > MOST.get(row["name"], row["ours"])]
    assert sorted(missed) == sorted(MISSED)
    assert "Two rows miss what is wanted." in TEXT
