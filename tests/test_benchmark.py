import json
import shlex
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import dying
import numpy as np
import pytest

from imitate.errors import UserError
from imitate.keeping.runs import Stage
from imitate.measuring.figures import benchmark_figure
from imitate.measuring.metrics import spread
from imitate.pipelines import benchmark_imitation
from imitate.pipelines.benchmark_imitation import HEADLINE, METHODS, PRESETS, Settings, summarise
from imitate.pipelines.shared.cli import command_line
from imitate.pipelines.torturing.outcome import differences
from imitate.policy.ppo import Learner

FIGURES = ("ee_error_m", "final_ee_error_m", "joint_error_rad", "embedding_distance")


def row(method, error, **more):
    values = {"": error, "hold_still_": 0.5, "random_": 0.9}
    figures = {prefix + name: value for prefix, value in values.items() for name in FIGURES}
    return {"method": method, "demo": "test:0", "seed": 0, **figures, **more}


def test_the_median_lies_in_its_interval_which_narrows_with_more_runs():
    rng = np.random.default_rng(0)
    few, many = spread(rng.normal(1.0, 0.1, 5)), spread(rng.normal(1.0, 0.1, 200))
    for one in (few, many):
        assert one.low <= one.median <= one.high
    assert many.high - many.low < 0.5 * (few.high - few.low)
    assert many.low < 1.0 < many.high


def test_seeds_are_no_further_demonstrations():
    errors, demos = [0.1, 0.2, 0.3, 0.4, 0.9], list("abcde")
    once = spread(errors, demos)
    assert spread(errors * 3, demos * 3) == once._replace(iqm=pytest.approx(once.iqm, abs=0.05))
    assert once[2:] == spread(errors)[2:]
    alone = spread(errors * 3)
    assert alone.high - alone.low < once.high - once.low


def test_the_interquartile_mean_forgets_outliers():
    assert spread([1.0, 1.1, 0.9, 1.0, 1.0, 1.0, 1.0, 50.0]).iqm == pytest.approx(1.0)


def test_a_single_run_is_its_own_interval():
    assert spread([0.3]) == (0.3, 0.3, 0.3, 0.3)


def test_the_summary_is_of_each_method_and_of_doing_nothing():
    rows = [row("tcn_self", e) for e in (0.02, 0.03, 0.2)] + [row("oracle", 0.01)]
    rows[1]["final_ee_error_m"] = 0.06  # followed, but ended elsewhere: no success
    summary = summarise(rows)
    assert list(summary) == ["tcn_self", "oracle", "hold_still", "random"]
    assert summary["tcn_self"]["ee_error_m"] == 0.03
    assert summary["tcn_self"]["ee_error_m_interval"] == [0.02, 0.2]
    assert summary["tcn_self"]["success"] == pytest.approx(1 / 3)
    assert summary["hold_still"]["ee_error_m"] == summary["oracle"]["hold_still_ee_error_m"] == 0.5
    assert summary["random"]["joint_error_rad"] == 0.9
    assert summary["random"]["success"] == 0


def test_what_was_known_before_learning_stands_beside_each_method():
    known = {f"direct_{name}": 0.04 for name in FIGURES}
    summary = summarise([row("tcn_self", 0.03, **known), row("paper", 0.5)])
    assert summary["direct"]["ee_error_m"] == summary["tcn_self"]["direct_ee_error_m"] == 0.04
    assert summary["direct"]["success"] == 1
    assert "direct_ee_error_m" not in summary["paper"]


def test_the_gap_is_closed_by_the_oracle_of_the_same_demonstration_and_seed():
    rows = [row(name, 0.1) for name in ("tcn_self", "tcn", "pixels_96")]
    others = [row("oracle", 0.0), {**row("tcn_self", 0.1), "seed": 1}, row("torque", 0.1), row("paper", 0.1)]
    others.append(row("tcn_pixels", 0.1))
    benchmark_imitation._close_gaps(rows + others)
    assert [one["gap_closed"] for one in rows] == pytest.approx([0.8] * 3)
    assert all("gap_closed" not in one for one in others)


def test_curves_of_different_lengths_are_drawn():
    long, short = (
        {"steps": 10.0 * rows, "seconds": rows, "ee_error_m": 1.0 / rows}
        for rows in (np.arange(1.0, 9), np.arange(1.0, 6))
    )
    figure = benchmark_figure(
        [{"method": "a", "curve": long}, {"method": "a", "curve": short}, {"method": "b", "curve": long}]
    )
    drawn = figure.axes[0].get_lines()
    assert [line.get_label() for line in drawn] == ["a", "b"]
    assert drawn[0].get_xdata()[-1] == 50.0
    assert drawn[0].get_ydata()[-1] == pytest.approx(20.0)


