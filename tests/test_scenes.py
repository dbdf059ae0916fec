"""Scenes: each part of one where it is calculated to be, and what is no scene."""

import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from test_rasteriser import ahead, box

from imitate.data.camera import Camera
from imitate.data.lerobot.dataset import LeRobotDataset
from imitate.envs.cameras import CAMERAS
from imitate.envs.kuka import ARMS, Kuka, body_of
from imitate.envs.kuka_env import KukaEnv
from imitate.envs.rendering.body import body_of as built
from imitate.envs.rendering.link import Link, Shape
from imitate.envs.rendering.rasteriser import Rasteriser
from imitate.envs.robot import Robot
from imitate.envs.scenes.light import Light
from imitate.envs.scenes.named import SCENES
from imitate.envs.scenes.random_scene import random_scene
from imitate.envs.scenes.scene import PLAIN, Scene
from imitate.envs.scenes.table import Table
from imitate.envs.scenes.texture import TEXTURES, Texture
from imitate.envs.scenes.thing import Thing
from imitate.envs.tcn_imitate import TCNImitateEnv
from imitate.errors import UserError
from imitate.pipelines import embed, record, report
from imitate.pipelines.shared.demo import check_demo, load_demo, load_training, recording_of

OURS = replace(CAMERAS["front"], renderer="raster")
ABOVE = Camera("above", eye=(0.0, 0.0, 3.0), target=(0.0, 0.0, 0.0), up=(1.0, 0.0, 0.0), fov=60.0, renderer="raster")
STRAIGHT = Light(direction=(0.0, 0.0, 1.0), strength=0.5, ambient_strength=0.5)
HIGH = box((0.4, 0.4, 0.01), (0.0, 0.0, 0.8))  # a plate above the origin
POSE = np.zeros((1, 1))
RED, BLUE = (1.0, 0.0, 0.0), (0.0, 0.0, 1.0)


@pytest.fixture(scope="module")
def arm():
    return Rasteriser(body_of(ARMS["iiwa"].file), 1)


def poses_of(count, seed=0):
    lower, upper = np.array(ARMS["iiwa"].lower), np.array(ARMS["iiwa"].upper)
    return np.random.default_rng(seed).uniform(lower, upper, (count, len(lower)))


def many(count, seed=0):
    rng = np.random.default_rng(seed)
    return [random_scene(rng) for _ in range(count)]


def test_the_plain_scene_is_a_white_nothing(arm):
    picture = arm.draw(poses_of(1), OURS, 64)[0]
    ids = arm.identify(poses_of(1), OURS, 64)[0]
    assert (picture[ids < 0] == 255).mean() > 0.95  # but where a pixel is of both


def test_a_background_is_where_nothing_else_is():
    scene = Scene("two", background=Texture("gradient", RED, BLUE))
    picture = Rasteriser(HIGH).draw(POSE, ahead(3.0, fov=20.0), 64, (scene,))[0] / 255.0
    rows = 1 - (np.arange(64) + 0.5) / 64  # from below
    np.testing.assert_allclose(picture[:, 0, 0], 1 - rows, atol=0.01)
    np.testing.assert_allclose(picture[:, 0, 2], rows, atol=0.01)


def test_a_texture_lies_on_the_floor_where_it_is_calculated_to_be():
    """From 3 m above, at 60 degrees, the picture is 2 * 3 * tan(30) m wide; up in it is x, left is y."""
    period = 0.6
    scene = Scene("floor", light=STRAIGHT, floor=Texture("stripes", RED, BLUE, period))
    size = 90
    picture = Rasteriser(HIGH).draw(POSE, ABOVE, size, (scene,))[0]
    x = -((np.arange(size) + 1.0) / size - 0.5) * 6 * np.tan(np.radians(30))  # of a row, at its lower edge
    clear = np.abs((2 * x / period) % 1.0 - 0.5) < 0.4  # of an edge
    stripes = np.where((np.floor(2 * x / period) % 2 == 0)[:, None], RED, BLUE)
    np.testing.assert_array_equal(picture[clear, 3] / 255.0, stripes[clear])


