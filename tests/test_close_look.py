from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from imitate.data.viewpoint import OFFSETS, around_base, bearing, moved, polar, turned
from imitate.envs.cameras import CAMERAS
from imitate.envs.close_look import CLOSELY, ROUGHLY, UNKNOWN, Closer, Guess, Viewing
from imitate.envs.kuka import ARMS, CONTROL_HZ, Kuka, body_of
from imitate.envs.landmarks import pictured, placed
from imitate.envs.rendering.rasteriser import Rasteriser
from imitate.envs.room import Painter, painters_of
from imitate.envs.scenes.light import Light
from imitate.envs.scenes.scene import PLAIN, Scene
from imitate.envs.scenes.texture import Texture
from imitate.envs.trajectories import Babbling, random_trajectory
from imitate.pipelines.benchmarking.conditions import CONDITIONS
from imitate.reading.adjustment import Adjusted, Doubts, adjust

ARM, FRONT, SIZE, LENGTH = ARMS["iiwa"], CAMERAS["front"], 64, 40
SURE = np.full((LENGTH, 7), 0.7)  # rad, that guesses are doubted by
BEHIND = Texture("stripes", (0.2, 0.4, 0.3), (0.6, 0.5, 0.7), period=0.4)


@pytest.fixture(scope="module")
def poses():
    return random_trajectory(ARM, Babbling(LENGTH, via_points=1), np.random.default_rng(3))


def guessed(poses, off, seed=0):
    """Poses that are so many rad off, as smoothly as what is read is."""
    noise = gaussian_filter1d(np.random.default_rng(seed).normal(size=poses.shape), 8, axis=0)
    return poses + off * noise / noise.std()


def filmed(poses, scene=None, camera=FRONT):
    with closing(Kuka(scene=scene) if scene else Kuka()) as kuka:
        return kuka.film_at(poses, camera, SIZE)


def viewing(frames, **settings):
    return Viewing(frames, Painter(ARM), FRONT, 1 / CONTROL_HZ, **settings)


def at(poses):
    return Closer(poses, np.zeros(len(OFFSETS)), np.zeros(len(poses)), np.inf)


def looked(frames, before, **settings):
    return viewing(frames, **settings).look(before, (*ROUGHLY, *CLOSELY, CLOSELY[-1]))


def marks(poses, camera):
    """Landmarks about as an encoder finds them: to a pixel or two."""
    seen = pictured(placed(ARM, body_of(ARM.file), poses), camera)
    return seen + np.random.default_rng(0).normal(0.0, 1.5 * 2 / SIZE, seen.shape)


def errors(poses, others):
    with closing(Kuka()) as kuka:
        return np.linalg.norm(kuka.flange_positions(poses) - kuka.flange_positions(others), axis=1)


def test_a_camera_that_turns_sees_the_middle_move_the_other_way():
    point = np.array(FRONT.target)
    for pan, tilt in ((0.05, 0.0), (0.0, -0.04), (0.03, 0.02)):
        camera = turned(FRONT, pan, tilt)
        assert camera.eye == FRONT.eye
        assert polar(camera)[2] == pytest.approx(polar(FRONT)[2])
        across, down = pictured(point, camera) * np.tan(np.radians(FRONT.fov) / 2)
        assert (np.arctan(-across), np.arctan(down)) == pytest.approx((pan, tilt), abs=4e-3)
    assert turned(FRONT, 0.0, 0.0) is FRONT


@pytest.mark.parametrize("condition", ["half_light", "tinted", "covered", "textured"])
def test_a_room_is_learned_from_a_video_whose_poses_are_about_known(poses, condition):
    """As nearly as it takes to imagine the video itself, at the true poses: half of the pixels to the colour."""
    rng = np.random.default_rng(5)
    frames = filmed(poses, Scene("textured", background=BEHIND) if condition == "textured" else None)
    frames = CONDITIONS[condition].seen(frames, rng)
    painter = Painter(ARM)
    room = painter.learn(frames, guessed(poses, 0.03), FRONT)
    imagined = painter.draw(room, poses, FRONT)
    off = np.abs(imagined.astype(float) - frames).max(axis=-1)
    assert np.median(off) <= 1
    assert off.mean() < 1.5
    assert room.noise < 1.0
    without = np.abs(room.background.astype(float) - frames).max(axis=-1)
    assert off.mean() < 0.3 * without.mean()  # the arm is there, too


