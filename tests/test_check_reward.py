import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from stable_baselines3.common.vec_env import DummyVecEnv

from imitate.data.lerobot.dataset import LeRobotDataset
from imitate.data.lerobot.writer import Episode, Layout, write_file, write_meta
from imitate.data.video.writer import Compression
from imitate.embedding.trained_encoder import load_encoder
from imitate.envs.cameras import CAMERAS
from imitate.envs.film import columns_of
from imitate.envs.kuka import ASSETS, Kuka
from imitate.errors import UserError
from imitate.keeping.runs import Stage, kept_settings
from imitate.pipelines import check_reward, imitate
from imitate.pipelines.check_reward import Settings
from imitate.pipelines.checking.faithfulness import measure
from imitate.pipelines.checking.probes import CENTIMETRES, DEGREES, Probe, Visited, collect
from imitate.pipelines.checking.verdict import HARDLY_SEEN, LEAST, MOST, SPOILT, warn, weakness
from imitate.pipelines.checking.views import arm_of, held_out, recorded
from imitate.pipelines.shared.policy import single_env
from imitate.pipelines.shared.results import numbers, read_results
from imitate.policy.ppo import Learner, build_ppo, save_policy

ROOT = Path(__file__).resolve().parents[1]
PROBE = Probe(demos=2, anchors=2, directions=2, random_poses=12)
GOOD = {
    "near_spearman_joint": 0.95,
    "near_spearman_ee": 0.91,
    "kendall_tau": 0.99,
    "alignment_error": 0.01,
    "near_order_joint": {"2-5": 0.7, "5-10": 0.9, "10-20": 1.0, "20-40": 1.0},
    "near_order_ee": {"1-2": 0.9, "2-5": 0.9, "5-10": 0.9, "10-20": 0.6},
    "visibility": {"10": [0.3, 0.2, 0.1]},
}


@pytest.fixture(scope="module")
def run(encoder, demonstrations, tmp_path_factory):
    """A run with a dataset of two validation demonstrations, one of test, and an untrained encoder."""
    folder = tmp_path_factory.mktemp("check") / "run"
    shown = [*demonstrations, demonstrations[0]]
    layout = Layout(
        cameras=(CAMERAS["front"],),
        image_size=encoder.image_size,
        columns=columns_of(tuple(f"joint_{k}" for k in range(7))),
        fps=20,
        robot="iiwa",
        control="velocity",
        lengths=tuple(map(len, shown)),
        splits={"validation": 2, "test": 1},
        compression=Compression(0, "yuv444p"),
    )
    kuka = Kuka("iiwa")
    episodes = []
    for one in shown:
        joints = one.joints.astype(np.float32)
        flange = kuka.flange_positions(one.joints).astype(np.float32)
        still = np.zeros_like(joints)
        columns = {"observation.state": np.hstack([joints, still]), "observation.flange": flange, "action": still}
        episodes.append(Episode({"front": one.frames}, columns))
    kuka.close()
    write_file(folder / "record/dataset", layout, 0, episodes)
    write_meta(folder / "record/dataset", layout)
    encoder.save(folder / "enc")
    return folder


@pytest.fixture(scope="module")
def views(run, encoder):
    return held_out(LeRobotDataset(run / "record/dataset"), encoder, "validation", 10)


@pytest.fixture(scope="module")
def check(encoder, views):
    return measure(encoder, views, "iiwa", PROBE)


def settings(run, **changes):
    return replace(Settings(run=run, encoder=run / "enc", probe=PROBE), **changes)


def test_the_true_joints_rank_and_align_almost_perfectly(check):
    figures = check.figures
    assert figures["true_demo_spearman_joint"] > 0.98  # L2 and mean absolute distance differ by a little
    assert figures["true_near_spearman_joint"] > 0.97  # two poses a grade are ties
    assert set(figures["true_near_order_joint"].values()) == {1.0}
    assert figures["true_kendall_tau"] > 0.95
    assert figures["true_alignment_error"] < 0.05  # a quarter of a frame of 12
    assert figures["true_near_spearman_ee"] > 0.7


def test_whole_clips_are_ordered_as_they_go_on_and_paid_as_they_are_worth(check):
    figures = check.figures
    assert figures["true_voc"] > 0.95
    assert figures["true_voc_reversed"] < -0.95
    assert figures["true_voc_frozen"] == 0
    assert figures["true_clips_spearman_joint"] > 0.9
    clips = figures["true_clips"]
    assert clips["itself"] == 0
    assert 0 < clips["late"] < clips["frozen_midway"] < clips["reversed"]
    assert set(clips) == set(figures["pixels_clips"]) > {"another", "five_times"}
    assert figures["clips"]["itself"] < 0.05
    for name in ("voc_five_times", "clips_spearman_joint"):
        assert -1 <= figures[name] <= 1