def test_methods_differ_in_what_they_say():
    assert METHODS["tcn"].embed.self_regression == 0
    assert METHODS["tcn_self"].embed.self_regression > 0
    assert METHODS["oracle"].imitate.oracle
    assert METHODS["torque"].imitate.control == METHODS["paper"].imitate.control == "torque"
    plain = METHODS["tcn_pixels"]
    assert (plain.embed, plain.imitate.midway) == (METHODS["tcn"].embed, 0)
    difference, distance = METHODS["difference"].imitate, METHODS["distance"].imitate
    assert replace(difference, reward_form="huber") == distance
    assert METHODS["progress"].imitate.reward_form == "progress"
    settings = [(m.record, m.embed, m.imitate) for m in METHODS.values()]
    assert len(settings) == len(METHODS)
    assert all(a != b for i, a in enumerate(settings) for b in settings[:i])


def test_what_one_setting_changes_stands_beside_the_defaults():
    first, *ablations = PRESETS["ablations"][1].methods
    assert first == "tcn_self"
    assert set(ablations) | set(HEADLINE) == set(METHODS)
    assert not set(ablations) & set(HEADLINE)


@pytest.mark.parametrize(
    "settings",
    [
        PRESETS["default"][1],
        PRESETS["ablations"][1],
        Settings(Path("my runs/a"), methods=("torque",), demos=("test:7", "my sets/b:0"), seeds=(3, 4)),
        Settings(out=Path("results/imitation.json"), add=True),
    ],
)
def test_the_command_in_the_results_makes_them_again(settings, monkeypatch):
    again = []
    monkeypatch.setattr(benchmark_imitation, "run", again.append)
    monkeypatch.setattr(sys, "argv", shlex.split(command_line("benchmark_imitation", settings))[1:])
    benchmark_imitation.main()
    assert again == [settings]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"methods": ("tcn_selv",)},
            "unknown method 'tcn_selv': choose one of aliased, difference, distance, first_frame, gamma_0.99",
        ),
        ({"seeds": ()}, "at least one method, one demonstration and one seed"),
        ({"demos": ("test:0", "VIDEO")}, "a bare video has no true poses to measure by"),
        ({"demos": ("test:0", "test:99")}, "'test:99': expected an episode from 0 to 19"),
        ({"methods": ("tcn_self", "paper"), "demos": ("test:7",)}, "'test:7': expected an episode from 0 to 4"),
        ({"demos": ("test:0", "nowhere:0")}, "nowhere is neither a split"),
        ({"seeds": (0, -1)}, "seeds is -1, expected 0 to 4294967295"),
    ],
)
def test_what_cannot_be_measured_is_refused_at_once(tmp_path, monkeypatch, changed, message):
    def started(settings):
        raise AssertionError("started to record or train")

    for command in (benchmark_imitation.record, benchmark_imitation.embed):
        monkeypatch.setattr(command, "run", started)
    video = tmp_path / "my.mp4"
    video.touch()
    changed = {k: tuple(str(video) if one == "VIDEO" else one for one in v) for k, v in changed.items()}
    with pytest.raises(UserError, match=message):
        benchmark_imitation.run(replace(PRESETS["default"][1], run=tmp_path / "run", **changed))
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_the_protocol_runs_and_goes_on_where_it_stopped(tmp_path, monkeypatch, capsys):
    record = replace(
        benchmark_imitation.RECORD, train=40, validation=2, test=2, frames=40, held_out_frames=40, image_size=32
    )
    fit = replace(benchmark_imitation.EMBED, epochs=3, videos=16, batch=16)
    learn = replace(
        benchmark_imitation.IMITATE,
        observe_pose=False,
        midway=0.0,
        steps=64,
        learner=Learner(n_envs=2, n_steps=16, batch_size=16),
    )
    run = tmp_path / "run"
    benchmark_imitation.record.run(replace(record, run=run))
    for name, method in METHODS.items():
        small = replace(learn, **{k: getattr(method.imitate, k) for k in ("oracle", "control")})
        own = None if method.record is None else replace(record, image_size=48)
        trained = replace(fit, name=method.embed.name, self_regression=method.embed.self_regression)
        monkeypatch.setitem(METHODS, name, replace(method, embed=trained, imitate=small, record=own))
    monkeypatch.setattr(benchmark_imitation, "IMITATE", learn)
    settings = replace(
        PRESETS["default"][1],
        run=run,
        methods=("tcn", "oracle", "pixels_96"),
        demos=("test:0", "test:1"),
        seeds=(0, 1),
        jobs=2,
    )
    first = benchmark_imitation.run(settings)
    assert len(first["runs"]) == 12
    assert (run / "benchmark" / "imitation.png").stat().st_size > 5000
    written = json.loads((run / "benchmark" / "imitation.json").read_text())
    assert written["summary"]["tcn"]["runs"] == 4
    for encoder in written["encoders"].values():  # checked on the test episodes, and on what a policy visits
        assert {"near_spearman_ee", "kendall_tau", "policy_spearman_ee"} <= encoder["test"].keys()
    assert {row["git_commit"] for row in written["runs"]} == {Stage(run / "record").config["git_commit"]}
    assert len(written["summary"]["tcn"]["gap_closed_interval"]) == 2
    assert len({json.dumps(row["ee_error_m"]) for row in written["runs"]}) > 6
    capsys.readouterr()
    moved = run.rename(tmp_path / "moved")  # the plain network's encoder with it
    again = benchmark_imitation.run(replace(settings, run=moved))
    assert capsys.readouterr().out.count("has learned already") == 12
    assert again == first | {"command": again["command"]}
    part = replace(settings, run=moved, out=tmp_path / "part.json")
    whole = json.loads((moved / "benchmark" / "imitation.json").read_text())
    one = benchmark_imitation.run(replace(part, methods=("oracle",)))
    for _ in range(2):  # nothing is there twice
        benchmark_imitation.run(replace(part, methods=("tcn", "pixels_96"), add=True))
        both = json.loads(part.out.read_text())
        assert both == whole | {"command": both["command"]}
        first_command, second_command = both["command"].split(" && ")
        assert first_command == one["command"]
        assert second_command.endswith("--add")
    del both["settings"]["tcn"]["imitate"]["start_noise"]  # as if written before there was this setting
    part.out.write_text(json.dumps(both))
    benchmark_imitation.run(replace(part, methods=("tcn", "pixels_96"), add=True))
    monkeypatch.setitem(METHODS, "tcn", replace(METHODS["tcn"], imitate=replace(METHODS["tcn"].imitate, steps=32)))
    with pytest.raises(UserError, match=r"part.json: its runs of tcn were learned with other settings"):
        benchmark_imitation.run(replace(part, methods=("tcn",), add=True))


