"""Our renderer against PyBullet's, against what is known of simple bodies, and against itself."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from imitate.data.camera import Camera
from imitate.envs.bullet import Bullet, _matrices
from imitate.envs.cameras import CAMERAS
from imitate.envs.kuka import ARMS, ASSETS, Kuka
from imitate.envs.kuka import body_of as body_of_file
from imitate.envs.kuka_env import KukaEnv, Reference
from imitate.envs.rendering import kernel
from imitate.envs.rendering.body import body_of
from imitate.envs.rendering.link import Link, Shape
from imitate.envs.rendering.rasteriser import CHUNK, Rasteriser
from imitate.envs.rendering.view import NEAR
from imitate.envs.scenes.scene import PLAIN, Scene
from imitate.envs.scenes.texture import Texture
from imitate.envs.vector import KukaVectorEnv
from imitate.errors import UserError

POSES = 200
OURS = replace(CAMERAS["front"], renderer="raster")
STILL = np.eye(4)[:3]


def poses_of(arm, count, seed=0):
    lower, upper = np.array(ARMS[arm].lower), np.array(ARMS[arm].upper)
    return np.random.default_rng(seed).uniform(lower, upper, (count, len(lower)))


@pytest.fixture(scope="module", params=ARMS)
def kuka(request):
    made = Kuka(request.param)
    yield made
    made.close()


@pytest.fixture
def poses(kuka):
    (name,) = (name for name, arm in ARMS.items() if arm == kuka.arm)
    return poses_of(name, POSES)


def box(size=(1.0, 1.0, 1.0), at=(0.0, 0.0, 0.0), colour=(1.0, 0.5, 0.0)):
    """A body of one link, which stands still, and one joint, which turns nothing that is seen."""
    frame = STILL.copy()
    frame[:, 3] = at
    seen = Shape("box", None, size, frame, colour)
    return body_of(
        [
            Link("box", -1, -1, STILL, np.zeros(3), (seen,)),
            Link("nothing", 0, 0, STILL, np.array([0.0, 0.0, 1.0]), ()),
        ]
    )


def ahead(distance, **more):
    """A camera that looks along x at the origin."""
    return Camera("ahead", eye=(-distance, 0.0, 0.0), target=(0.0, 0.0, 0.0), renderer="raster", **more)


def test_links_stand_where_bullet_has_them(kuka, poses):
    body = body_of_file(kuka.arm.file)
    placed = np.empty((len(body.parents), 3, 4))
    names = [link.name for link in kuka._bullet.links()]
    flange = names.index(kuka.arm.flange)
    for pose in poses:
        kernel.place(body, pose, placed)
        kuka.reset(pose)
        frames = kuka._bullet._link_frames(pose)
        for number, frame in frames.items():
            np.testing.assert_allclose(placed[number + 1], frame[:3], atol=1e-6)
        np.testing.assert_allclose(placed[flange, :, 3], kuka.flange_position(), atol=1e-6)


def overlap(one, other):
    """Intersection over union of what is not white."""
    seen = [(frames != 255).any(axis=-1) for frames in (one, other)]
    return (seen[0] & seen[1]).sum() / (seen[0] | seen[1]).sum()


@pytest.mark.slow
@pytest.mark.parametrize("name", [*CAMERAS, "near"])
def test_what_is_seen_is_what_bullet_draws(kuka, poses, name):
    camera = CAMERAS[name] if name != "near" else Camera("near", (0.9, 0.5, 0.7), (0.0, 0.0, 0.5), fov=60.0, samples=2)
    theirs, ours = (kuka.film_at(poses, replace(camera, renderer=renderer), 64) for renderer in ("tiny", "raster"))
    overlaps = [overlap(one, other) for one, other in zip(ours, theirs, strict=True)]
    assert min(overlaps) > 0.98
    assert np.mean(overlaps) > 0.999
    assert np.abs(ours.astype(int) - theirs).mean() < 0.5  # of 255: the light is alike too


def test_a_box_is_where_it_is_calculated_to_be():
    """Its front face is half a metre off, a metre wide, and the picture is 2.1 metres wide there."""
    picture = Rasteriser(box()).draw(np.zeros((1, 1)), ahead(0.5 + 1.05, fov=90.0), 64)[0]
    seen = (picture != 255).any(axis=-1)
    corners = np.arange(65) / 64 * 2.1 - 1.05  # m, across and down; samples are taken at the lower left of each cell
    within = np.abs(corners) < 0.5
    np.testing.assert_array_equal(seen, within[1:, None] & within[:-1])
    light = PLAIN.light
    lambert = light.ambient_strength + light.strength * -light.direction[0]  # it faces back along x
    np.testing.assert_allclose(
        picture[seen] / 255, np.tile(lambert * np.array([1.0, 0.5, 0.0]), (seen.sum(), 1)), atol=1 / 255
    )


def test_no_sample_is_lost_on_a_diagonal():
    rng = np.random.default_rng(0)
    for _ in range(200):
        side, distance, fov = rng.uniform((0.3, 2.0, 20.0), (1.0, 5.0, 60.0))
        picture = Rasteriser(box((side, side, side))).draw(np.zeros((1, 1)), ahead(distance, fov=fov), 64)[0]
        seen = (picture != 255).any(axis=-1)
        rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
        assert seen[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all(), (side, distance, fov)


def test_a_pixel_is_the_mean_of_its_samples():
    sharp = Rasteriser(box()).draw(np.zeros((1, 1)), ahead(2.1, fov=60.0), 128)[0].astype(float)
    smooth = Rasteriser(box()).draw(np.zeros((1, 1)), ahead(2.1, fov=60.0, samples=4), 32)[0]
    means = sharp.reshape(32, 4, 32, 4, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(smooth, means, atol=0.5)
    assert len(np.unique(smooth[..., 2])) > 2


@pytest.mark.parametrize("size", [17, 64])
def test_no_sample_is_lost_between_triangles(size):
    """A wall of many triangles, which fills the picture."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        body = box(size=(0.2, 40.0, 40.0), at=tuple(rng.uniform(-0.3, 0.3, 3)))
        camera = replace(ahead(2.0), eye=tuple(rng.uniform((-3, -1, -1), (-2, 1, 1))), samples=2)
        assert (Rasteriser(body).draw(np.zeros((1, 1)), camera, size) != 255).any(axis=-1).all()