def test_an_untrained_encoder_is_measured_as_the_untrained_baseline(check, encoder):
    for name in ("near_spearman_joint", "kendall_tau", "near_order_ee", "visibility"):
        assert np.shape(check.figures[name]) == np.shape(check.figures[f"untrained_{name}"])
    assert len(check.figures["visibility"]["10"]) == len(check.figures["decoding_error_rad"]) == 7
    assert check.figures["near_spearman_joint"] == check.figures["untrained_near_spearman_joint"]  # of equal seeds


def test_equal_seeds_give_equal_figures(check, encoder, views):
    state = torch.random.get_rng_state()
    assert measure(encoder, views, "iiwa", PROBE).figures == check.figures
    assert torch.equal(torch.random.get_rng_state(), state)
    assert measure(encoder, views, "iiwa", replace(PROBE, seed=1)).figures != check.figures


def test_the_probes_are_where_they_should_be(encoder, views):
    kuka = Kuka("iiwa")
    visited = Visited(views[0], np.stack([views[0].joints[1:], views[0].joints[1:] + 0.1]))
    probes = collect(views, kuka, encoder.camera, encoder.image_size, PROBE, visited)
    kuka.close()
    seen, sets = probes.views, probes.sets
    assert len(seen.frames) == len(seen.joints) == len(seen.flange)
    assert set(sets) == {"demo", "random_poses", "near_joint", "near_ee", "policy"}
    assert set(sets["demo"].target) == set(probes.anchors)
    assert (sets["demo"].own != sets["demo"].target).all()
    for pairs, sizes, unit in ((sets["near_joint"], DEGREES, np.pi / 180), (sets["near_ee"], CENTIMETRES, 0.01)):
        moved = {
            np.pi / 180: np.abs(seen.joints[pairs.own] - seen.joints[pairs.target]).mean(axis=1),
            0.01: np.linalg.norm(seen.flange[pairs.own] - seen.flange[pairs.target], axis=1),
        }[unit]
        np.testing.assert_allclose(moved / unit, np.array(sizes)[pairs.grade], atol=0.1)
    policy = sets["policy"]
    off = np.abs(seen.joints[policy.own] - seen.joints[policy.target]).mean(axis=1)
    np.testing.assert_allclose(
        off, 0.1 * np.repeat([0, 1], len(views[0]) - 1), atol=1e-6
    )  # compared with the frame of the same step
    turned = seen.joints[probes.turned] - seen.joints[probes.anchors][:, None, None]  # (anchors, joints, sizes, joints)
    for joint in range(7):
        assert (np.abs(turned[:, joint, :, joint]) > 0.03).all()
        assert np.abs(np.delete(turned[:, joint], joint, axis=-1)).max() < 1e-9


def test_the_command_writes_a_stage(run, capsys):
    stage = check_reward.run(settings(run))
    assert stage.folder.name == "check-reward"
    assert stage.finished
    assert stage.metrics["near_spearman_joint"] == pytest.approx(stage.metrics["untrained_near_spearman_joint"])
    with Image.open(stage.path("reward.png")) as image:
        assert min(image.size) > 400
    printed = capsys.readouterr().out
    assert "near_spearman_joint" in printed
    assert "true joints" in printed
    check_reward.run(settings(run))
    assert "is checked already" in capsys.readouterr().out
    with pytest.raises(UserError, match="probe was"):
        check_reward.run(settings(run, probe=replace(PROBE, seed=5)))


@pytest.mark.slow
def test_what_a_policy_visits(run, encoder):
    learned = imitate.Settings(
        run=run, encoder=run / "enc", practice=0, learner=Learner(n_envs=1, n_steps=8, batch_size=8, width=8)
    )
    learning = Stage(run / "imitate")
    learning.begin(kept_settings(learned))
    shown = LeRobotDataset(run / "record/dataset").demonstration(2)
    env = single_env(encoder, shown, imitate.robot_of(learned), imitate.following_of(learned))
    save_policy(
        build_ppo(learned.learner, DummyVecEnv([lambda: env]), 0, torch.device("cpu")), learning.path("policy.zip")
    )
    env.close()
    learning.finish({})
    stage = check_reward.run(settings(run, split="test", policy="imitate"))
    assert stage.folder.name == "check-reward-test-imitate"
    joint, ee = (stage.metrics[f"true_policy_spearman_{name}"] for name in ("joint", "ee"))
    # L2 and mean absolute distance differ, and the more the further off the poses are
    assert joint > 0.8 > ee, "ranked by the true joints, poses are in the order of the joints' errors"
    assert stage.metrics["policy_spearman_joint"] < joint


