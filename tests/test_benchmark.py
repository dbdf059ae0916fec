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
from imitate.pipelines.benchmark_imitation import PRESETS, Settings
from imitate.pipelines.benchmarking.methods import HEADLINE, METHODS
from imitate.pipelines.benchmarking.recipes import heard, told, whole
from imitate.pipelines.benchmarking.summary import close_gaps, summarise
from imitate.pipelines.benchmarking.tables import POINTS, TABLES, earlier, encoder_rows, thinned
from imitate.pipelines.shared.cli import command_line
from imitate.pipelines.shared.results import Results, numbers, read_results, write_results
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
    summary = {one["method"]: one for one in summarise(rows)}
    assert list(summary) == ["tcn_self", "oracle", "hold_still", "random"]
    assert summary["tcn_self"]["ee_error_m"] == 0.03
    assert (summary["tcn_self"]["ee_error_m_low"], summary["tcn_self"]["ee_error_m_high"]) == (0.02, 0.2)
    assert summary["tcn_self"]["success"] == pytest.approx(1 / 3)
    assert summary["hold_still"]["ee_error_m"] == summary["oracle"]["hold_still_ee_error_m"] == 0.5
    assert summary["random"]["joint_error_rad"] == 0.9
    assert summary["random"]["success"] == 0


def test_what_was_known_before_learning_stands_beside_each_method():
    known = {f"direct_{name}": 0.04 for name in FIGURES}
    summary = {one["method"]: one for one in summarise([row("tcn_self", 0.03, **known), row("paper", 0.5)])}
    assert summary["direct"]["ee_error_m"] == summary["tcn_self"]["direct_ee_error_m"] == 0.04
    assert summary["direct"]["success"] == 1
    assert "direct_ee_error_m" not in summary["paper"]


def test_the_gap_is_closed_by_the_oracle_of_the_same_demonstration_and_seed():
    rows = [row(name, 0.1) for name in ("tcn_self", "tcn", "pixels_96")]
    others = [row("oracle", 0.0), {**row("tcn_self", 0.1), "seed": 1}, row("torque", 0.1), row("paper", 0.1)]
    others += [row("tcn_pixels", 0.1), row("guesses", 0.1)]
    close_gaps(rows + others)
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
    assert drawn[0].get_xdata()[[0, -1]].tolist() == [10.0, 80.0]  # those that have ended stay as they are
    assert drawn[0].get_ydata()[-1] == pytest.approx(20.0)


def test_who_still_practises_has_not_followed_yet():
    early, late = ({"steps": first + np.arange(3.0), "seconds": np.arange(1.0, 4), "ee_error_m": np.full(3, error)}
                   for first, error in ((10.0, 0.1), (100.0, 0.2)))  # fmt: skip
    runs = [{"method": "a", "curve": curve} for curve in (early, late, late)]
    (line,) = benchmark_figure(runs).axes[0].get_lines()
    steps, errors = line.get_xdata(), line.get_ydata()
    assert (steps[0], steps[-1]) == (10.0, 102.0)
    assert np.isnan(errors[steps < 99]).all()  # most of them
    np.testing.assert_allclose(errors[steps > 100], 20.0)


def test_methods_differ_in_what_they_say():
    assert METHODS["tcn"].embed.self_regression == 0
    assert METHODS["tcn_self"].embed.self_regression > 0
    assert METHODS["oracle"].imitate.oracle
    assert METHODS["torque"].imitate.control == METHODS["paper"].imitate.control == "torque"
    plain = METHODS["tcn_pixels"]
    assert (plain.embed, plain.imitate.guess) == (METHODS["tcn"].embed, "recordings")
    assert METHODS["guesses"].imitate.guess == "head"
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
        Settings(out=Path("results/imitation.csv"), add=True),
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
        benchmark_imitation.RECORD, train=40, validation=2, test=2, frames=34, held_out_frames=34, image_size=32
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
    assert len(first.rows) == 12
    table = run / "benchmark" / "imitation.csv"
    assert table.with_suffix(".png").stat().st_size > 5000
    written = read_results(table, ("summary", *TABLES))
    (tcn,) = (row for row in written.more["summary"] if row["method"] == "tcn")
    assert tcn["runs"] == 4
    tests = [one for one in written.more["encoders"] if (one["split"], one["embedding"]) == ("test", "trained")]
    assert len(tests) == 3
    for row in tests:  # checked on the test episodes, and on what a policy visits
        assert None not in (row["near_spearman_ee"], row["kendall_tau"], row["policy_spearman_ee"])
    assert {row["git_commit"] for row in written.rows} == {Stage(run / "record").config["git_commit"]}
    assert tcn["gap_closed_low"] <= tcn["gap_closed"] <= tcn["gap_closed_high"]
    assert len({row["ee_error_m"] for row in written.rows}) > 6
    capsys.readouterr()
    moved = run.rename(tmp_path / "moved")  # the plain network's encoder with it
    again = benchmark_imitation.run(replace(settings, run=moved))
    assert capsys.readouterr().out.count("has learned already") == 12
    assert again == replace(first, about=first.about | {"command": again.about["command"]})
    part = replace(settings, run=moved, out=tmp_path / "part.csv")
    whole = read_results(moved / "benchmark" / "imitation.csv", ("summary", *TABLES))
    one = benchmark_imitation.run(replace(part, methods=("oracle",)))
    for _ in range(2):  # nothing is there twice
        benchmark_imitation.run(replace(part, methods=("tcn", "pixels_96"), add=True))
        both = read_results(part.out, ("summary", *TABLES))
        command = both.about["command"]
        assert both == replace(whole, about=whole.about | {"command": command})
        first_command, second_command = command.split(" && ")
        assert first_command == one.about["command"]
        assert second_command.endswith("--add")
    ((first_method, settings_of),) = both.about["settings"].items()
    assert first_method == "tcn"
    del settings_of["imitate"]["start_noise"]  # as if written before there was this setting
    write_results(part.out, both)
    benchmark_imitation.run(replace(part, methods=("tcn", "pixels_96"), add=True))
    assert read_results(part.out, ("summary", *TABLES)).about == whole.about | {"command": command}
    monkeypatch.setitem(METHODS, "tcn", replace(METHODS["tcn"], imitate=replace(METHODS["tcn"].imitate, steps=32)))
    with pytest.raises(UserError, match=r"part.csv: its runs of tcn were learned with other settings"):
        benchmark_imitation.run(replace(part, methods=("tcn",), add=True))


