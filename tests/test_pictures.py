"""A renderer that is broken shows before anything is learned from, or recorded of, its pictures."""

from dataclasses import replace

import numpy as np
import pytest

from imitate.envs.cameras import CAMERAS
from imitate.envs.kuka import ARMS, Kuka
from imitate.envs.kuka_env import KukaEnv
from imitate.envs.vector import KukaVectorEnv
from imitate.errors import UserError
from imitate.keeping.runs import Stage
from imitate.pipelines import record
from imitate.pipelines.torturing.subject import RECORD

TINY = replace(CAMERAS["front"], renderer="tiny")  # whose pictures come from a library


def blank(picture):
    return np.full_like(picture, 255)


def stale(picture, first=[]):  # noqa: B006 (what it remembers is the fault)
    first.append(picture)
    return first[0]


def as_tuple(picture):
    return tuple(picture.ravel().tolist())


def as_floats(picture):
    return picture / 255


def small(picture):
    return picture[:-1]


FAULTS = {
    "blank": (blank, "takes blank pictures"),
    "stale": (stale, "takes the same picture of two poses"),
    "tuple": (as_tuple, r"PyBullet draws a tuple, expected a uint8 array of \(64, 64, 4\): it was built without NumPy"),
    "floats": (as_floats, "PyBullet draws .*float64.*, expected a uint8 array"),
    "small": (small, r"PyBullet draws \(\(63, 64, 4\).*, expected a uint8 array"),
}


@pytest.fixture(params=FAULTS)
def message(request, monkeypatch):
    """What is said of a renderer with a fault."""
    fault, said = FAULTS[request.param]
    kuka = Kuka("iiwa")
    made = type(kuka._bullet._client)
    kuka.close()
    client = made.__getattr__

    def broken(self, name):
        attribute = client(self, name)
        if name != "getCameraImage":
            return attribute

        def draw(*args, **kwargs):
            picture = attribute(*args, **kwargs)
            return (*picture[:2], fault(picture[2]), *picture[3:])

        setattr(self, name, draw)  # a client looks a function up once
        return draw

    monkeypatch.setattr(made, "__getattr__", broken)
    stale.__defaults__[0].clear()
    return said


@pytest.mark.parametrize("make", [KukaEnv, lambda **kwargs: KukaVectorEnv(2, **kwargs)], ids=["one", "many"])
def test_an_environment_does_not_start(message, make):
    with pytest.raises(UserError, match=message) as error:
        make(image_size=32, camera=TINY)
    assert len(str(error.value).splitlines()) == 1


def test_a_recording_does_not_start(message, tmp_path):
    settings = replace(RECORD, renderer="tiny")
    with pytest.raises(UserError, match=message):
        record.record_file(settings, record.layout_of(settings), Stage(tmp_path / "new"), 0)
    assert not (tmp_path / "new").exists()


def test_nothing_is_imagined(message):
    kuka = Kuka()
    with pytest.raises(UserError, match=message):
        kuka.film_at(np.zeros((2, 7)), TINY, 32)
    kuka.close()


@pytest.mark.parametrize("arm", sorted(ARMS))
@pytest.mark.parametrize("camera", sorted(CAMERAS))
def test_all_cameras_see_all_arms(arm, camera):
    kuka = Kuka(arm)
    kuka.check_pictures(CAMERAS[camera], 16)
    kuka.close()


def test_a_camera_that_looks_away_is_told():
    away = replace(CAMERAS["front"], target=tuple(2 * e for e in CAMERAS["front"].eye))
    with pytest.raises(UserError, match=r"it looks away from the arm|it does not see the arm"):
        KukaEnv(camera=away)


def test_the_check_changes_nothing_of_what_follows(monkeypatch):
    def steps():
        env = KukaEnv(image_size=32)
        env.reset(seed=0)
        rng = np.random.default_rng(0)
        seen = [env.step(rng.uniform(-1, 1, 7))[0] for _ in range(5)]
        env.close()
        return seen

    checked = steps()
    monkeypatch.setattr(Kuka, "check_pictures", lambda *args: None)
    for one, other in zip(checked, steps(), strict=True):
        for key in one:
            np.testing.assert_array_equal(one[key], other[key])