def test_links_of_another_colour_are_painted(poses):
    colours = ((0.1, 0.7, 0.2),)
    frames = filmed(poses, Scene("green", links=colours))
    painter = Painter(ARM)
    room = painter.learn(frames, guessed(poses, 0.03), FRONT)
    assert room.painted[-1]  # the tool, whose own colours are two
    off = np.abs(painter.draw(room, poses, FRONT).astype(float) - frames).max(axis=-1)
    assert off.mean() < 0.5


def test_half_of_the_pixels_know_the_colours_of_all(poses):
    """Of so few, no link is wide enough to tell its colour."""
    half = viewing(filmed(poses, Scene("green", links=((0.1, 0.7, 0.2),)))).halved()
    room = half._room(poses, np.zeros(len(OFFSETS)), 2, PLAIN.light)
    alone = replace(half, whole=None)._room(poses, np.zeros(len(OFFSETS)), 2, PLAIN.light)
    off, worse = (
        np.abs(half.painter.draw(own, poses, FRONT).astype(float) - half.frames).max(axis=-1).mean()
        for own in (room, alone)
    )
    assert room.background.shape == half.frames.shape[1:]
    assert off < 0.5 * worse, (off, worse)


def test_the_room_is_seen_close_by_an_arm_that_never_leaves(poses):
    """Where it is never away by as much as it may be, it is away by less: what is seen there is not made up."""
    lamp, empty = PLAIN.light, np.full((SIZE, SIZE, 3), 255, np.uint8)
    empty[::4], empty[:, ::4] = (200, 80, 40), (40, 80, 200)
    rasteriser, painter = Rasteriser(body_of(ARM.file)), Painter(ARM)
    few = poses[:1] + 0.02 * np.arange(20)[:, None]
    room = painter.learn(rasteriser.draw_before(empty, few, FRONT, lamp), few, FRONT, 4, lamp)
    seen = (painter.there(few, FRONT, SIZE) == 0).any(axis=0)
    assert (room.background[seen] == empty[seen]).all()


@pytest.mark.parametrize("lit", [1.02, 0.6])
def test_a_link_has_a_light_of_its_own_where_that_shows(poses, lit):
    """Else it has that of all."""
    painter = Painter(ARM)
    room = painter.learn(filmed(poses), poses, FRONT)
    other = room.light.copy()
    other[4] *= lit
    seen = painter.learn(painter.draw(replace(room, light=other), poses, FRONT), poses, FRONT)
    assert seen.light[4] == pytest.approx(other[4] if lit < 1 else room.light[4], abs=0.02)
    assert seen.light[3] == pytest.approx(room.light[3], abs=0.02)


def test_noise_is_measured(poses):
    frames = filmed(poses)
    frames = np.clip(np.minimum(frames, 200) + np.random.default_rng(0).normal(0, 10, frames.shape), 0, 255)
    room = Painter(ARM).learn(frames.round().astype(np.uint8), poses, FRONT)
    assert room.noise == pytest.approx(10, rel=0.15)


def test_the_arm_is_drawn_before_a_picture(poses):
    rasteriser = Rasteriser(body_of(ARM.file))
    plain = rasteriser.draw(poses[:4], FRONT, SIZE)
    white = np.full((SIZE, SIZE, 3), 255, np.uint8)
    np.testing.assert_array_equal(rasteriser.draw_before(white, poses[:4], FRONT), plain)
    behind = np.random.default_rng(0).integers(0, 255, (SIZE, SIZE, 3), np.uint8)
    frames, there = rasteriser.draw_before(behind, poses[:4], FRONT), Painter(ARM).there(poses[:4], FRONT, SIZE)
    np.testing.assert_array_equal(frames[there == 0], np.broadcast_to(behind, frames.shape)[there == 0])
    np.testing.assert_array_equal(frames[there == 1], plain[there == 1])


