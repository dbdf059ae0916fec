import tracemalloc

import matplotlib.pyplot as plt
import numpy as np
import pytest

from imitate.measuring.figures import learning_curve_figure
from imitate.measuring.metrics import (
    Poses,
    embedding_metrics,
    nearest_elsewhere,
    pose_correlation,
    success,
    triplet_accuracy,
)
from imitate.measuring.ranking import CHUNK

RNG = np.random.default_rng(0)
EPISODE = np.repeat([0, 1, 2, 3], [30, 10, 25, 1])
POINTS = RNG.normal(size=(len(EPISODE), 4)).astype(np.float32)


@pytest.mark.parametrize("margin", [0.0, 2.0])
def test_triplet_accuracy_equals_a_naive_one(margin):
    anchor, positive, negative = RNG.normal(size=(3, 200, 5)).astype(np.float32)
    right = 0
    for a, p, n in zip(anchor, positive, negative, strict=True):
        right += sum((a - p) ** 2) + margin < sum((a - n) ** 2)
    assert 0 < right < 200
    assert triplet_accuracy(anchor, positive, negative, margin) == pytest.approx(right / 200)


def test_equal_embeddings_order_no_triplet():
    same = np.ones((10, 3), np.float32)
    assert triplet_accuracy(same, same, same) == 0.0


def test_pixels_are_correlated_a_few_at_a_time():
    rng = np.random.default_rng(0)
    pixels = rng.random((100, 12_288), np.float32)
    tracemalloc.start()
    pose_correlation(pixels, rng.random((100, 3)), rng)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 * CHUNK * 4  # bytes; all 20,000 pairs at once take 2 GB


def test_pose_correlation_is_1_for_the_truth_and_0_for_noise():
    truth = RNG.normal(size=(1000, 3))
    assert pose_correlation(truth, truth, np.random.default_rng(0)) == pytest.approx(1.0, abs=1e-3)
    assert pose_correlation(-5 * truth, truth, np.random.default_rng(0)) == pytest.approx(1.0, abs=1e-3)
    noise = RNG.normal(size=(1000, 32)).astype(np.float32)
    assert abs(pose_correlation(noise, truth, np.random.default_rng(0))) < 0.1


def test_the_nearest_is_of_another_episode_and_nearest_there():
    nearest = nearest_elsewhere(POINTS, EPISODE)
    assert (EPISODE[nearest] != EPISODE).all()
    for i, point in enumerate(POINTS):
        distances = [np.inf if EPISODE[j] == EPISODE[i] else sum((point - POINTS[j]) ** 2) for j in range(len(POINTS))]
        assert nearest[i] == np.argmin(distances)


def test_metrics_of_embeddings_that_are_the_pose():
    episode = np.repeat(np.arange(20), 50)
    joints = RNG.uniform(-1, 1, (1000, 1))
    flange = np.hstack([joints, np.zeros((1000, 2))])
    perfect = embedding_metrics(joints, Poses(joints, flange, episode))
    noise = embedding_metrics(RNG.normal(size=(1000, 8)), Poses(joints, flange, episode))
    for name in ("pose_spearman_ee", "pose_spearman_joint"):
        assert perfect[name] == pytest.approx(1.0, abs=1e-3)
        assert abs(noise[name]) < 0.1
    for name in ("retrieval_ee_error_m", "retrieval_joint_error_rad"):
        assert perfect[name] < 0.01
        assert noise[name] == pytest.approx(2 / 3, abs=0.05)  # of two uniform numbers in [-1, 1]


def test_success_is_near_all_the_way_and_unknown_without_the_truth():
    assert success({"ee_error_m": 0.02, "final_ee_error_m": 0.04}) is True
    assert success({"ee_error_m": 0.02, "final_ee_error_m": 0.06}) is False
    assert success({"ee_error_m": None, "final_ee_error_m": None}) is None


def test_a_single_rollout_is_seen():
    once = {"steps": 2048, "reward": -0.1, "ee_error_m": 0.2, "joint_error_rad": 0.3}
    figure = learning_curve_figure([once], {})
    assert [axes.lines[0].get_marker() for axes in figure.axes] == ["o"] * 3
    plt.close(figure)


def test_what_practice_found_stands_before_what_was_learned():
    practised = {"steps": 2048, "apart": 3.0, "ee_error_m": 0.2, "joint_error_rad": 0.3}
    learned = {"steps": 4096, "reward": -0.1, "ee_error_m": 0.1, "joint_error_rad": 0.1}
    figure = learning_curve_figure([practised, learned, learned], {})
    drawn = [[(line.get_label(), len(line.get_xdata())) for line in axes.lines] for axes in figure.axes]
    assert drawn == [[("while exploring", 2)], *[[("found by practice", 1), ("while exploring", 2)]] * 2]
    plt.close(figure)
