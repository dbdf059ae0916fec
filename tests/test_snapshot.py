import random

import numpy as np
import pytest
import torch

from imitate.errors import UserError
from imitate.keeping import snapshot
from imitate.keeping.snapshot import Snapshot, Snapshots, random_states, restore_random_states


def tree():
    image = torch.randn(2, 3, 4, 5)
    return {
        "weights": [image, image.to(memory_format=torch.channels_last), torch.tensor(3.0), torch.empty(0, 2)],
        "group": {0: {"betas": (0.9, 0.999), "fused": None, "lr": 1e-3}, "largest": 2**127 + 1},
        "arrays": (np.arange(3), np.array([True, False]), np.array([], np.float32), np.uint32([1, 2**32 - 1])),
        "not numbers": [float("nan"), float("inf"), -0.0],
        "text": "a\"b\\ü\n",
    }  # fmt: skip


def equal(a, b):
    if isinstance(a, dict):
        return list(a) == list(b) and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(equal, a, b))
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b) and (a.dtype, a.stride()) == (b.dtype, b.stride())
    if isinstance(a, np.ndarray):
        return np.array_equal(a, b) and a.dtype == b.dtype
    return type(a) is type(b) and (a == b or a != a)


def test_what_is_read_is_what_was_written(tmp_path):
    written, snapshots = tree(), Snapshots(tmp_path / "a.safetensors")
    assert snapshots.read() is None
    snapshots.write(lambda: Snapshot.of(written))
    assert equal(written, snapshots.read())
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


def test_a_snapshot_does_not_change_with_what_it_is_of():
    weights, array = torch.zeros(3), np.zeros(3)
    kept = Snapshot.of([weights, array])
    weights += 1
    array += 1
    assert equal(kept.unpacked(), [torch.zeros(3), np.zeros(3)])


def test_damage_is_found_wherever_it_is(tmp_path):
    snapshots = Snapshots(tmp_path / "a.safetensors")
    snapshots.write(lambda: Snapshot.of(tree()))
    whole = snapshots.path.read_bytes()
    damaged = [whole[:n] for n in range(0, len(whole), 199)]
    for place in range(0, len(whole), 7):
        damaged.append(whole[:place] + bytes([whole[place] ^ 1 << place % 8]) + whole[place + 1 :])
    assert len(damaged) > 200
    for content in damaged:
        snapshots.path.write_bytes(content)
        with pytest.raises(UserError, match=r"a\.safetensors: damaged \(.+\): delete it to start this stage over$"):
            snapshots.read()


def test_what_is_of_another_computation_is_refused(tmp_path):
    path = tmp_path / "a.safetensors"
    Snapshots(path, "one encoder").write(lambda: Snapshot.of([1]))
    assert Snapshots(path, "one encoder").read() == [1]
    with pytest.raises(
        UserError, match="made anew since, or this is another device: delete it to start this stage over"
    ):
        Snapshots(path, "another").read()


def test_the_generators_go_on_where_they_were():
    def drawn():
        return random.random(), np.random.rand(), torch.rand(()).item()  # noqa: NPY002, as stable-baselines3 does

    kept = Snapshot.of(random_states())
    first = drawn()
    assert drawn() != first
    restore_random_states(kept.unpacked())
    assert drawn() == first


def test_writing_takes_a_small_share_of_the_time(tmp_path, monkeypatch):
    now = 0.0
    monkeypatch.setattr(snapshot, "perf_counter", lambda: now)
    snapshots, spent = Snapshots(tmp_path / "a.safetensors"), 0.0

    def make():
        nonlocal now, spent
        now += 0.3
        spent += 0.3
        return Snapshot.of([])

    while now < 3600:
        now += 0.05
        if snapshots.due:
            snapshots.write(make)
    assert spent / now == pytest.approx(snapshot.SHARE, rel=0.2)
    assert snapshot.SHARE < 0.005