@pytest.mark.parametrize("condition", ["plain", "half_light", "shifted_3", "textured"])
def test_a_closer_look_finds_the_poses(poses, condition):
    frames = filmed(poses, Scene("textured", background=BEHIND) if condition == "textured" else None)
    frames = CONDITIONS[condition].seen(frames, np.random.default_rng(1))
    guesses, by = guessed(poses, 0.1), 3 if condition == "shifted_3" else 0
    seen = marks(poses, FRONT)
    if by:  # as the picture is
        edges = CONDITIONS[condition].seen(
            np.arange(SIZE * SIZE * 3).reshape(1, SIZE, SIZE, 3), np.random.default_rng(1)
        )
        row, column = np.unravel_index(edges[0, SIZE // 2, SIZE // 2, 0] // 3, (SIZE, SIZE))
        seen -= np.array([column - SIZE // 2, row - SIZE // 2]) * 2 / SIZE
    closer = looked(frames, at(guesses)._replace(offsets=viewing(frames).marked(Guess(guesses, SURE), seen).offsets))
    before, after = errors(poses, guesses).mean(), errors(poses, closer.poses).mean()
    assert before > 0.07
    assert after < 0.035
    assert closer.explained.shape == (LENGTH,)
    assert closer.explained.min() > 0.65
    off = np.linalg.norm(np.array(moved(FRONT, closer.offsets).target) - FRONT.target)
    assert off > 0.1 if by else off < 0.02
    assert not closer.offsets[2:].any()


def test_where_there_is_no_arm_nothing_is_explained(poses):
    rng = np.random.default_rng(0)
    balls = np.full((LENGTH, SIZE, SIZE, 3), 200, np.uint8)
    for frame, (y, x) in zip(balls, np.cumsum(rng.integers(-2, 3, (LENGTH, 2)), axis=0) % 40, strict=True):
        frame[y : y + 12, x : x + 12] = (40, 90, 30)
    closer = looked(balls, at(poses))
    assert np.median(closer.explained) < 0.5


def test_a_camera_that_may_not_turn_does_not(poses):
    frames = CONDITIONS["shifted"].seen(filmed(poses[:8]), np.random.default_rng(1))
    assert not looked(frames, at(poses[:8]), unsure=(0.0,) * len(OFFSETS)).offsets.any()


def test_where_nothing_moves_the_camera_stays(poses):
    frames = filmed(poses[:1]).repeat(4, axis=0)
    still = poses[:1].repeat(4, axis=0)
    assert np.abs(looked(frames, at(still)).offsets).max() < 0.01


def test_a_single_frame_is_looked_at(poses):
    frames = filmed(poses[:1])
    closer = looked(frames, at(poses[:1]))
    assert closer.poses.shape == (1, 7)
    assert np.isfinite(closer.poses).all()
    assert closer.explained.shape == (1,)


def test_a_camera_is_found_from_landmarks_and_the_first_pose(poses):
    """To a centimetre or two at the flange: how far aside it stands, the first joint tells."""
    camera = around_base(moved(FRONT, np.array([0.02, -0.03, 0.12, 0.08, 0.0, 0.0])), 0.6)
    frames, guesses = filmed(poses, camera=camera), guessed(poses, 0.05)
    guesses[:, 0] -= 0.6  # as it is seen
    view = viewing(frames, unsure=UNKNOWN, first=float(poses[0, 0]))
    start = view.marked(Guess(guesses, SURE), marks(poses, camera))
    assert start.offsets[:2] == pytest.approx([0.02, -0.03], abs=0.03)
    assert start.poses[0, 0] == pytest.approx(poses[0, 0] - 0.6, abs=0.15)
    closer = view.look(start, (*ROUGHLY, *CLOSELY, CLOSELY[-1]))
    assert errors(poses, closer.poses).mean() < 0.05 < errors(poses, start.poses).mean()
    assert closer.explained.mean() > 0.99
    assert closer.poses[0, 0] == pytest.approx(poses[0, 0], abs=0.05)
    assert closer.offsets[-1] == pytest.approx(0.6, abs=0.15)
    wound = view.look(start._replace(poses=start.poses + 2 * np.pi * np.eye(7)[0]), ROUGHLY)
    assert wound.poses[0, 0] == pytest.approx(poses[0, 0], abs=0.2)  # a whole turn is none
    assert abs(wound.offsets[-1]) < 1


def test_a_camera_that_is_carried_around_the_base_sees_the_robot_turned(poses):
    carried = around_base(FRONT, 0.7)
    assert bearing(carried) - bearing(FRONT) == pytest.approx(0.7)
    there = poses[:3].copy()
    there[:, 0] += 0.7
    body = body_of(ARM.file)
    np.testing.assert_allclose(
        pictured(placed(ARM, body, there), carried), pictured(placed(ARM, body, poses[:3]), FRONT), atol=1e-6
    )
    np.testing.assert_allclose(
        polar(moved(FRONT, np.array([0, 0, 0.1, 0.2, 0, 0])))[1:],
        [polar(FRONT)[1] + 0.1, polar(FRONT)[2] * np.exp(0.2)],
    )
    assert moved(FRONT, np.zeros(6)) == FRONT
    assert moved(FRONT, np.array([0, 0, 0, 0, 0.1, 0])).fov == pytest.approx(FRONT.fov * np.exp(0.1))


@pytest.mark.parametrize("direction", [(0.8, 0.5, 0.5), (-0.3, -0.7, 0.6)])
def test_the_lamp_of_a_room_is_found(poses, direction):
    light = Light(direction=direction, strength=0.6, ambient_strength=0.5)
    painter = Painter(ARM)
    found = painter.lamp(filmed(poses, Scene("lit", light=light)), guessed(poses, 0.02), FRONT)
    cosine = np.dot(found.direction, direction) / np.linalg.norm(found.direction) / np.linalg.norm(direction)
    assert np.degrees(np.arccos(cosine)) < 25
    assert found.strength / (found.strength + found.ambient_strength) == pytest.approx(0.6 / 1.1, abs=0.15)
    assert painter.lamp(filmed(poses), guessed(poses, 0.02), FRONT) == PLAIN.light
    assert painter.lamp(np.full((3, SIZE, SIZE, 3), 200, np.uint8), poses[:3], FRONT) == PLAIN.light


def test_an_arm_without_its_tool_is_told_from_one_with_it(poses):
    held, bare, sister = painters_of(ARM)
    assert bare.there(poses, FRONT, SIZE).sum() < 0.95 * held.there(poses, FRONT, SIZE).sum()
    room = held.learn(filmed(poses), poses, FRONT)
    for right, wrong in ((held, bare), (bare, held)):
        frames = right.draw(room, poses, FRONT)
        own, other = (
            replace(viewing(frames), painter=painter).judged(poses).explained.mean() for painter in (right, wrong)
        )
        assert own > 0.99 > other + 0.005
    ends = [placed(ARM, painter.body, poses)[:, 8, 2].max() for painter in (bare, sister)]
    assert 0.02 < ends[0] - ends[1] < 0.05  # the iiwa 7 is 4 cm less tall where it stands upright
    frames = sister.draw(room, poses, FRONT)
    left = [replace(viewing(frames), painter=painter).judged(poses).left for painter in (held, bare, sister)]
    assert left[2] < 0.1 * min(left[:2])
    assert len(painters_of(ARMS["iiwa_gripper"])) == 1


def test_noise_does_not_make_less_certain(poses):
    """It comes and goes, and what is looked at over some frames is what stays."""
    frames = CONDITIONS["noisy"].seen(
        np.minimum(filmed(poses), 200), np.random.default_rng(0)
    )  # of white, half is lost
    right, wrong = (viewing(frames).judged(shown) for shown in (poses, guessed(poses, 0.1)))
    assert right.explained.mean() > 0.99 > wrong.explained.mean() + 0.02
    assert right.left < 0.2 * wrong.left


def test_joints_stay_within_their_limits(poses):
    """What looks alike with a joint beyond its limit is not what the arm can do."""
    within = np.array([poses.min(axis=0) - 0.01, poses.max(axis=0) + 0.01])
    within[1, 3] = np.median(poses[:, 3])  # for half of the frames, the fourth can't be where it was
    frames = filmed(poses)
    free, held = (looked(frames, at(guessed(poses, 0.1)), within=limits).poses for limits in (None, within))
    assert (free[:, 3] > within[1, 3] + 0.05).any()
    assert (held >= within[0]).all()
    assert (held <= within[1]).all()
    assert errors(poses, held).mean() < 0.85 * errors(poses, np.clip(free, *within)).mean()  # others make up for it
    start = viewing(frames, within=within).marked(Guess(poses + 1.0, SURE), marks(poses, FRONT))
    assert (start.poses <= within[1]).all()


def test_a_joint_that_was_told_stays(poses):
    guesses, told = poses[:6] + 0.3, np.full((6, 7), 2.0)
    told[0, 0] = 0.001
    doubts = Doubts(np.zeros(0), 0.01, guess=told)
    now = adjust(
        poses[:6],
        lambda at, _: at,
        Adjusted(guesses, np.zeros(0), 0.0),
        guesses,
        0.05,
        replace(doubts, noise=1.0),
        0.01,
        1,
    )
    assert abs(now.poses - guesses)[0, 0] < 0.01 < abs(now.poses - guesses)[0, 1]


def test_a_rough_look_wants_half_of_many_pixels():
    frames = np.random.default_rng(0).integers(0, 255, (3, 64, 64, 3), np.uint8)
    half = viewing(frames).halved().frames
    assert (half.shape, half.dtype) == ((3, 32, 32, 3), np.uint8)
    np.testing.assert_allclose(half[1, 2, 3], frames[1, 4:6, 6:8].mean(axis=(0, 1)), atol=0.5)
    for few in (frames[:, :32, :32], frames.repeat(2, axis=1).repeat(2, axis=2)[:, :97, :97]):
        assert viewing(few).halved().frames is few


def test_what_is_imagined_looks_as_the_video_does(poses):
    frames = CONDITIONS["shifted_2"].seen(CONDITIONS["half_light"].seen(filmed(poses), None), np.random.default_rng(0))
    view = viewing(frames)
    draw = view.imagined(view.look(at(poses), (*ROUGHLY, *CLOSELY)))
    own, other = (np.abs(draw(at).astype(float) - frames[:4]).mean() for at in (poses[:4], poses[-4:]))
    assert own < 0.2 * other


@pytest.mark.parametrize("size", [48, 96])
def test_a_closer_look_at_pictures_of_another_size(poses, size):
    with closing(Kuka()) as kuka:
        frames = kuka.film_at(poses, FRONT, size) // 2
    guesses = guessed(poses, 0.1)
    closer = looked(frames, at(guesses))
    assert errors(poses, closer.poses).mean() < 0.6 * errors(poses, guesses).mean()
    assert closer.explained.min() > 0.9


def test_what_is_adjusted_does_not_depend_on_how_many_frames_are_turned_at_once(poses, monkeypatch):
    """And a step of Gauss and Newton solves what is linear at once."""
    rng = np.random.default_rng(0)
    mix, by = rng.normal(size=(9, 7)), rng.normal(size=(9, 2))

    def see(poses, constants):
        return poses @ mix.T + by @ constants

    constants = np.array([0.1, -0.2])
    seen = see(poses, constants)
    start = Adjusted(poses + 0.1, np.zeros(2), 0.0)
    doubts = Doubts(np.array([1.0, 1.0]), noise=1e-3, outlier=1e9, acceleration=1e3, guess=1e3)
    whole = adjust(seen, see, start, start.poses, 0.05, doubts, 0.01, 2)
    np.testing.assert_allclose(whole.poses, poses, atol=1e-3)
    np.testing.assert_allclose(whole.constants, constants, atol=1e-3)
    monkeypatch.setattr("imitate.reading.adjustment.CHUNK", 7)
    parts = adjust(seen, see, start, start.poses, 0.05, doubts, 0.01, 2)
    np.testing.assert_allclose(parts.poses, whole.poses, atol=1e-6)
    known = adjust(seen, see, start, start.poses, 0.05, replace(doubts, constants=np.zeros(2)), 0.01, 1)
    np.testing.assert_array_equal(known.constants, start.constants)


def test_an_outlier_counts_less(poses):
    def see(poses, constants):
        return poses.repeat(5, axis=1)

    seen = see(poses, np.zeros(0))
    seen[:, ::5] += 3.0  # one of the five that tell of each joint
    doubts = Doubts(np.zeros(0), noise=0.01, acceleration=1e3, guess=1e3)
    now = Adjusted(poses + 0.05, np.zeros(0), 0.0)
    for _ in range(10):
        now = adjust(seen, see, now, now.poses, 0.05, doubts, 0.01, 1)
    assert np.abs(now.poses - poses).max() < 0.05
    now = Adjusted(poses, np.zeros(0), 0.0)
    even = adjust(seen, see, now, now.poses, 0.05, replace(doubts, outlier=1e9), 0.01, 1)
    assert np.abs(even.poses - poses).min() > 0.2


def test_poses_are_as_sure_as_what_they_explain(poses):
    frames = CONDITIONS["half_light"].seen(filmed(poses), np.random.default_rng(0))
    right = viewing(frames).judged(poses).explained
    half = poses.copy()
    half[LENGTH // 2 :] = poses[:1]  # lost from there on
    wrong = viewing(frames).judged(half).explained
    assert right.min() > 0.95
    assert wrong[-5:].max() < 0.5 < wrong[: LENGTH // 2].min()
    assert viewing(CONDITIONS["shifted_2"].seen(frames, np.random.default_rng(0))).judged(poses).explained.mean() < 0.7