def test_light_falls_as_lambert_says():
    lamp = Light((0.0, 1.0, 1.0), (1.0, 0.5, 0.0), 0.6, (0.0, 0.5, 1.0), 0.3)
    scene = Scene("lit", light=lamp, floor=Texture("plain", (0.8, 0.8, 0.8)))
    picture = Rasteriser(HIGH).draw(POSE, ABOVE, 64, (scene,))[0]
    direct = 0.6 / np.sqrt(2) * np.array([1.0, 0.5, 0.0])
    expected = 255 * (direct + 0.3 * np.array([0.0, 0.5, 1.0]))
    np.testing.assert_allclose(picture[2, 2], 0.8 * expected, atol=1)
    np.testing.assert_allclose(picture[31, 31], expected * (1.0, 0.5, 0.0), atol=1)  # the plate, in its own colour


@pytest.mark.parametrize("lamp", [(0.0, 0.0, 1.0), (0.0, 0.5, 1.0), (-0.5, 0.0, 1.0)])
def test_a_shadow_falls_away_from_the_lamp(lamp):
    """On the floor, 0.8 m below the plate; and softly, at its edges only."""
    sharp = replace(STRAIGHT, direction=lamp, shadow=1.0, softness=0.0)
    floor = Texture("plain", (1.0, 1.0, 1.0))
    camera = replace(ABOVE, eye=(0.001, 0.0, 30.0), fov=6.0, samples=2)  # so far off that all is seen from above
    size, width = 100, 2 * 30 * np.tan(np.radians(3))
    soft = replace(sharp, softness=0.4)
    pictures = [
        Rasteriser(HIGH).draw(POSE, camera, size, (Scene("shadow", light=light, floor=floor),))[0].astype(float)
        for light in (replace(sharp, shadow=0.0), sharp, soft)
    ]
    taken = [(pictures[0] - picture)[..., 2] for picture in pictures[1:]]  # blue: of the floor only
    rows, columns = np.nonzero(taken[0] > 40)
    x = -((rows + 0.5) / size - 0.5) * width
    y = -((columns + 0.5) / size - 0.5) * width
    shift = -0.8 * np.array(lamp)[:2] / lamp[2]
    if any(shift):  # else it lies below the plate
        under = np.array([x.mean(), y.mean()])
        np.testing.assert_allclose(under, shift, atol=0.1)
        assert 0.2 < taken[0].sum() / taken[1].sum() < 5
        between = (taken[1] > 0.1 * taken[1].max()) & (taken[1] < 0.9 * taken[1].max())
        assert between.sum() > 2 * ((taken[0] > 10) & (taken[0] < 0.9 * taken[0].max())).sum()
    else:
        assert len(rows) < 0.01 * size**2


def test_things_cast_shadows_on_what_they_stand_on():
    light = Light(direction=(0.0, 1.0, 1.0), strength=0.5, ambient_strength=0.5, shadow=1.0, softness=0.0)
    grey = Texture("plain", (0.6, 0.6, 0.6))

    def darker(light, height=0.1):
        thing = Thing("box", (0.5, 0.0, height), (0.2, 0.2, 0.2), colour=(1.0, 1.0, 1.0))
        bare, full = (
            Scene("s", light=light, table=Table(grey), floor=grey, clutter=clutter) for clutter in ((), (thing,))
        )
        pictures = [Rasteriser(HIGH).draw(POSE, ABOVE, 128, (scene,))[0].astype(int) for scene in (bare, full)]
        return (pictures[0] - pictures[1])[..., 0] > 20

    _, columns = np.nonzero(darker(light))
    y = -((columns + 0.5) / 128 - 0.5) * 6 * np.tan(np.radians(30))
    assert -0.35 < y.min() < -0.2  # behind it, seen from the lamp
    assert -0.2 < y.max() < 0.12
    assert len(columns) > 30
    assert not darker(replace(light, shadow=0.0)).any()
    assert not darker(light, height=-0.4).any()  # it is under the table, and darkens nothing above


def test_what_hangs_below_a_tables_top_casts_no_shadow_upwards():
    light, grey = Light(strength=0.5, ambient_strength=0.5, shadow=1.0), Texture("plain", (0.6, 0.6, 0.6))
    plate = box((0.4, 0.4, 0.01), (0.0, 0.0, -0.3))

    def pictures(*scenes):
        return [Rasteriser(plate).draw(POSE, ABOVE, 64, (scene,))[0].astype(int) for scene in scenes]

    table = Scene("s", light=light, table=Table(grey))
    with_it, without = pictures(table, replace(table, light=replace(light, shadow=0.0)))
    np.testing.assert_array_equal(with_it, without)
    floor = replace(table, table=None, floor=grey)
    above, without = pictures(floor, replace(floor, light=replace(light, shadow=0.0)))
    assert (above != without).any()  # on the floor it falls as from anywhere: there is nothing between


