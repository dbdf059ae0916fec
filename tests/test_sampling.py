import numpy as np
import pytest

from imitate.embedding.sampling import Epoch, Margins, Videos, pairs, triplets, video_pairs
from imitate.errors import UserError

VIDEOS = Videos(np.array([0, 100, 150]), np.array([100, 50, 61]))


def video_of(frames):
    return np.searchsorted(VIDEOS.starts, frames, side="right") - 1


def test_triplets_keep_the_margins_within_one_video():
    anchor, positive, negative = triplets(VIDEOS, 2000, Margins(10, 30), np.random.default_rng(0))
    assert (video_of(anchor) == video_of(positive)).all()
    assert (video_of(anchor) == video_of(negative)).all()
    assert np.abs(anchor - positive).max() == 10
    assert np.abs(anchor - positive).min() == 1
    assert np.abs(anchor - negative).min() == 31


def test_every_frame_that_has_a_negative_is_an_anchor():
    anchor, _, negative = triplets(VIDEOS, 5000, Margins(10, 30), np.random.default_rng(0))
    for video in range(3):
        start, length = VIDEOS.starts[video], VIDEOS.lengths[video]
        seen = set(anchor[video_of(anchor) == video] - start)
        possible = {t for t in range(length) if t > 30 or t + 31 < length}
        assert seen == possible
        assert set(negative[video_of(negative) == video] - start) == possible


def test_pairs_reach_every_frame():
    anchor, positive = pairs(VIDEOS, 5000, Margins(5), np.random.default_rng(0))
    assert set(anchor) == set(positive) == set(range(211))
    assert set(np.abs(anchor - positive)) == {1, 2, 3, 4, 5}


def test_too_short_a_video_is_named():
    with pytest.raises(UserError, match=r"31 frames.*at least 32"):
        triplets(Videos(np.array([0]), np.array([31])), 1, Margins(10, 30), np.random.default_rng(0))
    with pytest.raises(UserError, match="no positive"):
        pairs(Videos(np.array([0]), np.array([1])), 1, Margins(), np.random.default_rng(0))


def test_an_epoch_passes_over_every_sample():
    epoch = Epoch(videos=2, per_video=10, passes=3, batch=8)
    batches = list(epoch.batches(VIDEOS, pairs, Margins(5), np.random.default_rng(0)))
    assert len(batches) == epoch.steps == 9
    per_pass = [np.sort(np.concatenate([b[0] for b in batches[k : k + 3]])) for k in (0, 3, 6)]
    assert (per_pass[0] == per_pass[1]).all()
    assert (per_pass[0] == per_pass[2]).all()
    assert len(set(video_of(per_pass[0]))) == 2


def test_a_column_holds_the_frames_of_one_video():
    epoch = Epoch(videos=3, per_video=4, passes=2, batch=10, whole=True)
    batches = list(epoch.batches(VIDEOS, video_pairs, Margins(5), np.random.default_rng(0)))
    assert len(batches) == epoch.steps == 4
    for batch in batches:
        assert len(batch) == 8
        assert batch.shape[1] <= 2  # videos, so that no batch is larger than it is to be
        assert (video_of(batch) == video_of(batch[0])).all()
        away = np.abs(batch[:4] - batch[4:])
        assert away.min() >= 1
        assert away.max() <= 5
    first_pass = np.concatenate(batches[:2], axis=1)
    assert sorted(video_of(first_pass[0])) == [0, 1, 2]


def test_one_sample_a_video_makes_batches_of_distinct_videos():
    epoch = Epoch(videos=3, per_video=1, passes=1, batch=3)
    (batch,) = epoch.batches(VIDEOS, pairs, Margins(5), np.random.default_rng(0))
    assert sorted(video_of(batch[0])) == [0, 1, 2]
