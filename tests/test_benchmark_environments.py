"""Environments learn from a video beside what it is compared with: the whole protocol, on a small one."""

import csv
import os
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

from imitate.errors import UserError
from imitate.keeping.manifest import sha256
from imitate.keeping.runs import Stage
from imitate.pipelines import benchmark_environments as benchmark
from imitate.pipelines.environments.experts import EXPERTS, Expert, _bent, _reacher
from imitate.pipelines.environments.made import Made
from imitate.policy.sac import SACLearner

pytestmark = pytest.mark.slow
SMALL = SACLearner(n_envs=2, n_steps=16, batch_size=32, random_steps=64, width=32)
TO = 0.7  # where the expert brings the bar


def pushes(env):
    return lambda _: np.array([np.clip(10 * (TO - env.unwrapped.place), -0.5, 0.5)], np.float32)


SLIDER = Expert(
    Made("slider:Slider-v0", ("max_episode_steps=15",), fps=10),
    pushes,
    lambda env: np.array([env.unwrapped.place]),
    lambda one, other: float(np.abs(one - other).mean()),
    "of the way",
    0.05,
    256,
)


@pytest.fixture(scope="module")
def patched():
    """Short play, training and learning, in an environment that is found by processes too, and ends by itself."""
    with pytest.MonkeyPatch.context() as patch:
        paths = [os.path.dirname(__file__), *filter(None, [os.environ.get("PYTHONPATH")])]
        patch.setenv("PYTHONPATH", os.pathsep.join(paths))
        patch.setitem(EXPERTS, "slider", SLIDER)
        play, see = benchmark.recording.run, benchmark.embed.run
        patch.setattr(benchmark.recording, "run", lambda of: play(replace(of, steps=400, length=12, image_size=32)))
        patch.setattr(benchmark.embed, "run", lambda of: see(replace(of, epochs=30, batch=48, device="cpu")))
        settings = partial(benchmark.imitating.Settings, sac=SMALL)
        patch.setattr(benchmark.imitating, "Settings", settings)
        yield


@pytest.fixture(scope="module")
def run(patched, tmp_path_factory):
    return tmp_path_factory.mktemp("environments")


@pytest.fixture(scope="module")
def rows(run):
    benchmark.run(benchmark.Settings(run=run, environments=("slider",), seeds=(0,)))
    return list(csv.DictReader((run / "environments.csv").open()))


def test_each_method_learns_and_is_measured_by_the_truth(rows, run):
    assert [row["method"] for row in rows] == list(benchmark.METHODS)
    for row in rows:
        assert 0 < float(row["share"]) == pytest.approx(float(row["error"]) / float(row["hold_still_error"]), rel=1e-3)
        assert float(row["expert_env_return"]) > float(row["shown_hold_still_env_return"])
        assert len(row["encoder"]) == 64
        assert (run / f"slider/{row['method']}-0/side_by_side.mp4").is_file()
    assert len({row["hold_still_error"] for row in rows}) == 1  # the same truth, whatever embeds
    assert len({row["reward"] for row in rows}) == len(rows)


def test_a_summary_stands_beside(rows, run):
    summary = list(csv.DictReader((run / "environments-summary.csv").open()))
    assert [(row["method"], row["runs"]) for row in summary] == [(method, "1") for method in benchmark.METHODS]


def test_what_was_learned_is_not_learned_again_and_others_are_added(rows, run, capsys):
    settings = benchmark.Settings(run=run, environments=("slider",), methods=("video",), seeds=(0, 1), add=True)
    before = Stage(run / "slider/video-0").path("policy.zip").stat().st_mtime_ns
    benchmark.run(settings)
    assert "video-0 has learned already" in capsys.readouterr().out
    assert Stage(run / "slider/video-0").path("policy.zip").stat().st_mtime_ns == before
    after = [(row["method"], row["seed"]) for row in csv.DictReader((run / "environments.csv").open())]
    assert after == [("video", "0"), ("video", "1"), ("pixels", "0"), ("untrained", "0"), ("oracle", "0")]