def test_what_is_nearer_to_the_lamp_takes_no_shadow_and_two_shadows_are_one():
    """A white box above the plate, between lamp and plate; and the floor where arm and thing both cast a shadow."""
    light = replace(STRAIGHT, shadow=0.5, softness=0.0)
    white = Texture("plain", (1.0, 1.0, 1.0))
    over, lit = (
        Scene("over", light=one, floor=white, clutter=(Thing("box", (0.0, 0.0, 1.3), (0.2,) * 3, colour=(1.0,) * 3),))
        for one in (light, replace(light, shadow=0.0))
    )
    pictures = [Rasteriser(HIGH).draw(POSE, ABOVE, 64, (scene,))[0] for scene in (over, lit)]
    np.testing.assert_array_equal(pictures[0][31, 31], pictures[1][31, 31])
    aslant = replace(light, direction=(0.0, 1.0, 1.0))
    thing = Thing("box", (0.0, 0.4, 0.4), (0.3, 0.3, 0.02))  # on the way of light to where the plate's shadow falls
    shades = [
        Rasteriser(HIGH).draw(POSE, ABOVE, 128, (Scene("both", light=aslant, floor=white, clutter=clutter),))[0]
        for clutter in ((), (thing,))
    ]
    column = round((0.5 + 0.8 / (6 * np.tan(np.radians(30)))) * 128)  # y = -0.8, to the right
    assert shades[0][64, column, 0] < 250
    np.testing.assert_allclose(shades[0][64, column].astype(int), shades[1][64, column], atol=1)


def test_what_stands_before_the_arm_hides_it(arm):
    pose = np.zeros((1, 7))
    seen = arm.identify(pose, OURS, 64)[0]
    half = np.array(OURS.eye) / 2 + np.array(OURS.target) / 2
    wall = Thing("box", tuple(half), (0.6, 0.6, 1.2))
    hidden = arm.identify(pose, OURS, 64, Scene("wall", clutter=(wall,)))[0]
    assert (seen >= 0).any()
    assert (hidden[seen >= 0] < 0).mean() > 0.9
    behind = Thing("box", (-1.0, 0.7, 0.4), (0.6, 0.6, 0.6))
    np.testing.assert_array_equal(arm.identify(pose, OURS, 64, Scene("behind", clutter=(behind,)))[0], seen)


def test_links_take_the_colours_of_the_scene():
    for colours, expected in (((), (1.0, 0.5, 0.0)), ((BLUE,), BLUE), ((RED, BLUE), RED)):
        scene = Scene("painted", light=STRAIGHT, links=colours)
        picture = Rasteriser(HIGH).draw(POSE, ABOVE, 32, (scene,))[0]
        np.testing.assert_allclose(picture[15, 15] / 255, expected, atol=0.01)


def test_a_smooth_ball_is_round_and_a_smooth_box_keeps_its_edges(arm):
    still = np.eye(4)[:3]
    joint = Link("nothing", 0, 0, still, np.array([0.0, 0.0, 1.0]), ())
    ball = built(
        [Link("b", -1, -1, still, np.zeros(3), (Shape("sphere", None, (0.5, 0, 0), still, (1, 1, 1)),)), joint]
    )
    lamp = Light((-1.0, 0.0, 0.5), strength=0.8, ambient_strength=0.0)
    flat, smooth = (Scene("ball", light=lamp, smooth=smooth) for smooth in (False, True))
    errors = []
    for scene in (flat, smooth):
        size = 100
        camera = Camera("far", eye=(-100.0, 0.0, 0.0), target=(0.0, 0.0, 0.0), fov=0.7, renderer="raster")
        picture = Rasteriser(ball).draw(POSE, camera, size, (scene,))[0, :, :, 0] / 255.0
        width = 2 * 100 * np.tan(np.radians(0.35))
        y, z = np.meshgrid(-(np.arange(size) / size - 0.5) * width, -((np.arange(size) + 1) / size - 0.5) * width)
        inside = y**2 + z**2 < 0.4**2
        x = -np.sqrt(np.maximum(0.25 - y**2 - z**2, 0.0))
        to_lamp = np.array(lamp.direction) / np.linalg.norm(lamp.direction)
        lambert = 0.8 * np.maximum(0.0, np.stack([x, y, z], -1) @ to_lamp / 0.5)
        errors.append(np.abs(picture - lambert)[inside].mean())
    assert errors[1] < 0.01 < errors[0] / 2
    sharp, same = (Rasteriser(box()).draw(POSE, ahead(2.0), 32, (scene,)) for scene in (flat, smooth))
    np.testing.assert_array_equal(sharp, same)
    assert (arm.draw(poses_of(3), OURS, 64, (flat,)) != arm.draw(poses_of(3), OURS, 64, (smooth,))).any()


