import numpy as np
import pytest

from imitate.reading import memory, practice
from imitate.reading.memory import FAR, NEIGHBOURS, Memory
from imitate.reading.practice import Experience

JOINTS, DIM, LENGTH, SECONDS = 3, 8, 40, 0.05
WEIGHTS = np.random.default_rng(1).normal(size=(JOINTS, DIM))


def see(joints):
    """A world in which what is seen bends with the joints."""
    return 3 * np.tanh(joints @ WEIGHTS / 2)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def poses():
    return np.sin(np.linspace(0, 2, LENGTH)[:, None] + np.arange(JOINTS))


def around(poses, rng, states=40):
    return (poses[:, None] + rng.normal(0, 0.1, (len(poses), states, JOINTS))).reshape(-1, JOINTS)


def remembering(visited):
    own = Memory(DIM, JOINTS)
    own.add(see(visited), visited)
    return own


def test_an_idea_of_a_pose_is_what_it_looks_like_and_how_that_changes(poses, rng):
    own = remembering(around(poses, rng, 200))
    view = own.view(poses[10])
    np.testing.assert_allclose(view.seen, see(poses[10]), atol=0.05)
    turned = [(see(poses[10] + d) - see(poses[10] - d)) / 0.02 for d in 0.01 * np.eye(JOINTS)]
    np.testing.assert_allclose(view.jacobian, np.transpose(turned), atol=0.25)
    np.testing.assert_array_equal(view.pose, poses[10])


def test_where_it_has_not_been_it_has_no_idea(poses, rng):
    visited = around(poses, rng)
    own = remembering(visited)
    far = poses[5] + 10 * FAR
    assert own.view(far) is None
    assert remembering(visited[: NEIGHBOURS - 1]).view(visited[0]) is None
    assert Memory(DIM, JOINTS).view(poses[0]) is None
    apart = own.apart(see(poses[:2]), np.stack([poses[0], far]))
    assert apart[0] < 0.1
    assert np.isinf(apart[1])


def test_memory_is_the_same_whenever_it_was_made(poses, rng):
    visited = around(poses, rng)
    bit_by_bit = Memory(DIM, JOINTS)
    for part in np.array_split(visited, 5):
        bit_by_bit.add(see(part), part)
    np.testing.assert_allclose(bit_by_bit.view(poses[3]).seen, remembering(visited).view(poses[3]).seen, atol=1e-9)


@pytest.mark.parametrize("frame", [0, 15, LENGTH - 1])
@pytest.mark.parametrize("unseen", [-4, 0, 4])
def test_a_demonstration_is_tracked_through_what_is_remembered_both_ways_in_time(poses, rng, frame, unseen):
    own = remembering(around(poses, rng))
    tracked = own.track(see(poses), frame, poses[frame] + 0.03, SECONDS, unseen)
    assert tracked.poses.shape == poses.shape
    assert np.abs(tracked.poses - poses).mean() < 0.05
    assert np.abs(tracked.poses - poses).max() < 0.25
    np.testing.assert_allclose(tracked.apart, own.apart(see(poses), tracked.poses))


@pytest.mark.parametrize("sign", [1, -1])
def test_beyond_what_is_remembered_it_goes_on_as_it_went(rng, sign, monkeypatch):
    monkeypatch.setattr(memory, "FAR", 0.2)
    straight = np.linspace(0, 1, LENGTH)[::sign, None] * np.ones(JOINTS)
    half = LENGTH // 2
    known = slice(half, None) if sign == 1 else slice(None, half)
    tracked = remembering(around(straight[known], rng)).track(see(straight), half, straight[half], SECONDS)
    assert np.abs(tracked.poses - straight).max() < 0.25
    assert np.isinf(tracked.apart[0 if sign == 1 else -1])


def test_another_way_that_looks_alike_does_not_hold_it_where_it_does_not_look(rng, monkeypatch):
    monkeypatch.setattr(memory, "FAR", 0.2)
    straight = np.linspace(0, 1, LENGTH)[:, None] * np.ones(JOINTS)
    frame, lure = 25, slice(15, 23)
    known = around(straight[frame:], rng)
    own, lured = remembering(known), remembering(known)
    # Of poses beside the way it remembers that they looked exactly like these frames.
    lured.add(see(straight[lure]).repeat(40, axis=0), around(straight[lure] + [0.3, -0.3, 0], rng))
    for unseen, same in ((0, False), (frame, True)):
        poses = [one.track(see(straight), frame, straight[frame], SECONDS, unseen).poses for one in (own, lured)]
        assert np.allclose(*(way[lure] for way in poses), atol=1e-9) == same


def test_it_sets_out_from_frames_that_it_has_found(poses, rng, monkeypatch):
    experience = Experience(see(poses), JOINTS)
    half = LENGTH // 2
    visited = around(poses[:half], rng)
    experience.add(see(visited), visited)
    asked = []
    monkeypatch.setattr(
        memory.Memory, "track", lambda self, shown, frame, pose, seconds, unseen: asked.append((frame, unseen))
    )
    for _ in range(200):
        experience.track(poses, SECONDS, rng)
    frames, unseen = np.transpose(asked)
    assert (frames < half + 5).mean() > 0.8  # where it knows the poses
    assert (frames > 2).mean() > 0.8  # and beside those that it does not
    assert 0.3 < (unseen == 0).mean() < 0.7
    assert unseen.min() < 0 < unseen.max()
    assert np.abs(unseen).max() <= practice.UNSEEN


def test_of_two_poses_that_look_alike_one_is_taken_and_not_their_mean(poses, rng):
    experience = Experience(see(poses), JOINTS)
    right = around(poses, rng)
    experience.add(see(right), right)
    experience.add(see(right) + 0.05, right + 2)  # looks nearly the same
    assert np.abs(experience.poses() - poses).max() < 0.3


def test_what_it_would_see_at_poses_is_asked_of_where_it_has_been(poses, rng):
    experience = Experience(see(poses), JOINTS)
    visited = around(poses, rng)
    experience.add(see(visited), visited)
    assert experience.expected(poses).mean() < 0.1
    assert np.isinf(experience.expected(poses + 10 * FAR)).all()
