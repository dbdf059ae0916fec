import os
import sys
from dataclasses import replace
from time import sleep
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from holding import MB, fail, hold, map_file

from imitate.envs.cameras import CAMERAS
from imitate.envs.kuka import Kuka
from imitate.envs.paper_arm import PAPER_ARM
from imitate.errors import UserError
from imitate.pipelines import bench, imitate
from imitate.pipelines.bench import PRESETS, ROWS, Settings
from imitate.pipelines.shared.results import read_results
from imitate.pipelines.timing.bare import Bare, Played
from imitate.pipelines.timing.imitating import FullPrecision, OneByOne, paper_env
from imitate.pipelines.timing.peak import peak
from imitate.pipelines.timing.profile import Part
from imitate.pipelines.timing.rows import Row, compare
from imitate.pipelines.timing.stopwatch import REST, Call, Stopwatch
from imitate.pipelines.timing.subject import FULL

QUICK = PRESETS["quick"][1]


def test_a_ratio_is_the_median_of_pairs_that_followed_each_other():
    asked = []

    def machine(name, speed):
        def rate():
            asked.append(name)
            return speed / (1 + len(asked) // 3)  # it slows down

        return rate

    row = compare("row", "frames/s", machine("ours", 60.0), machine("reference", 20.0), 3)
    assert asked == ["ours", "reference", "reference", "ours", "ours", "reference"]
    assert (row.ours, row.reference) == (30.0, 10.0)
    ratios = [3.0, 30 / 10, 30 / (20 / 3)]
    assert row.ratio == pytest.approx(np.median(ratios))
    assert row.spread == pytest.approx((min(ratios), max(ratios)))


def test_one_measurement_is_its_own_spread():
    row = compare("row", "MB", lambda: 3.0, lambda: 2.0, 1)
    assert (row.ratio, row.spread) == (1.5, (1.5, 1.5))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_the_peak_is_of_a_process_and_of_those_below_it():
    alone, family = peak(hold, 200, 0), peak(hold, 200, 1)
    nothing = peak(hold, 1, 0)
    assert alone - nothing == pytest.approx(199, abs=20)
    assert family - alone == pytest.approx(200 + nothing, abs=20)


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_a_mapped_file_is_not_the_stages_memory(tmp_path):
    path = tmp_path / "frames"
    path.write_bytes(bytes(300 * MB))
    assert peak(map_file, path) < 100


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_a_stage_that_fails_has_no_peak():
    with pytest.raises(RuntimeError, match="exit code 3"):
        peak(fail)


def test_the_bare_simulation_moves_and_draws_as_the_arm_does(monkeypatch):
    kuka = Kuka("iiwa", "velocity")
    drawn = []
    real = kuka._bullet._client.getCameraImage
    monkeypatch.setattr(
        "imitate.envs.bullet.pybullet.getCameraImage", lambda *args, **kwargs: drawn.append(real(*args, **kwargs)[2])
    )
    start, actions = np.full(7, 0.3), np.random.default_rng(0).uniform(-1.2, 1.2, (5, 7))
    camera = replace(CAMERAS["front"], renderer="tiny")
    kuka.reset(start)
    kuka.replay(actions, camera, 32)
    replayed = kuka.joint_states()
    monkeypatch.undo()
    kuka.reset(start)
    pictures = [kuka.film(camera, 32)]
    for action in actions:
        kuka.step(action)
        pictures.append(kuka.film(camera, 32))
    np.testing.assert_array_equal(kuka.joint_states(), replayed)
    kuka.close()
    assert len(drawn) == len(pictures)
    samples = camera.samples
    for raw, picture in zip(drawn, pictures, strict=True):
        pixels = np.asarray(raw).reshape(32, samples, 32, samples, 4)[..., :3].mean((1, 3))
        assert np.abs(pixels - picture).max() <= 0.5


def test_the_bare_simulation_draws_with_our_renderer_what_the_arm_films(monkeypatch):
    kuka, camera, drawn = Kuka("iiwa", "velocity"), CAMERAS["front"], []
    real = kuka.rasteriser.draw
    monkeypatch.setattr(kuka.rasteriser, "draw", lambda *args: drawn.append(real(*args)) or drawn[-1])
    start, actions = np.full(7, 0.3), np.random.default_rng(0).uniform(-1.2, 1.2, (5, 7))
    kuka.reset(start)
    kuka.replay(actions, camera, 32)
    (pictures,) = drawn
    kuka.reset(start)
    for k, picture in enumerate(pictures):
        if k:
            kuka.step(actions[k - 1])
        np.testing.assert_array_equal(kuka.film(camera, 32), picture)
    kuka.close()


@pytest.mark.slow
def test_the_bare_processes_play_all_episodes():
    episodes = [Played(np.zeros(7), np.zeros((n, 7))) for n in (1, 4, 2)]
    bare = Bare(episodes, "iiwa", CAMERAS["front"], 16, workers=2)
    assert [bare._all(play) for play in (True, False, True)] == [10, 0, 10]  # an episode has a picture more than steps
    assert bare() > 0
    bare.close()
    assert all(process.exitcode == 0 for process in bare._crew.processes)


def test_the_papers_arm_has_the_joints_of_ours():
    papers, ours = Kuka(PAPER_ARM, "torque"), Kuka("iiwa_gripper", "torque")
    pose = 0.9 * np.array(PAPER_ARM.upper)
    for kuka in (papers, ours):
        kuka.reset(pose)
    np.testing.assert_allclose(papers.flange_position(), ours.flange_position(), atol=1e-6)
    apart = papers.film(CAMERAS["front"], 64).astype(int) - ours.film(CAMERAS["front"], 64)
    assert 0 < np.abs(apart).mean() < 10  # the same pose, with other triangles
    for kuka in (papers, ours):
        kuka.close()


def test_one_by_one_embeds_the_same(encoder, demonstrations):
    frames = demonstrations[0].frames
    alone = OneByOne.of(encoder).embed(frames)
    assert alone.shape == encoder.embed(frames).shape
    np.testing.assert_array_equal(alone[3], encoder.embed(frames[3:4])[0])


def test_the_paper_computed_in_full_precision():
    images = torch.rand(4, 3)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.nn.Linear(3, 2)(images).dtype == torch.bfloat16
        assert FullPrecision(torch.nn.Linear(3, 2))(images).dtype == torch.float32
    for full in (False, True):
        env = paper_env(75, "cpu", full)
        assert isinstance(env.encoder.module, FullPrecision) == full
        env.close()


def test_a_part_is_not_charged_for_another():
    class Robot:
        def work(self):
            sleep(0.02)
            self.rest()

        def rest(self):
            sleep(0.05)

        def items(self):
            for k in range(3):
                sleep(0.02)
                yield k

    robot, watch = Robot(), Stopwatch()
    with watch.watching([Call(Robot, "work", "work"), Call(Robot, "rest", "sleep"), Call(Robot, "items", "items")]):
        robot.rest()  # before anything is measured
        with watch.part(REST):
            robot.work()
            for _ in robot.items():
                sleep(0.01)
    robot.work()  # and after
    assert watch.calls["work"] == watch.calls["sleep"] == 1
    for part, seconds in {"work": 0.02, "sleep": 0.05, "items": 0.06, REST: 0.03}.items():
        assert seconds <= watch.seconds[part] < seconds + 0.05, part


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"only": ("record_vs_limits",)}, "unknown row 'record_vs_limits': choose one of agent, embed_vs_limit"),
        ({"repeats": 0}, "repeats is 0, expected 1 to 1000000"),
        ({"episodes": ()}, "episodes : expected"),
        ({"processes": (1, 0)}, "processes is 0, expected 1 to 1024"),
        ({"envs": (16, 16)}, "envs 16 16: expected numbers of 1 or more, each once"),
        ({"envs": (16, 5000)}, "n_envs is 5000"),
        ({"workers": -1}, "workers is -1"),
        ({"device": "tpu"}, "unknown device 'tpu'"),
    ],
)
def test_what_cannot_be_measured_is_refused_at_once(tmp_path, changed, message):
    with pytest.raises(UserError, match=message):
        bench.run(replace(Settings(run=tmp_path / "run"), **changed))
    assert not (tmp_path / "run").exists()