def test_a_good_reward_has_no_weakness():
    assert weakness(GOOD) is None
    assert weakness({}) is None
    assert weakness(dict.fromkeys(GOOD)) is None


@pytest.mark.parametrize(
    ("figures", "message"),
    [
        (
            {"near_spearman_joint": 0.8},
            "near_spearman_joint is 0.80, expected 0.9 or more; weakest: joint 3, 2 to 5 deg",
        ),
        ({"near_spearman_ee": 0.8}, "near_spearman_ee is 0.80, expected 0.9 or more; weakest: joint 3, 10 to 20 cm of"),
        (
            {"near_spearman_ee": 0.86, "untrained_near_spearman_ee": 0.88},
            "near_spearman_ee is 0.86, expected 0.9 or more, and no better than an untrained network's 0.88; weakest",
        ),
        (
            {"near_spearman_ee": 0.86, "untrained_near_spearman_ee": 0.85},
            "near_spearman_ee is 0.86, expected 0.9 or more; weakest: joint 3, 10 to 20 cm of",
        ),
        (
            {"near_spearman_ee": 0.91, "untrained_near_spearman_ee": 0.99},
            "near_spearman_ee is 0.91, expected no less than an untrained network's 0.99; weakest: joint 3",
        ),
        ({"near_spearman_joint": 0.8999}, "near_spearman_joint is 0.8999, expected 0.9 or more; weakest: joint 3"),
        ({"alignment_error": 0.0201}, "alignment_error is 0.0201, expected 0.02 or less; weakest: joint 3"),
        ({"alignment_error": float("inf")}, "alignment_error is inf, expected 0.02 or less; weakest: joint 3"),
        ({"kendall_tau": 0.9}, "kendall_tau is 0.90, expected 0.98 or more; weakest: joint 3"),
        ({"alignment_error": 0.1}, "alignment_error is 0.100, expected 0.02 or less; weakest: joint 3"),
        (
            {"visibility": {"10": [0.01, 0.2, 0.015]}},
            "joint 1 is hardly seen; joint 3 is hardly seen; weakest: joint 1",
        ),
    ],
)
def test_a_poor_one_says_where(figures, message):
    found = weakness(GOOD | figures)
    assert found.startswith(message)
    assert len(found.splitlines()) == 1


@pytest.mark.parametrize("untrained", [0.97, 0.98, 0.999, 1.0])
@pytest.mark.parametrize("trained", [0.98, 0.985, 0.998, 1.0])
def test_a_tie_at_the_ceiling_is_no_weakness(trained, untrained, tmp_path, capsys):
    figures = GOOD | dict.fromkeys(LEAST, trained) | {f"untrained_{name}": untrained for name in LEAST}
    assert weakness(figures) is None
    stage = Stage(tmp_path / "embed")
    stage.begin({})
    stage.finish(figures)
    warn(stage.path("encoder"))
    assert capsys.readouterr().err == ""


def a_figure(low, high):
    """What a figure of a check may be, and where it stands in a metrics.json: measured, not, or missing."""
    return st.floats(low, high) | st.sampled_from([low, high, None, float("nan")])


FIGURES = st.fixed_dictionaries(
    {},
    optional={
        **{prefix + name: a_figure(-1.0, 1.0) for name in LEAST for prefix in ("", "untrained_", "pixels_")},
        **{prefix + name: a_figure(0.0, 1.0) for name in MOST for prefix in ("", "untrained_")},
        **{
            f"near_order_{truth}": st.none() | st.dictionaries(st.just("2-5"), a_figure(0, 1))
            for truth in ("joint", "ee")
        },
        "visibility": st.none() | st.fixed_dictionaries({"10": st.lists(a_figure(0.0, 1.0), max_size=12)}),
    },
)


