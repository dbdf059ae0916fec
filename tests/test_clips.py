import numpy as np
import pytest

from imitate.measuring.alignment import at_times, nearest_frames
from imitate.measuring.clips import FROZEN, LATE, SPEEDS, replays, shown_beside, value_order

LENGTH = 60
TRAJECTORY = np.stack([np.linspace(0, 1, LENGTH), np.linspace(0, 1, LENGTH) ** 2], axis=1)


@pytest.mark.parametrize(("clip", "order"), [*((speed, 1.0) for speed in SPEEDS), ("frozen", 0.0), ("reversed", -1.0)])
def test_the_pose_as_embedding_goes_on_as_the_clip_does(clip, order):
    times = replays(LENGTH)[clip]
    nearest = nearest_frames(at_times(TRAJECTORY, times), TRAJECTORY)
    assert value_order(nearest) == pytest.approx(order, abs=0.02)


def test_replays_are_whole_and_as_fast_as_they_say():
    times = replays(LENGTH)
    assert len(times["five_times"]) == LENGTH // 5
    assert len(times["fifth_speed"]) == pytest.approx(5 * LENGTH, abs=10)
    for name in (*SPEEDS, "reversed"):
        assert times[name].min() < 1
        assert times[name].max() > LENGTH - 1 - 5
    assert np.ptp(times["frozen"]) == 0
    assert len(times["frozen"]) == FROZEN


def test_a_value_that_watches_the_clock_rises_in_any_clip():
    assert value_order(np.arange(LENGTH)) == 1.0
    assert value_order(np.repeat(np.arange(20), 3)) > 0.99
    rng = np.random.default_rng(0)
    assert abs(value_order(rng.permutation(1000))) < 0.1


def test_clips_beside_a_demonstration_are_as_long_and_stay_within_it():
    clips = shown_beside(LENGTH)
    for frames in clips.values():
        assert frames.shape == (LENGTH,)
        assert frames.min() >= 0
        assert frames.max() < LENGTH
    np.testing.assert_array_equal(clips["itself"], np.arange(LENGTH))
    np.testing.assert_array_equal(clips["late"][LATE:], np.arange(LENGTH - LATE))
    np.testing.assert_array_equal(clips["double_speed"][[1, 10, -1]], [2, 20, LENGTH - 1])
    np.testing.assert_array_equal(clips["half_speed"][[1, 10, -1]], [0, 5, (LENGTH - 1) // 2])
    np.testing.assert_array_equal(clips["reversed"], np.arange(LENGTH)[::-1])
    assert [clips[f"frozen_{where}"][7] for where in ("first", "midway", "last")] == [0, (LENGTH - 1) // 2, LENGTH - 1]