@pytest.mark.parametrize(
    "text", ["[]", "{}", '{"command": "", "methods": {}, "settings": {"no": {}}, "encoders": {}, "runs": [{}]}', "null"]
)
def test_runs_are_added_to_results_only(tmp_path, text):
    out = tmp_path / "results.json"
    out.write_text(text)
    with pytest.raises(UserError, match=r"results.json: not the results of this version's 'benchmark_imitation'"):
        benchmark_imitation.run(replace(PRESETS["default"][1], run=tmp_path / "run", out=out, add=True))
    assert out.read_text() == text
    assert not (tmp_path / "run").exists()


SMALL_FIT = replace(benchmark_imitation.EMBED, epochs=3, videos=16, batch=16)


def make_the_oracle_small():
    """Methods of which a run takes seconds, wherever they are learned."""
    learn = replace(
        benchmark_imitation.IMITATE,
        observe_pose=False,
        midway=0.0,
        steps=256,
        learner=Learner(n_envs=2, n_steps=32, batch_size=16),
    )
    benchmark_imitation.IMITATE = learn
    METHODS["oracle"] = replace(METHODS["oracle"], embed=SMALL_FIT, imitate=replace(learn, oracle=True))


@pytest.mark.slow
def test_a_benchmark_that_was_killed_goes_on(tmp_path):
    recording = replace(
        benchmark_imitation.RECORD, train=40, validation=2, test=2, frames=40, held_out_frames=40, image_size=32
    )
    benchmark_imitation.record.run(replace(recording, run=tmp_path / "whole"))
    benchmark_imitation.embed.run(replace(SMALL_FIT, run=tmp_path / "whole"))
    shutil.copytree(tmp_path / "whole", tmp_path / "run")
    words = ["benchmark_imitation", "--methods", "oracle", "--demos", "test:0", "test:1", "--seeds", "0", "1"]
    collected = "concurrent.futures._base:Future.result"  # one run is learned, and another is about to be
    for kind, code in (("SIGKILL", -9), ("SIGTERM", 143)):
        harm = dying.Harm(kind, collected, 1)
        done = dying.command([*words, "--jobs", 2, "--run", tmp_path / "run"], harm, prepare=make_the_oracle_small)
        assert done.code == code, done.err[-3000:]
        assert "Traceback" not in done.err
    begun = [path.parent for path in (tmp_path / "run").glob("imitate*/config.json")]
    assert 2 <= sum((folder / "manifest.json").exists() for folder in begun) < 4
    for run in ("run", "whole"):
        done = dying.command([*words, "--jobs", 2, "--run", tmp_path / run], prepare=make_the_oracle_small)
        assert done.code == 0, done.err[-3000:]
    for folder in begun:
        assert not differences(folder, tmp_path / "whole" / folder.name)