def test_a_disk_that_would_be_full_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(bench.shutil, "disk_usage", lambda path: SimpleNamespace(free=10**9))
    with pytest.raises(UserError, match="1 GB free, expected 19"):
        bench.run(Settings(run=tmp_path))
    assert not list((tmp_path / "bench").iterdir())


def test_the_stages_are_measured_with_their_own_settings():
    less = {"record": {"train", "validation", "test"}, "embed": {"epochs"}, "imitate": {"steps"}}
    for name, fewer in less.items():
        measured = getattr(FULL, name)
        default = type(measured)()
        assert {key for key in vars(default) if getattr(measured, key) != getattr(default, key)} <= fewer
    assert FULL.learner() == imitate.Settings().learner
    assert FULL.paper.steps == imitate.PRESETS["paper"][1].learner.batch_size


@pytest.mark.parametrize("cores", [1, 2, 3, 8])
def test_processes_double_up_to_the_cores(monkeypatch, tmp_path, cores):
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    (subject,) = bench._subjects(Settings(device="cpu"), tmp_path)
    assert subject.processes == {1: (1, 2), 2: (1, 2), 3: (1, 2), 8: (1, 2, 4, 8)}[cores]
    assert subject.workers == cores


def test_with_a_gpu_its_rows_stand_beside_the_others(monkeypatch, tmp_path):
    def measured(subject):
        yield Row(f"of_{subject.device.type}", "MB", 1.0, 1.0, 1.0, (1.0, 1.0))

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a GPU")
    monkeypatch.setattr(bench, "ROWS", {"memory_record": measured, "memory_embed": measured})
    monkeypatch.setattr(bench, "PROFILES", {"profile_embed": lambda subject: [Part("embed", REST, 1.0, 1.0)]})
    assert [row.name for row in bench.run(Settings(run=tmp_path))] == ["of_cpu", "of_cpu", "of_cuda_cuda"]
    written = read_results(tmp_path / "bench/bench.csv", ("profile",))
    assert [part["stage"] for part in written.more["profile"]] == ["embed", "embed_cuda"]
    assert written.about["machine"]["gpu"] == "a GPU"


