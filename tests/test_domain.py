import json
import re
from dataclasses import fields, replace

import numpy as np
import pytest
from domains import USUAL

from imitate.data.camera import Camera
from imitate.data.domain import FACTORS, NOMINAL, WIDEST, Domain
from imitate.data.viewpoint import STEEPEST
from imitate.envs.cameras import CAMERAS
from imitate.errors import UserError

FRONT = CAMERAS["front"]
WIDE = Domain(azimuth=(-150.0, 150.0), elevation=(-40.0, 30.0), distance=(0.5, 2.0), aim=(-0.3, 0.3), zoom=(0.6, 1.6))


def test_a_camera_that_is_drawn_is_within_the_domain():
    rng = np.random.default_rng(0)
    for domain in (Domain(), WIDE):
        for _ in range(200):
            drawn = domain.draw_camera(FRONT, rng)
            assert domain.differences(FRONT, drawn) == []
            assert drawn.samples == FRONT.samples
            assert drawn.renderer == FRONT.renderer
    assert any(Domain().differences(FRONT, WIDE.draw_camera(FRONT, rng)) for _ in range(10))


def test_cameras_are_drawn_from_all_over_the_ranges():
    rng = np.random.default_rng(0)
    drawn = [WIDE.draw_camera(FRONT, rng) for _ in range(500)]
    for name in ("azimuth", "elevation", "distance", "zoom"):
        for half in (0, 1):  # a domain of half of the range holds half of the cameras
            ends = list(getattr(WIDE, name))
            ends[half] = NOMINAL.get(name, 0.0)
            within = [not replace(WIDE, **{name: tuple(ends)}).differences(FRONT, camera) for camera in drawn]
            low, high = np.log(getattr(WIDE, name)) if name in FACTORS else getattr(WIDE, name)
            share = (high if half == 0 else -low) / (high - low)
            assert np.mean(within) == pytest.approx(share, abs=0.08), name


def test_nothing_varies_where_each_range_is_one_number():
    drawn = USUAL.draw_camera(FRONT, np.random.default_rng(0))
    np.testing.assert_allclose(drawn.eye, FRONT.eye, atol=1e-9)
    np.testing.assert_allclose(drawn.target, FRONT.target, atol=1e-9)
    assert drawn.fov == FRONT.fov
    assert USUAL.differences(FRONT, FRONT) == []
    assert all(np.all(USUAL.draw(name, np.random.default_rng(0), (3,)) == NOMINAL.get(name, 0.0)) for name in WIDEST)


def test_a_camera_does_not_look_along_what_is_up():
    steep = Domain(elevation=(-90.0, 90.0), distance=(0.5, 2.0))
    rng = np.random.default_rng(0)
    for _ in range(100):
        camera = steep.draw_camera(FRONT, rng)
        away = np.array(camera.eye) - np.array(camera.target)
        assert abs(away[2]) <= np.sin(np.radians(STEEPEST)) * np.linalg.norm(away) + 1e-9
        assert steep.differences(FRONT, camera) == []
    above = replace(FRONT, eye=(0.05, -0.03, 2.7))
    assert steep.differences(FRONT, above) == ["looks more than 85 degrees down or up"]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"eye": (2.8, -1.2, 1.2)}, "distance 1.324, expected 0.85 to 1.18"),
        ({"eye": (-1.9, 1.2, 1.2)}, "azimuth -?180, expected -60 to 60"),
        ({"target": (0.0, 0.2, 0.45)}, "aim 0.2, expected -0.12 to 0.12"),
        ({"fov": 60.0}, "zoom 1.154, expected 0.95 to 1.05"),
        ({"up": (0.0, 1.0, 0.0)}, "up .0.0, 0.0, 1.0. != .0.0, 1.0, 0.0."),
        ({"samples": 1}, "samples 2 != 1"),
        ({"renderer": "tiny"}, "renderer raster != tiny"),
    ],
)
def test_what_is_outside_is_named(changed, said):
    differences = "; ".join(Domain().differences(FRONT, replace(FRONT, **changed)))
    assert re.search(said, differences), differences


def test_a_camera_of_which_nothing_is_known_is_outside():
    assert Domain().differences(FRONT, Camera.unknown("phone"))


def test_json_and_back():
    for domain in (Domain(), WIDE, USUAL, replace(Domain(), scenes=False)):
        assert Domain.from_json(json.loads(json.dumps(domain.to_json()))) == domain


@pytest.mark.parametrize("data", [None, 3, [], {}, {"light": [0.5, 1.0]}, Domain().to_json() | {"fog": [0, 1]}])
def test_what_is_no_domain_is_refused(data):
    with pytest.raises(UserError, match=r"not a domain: .*, expected aim, azimuth"):
        Domain.from_json(data)


@pytest.mark.parametrize("name", [field.name for field in fields(Domain) if field.name != "scenes"])
def test_a_range_that_is_none_is_refused_by_its_name(name):
    usual, (least, most) = NOMINAL.get(name, 0.0), WIDEST[name]
    wrong = [3, "wide", None, (1.0,), (1.0, 2.0, 3.0), (float("nan"), 1.0), ("a", "b"), (True, False)]
    for value in wrong:
        with pytest.raises(UserError, match=f"domain: {name} is .*, expected two numbers, its least and its most"):
            Domain(**{name: value})
    with pytest.raises(UserError, match=f"domain: {name} is from .*, which is empty: expected its least"):
        Domain(**{name: (usual + 0.1, usual)})
    with pytest.raises(UserError, match=f"domain: {name} is from .*, expected within"):
        Domain(**{name: (least, most + 1)})
    with pytest.raises(UserError, match=f"domain: {name} is from .*, expected to hold {usual:g}, the usual"):
        Domain(**{name: (usual + 0.1, usual + 0.2)})
    assert getattr(Domain(**{name: [usual, usual]}), name) == (usual, usual)  # a list, as JSON has it


def test_scenes_are_yes_or_no():
    with pytest.raises(UserError, match="domain: scenes is 'table', expected True or False"):
        Domain(scenes="table")
