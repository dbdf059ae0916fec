from dataclasses import replace

import numpy as np
import pytest
from domains import USUAL

from imitate.data.domain import Domain
from imitate.envs.cameras import CAMERAS
from imitate.envs.kuka import ARMS, Kuka, body_of
from imitate.envs.landmarks import number_of, pictured, placed
from imitate.envs.perturbations import random_poses
from imitate.envs.rendering.body import built
from imitate.envs.rendering.rasteriser import Rasteriser
from imitate.envs.scenes.random_scene import random_scene
from imitate.envs.scenes.scene import PLAIN
from imitate.envs.studio import POSES, RENEWED, Studio

FRONT, IIWA, SIZE, SETS = CAMERAS["front"], ARMS["iiwa"], 32, 10


def studio(domain=Domain(), seed=0, arm=IIWA, size=SIZE):  # noqa: B008
    return Studio(arm, FRONT, size, domain, seed, SETS)


@pytest.mark.parametrize("name", ARMS)
def test_landmarks_are_where_the_simulation_has_the_links(name):
    arm = ARMS[name]
    kuka, body = Kuka(arm), body_of(arm.file)
    poses = random_poses(arm, 20, np.random.default_rng(0))
    found = placed(arm, body, poses)
    assert found.shape == (20, number_of(arm, body), 3)
    flange = kuka.links.index(arm.flange)
    np.testing.assert_allclose(found[:, flange], kuka.flange_positions(poses), atol=1e-6)
    kuka.close()


def test_landmarks_are_where_the_picture_has_them():
    """The ends of the tool lie on it: where they are seen, it is drawn."""
    body = body_of(IIWA.file)
    poses = random_poses(IIWA, 60, np.random.default_rng(1))
    drawn = Rasteriser(body).identify(poses, FRONT, 256)
    places = ((pictured(placed(IIWA, body, poses), FRONT)[:, -2:] + 1) / 2 * 256).astype(int)
    tool, seen = len(body.parents) - 1, []
    for ids, ends in zip(drawn, places, strict=True):
        for across, down in ends:
            if 4 <= across < 252 and 4 <= down < 252:
                around = ids[down - 4 : down + 5, across - 4 : across + 5]
                assert tool in around or (around > 0).any()  # or something of the arm is before it
                seen.append(tool in around)
    assert np.mean(seen) > 0.6


def test_a_moment_is_filmed_twice_in_other_sets():
    takes = studio().takes(3, 2 * POSES)
    assert takes.frames.shape == (4 * POSES, SIZE, SIZE, 3)
    assert takes.landmarks.shape == (4 * POSES, number_of(IIWA, body_of(IIWA.file)), 2)
    first, second = np.split(takes.joints, 2)
    np.testing.assert_array_equal(first, second)
    assert len(np.unique(first, axis=0)) == 2 * POSES
    apart = np.abs(takes.frames[: 2 * POSES].astype(int) - takes.frames[2 * POSES :]).mean(axis=(1, 2, 3))
    assert np.median(apart) > 10  # of 255: another scene


def test_a_moment_may_be_filmed_once():
    once, twice = studio().takes(3, 2 * POSES, views=1), studio().takes(3, 2 * POSES)
    for own, both in zip(once, twice, strict=True):
        np.testing.assert_array_equal(own, both[: 2 * POSES])


def test_no_moment_is_filmed_twice_in_the_same_set(monkeypatch):
    one, asked = Studio(IIWA, FRONT, SIZE, Domain(), 0, 2), []
    own = Studio.set
    monkeypatch.setattr(Studio, "set", lambda self, step, place: asked.append(place) or own(self, step, place))
    for step in range(6):
        one.takes(step, POSES)
    assert all(first != second for first, second in zip(asked[::2], asked[1::2], strict=True))


def test_a_set_stands_until_another_takes_its_place(monkeypatch):
    one, put_up = studio(), []
    own = Studio._put_up
    monkeypatch.setattr(Studio, "_put_up", lambda self, number: put_up.append(number) or own(self, number))
    for step in range(20):
        for place in range(SETS):
            one.set(step, place)
    assert put_up[:SETS] == list(range(SETS))
    assert sorted(put_up) == list(range(SETS + 19 * RENEWED))  # each once