@pytest.mark.slow
def test_some_rows_end_to_end(tmp_path, capsys):
    only = ("embed_vs_limit", "profile_embed", "profile_record")
    rows = bench.run(replace(QUICK, run=tmp_path, only=only, device="cpu"))
    written = read_results(tmp_path / "bench/bench.csv", ("profile",))
    assert [row["name"] for row in written.rows] == [row.name for row in rows] == ["embed_vs_limit"]
    (row,) = written.rows
    assert row["ratio_low"] <= row["ratio"] <= row["ratio_high"]
    for stage, parts in {
        "embed": {"forward", "backward", "optimizer", "gather batch", "noise", REST},
        "record": {"physics", "render", "encode video", "write tables", REST},
    }.items():
        shares = {part["part"]: part["share"] for part in written.more["profile"] if part["stage"] == stage}
        assert set(shares) == parts
        assert sum(shares.values()) == pytest.approx(1, abs=1e-5)
    assert written.about["machine"]["cores"] == os.cpu_count()
    assert {path.name for path in (tmp_path / "bench").iterdir()} == {"bench.csv", "bench-profile.csv", "bench.json"}
    printed = capsys.readouterr().out
    assert "embed_vs_limit" in printed
    assert "recorded" not in printed


def test_rows_that_are_measured_anew_take_the_place_of_the_old_ones(tmp_path, monkeypatch):
    rates = iter((1.0, 2.0, 3.0))

    def measured(name):
        return lambda subject: [Row(name, "frames/s", rate := next(rates), 1.0, rate, (rate, rate))]

    monkeypatch.setattr(bench, "ROWS", {name: measured(name) for name in ("one", "other")})
    monkeypatch.setattr(bench, "PROFILES", {})
    settings = Settings(run=tmp_path, device="cpu")
    bench.run(settings)
    bench.run(replace(settings, only=("one",)))
    written = read_results(tmp_path / "bench/bench.csv", ("profile",)).rows
    assert {row["name"]: row["ratio"] for row in written} == {"one": 3.0, "other": 2.0}
    assert len(written) == 2
    assert all(len(row["git_commit"]) == 40 for row in written)


@pytest.mark.slow
def test_all_rows_end_to_end(tmp_path):
    out = tmp_path / "results.csv"
    rows = bench.run(replace(QUICK, run=tmp_path / "run", repeats=1, device="cpu", out=out))
    names = [row.name for row in rows]
    more = {
        "film_threads": 2,
        "record_processes": 2,
        "imitate_processes": 2,
        "imitate_envs": 4,
        "record_episodes": 6,
        "embed_episodes": 6,
    }
    grown = [f"growth_{name}_{n}" for name, n in more.items()]
    alone = [name for name in ROWS if not name.startswith(("growth", "agent"))]
    parts = ("record_seconds", "embed_seconds", "imitate_seconds", "seconds", "error")
    several = [*(f"agent_{part}" for part in parts), "imitate_vs_paper_float32"]
    assert sorted(names) == sorted([*alone, *grown, *several])
    assert all(row.ours > 0 and row.reference > 0 and row.spread[0] <= row.ratio <= row.spread[1] for row in rows)
    parts = read_results(out, ("profile",)).more["profile"]
    assert {part["part"] for part in parts if part["stage"] == "imitate"} == {
        "physics", "render", "encoder", "policy", "PPO update", "passing between processes", "rest of the workers", REST
    }  # fmt: skip