@given(FIGURES)
def test_only_what_is_poor_is_named_whatever_the_figures(figures):
    def known(value):
        return value is not None and not np.isnan(value)

    def below(k, limit):
        return known(figures.get(k)) and known(limit) and figures[k] < limit

    poor = {k for k, least in LEAST.items() if below(k, least)}
    poor |= {k for k in LEAST if known(figures.get(f"untrained_{k}")) and below(k, figures[f"untrained_{k}"] - SPOILT)}
    poor |= {k for k, most in MOST.items() if known(figures.get(k)) and figures[k] > most}
    seen = (figures.get("visibility") or {}).get("10", [])
    poor |= {f"joint {k}" for k, value in enumerate(seen, 1) if known(value) and value < HARDLY_SEEN}
    found = weakness(figures)
    if not poor:
        assert found is None
        return
    wrong = found.partition("; weakest: ")[0].split("; ")
    assert {part.partition(" is ")[0] for part in wrong} == poor
    for part in wrong:
        limit = re.search(r" is (\S+), expected (\S+) or (more|less)", part)
        if limit:
            value, expected = float(limit[1]), float(limit[2])
            assert value < expected if limit[3] == "more" else value > expected
    if found != "; ".join(wrong):  # and the worst joint is
        weakest = found.partition("; weakest: ")[2].split(", ")[0]
        lowest = min((value for value in seen if known(value)), default=None)
        assert lowest is None or seen[int(weakest.removeprefix("joint ")) - 1] == lowest


REACHED = {k: st.floats(least, 1.0) for k, least in LEAST.items()} | {k: st.floats(0, most) for k, most in MOST.items()}


@given(st.fixed_dictionaries(REACHED), st.lists(st.floats(HARDLY_SEEN, 1.0), max_size=12))
def test_what_reaches_what_is_expected_is_never_poor(reached, seen):
    assert weakness(GOOD | reached | {"visibility": {"10": seen}}) is None


def test_the_committed_encoders_of_a_default_run_are_not_called_poor():
    encoders = read_results(ROOT / "results" / "imitation.csv", ("encoders",)).more["encoders"]
    trained = [row for row in encoders if row["embedding"] == "trained"]
    seven = [row for row in trained if len(numbers(row["visibility_10"])) == 7]
    assert {row["split"] for row in seven} == {"validation", "test"}
    for row in seven:
        assert weakness(row | {"visibility": {"10": numbers(row["visibility_10"])}}) is None


def test_what_could_not_be_measured_is_neither_good_nor_bad(tmp_path, capsys):
    unknown = float("nan")
    figures = GOOD | {"visibility": {"10": [unknown, 0.01, 0.1]}, "near_spearman_joint": 0.8}
    figures["near_order_joint"] = {"2-5": unknown, "5-10": 0.9}
    stage = Stage(tmp_path / "embed")
    stage.begin({})
    stage.finish(figures)
    warn(stage.path("encoder"))
    expected = "expected 0.9 or more; joint 2 is hardly seen; weakest: joint 2, 5 to 10 degrees a joint"
    assert expected in capsys.readouterr().err
    assert expected in weakness(figures)
    nothing = {"visibility": {"10": [unknown] * 3}, "near_order_joint": {"2-5": None}, "near_spearman_joint": 0.8}
    assert weakness(nothing) == "near_spearman_joint is 0.80, expected 0.9 or more"


def test_imitate_warns_in_one_line(tmp_path, capsys):
    stage = Stage(tmp_path / "embed")
    warn(stage.path("encoder"))  # of unknown origin: nothing to say
    stage.begin({})
    stage.finish(GOOD)
    warn(stage.path("encoder"))
    assert capsys.readouterr().err == ""
    stage.finish(GOOD | {"near_spearman_joint": 0.5})
    warn(stage.path("encoder"))
    (line,) = capsys.readouterr().err.splitlines()
    assert "near_spearman_joint is 0.50" in line
    assert "2 to 5 degrees a joint" in line


def test_only_what_can_be_drawn_is_checked(run):
    dataset = LeRobotDataset(run / "record/dataset")
    assert arm_of(dataset) == "iiwa"
    dataset.info["robot_type"] = "so100"
    with pytest.raises(UserError, match="'so100' can't be drawn"):
        arm_of(dataset)


@pytest.mark.slow
def test_the_reward_that_comes_with_the_package_is_faithful():
    shipped = load_encoder(ASSETS / "encoder")
    dataset = LeRobotDataset(ASSETS / "demonstration")
    figures = measure(shipped, recorded(dataset, shipped.camera, [0]), arm_of(dataset), Probe(demos=1)).figures
    assert min(figures["near_spearman_joint"], figures["near_spearman_ee"]) > 0.9
    assert figures["kendall_tau"] > 0.98
    assert figures["alignment_error"] < 0.02


def test_clips_of_short_demonstrations_say_what_can_be_said(encoder, views):
    figures = measure(encoder, [one.at(np.arange(4)) for one in views[:2]], "iiwa", PROBE).figures
    assert np.isnan(figures["voc_five_times"])  # one frame
    assert figures["true_voc"] > 0.9  # of the others
    assert figures["clips"]["itself"] < figures["clips"]["another"]