def test_what_reaches_behind_the_camera_is_cut_at_the_near_plane():
    """A floor below the camera, from behind it to the horizon: the lower half of the picture."""
    floor = box(size=(1000.0, 1000.0, 0.2), at=(0.0, 0.0, -1.1))
    picture = Rasteriser(floor).draw(np.zeros((1, 1)), ahead(1.0, fov=90.0), 64)[0]
    seen = (picture != 255).any(axis=-1)
    assert seen[33:].all()
    assert not seen[:32].any()


@pytest.mark.parametrize("size", [64, 256])
def test_no_sample_is_lost_on_the_diagonal_of_a_floor_that_is_cut(size):
    """Its corners lie far outside the picture, and numbers are the less exact the larger they are."""
    floor = Scene("floor", floor=Texture(first=(0.0, 0.0, 0.0)), background=Texture(first=(0.0, 1.0, 0.0)))
    ours = Rasteriser(box(size=(0.01, 0.01, 0.01)))
    for eye in ((2.0, 2.0, 2.0), (1.0, -1.0, 0.5), (-3.0, 3.0, 1.0), (-2.0, -2.0, 2.0)):
        camera = Camera("above", eye, (0.0, 0.0, 0.2), fov=52.0, samples=2)
        lower = ours.draw(np.zeros((1, 1)), camera, size, (floor,))[0, 3 * size // 4 :]
        assert (lower[..., 1] < 50).all(), eye


@pytest.mark.parametrize("far", [1e5, 1e19, 1e300, np.inf])
def test_a_place_far_outside_the_picture_is_beyond_its_last_sample(far):
    assert kernel._cell(far, 0.5, 64) == 64
    assert kernel._cell(-far, 0.5, 64) == 0


def test_a_cameras_direction_counts_and_not_its_length():
    expected = Rasteriser(box()).draw(np.zeros((1, 1)), ahead(3.0), 16)
    for up in ((0.0, 0.0, 1e-12), (0.0, 0.0, 1e300)):
        np.testing.assert_array_equal(
            Rasteriser(box()).draw(np.zeros((1, 1)), replace(ahead(3.0), up=up), 16), expected
        )
    with pytest.raises(UserError, match="stands or looks farther away than 1e"):
        Rasteriser(box()).draw(np.zeros((1, 1)), replace(ahead(3.0), target=(1e200, 0.0, 0.0)), 16)


@pytest.mark.parametrize("renderer", ["raster", "tiny"])
@pytest.mark.parametrize("size", [0, -1, 2.5])
def test_a_picture_of_no_size_is_refused(kuka, renderer, size):
    camera = replace(OURS, renderer=renderer)
    for film in (lambda: kuka.film(camera, size), lambda: kuka.film_at(np.zeros((1, kuka.arm.joints)), camera, size)):
        with pytest.raises(UserError, match=f"a picture of {size}x{size} pixels, expected 1 or more a side"):
            film()


def test_a_joint_that_slides_is_refused(tmp_path):
    inertia = '<inertia ixx="1" ixy="0" ixz="0" iyy="1" iyz="0" izz="1"/>'
    link = f'<link name="{{}}"><inertial><mass value="1"/>{inertia}</inertial></link>'
    joint = (
        '<joint name="rail" type="prismatic"><parent link="base"/><child link="cart"/><axis xyz="1 0 0"/>'
        '<limit lower="-1" upper="1" effort="1" velocity="1"/></joint>'
    )
    path = tmp_path / "cart.urdf"
    path.write_text(f'<robot name="cart">{link.format("base")}{link.format("cart")}{joint}</robot>')
    bullet = Bullet(path)
    with pytest.raises(UserError, match="joint rail does not turn"):
        bullet.links()
    bullet.close()


def test_nothing_is_seen_of_what_is_too_near_or_behind():
    for distance in (0.5 + NEAR / 2, -2.0):
        camera = replace(ahead(1.0), eye=(-distance, 0.0, 0.0), target=(-distance + 1.0, 0.0, 0.0))
        assert (Rasteriser(box()).draw(np.zeros((1, 1)), camera, 16) == 255).all()


def test_a_camera_within_the_arm_is_not_filmed_with(kuka):
    within = Camera("within", eye=(0.0, 0.0, 0.2), target=(-1.0, 0.0, 0.2), renderer="raster")
    said = "takes the same picture of two poses: it does not see the arm|takes blank pictures"  # a Panda is all white
    with pytest.raises(UserError, match=said):
        kuka.film_at(np.zeros((1, kuka.arm.joints)), within, 32)


def test_the_nearest_is_seen_whatever_the_order():
    behind, before = (
        Shape("box", None, (0.2, 1.0, 1.0), np.column_stack([np.eye(3), (x, 0.0, 0.0)]), colour)
        for x, colour in ((1.0, (1.0, 0.0, 0.0)), (0.0, (0.0, 0.0, 1.0)))
    )
    pictures = []
    for shapes in ((behind, before), (before, behind)):
        links = [Link("boxes", -1, 0, STILL, np.array([0.0, 0.0, 1.0]), shapes)]
        pictures.append(Rasteriser(body_of(links)).draw(np.zeros((1, 1)), ahead(3.0), 32)[0])
    np.testing.assert_array_equal(*pictures)
    assert pictures[0][16, 16, 2] > 0
    assert not pictures[0][16, 16, :2].any()


def test_links_are_identified_as_bullet_does(kuka, poses):
    ids = kuka.rasteriser.identify(poses, OURS, 64)
    client = kuka._bullet._client
    for pose, seen in zip(poses[:20], ids, strict=False):
        kuka.reset(pose)
        view = _matrices(OURS.eye, OURS.target, OURS.up, OURS.fov)
        flags = {"flags": client.ER_SEGMENTATION_MASK_OBJECT_AND_LINKINDEX, "renderer": client.ER_TINY_RENDERER}
        theirs = np.reshape(client.getCameraImage(64, 64, *view, **flags)[4], (64, 64))
        links = np.where(theirs < 0, -1, theirs >> 24)  # object, and link + 1, as ours: the base is 0
        assert (seen == links).mean() > 0.999
    assert len(kuka.links) == ids.max() + 1
    assert kuka.links[0] == "base"
    assert (ids == 0).any(axis=(1, 2)).mean() > 0.95  # the base stands in nearly every picture: a Panda folds before it


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_pictures_are_the_same_whatever_the_threads(threads):
    poses = poses_of("iiwa", 6 * CHUNK)
    expected = np.concatenate([Rasteriser(body_of_file("kuka/iiwa.urdf")).draw(pose[None], OURS, 32) for pose in poses])
    several = Rasteriser(body_of_file("kuka/iiwa.urdf"), threads)
    np.testing.assert_array_equal(several.draw(poses, OURS, 32), expected)
    np.testing.assert_array_equal(several.draw(poses[:3], OURS, 32), expected[:3])  # over what stood there before


def test_an_arm_films_with_either(kuka, poses):
    np.testing.assert_array_equal(kuka.film_at(poses, OURS, 32), kuka.rasteriser.draw(poses, OURS, 32))
    np.testing.assert_allclose(kuka.joint_states()[0], poses[-1], atol=1e-12)
    np.testing.assert_array_equal(kuka.film(OURS, 32), kuka.film_at(poses, OURS, 32)[-1])
    apart = kuka.film(replace(OURS, renderer="tiny"), 32).astype(int) - kuka.film(OURS, 32)
    assert 0 < np.abs(apart).mean() < 0.5
    with pytest.raises(UserError, match="renderer 'egl', expected one of raster, tiny"):
        kuka.film(replace(OURS, renderer="egl"), 32)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_many_environments_film_as_one_does(workers):
    settings = {
        "references": [Reference.from_joints(np.linspace(-0.3, 0.3, 4)[:, None].repeat(7, axis=1))],
        "camera": OURS,
        "image_size": 24,
        "start_noise": 0.2,
    }
    alone, many = KukaEnv(**settings), KukaVectorEnv(3, workers, **settings)
    seen, _ = many.reset(seed=5)
    frames = [seen["image"]]
    for _ in range(4):  # beyond the end of the reference
        seen, _, _, truncated, infos = many.step(np.full((3, 7), 0.5))
        frames.append(seen["image"])
        if truncated.any():
            last = infos["final_obs"][1]["image"]
    expected, _ = alone.reset(seed=6)
    for frame in frames:
        np.testing.assert_array_equal(frame[1], expected["image"])
        expected, _, _, truncated, _ = alone.step(np.full(7, 0.5))
        if truncated:
            np.testing.assert_array_equal(last, expected["image"])
            expected, _ = alone.reset()
    assert len({frame[1].tobytes() for frame in frames}) > 3
    many.close()
    alone.close()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "arm.obj"),
        ("v 0 0 0\nv 1 0 0\nv 0 1 0\n", "arm.obj: a mesh without triangles"),
        ("v 0 0 0\nv 1 0 nan\nv 0 1 0\nf 1 2 3\n", "arm.obj: a mesh with vertices that are no numbers"),
        ("solid", "arm.obj"),
    ],
)
def test_what_is_no_mesh_is_one_line(tmp_path, content, message):
    path = tmp_path / "arm.obj"
    path.write_text(content)
    shape = Shape("mesh", path, (1.0, 1.0, 1.0), STILL, (1.0, 1.0, 1.0))
    with pytest.raises(UserError, match=message):
        body_of([Link("arm", -1, 0, STILL, np.array([0.0, 0.0, 1.0]), (shape,))])