ROW = {"method": "tcn", "demo": "test:0", "seed": 0, "ee_error_m": 0.1}
ROW |= {"hold_still_ee_error_m": 0.5, "random_ee_error_m": 0.6}
CURVES = [{"method": "tcn", "demo": "test:0", "seed": 0, "steps": "1 2", "seconds": "1 2", "ee_error_m": "0.2 0.1"}]
ABOUT = {"command": "", "methods": {"tcn": ""}, "other_settings": {}}
ABOUT |= {"settings": {"tcn": {"record": {}, "embed": {}, "imitate": {}}}}
MORE = {"curves": CURVES, "encoders": []}


@pytest.mark.parametrize(
    ("rows", "about", "more"),
    [
        ([], ABOUT, MORE),
        ([ROW], {}, MORE),
        ([ROW], ABOUT | {"settings": {"tcn": {}}}, MORE),
        ([ROW], ABOUT | {"settings": []}, MORE),
        ([ROW], ABOUT | {"other_settings": {"oracle": {}}}, MORE),
        ([ROW | {"method": "no"}], ABOUT, MORE),
        ([ROW | {"ee_error_m": "far"}], ABOUT, MORE),
        ([{"name": "record_vs_limit"}], ABOUT, MORE),
        ([ROW], ABOUT, {"curves": [CURVES[0] | {"steps": "a few"}], "encoders": []}),
        ([ROW], ABOUT, {"curves": [], "encoders": []}),
    ],
)
def test_runs_are_added_to_results_only(tmp_path, rows, about, more):
    out = tmp_path / "results.csv"
    write_results(out, Results([ROW], ABOUT, MORE))
    assert earlier(out) == Results([ROW], ABOUT, MORE)
    write_results(out, Results(rows, about, more))
    content = out.read_text()
    with pytest.raises(UserError, match=r"results.csv: not the results of this version's 'benchmark-imitation'"):
        benchmark_imitation.run(replace(PRESETS["default"][1], run=tmp_path / "run", out=out, add=True))
    assert out.read_text() == content
    assert not (tmp_path / "run").exists()


def test_what_an_older_version_wrote_is_not_written_over(tmp_path):
    (tmp_path / "imitation.json").write_text("{}")
    with pytest.raises(UserError, match=r"imitation.csv: no such file"):
        earlier(tmp_path / "imitation.csv")
    assert earlier(tmp_path / "other.csv") is None


def test_settings_are_told_once_and_where_they_differ():
    base = whole({"record": {"train": 7}, "embed": {}, "imitate": {"steps": 64}})
    recipes = {
        "oracle": base | {"imitate": base["imitate"] | {"oracle": True}},
        "tcn_self": base,
        "torque": whole({"record": {"train": 7}, "embed": {}, "imitate": {"steps": 64, "control": "torque"}}),
    }
    said = json.loads(json.dumps(told(recipes)))
    assert said["settings"] == {"tcn_self": base}
    assert said["other_settings"] == {
        "oracle": {"imitate": {"oracle": True}},
        "torque": {"imitate": {"control": "torque"}},
    }
    assert heard(said) == recipes
    assert told(heard(said)) == said


def test_a_learning_curve_is_thinned_to_a_few_points():
    curve = {name: [float(k) for k in range(1000)] for name in ("steps", "seconds", "ee_error_m")}
    points = numbers(thinned(curve)["steps"])
    assert (len(points), points[0], points[-1]) == (POINTS, 0, 999)
    short = {name: [1.0, 2.0] for name in curve}
    assert numbers(thinned(short)["seconds"]) == [1, 2]


def test_the_figures_of_an_encoder_stand_in_rows_of_what_they_are_of():
    figures = {"kendall_tau": 0.9, "pixels_kendall_tau": 0.8, "visibility": {"10": [0.1, None]}, "order": {"1-2": 0.5}}
    trained, pixels = encoder_rows("a1", "test", figures)
    assert trained | {"visibility_10": ""} == {
        "encoder": "a1", "split": "test", "embedding": "trained",
        "kendall_tau": 0.9, "visibility_10": "", "order_1-2": 0.5,
    }  # fmt: skip
    np.testing.assert_array_equal(numbers(trained["visibility_10"]), [0.1, np.nan])
    assert pixels == {"encoder": "a1", "split": "test", "embedding": "pixels", "kendall_tau": 0.8}


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
        benchmark_imitation.RECORD, train=40, validation=2, test=2, frames=34, held_out_frames=34, image_size=32
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