def test_a_step_does_not_depend_on_those_before_it():
    one, other = studio(), studio()
    for step in range(4):
        one.takes(step, POSES)
    for mine, theirs in zip(one.takes(7, POSES), other.takes(7, POSES), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert not np.array_equal(one.takes(8, POSES).joints, other.takes(7, POSES).joints)
    assert not np.array_equal(studio(seed=1).takes(7, POSES).joints, other.takes(7, POSES).joints)


def test_sets_are_put_up_one_after_the_other():
    one = studio()

    def standing(step):
        return [one.set(step, place).camera for place in range(SETS)]

    for step in range(SETS // RENEWED):
        kept = [a == b for a, b in zip(standing(step), standing(step + 1), strict=True)]
        assert kept.count(False) == RENEWED
    assert not set(standing(0)) & set(standing(SETS // RENEWED))


def test_where_nothing_varies_the_robot_films_itself_as_ever():
    takes = studio(USUAL).takes(0, POSES)
    plain = Rasteriser(body_of(IIWA.file)).draw(takes.joints, FRONT, SIZE)
    assert np.abs(takes.frames.astype(int) - plain).max() <= 1  # angles of the camera are rounded
    assert studio(USUAL).set(0, 0).scene == PLAIN


def test_the_plain_scene_and_bare_ones_are_among_the_sets():
    wide = Studio(IIWA, FRONT, SIZE, Domain(), 0, 200)
    scenes = [wide.set(0, place).scene for place in range(200)]
    plain = [scene for scene in scenes if scene == PLAIN]
    bare = [scene for scene in scenes if scene != PLAIN and scene.table is None]
    assert 10 < len(plain) < 60
    assert 50 < len(bare) < 120
    assert all(scene.floor is None and not scene.clutter for scene in bare)
    assert len({scene.background for scene in scenes if scene != PLAIN}) == 200 - len(plain)


def test_an_arm_of_another_build_has_longer_and_thicker_links():
    body = body_of(IIWA.file)
    links = len(body.parents)
    larger = built(body, np.full((links, 3), 1.1), np.full(links, 1.1))
    arm, home = replace(IIWA, marks=()), np.zeros((1, 7))
    np.testing.assert_allclose(placed(arm, larger, home), 1.1 * placed(arm, body, home), atol=1e-9)
    np.testing.assert_allclose(larger.normals, body.normals)  # alike in all directions
    thinner = built(body, np.tile([0.5, 1.0, 1.0], (links, 1)), np.ones(links))
    corners = thinner.vertices[thinner.triangles]
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    np.testing.assert_allclose(thinner.normals, across, atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(thinner.bent, axis=-1), 1.0)


def test_poses_are_told_as_the_usual_camera_would_see_them():
    """One that is carried around the base sees the robot turned, and nothing else of where its joints are."""
    aside = studio(replace(USUAL, azimuth=(-60.0, 60.0)))
    takes = aside.takes(0, 8 * POSES, 1)
    assert np.abs(takes.joints[:, 0]).max() > IIWA.upper[0] + 0.3  # the robot itself does not turn so far
    assert (np.abs(takes.joints[:, 1:]) <= IIWA.upper[1:]).all()
    usual = aside.as_usual(takes.joints)
    np.testing.assert_allclose(takes.landmarks, usual.landmarks, atol=1e-6)
    apart, others = (np.abs(takes.frames.astype(int) - frames).mean() for frames in (usual.frames, usual.frames[::-1]))
    assert apart < 0.2 * others  # light falls from another side, and the base does not turn
    assert not np.array_equal(takes.frames, usual.frames)


def test_a_bare_scene_has_the_light_and_the_background_of_the_whole_one():
    whole, bare = (random_scene(np.random.default_rng(5), bare=bare) for bare in (False, True))
    assert (whole.light, whole.background) == (bare.light, bare.background)
    assert whole.table is not None
    assert (bare.table, bare.floor, bare.clutter) == (None, None, ())


def test_no_colour_tells_which_link_it_is():
    """Of many arms: some are painted link by link, in a few colours, and each link in any of them."""
    one = studio()
    scenes = [one.set(step, place).scene for step in range(0, 60, SETS // RENEWED) for place in range(SETS)]
    links = len(body_of(IIWA.file).parents)
    painted = [scene.links for scene in scenes if len(scene.links) == links]
    assert 0.2 * len(scenes) < len(painted) < 0.5 * len(scenes)
    assert {len(set(colours)) for colours in painted} >= {1, 2, 3}
    assert any(red == green == blue for colours in painted for red, green, blue in colours)  # grey
    repeated = [colours for colours in painted if len(set(colours)) == 2]
    assert any(colours[0] == colours[1] for colours in repeated)  # not in turn


def test_some_arms_have_no_tool_and_none_where_arms_are_as_ever():
    def tools(domain):
        one = Studio(IIWA, FRONT, SIZE, domain, 0, 100)
        bodies = [one.set(0, place).rasteriser.body for place in range(100)]
        return [float(np.ptp(body.vertices[body.starts[-2] :], axis=0).max()) for body in bodies]

    whole = np.ptp(body_of(IIWA.file).vertices[body_of(IIWA.file).starts[-2] :], axis=0).max()
    lengths = np.array(tools(Domain()))
    assert 15 <= (lengths < 0.001).sum() <= 45
    assert (lengths[lengths > 0.001] > 0.75 * whole).all()
    assert np.ptp(tools(USUAL)) < 1e-6


def test_the_ends_of_a_tool_are_where_it_is_drawn_and_nowhere_if_it_is_not():
    one = Studio(IIWA, FRONT, SIZE, Domain(), 0, 60)
    pose, found = np.zeros((1, 7)), []
    for place in range(60):
        stands = one.set(0, place)
        body = stands.rasteriser.body
        ends = placed(stands.arm, body, pose)[0, -2:]
        vertices = body.vertices[body.starts[-2] :]
        there = np.ptp(vertices, axis=0).max() > 0.01
        assert np.isfinite(ends).all() == there
        if there:  # its handle's end is as far out as the tool reaches
            np.testing.assert_allclose(stands.arm.marks[0][0], vertices[:, 0].max(), atol=0.01)
        found.append(there)
    assert 0 < found.count(False) < 30