def test_each_pose_has_its_scene_whatever_the_number_of_threads(arm):
    several, poses = many(7), poses_of(100)
    which = np.random.default_rng(1).integers(0, 7, 100)
    together = arm.draw(poses, OURS, 32, several, which)
    np.testing.assert_array_equal(Rasteriser(arm.body, 4).draw(poses, OURS, 32, several, which), together)
    for k in range(10):
        np.testing.assert_array_equal(arm.draw(poses[k : k + 1], OURS, 32, [several[which[k]]])[0], together[k])
    with pytest.raises(UserError, match="shown is from 0 to 6, expected 0 to 5: one of the scenes"):
        arm.draw(poses, OURS, 32, several[:6], which)


def test_random_scenes_differ_and_show_which_way_is_front():
    several = many(40)
    assert len(set(several)) == 40
    assert several == many(40)
    kinds = {scene.background.kind for scene in several} | {s.floor.kind for s in several if s.floor}
    assert kinds == set(TEXTURES) - {"picture"}
    for scene in several:
        assert scene.table.middle[0] > 0.2
    arm = Rasteriser(HIGH)
    behind = replace(OURS, eye=(-OURS.eye[0], -OURS.eye[1], OURS.eye[2]))  # the scene, turned by half
    for scene in several:
        ours, theirs = (arm.draw(POSE, camera, 32, (scene,)).astype(int) for camera in (OURS, behind))
        assert np.abs(ours - theirs).mean() > 2


@pytest.mark.parametrize("scene", [*SCENES.values(), *many(5)], ids=lambda scene: scene.name)
def test_a_scene_survives_being_written_down(scene):
    assert Scene.from_json(scene.to_json()) == scene


@pytest.mark.parametrize(
    "change",
    [
        {"name": None, "light": None},
        {"light": {"direction": [0, 0, 1]}},
        {"background": {**asdict(Texture()), "kind": "velvet"}},
        {"links": [[1, 2, 3]]},
        {"clutter": [{"kind": "ball"}]},
        {"clutter": 3},
        {"weather": "rain"},
        {"floor": {**asdict(Texture()), "period": float("nan")}},
        {"floor": {**asdict(Texture()), "period": "wide"}},
        {"floor": {**asdict(Texture()), "seed": 1.5}},
        {"smooth": "no"},
        {"smooth": [1]},
        {"name": ["a"]},
        {"light": {**asdict(Light()), "strength": [0.5]}},
        {"clutter": [None]},
        {"table": {**asdict(Table()), "texture": None}},
        {"table": "wood"},
    ],
)
def test_what_is_no_scene_is_refused(change):
    text = json.dumps({**json.loads(PLAIN.to_json()), **change})
    with pytest.raises(UserError):
        Scene.from_json(text)


