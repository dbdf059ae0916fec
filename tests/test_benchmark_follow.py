import json
import shlex
import shutil
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import imageio.v3 as iio
import numpy as np
import pytest

from imitate.data.demonstration import Demonstration
from imitate.data.lerobot.dataset import LeRobotDataset
from imitate.data.video.reader import read_video
from imitate.embedding.trained_encoder import load_encoder
from imitate.envs.cameras import CAMERAS
from imitate.envs.kuka import ASSETS, Kuka
from imitate.envs.landmarks import pictured
from imitate.envs.scenes.scene import PLAIN
from imitate.envs.translation import translated
from imitate.envs.watching import Watched
from imitate.errors import UserError
from imitate.keeping.runs import Stage, read_json
from imitate.pipelines import benchmark_follow, imitate, record
from imitate.pipelines.benchmark_follow import CONDITIONS, PRESETS, Settings
from imitate.pipelines.benchmarking import alone, filming, sister
from imitate.pipelines.benchmarking.conditions import SISTERS
from imitate.pipelines.benchmarking.ways import FEW, FIGURES, summarise
from imitate.pipelines.shared.cli import command_line
from imitate.pipelines.shared.policy import OPEN
from imitate.pipelines.shared.reading import GUESSES
from imitate.pipelines.shared.results import read_results
from imitate.policy.ppo import Learner


@pytest.fixture(scope="module")
def shipped():
    return LeRobotDataset(ASSETS / "demonstration").demonstration(0)


@pytest.fixture(scope="module")
def drawn_in(shipped):
    """An encoder that has been made blind to rooms, and a demonstration, with the poses that it reads off it."""
    few = replace(shipped, frames=shipped.frames[:12], joints=shipped.joints[:12], source=None)
    return load_encoder(OPEN), replace(few, believed=few.joints + 0.01)


@pytest.mark.parametrize(
    "name", [name for name in CONDITIONS if name not in ("plain", "away", "half_speed", "paused", *SISTERS)]
)
def test_a_condition_changes_what_is_seen_and_nothing_else(shipped, name):
    condition = CONDITIONS[name]
    seen = condition.shown(shipped, load_encoder(ASSETS / "encoder"), seed=1)
    assert seen.frames.dtype == np.uint8
    assert seen.frames.shape[1:] == shipped.frames.shape[1:]
    assert len(seen.joints) == len(seen.frames)
    if condition.times is None:
        np.testing.assert_array_equal(seen.joints, shipped.joints)
        assert not np.array_equal(seen.frames, shipped.frames)
    else:
        np.testing.assert_allclose(seen.joints, shipped.joints[::2], atol=1e-9)
        away = np.abs(seen.frames.astype(float) - shipped.frames[::2])
        assert away.mean() < 0.1  # drawn anew, and the same


def test_half_the_speed_is_twice_the_frames(shipped):
    slow = CONDITIONS["half_speed"].shown(shipped, load_encoder(ASSETS / "encoder"), seed=0)
    assert len(slow) == 2 * len(shipped) - 1
    np.testing.assert_allclose(slow.joints[::2], shipped.joints, atol=1e-9)


def test_a_video_stops_twice_for_a_second(shipped):
    seen = CONDITIONS["paused"].shown(shipped, load_encoder(ASSETS / "encoder"), seed=0)
    assert len(seen) == len(shipped) + 40
    still = [t for t in range(1, len(seen)) if np.array_equal(seen.joints[t], seen.joints[t - 1])]
    assert len(still) >= 40
    assert all(np.array_equal(seen.frames[t], seen.frames[t - 1]) for t in still)


def test_lost_frames_are_those_before(shipped):
    seen = CONDITIONS["dropped"].seen(shipped.frames, np.random.default_rng(0))
    lost = [t for t in range(len(seen)) if not np.array_equal(seen[t], shipped.frames[t])]
    assert 3 <= len(lost) <= 25
    assert all(np.array_equal(seen[t], seen[t - 1]) for t in lost)