def test_a_mirrored_mesh_is_seen_from_outside_too(tmp_path):
    path = tmp_path / "triangle.obj"
    path.write_text("v 0 -1 -1\nv 0 0 1\nv 0 1 -1\nf 1 2 3\n")  # seen from where x is negative
    seen = []
    for scale in ((1.0, 1.0, 1.0), (1.0, -1.0, 1.0), (-1.0, 1.0, 1.0)):
        shape = Shape("mesh", path, scale, STILL, (0.0, 0.0, 0.0))
        body = body_of([Link("arm", -1, 0, STILL, np.array([0.0, 0.0, 1.0]), (shape,))])
        seen.append((Rasteriser(body).draw(np.zeros((1, 1)), ahead(3.0), 32) != 255).sum())
    assert seen[0] == pytest.approx(seen[1], rel=0.1)
    assert seen[0] > 0
    assert seen[2] == 0  # it faces away


def test_what_was_compiled_and_cannot_be_read_is_one_line(monkeypatch):
    def broken(*args):
        raise error

    broken.stats = kernel.draw.stats
    monkeypatch.setattr(kernel, "draw", broken)
    errors = (EOFError, ModuleNotFoundError, AttributeError, RecursionError, OverflowError)
    damaged = UnicodeDecodeError("utf-8", b"x", 0, 1, "Ran out of input")  # as bytes are that were changed
    for error in (damaged, *(kind("Ran out of input") for kind in errors)):
        broken.signatures = []
        with pytest.raises(UserError, match=r"can't be kept there, or read .*Ran out of input.*NUMBA_CACHE_DIR"):
            Rasteriser(box()).draw(np.zeros((1, 1)), OURS, 8)
        broken.signatures = kernel.identify.signatures or ["one"]  # read already: what is raised is of something else
        with pytest.raises(type(error)):
            Rasteriser(box()).draw(np.zeros((1, 1)), OURS, 8)


