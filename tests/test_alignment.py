import numpy as np
import pytest

from imitate.measuring.alignment import alignment_error, at_times, nearest_frames
from imitate.measuring.clips import ALIGNED, PAUSE, PHASE, replays
from imitate.measuring.ranking import order_agreement

LENGTH = 100
TRAJECTORY = np.stack([np.linspace(0, 1, LENGTH), np.linspace(0, 1, LENGTH) ** 2], axis=1)


@pytest.mark.parametrize("name", ALIGNED)
def test_the_pose_as_embedding_tells_the_time(name):
    times = replays(LENGTH)[name]
    nearest = nearest_frames(at_times(TRAJECTORY, times), TRAJECTORY)
    np.testing.assert_array_equal(nearest, np.round(times))
    assert alignment_error(times, nearest, LENGTH) == pytest.approx(PHASE / LENGTH)
    assert order_agreement(times, nearest) == pytest.approx(1.0, abs=0.005 if name == "half_speed" else 1e-9)


@pytest.mark.parametrize("name", ALIGNED)
def test_noise_does_not(name):
    rng = np.random.default_rng(0)
    times = replays(LENGTH)[name]
    nearest = nearest_frames(rng.normal(size=(len(times), 8)), rng.normal(size=(LENGTH, 8)))
    assert alignment_error(times, nearest, LENGTH) > 0.2
    assert abs(order_agreement(times, nearest)) < 0.3


def test_the_error_is_a_share_of_the_length():
    times = np.arange(90.0)
    assert alignment_error(times, np.arange(90) + 10, LENGTH) == pytest.approx(0.1)


def test_reversed_or_all_the_same():
    times = np.arange(10.0)
    assert order_agreement(times, np.arange(10)[::-1]) == pytest.approx(-1.0)
    assert order_agreement(times, np.full(10, 3)) == 0.0


def test_a_pause_matched_to_one_frame_is_in_order():
    times = replays(LENGTH)["pauses"]
    _, counts = np.unique(times, return_counts=True)
    assert sorted(set(counts)) == [1, 1 + PAUSE]
    assert order_agreement(times, times.round().astype(int)) == pytest.approx(1.0)


def test_replays_begin_and_end_with_the_original():
    for name in ALIGNED:
        times = replays(LENGTH)[name]
        assert times[0] == PHASE
        assert LENGTH - 2 <= times[-1] <= LENGTH - 1
        assert (np.diff(times) >= 0).all(), name
        assert (times % 1 != 0).all()  # none is the copy of an original frame
    assert len(replays(LENGTH)["half_speed"]) == 2 * (LENGTH - 1)
    assert len(replays(LENGTH)["double_speed"]) == LENGTH // 2


def test_the_nearest_of_equals_is_the_first():
    assert nearest_frames(np.zeros((1, 2)), np.zeros((4, 2))).tolist() == [0]