def test_what_two_conditions_show_alike_is_read_once(encoder, tmp_path, monkeypatch):
    shown = Demonstration("test:0", np.zeros((4, 32, 32, 3), np.uint8), np.zeros((4, 7)))
    read, looked_for = [], []

    def imagined(shown, mind):
        read.append(len(shown))
        looked_for.append(mind.camera_known)
        return Watched(np.zeros((len(shown), 7)), CAMERAS["front"])

    monkeypatch.setattr(benchmark_follow, "load_encoder", lambda folder: encoder)
    monkeypatch.setattr(benchmark_follow, "load_demo", lambda *args: shown)
    monkeypatch.setitem(GUESSES, "imagination", replace(GUESSES["imagination"], watch=imagined))
    monkeypatch.setattr(benchmark_follow, "_followed", lambda *args: ({"away": args[5]}, None))
    stage = Stage(tmp_path)
    benchmark_follow._follow_one(tmp_path, None, stage, Settings(), ("plain", "half_speed", "away"), 0)
    assert read == [4, 7]
    assert looked_for == [True, True]
    benchmark_follow._follow_one(tmp_path, None, stage, Settings(), ("aside_30",), 0)
    assert looked_for == [True, True, False]
    rows = [read_json(tmp_path / "rows" / f"{name}-0.json") for name in ("plain", "half_speed", "away")]
    assert [row["away"] for row in rows] == [0.0, 0.0, 0.3]
    assert all(stage.noted(f"{name}-0") for name in ("plain", "half_speed", "away"))


def test_who_learns_by_the_reward_alone_stands_elsewhere_and_observes_no_pose(drawn_in, monkeypatch):
    """A few steps of it, in another room than the demonstration's."""
    asked = []

    def learning_env(settings, *others):
        asked.append(settings)
        return imitate.learning_env(settings, *others)

    few = replace(alone.REWARD_ALONE, steps=64, learner=Learner(n_envs=4, n_steps=16, batch_size=16))
    monkeypatch.setattr(alone, "REWARD_ALONE", few)
    monkeypatch.setattr(alone, "learning_env", learning_env)
    encoder, shown = drawn_in
    rollout = alone.learned_alone(encoder, shown, seed=3)
    assert [(one.observe_pose, one.practice, one.translate, one.scene) for one in asked] == [(False, 0, True, "random")]
    robot = imitate.robot_of(asked[0])
    assert PLAIN != robot.surroundings != imitate.robot_of(replace(asked[0], seed=4)).surroundings
    here = translated(shown, robot, encoder.camera, encoder.image_size)
    with closing(Kuka(scene=robot.surroundings)) as kuka:
        own = kuka.film_at(rollout.joints.astype(float), encoder.camera, encoder.image_size)
    apart = np.linalg.norm(encoder.embed(own) - encoder.embed(here.frames)[rollout.shown], axis=1)
    np.testing.assert_allclose(rollout.distances, apart, atol=0.3)


def test_what_is_learned_by_the_reward_alone_stands_beside_what_was_read(tmp_path, monkeypatch):
    """And nothing is said of its reward, which is of another room; the film is not of it."""
    monkeypatch.setattr(filming, "RECORD", replace(filming.RECORD, held_out_frames=10, held_out_travel=0.0))
    figures = {
        "ee_error_m": 0.5,
        "final_ee_error_m": 0.5,
        "joint_error_rad": 1.0,
        "embedding_distance": 9,
        "reward": -9,
    }
    learned = SimpleNamespace(metrics=lambda way: {f"{way}{name}": value for name, value in figures.items()})
    read = replace(GUESSES["imagination"], watch=lambda shown, mind: Watched(shown.joints, CAMERAS["front"]))
    monkeypatch.setitem(GUESSES, "imagination", read)
    monkeypatch.setattr(benchmark_follow, "learned_alone", lambda encoder, shown, seed: learned)
    monkeypatch.setattr(benchmark_follow, "worked_off", lambda jobs, *_: (yield from (job() for job in jobs)))
    ways = []
    monkeypatch.setattr(benchmark_follow, "write_gallery", lambda folder, rows, films, way: ways.append(way))
    asked = replace(PRESETS["gallery-open"][1], run=tmp_path, learns=True, demos=1, films=1, conditions=("plain",))
    direct, alone_ = benchmark_follow.run(asked).rows
    assert (direct["way"], alone_["way"], ways) == ("direct", "learned", ["direct"])
    assert direct["ee_error_m"] < 0.05 < alone_["ee_error_m"] == 0.5
    assert alone_["farther_than_direct"] == 1
    assert "less_reward_than_direct" not in alone_


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"encoder": ASSETS / "encoder"}, "learns: the encoder .* knows one room only, expected one of 'embed open'"),
        ({"conditions": ("plain", "away")}, "learns: by the clock, and from the first pose, expected no other"),
        ({"clock": False}, "learns: by the clock, and from the first pose, expected no other"),
    ],
)
def test_what_can_not_be_learned_by_the_reward_alone(tmp_path, changed, message):
    asked = {"encoder": OPEN, "conditions": ("plain",), **changed}
    with pytest.raises(UserError, match=message):
        benchmark_follow.run(Settings(tmp_path, policy="direct", learns=True, demos=1, **asked))
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_what_practice_makes_of_guesses_stands_beside_them(tmp_path, monkeypatch):
    small = replace(filming.RECORD, held_out_frames=10, held_out_travel=0.0)
    monkeypatch.setattr(filming, "RECORD", small)
    monkeypatch.chdir(ASSETS.parent)
    asked = Settings(
        run=tmp_path,
        encoder=Path("assets/encoder"),
        policy="direct",
        demos=1,
        conditions=("plain",),
        guess="head",
        practice=4096,
        jobs=1,
    )
    results = benchmark_follow.run(asked)
    assert results.about["settings"]["encoder"] == "assets/encoder"  # which says nothing of this machine
    direct, practised = results.rows
    assert [direct["way"], practised["way"]] == ["direct", "practised"]
    assert practised["embedding_distance"] < 0.7 * direct["embedding_distance"]
    assert practised["practice_steps"] in (2048, 4096)
    assert practised["practice_apart"] > 0
    assert "practice_steps" not in direct