def test_an_arm_of_which_nothing_is_seen_is_refused(tmp_path):
    path = tmp_path / "flat.obj"
    path.write_text("v 0 0 0\nv 1 0 0\nv 2 0 0\nf 1 2 3\n")
    flat = Shape("mesh", path, (1.0, 1.0, 1.0), STILL, (0.0, 0.0, 0.0))
    with pytest.raises(UserError, match="none of its triangles has an area"):
        body_of([Link("arm", -1, 0, STILL, np.array([0.0, 0.0, 1.0]), (flat,))])
    with pytest.raises(UserError, match="nothing is seen of the arm: none of its 1 links has a mesh"):
        body_of([Link("arm", -1, 0, STILL, np.array([0.0, 0.0, 1.0]), ())])


def test_what_cannot_be_drawn_is_refused():
    ours = Rasteriser(box())
    with pytest.raises(UserError, match="a picture of 0x0 pixels"):
        ours.draw(np.zeros((1, 1)), OURS, 0)
    for draw in (ours.draw, ours.identify):
        with pytest.raises(UserError, match="camera 'front' has the renderer 'tiny', expected raster"):
            draw(np.zeros((1, 1)), replace(OURS, renderer="tiny"), 8)
    with pytest.raises(UserError, match=r"poses of shape \(1, 7\), expected \(n, 1\)"):
        ours.draw(np.zeros((1, 7)), OURS, 8)
    for wrong in (np.nan, np.inf):
        with pytest.raises(UserError, match="poses that are no numbers"):
            ours.draw(np.array([[wrong]]), OURS, 8)
    with pytest.raises(UserError, match="it has no direction"):
        ours.draw(np.zeros((1, 1)), replace(OURS, eye=(0.0, 0.0, 1.0), target=(0.0, 0.0, 0.0)), 8)


