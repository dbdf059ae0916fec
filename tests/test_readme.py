"""The tables of the README are those of the files that commands wrote."""

import json
from pathlib import Path
from statistics import median

import pytest

ROOT = Path(__file__).parents[1]
RESULTS = json.loads((ROOT / "results" / "imitation.json").read_text())
BENCH = json.loads((ROOT / "results" / "bench.json").read_text())
WANTED = {
    "record_vs_limit": "0.9",
    "embed_vs_limit": "0.9",
    "imitate_vs_limit": "0.5",
    "imitate_vs_paper": "60",
    "agent_fast_seconds": "at most 300 s",
    "agent_fast_error": "at most 0.05 m",
    **dict.fromkeys(("memory_record", "memory_embed", "memory_imitate"), "at most 2147 MB"),
    **dict.fromkeys(("growth_record_episodes_20000", "growth_embed_episodes_20000"), "1"),
}
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
    return cells(f"`{row['name']}`", *sizes, ratio, WANTED.get(row["name"], ""))


def rows() -> list[str]:
    return [
        *map(learner, LEARNERS),
        *(demonstration(f"test:{number}") for number in range(5)),
        *map(checked, CHECKED),
        *map(fast, BENCH),
    ]


@pytest.mark.parametrize("row", rows())
def test_a_row_of_the_readme_is_that_of_the_results(row):
    assert row in (ROOT / "README.md").read_text().splitlines()