def test_runs_of_another_encoder_are_not_taken_for_this_ones(rows, run):
    weights = run / "slider/embed/encoder/encoder.safetensors"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(benchmark, "sha256", lambda path: "0" * 64 if path == weights else sha256(path))
        with pytest.raises(UserError, match=r"was made with other settings \(encoder changed"):
            benchmark.run(benchmark.Settings(run=run, environments=("slider",), methods=("video",), seeds=(0,)))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"environments": ("mars",)}, "unknown environment 'mars'"),
        ({"methods": ("magic",)}, "unknown method 'magic'"),
        ({"seeds": ()}, "expected at least one environment"),
        ({"seeds": (-1,)}, "seeds is -1"),
    ],
)
def test_what_can_not_be_measured_is_one_line(tmp_path, settings, message):
    with pytest.raises(UserError, match=message):
        benchmark.run(benchmark.Settings(run=tmp_path / "run", **settings))
    assert not (tmp_path / "run").exists()


def test_reachers_expert_reaches_its_target(monkeypatch):
    monkeypatch.setenv("MUJOCO_GL", "osmesa")
    pytest.importorskip("mujoco")
    env = EXPERTS["reacher"].made.make()
    for seed in range(2000, 2005):
        observation, _ = env.reset(seed=seed)
        act = _reacher(env)
        for _ in range(49):
            observation, *_ = env.step(act(observation))
        tip = np.linalg.norm(env.unwrapped.get_body_com("fingertip") - env.unwrapped.get_body_com("target"))
        assert tip < 0.02
    env.close()
    for side in (1, -1):
        bent = _bent(np.array([0.05, -0.1]), side)
        ends = np.cumsum([[0.1, 0.11] * np.array([f(bent[0]), f(bent.sum())]) for f in (np.cos, np.sin)], axis=1)[:, -1]
        assert ends == pytest.approx([0.05, -0.1])


def test_pushers_expert_looks_ahead(monkeypatch):
    """Within a second and a half the tip is at the object, and the object has begun to move; nothing else was moved."""
    monkeypatch.setenv("MUJOCO_GL", "osmesa")
    pytest.importorskip("mujoco")
    env = EXPERTS["pusher"].made.make()
    observation, _ = env.reset(seed=1000)
    data, act = env.unwrapped.data, EXPERTS["pusher"].act(env)
    before, state = EXPERTS["pusher"].truth(env), (data.qpos.copy(), data.qvel.copy(), data.time)
    first = act(observation)
    assert (first.shape, first.dtype) == ((7,), np.float32)
    for kept, now in zip(state, (data.qpos, data.qvel, data.time), strict=True):
        np.testing.assert_array_equal(kept, now)  # it planned in a copy
    for _ in range(30):
        _, _, _, _, info = env.step(act(None))
    assert info["reward_near"] > -0.5 * 0.15  # half of the distance, m
    assert EXPERTS["pusher"].apart(EXPERTS["pusher"].truth(env), before) > 0.1
    env.close()


@pytest.mark.parametrize(
    ("name", "module", "earned"), [("pendulum", "pygame", -400), ("pole", "mujoco", 100), ("panda", "panda_gym", -49)]
)
def test_experts_do_well_and_move(monkeypatch, name, module, earned):
    monkeypatch.setenv("MUJOCO_GL", "osmesa")
    pytest.importorskip(module)
    expert = EXPERTS[name]
    env = expert.made.make()
    monkeypatch.setattr(benchmark, "rendered", lambda env: np.zeros((4, 4, 3), np.uint8))  # which is slow
    moved = []
    for seed in range(1000, 1006):
        _, shown = benchmark._acted(env, expert, seed)
        assert shown["env_return"] >= earned
        moved.append(benchmark._moved(shown["truths"], expert) >= expert.moves)
    assert any(moved)
    if name == "pendulum":
        assert abs(expert.apart(shown["truths"][-1], np.zeros(1))) < 0.01  # it stands on its head
    env.close()


def test_an_episode_that_ends_early_stands_where_it_ended(monkeypatch):
    """Else whoever falls at once, near to where the video begins, would err the least."""
    truths = np.linspace(0, 1, 11)[:, None]
    shown = benchmark.Shown(None, truths, 0.0, 7)
    stood = iter(truths[:4])

    def roll_out(env, policy, seed, look):
        for _ in range(4):
            look()
        return SimpleNamespace(shown=np.array([1, 2, 3]), env_rewards=np.ones(3))

    monkeypatch.setattr(benchmark, "roll_out", roll_out)
    expert = replace(SLIDER, truth=lambda env: next(stood))
    found = benchmark._measured(None, None, expert, shown, [7])
    assert found["error"] == pytest.approx((truths[4:] - truths[3]).sum() / 10)
    assert found["hold_still_error"] == pytest.approx(truths[1:].mean())
    assert found["env_return"] == 3