@pytest.mark.slow
def test_the_benchmark_goes_on_where_it_stopped(tmp_path, monkeypatch, capsys):
    small = replace(filming.RECORD, held_out_frames=10, held_out_travel=0.0)
    monkeypatch.setattr(filming, "RECORD", small)
    run = tmp_path / "run"
    record.run(replace(small, run=run, train=2, validation=2, test=1, frames=10))
    learned = imitate.run(
        replace(
            imitate.PRESETS["any"][1],
            run=run,
            encoder=ASSETS / "encoder",
            episodes=2,
            steps=64,
            learner=Learner(n_envs=2, n_steps=32, batch_size=16, n_epochs=1, width=16),
        )
    )
    assert learned.folder.name == "imitate-any"
    asked = Settings(
        run=run,
        policy="imitate-any",
        demos=2,
        conditions=("plain", "double_speed", "away"),
        films=2,
        jobs=2,
        out=tmp_path / "any-video.csv",
    )
    results = benchmark_follow.run(asked)
    rows = {
        name: [read_json(run / "benchmark-follow" / "rows" / f"{name}-{number}.json") for number in range(2)]
        for name in asked.conditions
    }
    for plain, away in zip(rows["plain"], rows["away"], strict=True):  # the same was read
        assert plain["believed_embedding_distance"] == away["believed_embedding_distance"]
    found = {(row["condition"], row["way"]): row for row in results.rows}
    assert len(found) == len(results.rows) == 6
    assert {row["demos"] for row in results.rows} == {2}
    direct = found["plain", "direct"]
    assert direct["success"] == np.mean(
        [max(row["direct_ee_error_m"], row["direct_final_ee_error_m"]) < 0.05 for row in rows["plain"]]
    )
    assert direct["ee_error_m"] < direct["hold_still_ee_error_m"]
    for way in ("direct", "policy"):  # where it starts, it is 0.3 rad away in each joint
        assert 0.005 < found["away", way]["joint_error_rad"] - found["plain", way]["joint_error_rad"] < 0.3
    written = read_results(asked.out)
    names = {name for row in results.rows for name in row}
    assert written.rows == [{name: row.get(name) for name in names} for row in results.rows]
    assert written.about == json.loads(json.dumps(results.about))
    assert Stage(run / "benchmark-follow").metrics["direct"]["plain"] == pytest.approx(direct["ee_error_m"], rel=1e-5)
    # A policy that has hardly learned takes the poses that it is shown.
    apart = [abs(row["policy_ee_error_m"] - row["direct_ee_error_m"]) for row in rows["plain"]]
    assert 0 < max(apart) < 0.03
    assert "double_speed" in capsys.readouterr().out
    folder = tmp_path / "run" / "benchmark-follow"
    page = (folder / "gallery.html").read_text()
    best, worst = (f"{100 * error:.1f} cm" for error in sorted(row["policy_ee_error_m"] for row in rows["plain"]))
    assert 0 < page.index("1. test:") < page.index(best) < page.index("2. test:") < page.rindex(worst)
    assert page.count("data:video/mp4;base64,") == 2
    assert "://" not in page
    assert iio.imread(folder / "gallery.png").shape[1] == 2 * 3 * 192
    assert len(read_video(folder / "films" / "1.mp4").frames) == 10
    row, manifest = folder / "rows" / "plain-1.json", folder / "manifest.json"
    whole = row.read_bytes()
    manifest.unlink()  # as if it had been killed
    for path in row.parent.iterdir():
        films = [folder / "films" / f"{path.stem[-1]}.mp4"] if path.stem.startswith("plain") else []
        Stage(folder).note(path.stem, [path, *films])
    row.write_bytes(whole.replace(b"0.0", b"0.1"))  # and what it had made were damaged since
    others = {path: path.stat().st_mtime_ns for path in row.parent.iterdir() if path != row}
    again = benchmark_follow.run(asked)
    assert again == results
    assert row.read_bytes() == whole
    assert {path: path.stat().st_mtime_ns for path in others} == others
    assert benchmark_follow.run(asked) == results  # finished: nothing is followed again
    with pytest.raises(UserError, match="made with other settings"):
        benchmark_follow.run(replace(asked, demos=3))