@pytest.mark.parametrize("kind", ["sphere", "cylinder", "capsule"])
def test_shapes_without_a_mesh_are_drawn(kind):
    shape = Shape(kind, None, (0.5, 0.5, 0.0), STILL, (0.0, 0.0, 0.0))
    body = body_of([Link("arm", -1, 0, STILL, np.array([0.0, 0.0, 1.0]), (shape,))])
    seen = (Rasteriser(body).draw(np.zeros((1, 1)), ahead(3.0, fov=40.0), 64)[0] != 255).any(axis=-1)
    metres = 2 * 3.0 * np.tan(np.radians(20)) / 64  # a pixel, at the distance of its middle
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    assert len(columns) * metres == pytest.approx(1.0, abs=0.1)
    assert len(rows) * metres == pytest.approx({"sphere": 1.0, "cylinder": 0.5, "capsule": 1.5}[kind], abs=0.15)
    assert rows.mean() == pytest.approx(31.5, abs=1)


ALONE = """
import sys
import numpy as np
from imitate.envs.rendering import kernel
from imitate.envs.rendering.rasteriser import Rasteriser
sys.path.insert(0, {tests!r})
from test_rasteriser import ahead, box
print(Rasteriser(box()).draw(np.zeros((1, 1)), ahead(2.0), 8).sum(), kernel.draw.stats.cache_path)
"""


@pytest.mark.slow
def test_compiled_once(tmp_path):
    """By two processes at once, and not by a third."""
    cache = tmp_path / "cache"
    code = ALONE.format(tests=str(Path(__file__).parent))

    def start(**env):
        return subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=os.environ | env, cwd=ASSETS.parent
        )

    both = [start(NUMBA_CACHE_DIR=str(cache)) for _ in range(2)]
    said = {process.communicate()[0] for process in both}
    assert [process.returncode for process in both] == [0, 0]
    kept = {path: path.stat().st_mtime_ns for path in cache.rglob("*.nbc")}
    assert kept
    third = start(NUMBA_CACHE_DIR=str(cache))
    said.add(third.communicate()[0])
    assert len(said) == 1
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*.nbc")} == kept


def test_compiled_where_nothing_can_be_kept_too(monkeypatch):
    real = kernel.njit

    def nowhere(cache=False, **options):
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return real(**options)

    monkeypatch.setattr(kernel, "njit", nowhere)
    assert kernel.compiled(lambda number: number + 1)(1) == 2
