from dataclasses import replace
from math import ceil

import numpy as np
import pytest
import torch

from imitate.data.domain import Domain
from imitate.embedding.augmentation import COVERED, GREY, SHIFT, augment

SIZE, COUNT = 32, 400
NOTHING = Domain(light=(1.0, 1.0), tint=(1.0, 1.0), covered=(0.0, 0.0))


def disturbed(before, shift=0, **domain):
    """Frames with one of the disturbances."""
    torch.manual_seed(0)
    return augment(before, replace(NOTHING, **domain), shift)


def frames(value=100):
    return torch.full((COUNT, SIZE, SIZE, 3), value, dtype=torch.uint8)


def ramps():
    """Pixels that say in which row and column they were."""
    rows, columns = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    return torch.stack([rows, columns, rows], dim=-1).to(torch.uint8).expand(COUNT, -1, -1, -1)


def test_each_frame_is_disturbed_in_its_own_way_and_none_is_changed_in_place():
    torch.manual_seed(0)
    before = ramps().contiguous()
    kept = before.clone()
    after = augment(before)
    assert (after.shape, after.dtype) == (before.shape, torch.uint8)
    assert torch.equal(before, kept)
    assert len({frame.numpy().tobytes() for frame in after}) == COUNT


def test_the_same_generator_disturbs_in_the_same_way():
    torch.manual_seed(3)
    first = augment(ramps())
    second = augment(ramps())
    torch.manual_seed(3)
    assert torch.equal(augment(ramps()), first)
    assert not torch.equal(first, second)


def test_nothing_is_disturbed_where_all_is_off():
    assert torch.equal(disturbed(ramps()), ramps())


def test_light_changes_all_colours_alike():
    after = disturbed(frames(), light=(0.4, 1.5))
    assert torch.equal(after, after[:, :1, :1, :1].expand_as(after))
    gains = after[:, 0, 0, 0].numpy() / 100
    assert gains.min() == pytest.approx(0.4, abs=0.02)
    assert gains.max() == pytest.approx(1.5, abs=0.02)
    assert (gains < 1).mean() == pytest.approx(0.5, abs=0.1)  # darker as often as brighter
    assert disturbed(frames(250), light=(0.4, 1.5)).max() == 255  # and not beyond, where it would begin again at 0


def test_tints_change_each_colour():
    after = disturbed(frames(), tint=(0.8, 1.2))
    assert torch.equal(after, after[:, :1, :1].expand_as(after))
    gains = after[:, 0, 0].numpy() / 100
    assert abs(gains - 1).max() == pytest.approx(0.2, abs=0.01)
    assert abs(np.corrcoef(gains.T) - np.eye(3)).max() < 0.2


def test_the_camera_moves_both_ways_and_shows_its_edge_again():
    after = disturbed(ramps(), SHIFT).int()
    middle = SIZE // 2
    for axis in (0, 1):
        by = after[:, middle, middle, axis] - middle
        assert set(by.tolist()) == set(range(-SHIFT, SHIFT + 1))
        lines = after[..., axis].transpose(1, 2) if axis else after[..., axis]  # (count, along, across)
        wanted = (torch.arange(SIZE) + by[:, None]).clamp(0, SIZE - 1)
        assert torch.equal(lines, wanted[:, :, None].expand_as(lines))


def test_half_of_the_frames_have_a_box_before_them():
    after = disturbed(frames(), covered=(0.0, 0.3))
    covered = (after != 100).any(dim=-1).numpy()
    assert covered.any(axis=(1, 2)).mean() == pytest.approx(COVERED, abs=0.1)
    height, width = covered.any(axis=2).sum(axis=1), covered.any(axis=1).sum(axis=1)
    assert np.array_equal(covered.sum(axis=(1, 2)), height * width)  # a rectangle
    assert max(height.max(), width.max()) == ceil(0.3 * SIZE)
    assert covered.any(axis=(0, 1)).all()  # it may be anywhere
    assert covered.any(axis=(0, 2)).all()
    grey = (after == 128).all(dim=-1).numpy().any(axis=(1, 2))
    assert grey.sum() == pytest.approx(GREY * covered.any(axis=(1, 2)).sum(), rel=0.2)
