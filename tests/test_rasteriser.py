"""Our renderer against PyBullet's, against what is known of simple bodies, and against itself."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from imitate.data.camera import Camera
from imitate.envs.cameras import CAMERAS
from imitate.envs.kuka import ARMS, ASSETS, Kuka, body_of_arm
from imitate.envs.kuka_env import KukaEnv, Reference
from imitate.envs.rendering import kernel
from imitate.envs.rendering.body import Link, Shape, body_of
from imitate.envs.rendering.rasteriser import CHUNK, NEAR, Rasteriser, plain_light, view_of
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
    body = body_of_arm(kuka.arm)
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


@pytest.mark.parametrize("name", [*CAMERAS, "near"])
def test_what_is_seen_is_what_bullet_draws(kuka, poses, name, monkeypatch):
    camera = CAMERAS[name] if name != "near" else Camera("near", (0.9, 0.5, 0.7), (0.0, 0.0, 0.5), fov=60.0, samples=2)
    theirs = kuka.film_at(poses, camera, 64)
    # It takes its samples at the corner of their cells, and turns the picture over: at the left, and below.
    corner = view_of(camera)._replace(across=0.0, down=1.0)
    monkeypatch.setattr("imitate.envs.rendering.rasteriser.view_of", lambda _: corner)
    ours = kuka.rasteriser.draw(poses, camera, 64)
    overlaps = [overlap(one, other) for one, other in zip(ours, theirs, strict=True)]
    assert min(overlaps) > 0.98
    assert np.mean(overlaps) > 0.999
    assert np.abs(ours.astype(int) - theirs).mean() < 0.5  # of 255: the light is alike too


def test_a_box_is_where_it_is_calculated_to_be():
    """Its front face is half a metre off, a metre wide, and the picture is two metres wide there."""
    picture = Rasteriser(box()).draw(np.zeros((1, 1)), ahead(1.5, fov=90.0), 64)[0]
    seen = (picture != 255).any(axis=-1)
    assert seen[16:48, 16:48].all()
    assert seen.sum() == 32**2
    light = plain_light()
    lambert = light.ambient + light.direct * -light.direction[0]  # it faces back along x
    np.testing.assert_allclose(picture[seen] / 255, np.tile(lambert * (1.0, 0.5, 0.0), (32**2, 1)), atol=1 / 255)


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


def test_nothing_is_seen_of_what_is_too_near_or_behind():
    for distance in (0.5 + NEAR / 2, -2.0):
        camera = replace(ahead(1.0), eye=(-distance, 0.0, 0.0), target=(-distance + 1.0, 0.0, 0.0))
        assert (Rasteriser(box()).draw(np.zeros((1, 1)), camera, 16) == 255).all()


def test_a_camera_within_the_arm_draws_something_or_says_so(kuka):
    within = Camera("within", eye=(0.0, 0.0, 0.2), target=(1.0, 0.0, 0.4), renderer="raster")
    picture = kuka.rasteriser.draw(np.zeros((1, kuka.arm.joints)), within, 32)
    assert picture.shape == (1, 32, 32, 3)


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


def test_links_are_identified(kuka, poses):
    ids = kuka.rasteriser.identify(poses, OURS, 64)
    drawn = kuka.rasteriser.draw(poses, replace(OURS, samples=1), 64)
    np.testing.assert_array_equal(ids >= 0, (drawn != 255).any(axis=-1))
    assert len(np.unique(ids)) >= kuka.arm.joints
    assert (ids[:, :, :] == 0).any(axis=(1, 2)).all()  # the base stands in every picture


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_pictures_are_the_same_whatever_the_threads(threads):
    poses = poses_of("iiwa", 6 * CHUNK)
    expected = np.concatenate([Rasteriser(body_of_arm(ARMS["iiwa"])).draw(pose[None], OURS, 32) for pose in poses])
    several = Rasteriser(body_of_arm(ARMS["iiwa"]), threads)
    np.testing.assert_array_equal(several.draw(poses, OURS, 32), expected)
    np.testing.assert_array_equal(several.draw(poses[:3], OURS, 32), expected[:3])  # over what stood there before


def test_an_arm_films_with_either(kuka, poses):
    np.testing.assert_array_equal(kuka.film_at(poses, OURS, 32), kuka.rasteriser.draw(poses, OURS, 32))
    np.testing.assert_allclose(kuka.joint_states()[0], poses[-1], atol=1e-12)
    np.testing.assert_array_equal(kuka.film(OURS, 32), kuka.film_at(poses, OURS, 32)[-1])
    apart = kuka.film(replace(OURS, renderer="tiny"), 32).astype(int) - kuka.film(OURS, 32)
    assert 0 < np.abs(apart).mean() < 5
    with pytest.raises(UserError, match="renderer 'egl', expected one of raster, tiny"):
        kuka.film(replace(OURS, renderer="egl"), 32)


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


def test_an_arm_of_which_nothing_is_seen_is_refused():
    with pytest.raises(UserError, match="nothing is seen of the arm: none of its 1 links has a mesh"):
        body_of([Link("arm", -1, 0, STILL, np.array([0.0, 0.0, 1.0]), ())])


def test_what_cannot_be_drawn_is_refused():
    ours = Rasteriser(box())
    with pytest.raises(UserError, match="a picture of 0x0 pixels"):
        ours.draw(np.zeros((1, 1)), OURS, 0)
    with pytest.raises(UserError, match=r"poses of shape \(1, 7\), expected \(n, 1\)"):
        ours.draw(np.zeros((1, 7)), OURS, 8)
    with pytest.raises(UserError, match="it has no direction"):
        ours.draw(np.zeros((1, 1)), replace(OURS, eye=(0.0, 0.0, 1.0), target=(0.0, 0.0, 0.0)), 8)


@pytest.mark.parametrize("kind", ["sphere", "cylinder", "capsule"])
def test_shapes_without_a_mesh_are_drawn(kind):
    shape = Shape(kind, None, (0.5, 0.5, 0.0), STILL, (0.0, 0.0, 0.0))
    body = body_of([Link("arm", -1, 0, STILL, np.array([0.0, 0.0, 1.0]), (shape,))])
    seen = (Rasteriser(body).draw(np.zeros((1, 1)), ahead(3.0, fov=40.0), 64)[0] != 255).any(axis=-1)
    across = seen.any(axis=0).sum() / 64 * 2 * 3.0 * np.tan(np.radians(20))  # m, at the distance of its middle
    assert across == pytest.approx(1.0, abs=0.1)


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