def followed(number, error=0.01, further=0.001):
    """The figures of a demonstration, with a policy that is worse by so much."""
    known = dict.fromkeys(FIGURES, 0.5)
    direct = {"ee_error_m": error + 1e-4 * number, "final_ee_error_m": error, "reward": -1.0}
    policy = direct | {"ee_error_m": direct["ee_error_m"] + further, "reward": -1.0 - further}
    ways = {"direct": direct, "policy": policy}
    return known | {f"{way}_{name}": value for way, of in ways.items() for name, value in of.items()}


@pytest.mark.slow
def test_the_first_of_a_hundred_have_rows_of_their_own():
    rows = summarise({"plain": [followed(number) for number in range(100)]}, ("direct", "policy"))
    assert [(row["way"], row["demos"]) for row in rows] == [
        ("direct", 100), ("direct", FEW), ("policy", 100), ("policy", FEW),
    ]  # fmt: skip
    assert rows[0]["ee_error_m"] == pytest.approx(0.01 + 1e-4 * 49.5)
    assert rows[1]["ee_error_m"] == pytest.approx(0.01 + 1e-4 * 9.5)
    assert rows[1]["ee_error_m_low"] < rows[1]["ee_error_m"] < rows[1]["ee_error_m_high"]
    assert rows[1] == summarise({"plain": [followed(number) for number in range(FEW)]}, ("direct",))[0]


@pytest.mark.slow
def test_a_policy_is_compared_demonstration_by_demonstration():
    shown = [followed(number, further=further) for number, further in enumerate((0.002, 0.001, -0.003))]
    direct, policy = summarise({"plain": shown}, ("direct", "policy"))
    assert "farther_than_direct" not in direct
    assert (policy["farther_than_direct"], policy["less_reward_than_direct"]) == (2, 2)
    assert policy["farther_by_m"] == pytest.approx(0.001)


def test_the_command_in_the_results_makes_them_again(monkeypatch):
    settings = Settings(clock=False, films=3, conditions=("plain", "paused"))
    again = []
    monkeypatch.setattr(benchmark_follow, "run", again.append)
    monkeypatch.setattr(sys, "argv", shlex.split(command_line("benchmark_follow", settings))[1:])
    benchmark_follow.main()
    assert again == [settings]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"demos": 0}, "demos is 0, expected 1 to 1000000"),
        ({"jobs": -1}, "jobs is -1, expected 0 to 1024"),
        (
            {"conditions": ("upside_down",)},
            "unknown condition 'upside_down': choose one of all_at_once, aside_30, aside_60, away",
        ),
        ({"policy": "imitate"}, "imitate: no finished policy there"),
        ({"films": 101}, "films is 101, expected 0 to 100"),
        ({"seed": 0}, "seed is 0, that of the run's own recording"),
        ({"out": Path("any-video.json")}, r"any-video.json: expected the name of a table, such as any-video.csv"),
    ],
)
def test_what_cannot_be_measured(unlearned, tmp_path, changed, message):
    run = Path(shutil.copytree(unlearned, tmp_path / "run"))
    with pytest.raises(UserError, match=message):
        benchmark_follow.run(replace(PRESETS["default"][1], run=run, **changed))
    assert not (run / "benchmark-follow").exists()