def test_texts_that_are_no_json_are_refused():
    for text in ("", "{", "[]", "3", "null", '"plain"', "[" * 100_000):
        with pytest.raises(UserError, match="not a scene"):
            Scene.from_json(text)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Texture("velvet"), "unknown texture 'velvet': choose one of checker, gradient"),
        (lambda: Texture("picture", file="nowhere.png").at(np.zeros((1, 2))), "nowhere.png: no such picture"),
        (lambda: Texture("picture", file="x" * 5000).at(np.zeros((1, 2))), "x: no such picture"),
        (lambda: Texture("picture", file="a\0b"), "texture's file is 'a.*b', expected a text"),
        (lambda: Texture("picture", file=Path("a.png")), "texture's file is .*, expected a text"),
        (lambda: Texture([]), "texture's kind is .., expected a text"),
        (lambda: Scene.from_json(PLAIN.to_json().replace("-0.436", "1" + 400 * "0")), "not a scene"),
        (lambda: Texture(first=3), "colour first is 3, expected a tuple of red, green and blue"),
        (lambda: Thing("box", [0, 0, 0], (1, 1, 1)), "thing's position is .0, 0, 0., expected a tuple of 3 numbers"),
        (lambda: Scene("x", floor="wood"), "floor of a scene is 'wood', expected a Texture or NoneType"),
        (lambda: Scene("x", clutter=(3,)), "expected things"),
        (lambda: Scene("x", links=[(0.0, 0.0, 0.0)]), "links of a scene"),
        (lambda: TCNImitateEnv(scene="table"), "scene 'table': this encoder was trained in the plain one"),
        (lambda: Rasteriser(HIGH).draw(POSE, ABOVE, 8, ()), "0 scenes of 8x8 samples, expected 1 to"),
        (
            lambda: Rasteriser(HIGH).draw(POSE, ABOVE, 2000, (PLAIN,) * 20),
            "20 scenes of 2000x2000 samples, expected 1 to",
        ),
        (lambda: Rasteriser(HIGH).draw(POSE, ABOVE, 8, (PLAIN,), np.array([0.9])), "no whole numbers"),
        (
            lambda: Rasteriser(HIGH).draw(POSE, ABOVE, 8, (PLAIN,), np.array([1])),
            "shown is from 1 to 1, expected 0",
        ),
        (lambda: Rasteriser(HIGH).draw(POSE, ABOVE, 8, (PLAIN,), np.array([0, 0])), "shown is of shape"),
        (lambda: Texture("picture"), "expected a picture and its file, or neither"),
        (lambda: Texture("plain", file="some.png"), "expected a picture and its file, or neither"),
        (lambda: Texture(first=(2.0, 0.0, 0.0)), "first is .2.0, 0.0, 0.0., expected a tuple of red, green"),
        (lambda: Texture(period=0.0), "texture's period is 0.0"),
        (lambda: Light((0.0, 0.0, -1.0)), "light's direction is .*above ground"),
        (lambda: Light((0.0, 0.0, float("nan"))), "light's direction is"),
        (lambda: Light(shadow=2.0), "light's shadow is 2.0, expected 0.0 to 1.0"),
        (lambda: Thing("cone", (0, 0, 0), (1, 1, 1)), "unknown thing 'cone': choose one of ball, box"),
        (lambda: Thing("box", (0, 0, 0), (0.0, 1, 1)), "thing's size is 0.0"),
        (lambda: Table(size=(0.0, 1.0, 1.0)), "table's size is 0.0"),
        (
            lambda: Scene("full", clutter=(Thing("box", (0, 0, 0), (1, 1, 1)),) * 101),
            "101 things, expected 100 at most",
        ),
        (lambda: Scene("odd", links=((0.0, 0.0),)), "colour 0 of the links"),
        (lambda: Robot(scene="moon"), "unknown scene 'moon': choose one of plain, table"),
        (lambda: Robot(scene=3), "scene is 3, expected one of plain, table"),
    ],
)
def test_what_can_be_got_wrong_is_said_in_one_line(make, said):
    with pytest.raises(UserError, match=said) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_pictures_are_textures_and_others_are_not(tmp_path):
    file = tmp_path / "p.png"
    Image.fromarray(np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 255]]], np.uint8)).save(file)
    background = Texture("picture", file=str(file))
    picture = Rasteriser(HIGH).draw(POSE, ahead(3.0, fov=20.0), 64, (Scene("p", background=background),))[0]
    corners = picture[[2, 2, -2, -2], [2, -2, 2, -2]].tolist()
    assert corners == [[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]
    for wrong in (b"", b"no picture", file.read_bytes()[:40], b"GIF89a" + bytes(30)):
        (tmp_path / "w.png").write_bytes(wrong)
        with pytest.raises(UserError, match=r"w\.png: not a PNG or JPEG picture"):
            Texture("picture", file=str(tmp_path / "w.png")).at(np.zeros((1, 2)))
    deep, clear = Image.fromarray(np.full((2, 2), 40_000, np.uint16)), Image.new("RGBA", (2, 2), (255, 0, 0, 100))
    for picture, said in ((deep, "16 bits a colour, expected 8"), (clear, "parts of it are transparent")):
        picture.save(tmp_path / "w.png")
        with pytest.raises(UserError, match=said):
            Texture("picture", file=str(tmp_path / "w.png")).at(np.zeros((1, 2)))
    Image.new("RGBA", (2, 2), (255, 0, 0, 255)).save(tmp_path / "w.png")
    assert Texture("picture", file=str(tmp_path / "w.png")).at(np.zeros((1, 2))).tolist() == [[1.0, 0.0, 0.0]]
    Image.fromarray(np.full((2, 2, 3), 9, np.uint8)).save(file)  # another picture, of the same name
    assert (Texture("picture", file=str(file)).at(np.zeros((1, 2))) == 9 / 255).all()
    ours, scene = Rasteriser(HIGH), Scene("p", background=background)
    for level in (9, 200):  # though the scene has been set up
        Image.fromarray(np.full((2, level, 3), level, np.uint8)).save(file)
        assert ours.draw(POSE, ahead(3.0, fov=20.0), 16, (scene,))[0, 0, 0].tolist() == [level] * 3


def test_an_arm_that_nobody_sees_is_not_filmed():
    half = tuple(np.array(OURS.eye) / 2 + np.array(OURS.target) / 2)
    kuka = Kuka(
        "iiwa",
        scene=Scene("wall", clutter=(Thing("box", half, (3.0, 3.0, 0.02)), Thing("box", half, (0.02, 3.0, 3.0)))),
    )
    with pytest.raises(UserError, match="does not see the arm in the scene 'wall'"):
        kuka.check_pictures(OURS, 32)
    kuka.scene = SCENES["table"]
    kuka.check_pictures(OURS, 32)
    kuka.close()


def test_an_arm_is_filmed_where_it_stands():
    kuka = Kuka("iiwa", scene=SCENES["table"])
    pose = poses_of(1)
    there = kuka.film_at(pose, OURS, 64)
    np.testing.assert_array_equal(kuka.rasteriser.draw(pose, OURS, 64, (SCENES["table"],)), there)
    np.testing.assert_array_equal(kuka.film(OURS, 64), there[0])
    kuka.scene = PLAIN
    assert (kuka.film(OURS, 64) != there[0]).mean() > 0.5
    kuka.scene = SCENES["table"]
    with pytest.raises(UserError, match="scene 'table' can't be drawn by the renderer 'tiny'"):
        kuka.film(replace(OURS, renderer="tiny"), 64)
    kuka.close()


def test_an_environment_takes_place_in_a_scene():
    frames = []
    for scene in ("plain", SCENES["table"]):
        env = KukaEnv(scene=scene, camera=OURS)
        frames.append(env.reset(seed=0)[0]["image"])
        env.close()
    assert (frames[0] != frames[1]).mean() > 0.5


def test_a_gradient_goes_to_its_second_colour_and_back():
    points = np.column_stack([np.zeros(5), [0.0, 0.5, 1.0, 1.5, -0.5]])
    np.testing.assert_allclose(Texture("gradient", RED, BLUE).at(points)[:, 2], [0.0, 0.5, 1.0, 0.5, 0.5])


def settings_of(folder, **more):
    few = {"train": 2, "validation": 2, "test": 1, "frames": 5, "held_out_frames": 40, "image_size": 32, "workers": 1}
    return record.Settings(run=folder, **few, **more)


def test_a_recording_says_in_which_scene_each_episode_takes_place(tmp_path, encoder):
    films = {}
    for scene in ("plain", "random"):
        record.run(settings_of(tmp_path / scene, scene=scene))
        films[scene] = LeRobotDataset(tmp_path / scene / "record/dataset")
    told = [Scene.from_json(text) for text in films["random"].scenes()]
    assert len(set(told)) == 5
    assert films["plain"].scenes() == [PLAIN.to_json()] * 5
    kuka = Kuka("iiwa")
    assert [scene.name for scene in told[1:4]] == ["random-train-1", "random-validation-0", "random-validation-1"]
    recording = recording_of(tmp_path / "random", settings_of(tmp_path))
    for use in (
        lambda: embed.run(embed.Settings(run=tmp_path / "random")),
        lambda: load_demo("test:0", tmp_path / "random", encoder),
        lambda: load_demo(f"{films['random'].folder}:3", tmp_path, encoder),
        lambda: load_training(1, tmp_path / "random", encoder),
        lambda: check_demo("test:0", tmp_path / "random", recording, "iiwa"),
    ):
        with pytest.raises(UserError, match=r"recorded in the scene 'random-.*, and .* in other scenes than the plain"):
            use()
    load_demo("test:0", tmp_path / "plain", encoder)
    for scene, episode in (("plain", 4), ("random", 4)):
        shown = films[scene].demonstration(episode)
        assert (shown.camera, shown.scene) == (OURS, films[scene].scenes()[episode])
        if scene == "plain":
            TCNImitateEnv(encoder, shown).close()
            with pytest.raises(UserError, match=r"another camera than 'front' .renderer"):
                TCNImitateEnv(encoder, [replace(shown, camera=replace(OURS, renderer="tiny"))])
        else:
            with pytest.raises(UserError, match="demonstration episode-4 was recorded in the scene 'random-test-0'"):
                TCNImitateEnv(encoder, shown)
    page = report.run(report.Settings(run=tmp_path / "random")).read_text()
    assert "In the scene random: nothing learns from such recordings" in " ".join(page.split())
    assert "imitate embed --run" not in page
    assert "imitate embed --run" in report.run(report.Settings(run=tmp_path / "plain")).read_text()
    for number, scene in enumerate(told):
        kuka.scene = scene
        shown = films["random"].demonstration(number)
        mine = kuka.film_at(shown.joints, OURS, 32)
        assert np.abs(mine.astype(int) - shown.frames).mean() < 3  # as H.264 keeps their colours
    kuka.close()
    np.testing.assert_array_equal(films["plain"].joints(), films["random"].joints())  # the same movements


def test_a_frame_that_shows_nothing_is_not_recorded():
    frames = np.random.default_rng(0).integers(0, 255, (5, 8, 8, 3), np.uint8)
    record._check_seen("front", frames, 7)
    frames[3] = (10, 20, 30)
    with pytest.raises(UserError, match="camera 'front' sees nothing in frame 3 of episode 7"):
        record._check_seen("front", frames, 7)


def test_a_planned_recording_is_drawn_as_it_is_planned(tmp_path):
    assert recording_of(tmp_path, settings_of(tmp_path, renderer="tiny")).camera.renderer == "tiny"


def test_scenes_that_show_the_same_are_the_same_whatever_they_are_called():
    assert Scene("lab") == PLAIN
    assert Scene("lab", smooth=True) != PLAIN


def test_what_cannot_be_recorded_is_said_before_anything_is(tmp_path):
    for wrong, said in (
        ({"scene": "moon"}, "unknown scene 'moon': choose one of plain, random, table"),
        ({"scene": "table", "renderer": "tiny"}, "which the renderer tiny can't draw"),
    ):
        with pytest.raises(UserError, match=said):
            record.run(replace(settings_of(tmp_path), **wrong))
    assert not list(tmp_path.iterdir())


def test_a_recording_without_scenes_or_with_damaged_ones(tmp_path):
    record.run(settings_of(tmp_path / "run"))
    folder = shutil.copytree(tmp_path / "run/record/dataset", tmp_path / "alone")  # with no manifest to tell
    path = next((folder / "meta/episodes").rglob("*.parquet"))
    table = pq.read_table(path)
    for column, expected in ((None, None), (pa.array([1, 2, 3, 4, 5]), UserError)):
        changed = table.drop_columns("scene")
        pq.write_table(changed if column is None else changed.append_column("scene", column), path)
        dataset = LeRobotDataset(folder)
        if expected is None:
            assert dataset.scenes() is None
        else:
            with pytest.raises(UserError, match="scene in meta/episodes is not text"):
                dataset.scenes()
    info = json.loads((folder / "meta/info.json").read_text())
    del info["cameras"]  # a dataset of other origin, whose scenes are not ours
    (folder / "meta/info.json").write_text(json.dumps(info))
    assert LeRobotDataset(folder).scenes() is None


def test_a_recording_of_random_scenes_shows_many_of_them(tmp_path):
    for scene, width in (("plain", 10), ("random", 8)):
        record.run(settings_of(tmp_path / scene, scene=scene))
        with Image.open(tmp_path / scene / "record/contact_sheet.png") as sheet:
            assert sheet.size[0] == (5 if scene == "random" else width) * 96
