"""``torture`` in short, and that each part of it would see what it looks for."""

import pickle
import shutil
import sys
import zipfile
from dataclasses import replace
from io import BytesIO

import holding
import numpy as np
import pytest
import torch

from imitate.errors import UserError
from imitate.keeping.runs import write_json
from imitate.pipelines import torture
from imitate.pipelines.shared.results import Results, read_results, rounded, write_results
from imitate.pipelines.torture import NONE, PARTS, PRESETS, Settings
from imitate.pipelines.torturing import damage, fuzz, kills, strangers
from imitate.pipelines.torturing.corruptions import KINDS, corruptions
from imitate.pipelines.torturing.counts import stages_of
from imitate.pipelines.torturing.outcome import differences, outcome

QUICK = PRESETS["quick"][1]
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
pytestmark = pytest.mark.slow


@LINUX
def test_a_little_of_each_part(subject, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(torture, "_subject", lambda settings, work: subject)
    figures = torture.run(replace(QUICK, run=tmp_path, only=tuple(part for part in PARTS if part != "kills")))
    written = {(row["figure"], row["of"]): row["value"] for row in read_results(tmp_path / "torture/torture.csv").rows}
    assert all(written[name, None] == rounded(figures[name]) for name in NONE if name in figures)
    assert written["refused", "policy.zip"] == figures["fuzz_files"]["policy.zip"]["refused"]
    assert [figures[name] for name in NONE if name in figures] == [0] * 5
    assert figures["corruptions_tried"] == subject.corruptions
    assert all(kind["tried"] == 1 for kind in figures["corruption_kinds"].values())
    assert figures["codes_planted"] >= 60
    assert figures["planted_kinds"]["settings handed in"] == {"planted": 3}
    assert figures["bad_inputs"] >= subject.mistakes
    assert figures["fuzz_executions"] == subject.executions
    assert all(counts["refused"] > 0 for counts in figures["fuzz_files"].values())
    assert figures["soak_steps"] == subject.steps
    assert figures["soak_resets"] >= subject.steps // 100
    assert figures["soak_memory_growth"] < torture.GROWTH
    assert {path.name for path in (tmp_path / "torture").iterdir()} == {"torture.csv", "torture.json"}
    told = capsys.readouterr().out
    for name in ("corruptions_tried", "codes_planted", "bad_inputs", "fuzz_executions", "soak_memory_growth"):
        assert f"{name} " in told


def test_killed_stages_end_as_if_nothing_had_happened(subject, tmp_path, monkeypatch):
    """``make torture`` kills the benchmark too, and what takes longer."""
    short = {"record": {"train": 60}, "embed": {"epochs": 100}, "imitate": {"steps": 256}}
    victims = {name: kills.VICTIMS[name] for name in short}
    victims = {name: replace(one, settings=replace(one.settings, **short[name])) for name, one in victims.items()}
    monkeypatch.setattr(kills, "VICTIMS", victims)
    figures = kills.kills(replace(subject, folder=tmp_path.resolve()))
    assert (figures["kills"], figures["differences"]) == (3, 0)
    assert list(figures["stages"]) == ["record", "embed", "imitate"]
    assert all(stage["kills"] == 1 for stage in figures["stages"].values())


def test_a_stage_that_has_become_faster_is_killed_earlier(subject, tmp_path, monkeypatch):
    asked = []

    def killed(victim, run, times, within, rng):
        asked.append(within)
        return times if within[1] < 14 else 0  # it ends sooner

    monkeypatch.setattr(kills, "_undisturbed", lambda victim, run: run.mkdir() or (16, 20))
    monkeypatch.setattr(kills, "_killed", killed)
    figures = kills.kills(replace(subject, folder=tmp_path, stages=("record",)))
    assert (figures["kills"], figures["differences"]) == (1, 0)
    assert asked == [(16, 20), pytest.approx((12.8, 16)), pytest.approx((10.24, 12.8))]


def test_some_stages_are_killed_and_the_others_keep_their_figures(subject, tmp_path, monkeypatch):
    begun = []
    monkeypatch.setattr(kills, "_undisturbed", lambda victim, run: begun.append((victim.module[-1], "whole")) or (1, 2))
    monkeypatch.setattr(kills, "_killed", lambda victim, run, times, *_: begun.append((victim.module[-1], "dies")) or 1)
    monkeypatch.setattr(kills, "differences", lambda run, whole: ["embed/config.json"])
    monkeypatch.setattr(kills.shutil, "copytree", lambda source, target: target.mkdir())
    monkeypatch.setattr(
        torture, "_subject", lambda settings, work: replace(subject, folder=work, stages=settings.stages)
    )
    only = Settings(run=tmp_path, only=("kills",), stages=("embed",), kills=1)
    with pytest.raises(SystemExit):
        torture.run(only)
    assert begun == [("record", "whole"), ("embed", "whole"), ("embed", "dies")]
    monkeypatch.setattr(kills, "differences", lambda run, whole: [])
    with pytest.raises(SystemExit):  # what is kept still differs
        torture.run(replace(only, stages=("record", "imitate")))
    written = read_results(tmp_path / "torture/torture.csv")
    assert set(stages_of(written.rows)) == {"record", "embed", "imitate"}
    assert written.about["parts"]["kills"]["different"] == ["embed: embed/config.json"]
    figures = torture.run(only)
    assert (figures["kills"], figures["differences"]) == (3, 0)
    written = read_results(tmp_path / "torture/torture.csv")
    assert written.about["parts"]["kills"]["different"] == []
    assert all(len(of["git_commit"]) == 40 for of in stages_of(written.rows).values())
    lost = [row for row in written.rows if (row["of"], row["figure"]) != ("embed", "kills")]
    write_results(tmp_path / "torture/torture.csv", replace(written, rows=lost))
    with pytest.raises(UserError, match="no figures of torture"):
        torture.run(only)


def another_byte(path, place):
    content = bytearray(path.read_bytes())
    content[place(content)] ^= 1
    path.write_bytes(content)


def another_weight(path):
    """In one of a policy's tensors."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    state = torch.load(BytesIO(members["policy.pth"]), weights_only=True)
    state["log_std"][0] += 1e-6
    buffer = BytesIO()
    torch.save(state, buffer)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in (members | {"policy.pth": buffer.getvalue()}).items():
            archive.writestr(name, content)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("imitate/policy.zip", another_weight),
        ("imitate/rollout.json", lambda path: another_byte(path, lambda content: content.index(b"0"))),
        ("embed/encoder/encoder.safetensors", lambda path: another_byte(path, lambda content: len(content) // 2)),
        ("record/config.json", lambda path: another_byte(path, lambda content: content.index(b"0"))),
    ],
)
def test_a_difference_would_be_seen(tmp_path, subject, name, change):
    stage, file = name.split("/", 1)
    copy = shutil.copytree(subject.run / stage, tmp_path / stage)
    assert not differences(copy, subject.run / stage)
    change(copy / file)
    assert differences(copy, subject.run / stage) == [file]


def test_times_and_places_are_no_difference(tmp_path):
    for name, seconds in (("a", 1.0), ("b", 2.0)):
        folder = tmp_path / name
        figures = {"env_steps_per_second": seconds, "curve": [{"seconds": seconds, "steps": 3}], "command": str(folder)}
        write_json(folder / "stage/metrics.json", figures)
        (folder / "stage/learning.png").write_text(name)
        row = {"method": "tcn", "ee_error_m": 0.1, "seconds": f"{seconds} 2", "env_steps_per_second": seconds}
        write_results(folder / "stage/name.csv", Results([row], {"command": f"imitate bench --run {folder}"}))
    assert outcome(tmp_path / "a") == outcome(tmp_path / "b") != {}
    elsewhere = shutil.copytree(tmp_path / "a", tmp_path / "c")  # as what a later stage begins with is
    assert not differences(tmp_path / "a", elsewhere)
    write_json(elsewhere / "stage/metrics.json", {"steps": 4})
    assert differences(tmp_path / "a", elsewhere) == ["stage/metrics.json"]
    write_results(elsewhere / "stage/name.csv", Results([{"method": "tcn", "ee_error_m": 0.2}], {}))
    assert differences(tmp_path / "a", elsewhere) == ["stage/metrics.json", "stage/name.csv", "stage/name.json"]


def test_accepted_corruption_would_be_seen(subject, monkeypatch):
    monkeypatch.setattr("imitate.keeping.manifest._stage_of", lambda path: None)  # nothing is checked
    shown = {name: kind for name, kind in KINDS.items() if name in ("figures", "pictures", "film", "policy")}
    monkeypatch.setattr("imitate.pipelines.torturing.corruptions.KINDS", shown)
    found = corruptions(subject)
    assert found["corruptions_tried"] == subject.corruptions
    assert found["corruptions_accepted"] >= 5
    assert len(found["accepted"]) == found["corruptions_accepted"]


def test_code_that_runs_would_be_seen(subject, monkeypatch):
    loaded = []

    def careless(path):
        loaded.append(pickle.loads(path.read_bytes()))

    monkeypatch.setattr(
        strangers,
        "_files",
        lambda subject, planted: [
            ("policy", "policy.zip", strangers._only, lambda: careless(subject.given / "policy.zip"))
        ],
    )
    found = strangers.strangers(subject)
    assert (found["codes_planted"], found["codes_executed"]) == (1, 1)
    assert found["executed"] == ["policy: policy.zip, _only"]
    assert loaded


@pytest.mark.parametrize("kind", damage.BYTES)
def test_damage_changes_something(kind):
    content = np.random.default_rng(0).bytes(700) + bytes(700)
    for seed in range(200):
        assert kind(content, np.random.default_rng(seed)) != content


def test_a_file_is_put_back(tmp_path):
    path = tmp_path / "a" / "file"
    path.parent.mkdir()
    path.write_bytes(b"whole")
    for content in (b"half", None):
        with damage.written(path, content):
            assert (path.read_bytes() if path.exists() else None) == content
        assert path.read_bytes() == b"whole"


def test_ctrl_c_is_not_for_the_fuzzers_process(subject, monkeypatch):
    monkeypatch.setattr(fuzz, "_work", holding.tell_mask)
    found = fuzz.fuzz(subject)
    assert (found["fuzz_executions"], found["fuzz_crashes"]) == (subject.executions, 0)
    assert found["fuzz_files"] == {"Ctrl-C": {"read": 0, "refused": 1}}


class Wires:
    """What a process of the fuzzer is told to do, without one."""

    def __init__(self):
        self.sent = []

    def send(self, told):
        self.sent.append(told)


def test_what_is_no_mistake_of_the_users_would_be_seen(subject, monkeypatch):
    def broken(path):
        raise ZeroDivisionError("a bug")

    ends_with = []
    monkeypatch.setattr(fuzz, "end_with_parent", lambda: ends_with.append("its parent"))
    monkeypatch.setattr(fuzz.resource, "setrlimit", lambda *args: None)  # of this process
    monkeypatch.setattr(fuzz, "read_video", broken)
    wires = Wires()
    folder = shutil.copytree(subject.given, subject.folder / "fuzzed-here")
    fuzz._work(wires, folder, 0, 0, 20)
    assert ends_with == ["its parent"]
    crashes = [told for told in wires.sent if told[0] == "crash"]
    assert len(crashes) == 6  # three videos of ten files, twice
    assert all("ZeroDivisionError: a bug" in told[2] for told in crashes)
    kind, counts = wires.sent[-1]
    assert kind == "counts"
    assert sum(sum(count.values()) for count in counts.values()) == 14


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"only": ("kill",)}, "unknown part 'kill': choose one of corruptions, fuzz, kills"),
        ({"stages": ("follow",)}, "unknown stage 'follow': choose one of benchmark_follow, benchmark_imitation"),
        ({"kills": 0}, "kills is 0, expected 1 to 1000000000"),
        ({"steps": 10}, "steps is 10, expected 100 to 1000000000"),
        ({"workers": -1}, "workers is -1, expected 0 to 1024"),
    ],
)
def test_what_can_not_be_is_refused(tmp_path, changes, message):
    with pytest.raises(UserError, match=message):
        torture.run(replace(QUICK, run=tmp_path / "new", **changes))
    assert not (tmp_path / "new").exists()


def test_a_figure_that_should_be_0_is_a_failure(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(
        "imitate.pipelines.torturing.corruptions.corruptions", lambda subject: {"corruptions_accepted": 2}
    )
    with pytest.raises(SystemExit) as stop:
        torture.run(Settings(run=tmp_path, only=("corruptions",)))
    assert stop.value.code == 1
    assert "failed: corruptions_accepted 2" in capsys.readouterr().out
    assert counted(tmp_path / "torture/torture.csv")["corruptions_accepted"] == 2


def test_parts_that_are_not_asked_for_keep_their_figures(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "imitate.pipelines.torturing.fuzz.fuzz", lambda subject: {"fuzz_executions": subject.executions}
    )
    monkeypatch.setattr("imitate.pipelines.torturing.strangers.strangers", lambda subject: {"codes_executed": 0})
    only = Settings(run=tmp_path, only=("fuzz",))
    torture.run(only)
    torture.run(replace(only, only=("strangers",)))
    torture.run(replace(only, executions=7))
    figures = counted(tmp_path / "torture/torture.csv")
    assert (figures["fuzz_executions"], figures["codes_executed"]) == (7, 0)
    parts = read_results(tmp_path / "torture/torture.csv").about["parts"]
    made = {part: how["settings"]["executions"] for part, how in parts.items()}
    assert made == {"fuzz": 7, "strangers": only.executions}
    write_results(tmp_path / "other.csv", Results([{"name": "record_vs_limit"}], {"parts": {}}))
    with pytest.raises(UserError, match=r"other\.csv: no figures of torture"):
        torture.run(replace(only, out=tmp_path / "other.csv"))
    with pytest.raises(UserError, match=r"figures\.json: expected the name of a table, such as figures\.csv"):
        torture.run(replace(only, out=tmp_path / "figures.json"))


def counted(path):
    """The figures of whole parts."""
    return {row["figure"]: row["value"] for row in read_results(path).rows if row["of"] is None}