def test_conditions_of_the_open_world_leave_the_movement_as_it_is(shipped):
    """What is filmed anew in another scene is the same arm at the same poses."""
    plain = shipped.frames.astype(int)
    for name in ("textured", "room", "all_at_once"):
        seen = [CONDITIONS[name].shown(shipped, load_encoder(ASSETS / "encoder"), n) for n in (0, 1)]
        assert np.abs(seen[0].frames.astype(int) - seen[1].frames).mean() > 10  # another scene for each demonstration
        assert np.abs(seen[0].frames - plain).mean() > 20
        again = CONDITIONS[name].shown(shipped, load_encoder(ASSETS / "encoder"), 0)
        np.testing.assert_array_equal(again.frames, seen[0].frames)
    half = CONDITIONS["half_light"].shown(shipped, load_encoder(ASSETS / "encoder"), 0).frames
    np.testing.assert_allclose(half, 0.5 * plain, atol=0.51)
    for name, by in (("shifted_2", 2), ("shifted_3", 3)):
        moved = CONDITIONS[name].shown(shipped, load_encoder(ASSETS / "encoder"), 0).frames
        places = [(y, x) for y in (-by, by) for x in (-by, by)]
        inside = slice(8, 56)
        alike = [np.array_equal(moved[:, inside, inside], plain[:, 8 + y : 56 + y, 8 + x : 56 + x]) for y, x in places]
        assert alike.count(True) == 1


ARM = """
<mujoco model="smaller">
  <worldbody>
    <body name="one">
      <joint name="a" axis="0 0 1"/>
      <geom type="box" size="0.3 0.1 0.1" pos="0.2 0 0.5" rgba="1 0.4 0 1" group="1"/>
      <geom type="box" size="0.6 0.6 0.6" pos="0 0 0.6" rgba="0 1 0 1" group="2"/>
      <body name="two" pos="0.5 0 0.5"><joint name="b" axis="0 1 0"/>
        <geom type="sphere" size="0.15" rgba="0.3 0.3 0.3 1" group="1"/></body>
    </body>
  </worldbody>
</mujoco>
"""


def test_a_sister_arm_is_filmed_by_the_same_camera(tmp_path, monkeypatch):
    """Of a model in robosuite's place: what is seen, and not what it bumps into with, where our camera looks."""
    monkeypatch.setenv("MUJOCO_GL", "osmesa")
    monkeypatch.setattr(sister, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"the sister arm's model is robosuite's, which is not installed: pip install"):
        CONDITIONS["sister"].wants()
    (tmp_path / "robosuite" / sister.MODEL).parent.mkdir(parents=True)
    (tmp_path / "robosuite" / sister.MODEL).write_text(ARM)
    found = SimpleNamespace(submodule_search_locations=[str(tmp_path / "robosuite")])
    monkeypatch.setattr(sister, "find_spec", lambda name: found)
    camera, poses = CAMERAS["front"], np.array([[0.0, 0.0], [1.2, 0.0]])
    try:
        CONDITIONS["sister"].wants()
        plain, room = (
            CONDITIONS[name].filmed(poses, camera, 48, np.random.default_rng(0)) for name in ("sister", "sister_room")
        )
    except UserError as error:
        pytest.skip(str(error))  # no OpenGL here
    assert plain.shape == (2, 48, 48, 3)
    np.testing.assert_array_equal(plain[0, 0, 0], [255] * 3)
    assert not ((plain[..., 1] > plain[..., 0]) & (plain[..., 1] > plain[..., 2])).any()  # nothing green
    orange = plain[..., 0].astype(int) - plain[..., 2] > 60
    assert orange.any(axis=(1, 2)).all()
    assert (orange[0] != orange[1]).any()  # it turned
    for seen, angle in zip(orange, poses[:, 0], strict=True):  # and is where our camera has it
        middle = np.array([[0.2 * np.cos(angle), 0.2 * np.sin(angle), 0.5]])
        across, down = ((pictured(middle, camera)[0] + 1) * 24).astype(int)
        assert seen[down - 2 : down + 3, across - 2 : across + 3].any()
    assert (room != plain).mean() > 0.8
    assert len(np.unique(room.reshape(-1, 3), axis=0)) > 10
