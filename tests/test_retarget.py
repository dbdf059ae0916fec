import xml.etree.ElementTree as ElementTree
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from domains import USUAL

from imitate.data.demonstration import Demonstration
from imitate.data.domain import Domain
from imitate.data.video.reader import read_video
from imitate.data.video.writer import write_video
from imitate.embedding.encoders import build_encoder
from imitate.embedding.pose_head import PoseHead
from imitate.embedding.trained_encoder import TrainedEncoder, load_encoder
from imitate.envs.cameras import CAMERAS
from imitate.envs.imagination import within_reach
from imitate.envs.kuka import ARMS, ASSETS, CONTROL_HZ, Kuka, body_of
from imitate.envs.landmarks import number_of
from imitate.envs.retargeting import as_own, retargeted
from imitate.envs.watching import Watched
from imitate.errors import UserError
from imitate.keeping.runs import read_json
from imitate.pipelines import benchmark_follow, retarget
from imitate.pipelines.benchmarking import filming
from imitate.pipelines.shared.reading import GUESSES

SIZE, LENGTH, FRONT = 32, 30, CAMERAS["front"]
PANDA, IIWA = ARMS["panda"], ARMS["iiwa"]
START, END = np.array([0.0, 0.0, 0.0, -1.6, 0.0, 1.6, 0.0]), np.array([0.8, 0.5, 0.2, -1.2, 0.3, 1.9, 0.4])


def way_of(arm, poses):
    with closing(Kuka(arm)) as kuka:
        return kuka.flange_positions(poses)


def apart(way, poses, arm=IIWA):
    return np.linalg.norm(way_of(arm, poses) - way, axis=1)


@pytest.fixture(scope="module")
def shown():
    """What a Panda does, in the midst of its range: poses (length, joints), rad."""
    along = np.sin(np.linspace(0.0, np.pi / 2, LENGTH))[:, None]
    return START + along * (END - START)


@pytest.fixture(scope="module")
def knows_panda(tmp_path_factory):
    """The folder of an untrained encoder of the Panda."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("panda") / "encoder"
    module = build_encoder("residual", SIZE, 32, number_of(PANDA, body_of(PANDA.file)))
    TrainedEncoder("residual", module, SIZE, 32, FRONT, PoseHead(32, 7), domain=Domain()).save(folder)
    return folder


@pytest.fixture
def reads(shown, monkeypatch):
    """Reads the poses of the Panda off any video, to a centimetre."""

    def watch(demonstration, mind):
        assert mind.arm == "panda"
        return Watched(shown[: len(demonstration)] + 0.01, FRONT)

    monkeypatch.setitem(GUESSES, "imagination", replace(GUESSES["imagination"], watch=watch))


def test_a_flange_goes_the_way_of_another_arms_hand(shown):
    way = way_of(PANDA, shown)
    poses = retargeted(way, IIWA)
    assert poses.shape == (LENGTH, 7)
    assert apart(way, poses).max() < 0.005
    assert np.abs(np.diff(poses, axis=0)).max() * CONTROL_HZ < 3.0  # rad/s: it does not jump
    np.testing.assert_array_equal(poses, within_reach(poses, IIWA))


def test_it_begins_where_the_robot_stands(shown):
    way = way_of(PANDA, shown)
    first = retargeted(way, IIWA)[0]
    other = first.copy()  # another posture, in which the flange is elsewhere
    other[[2, 6]] += 0.3, 0.4
    for begun in (first, other):
        poses = retargeted(way_of(IIWA, begun[None]) + way - way[0], IIWA, begun)
        np.testing.assert_allclose(poses[0], begun, atol=0.05)


def test_what_is_out_of_reach_is_approached():
    near = way_of(IIWA, np.tile([0.3, 0.6, 0.0, -0.8, 0.0, 0.5, 0.0], (10, 1)))
    shoulder = np.array([0.0, 0.0, 0.36])
    far = shoulder + 3.0 * (near - shoulder)
    poses = retargeted(far, IIWA)
    reached = way_of(IIWA, poses) - shoulder
    assert np.isfinite(poses).all()
    direction = (far - shoulder) / np.linalg.norm(far - shoulder, axis=1, keepdims=True)
    assert (np.sum(reached * direction, axis=1) > 0.75).all()  # stretched out that way
    assert np.abs(np.diff(poses, axis=0)).max() < 0.05


def test_a_demonstration_by_another_arm_becomes_ones_own(shown, knows_panda, encoder):
    frames = np.zeros((LENGTH, SIZE, SIZE, 3), np.uint8)
    believed = shown + 0.02
    own = as_own(Demonstration("theirs", frames, shown, believed), PANDA, IIWA, encoder)
    assert apart(way_of(PANDA, believed), own.believed).max() < 0.005
    assert apart(way_of(PANDA, shown), own.joints).max() < 0.005
    assert np.abs(own.believed - own.joints).max() < 0.4  # in one posture
    with closing(Kuka()) as kuka:
        np.testing.assert_array_equal(own.frames, kuka.film_at(own.believed, FRONT, SIZE))
    bare = as_own(Demonstration("theirs", frames, None, believed), PANDA, IIWA, encoder)
    assert bare.joints is None


def test_a_video_of_a_panda_becomes_one_of_the_robot(shown, knows_panda, reads, tmp_path, capsys):
    with closing(Kuka("panda")) as panda:
        write_video(tmp_path / "panda.mp4", panda.film_at(shown, FRONT, SIZE), CONTROL_HZ)
    asked = retarget.Settings(run=tmp_path / "run", demo=str(tmp_path / "panda.mp4"), encoder=knows_panda, workers=1)
    stage = retarget.run(asked)
    video = read_video(stage.path("retargeted.mp4")).frames
    own = retargeted(way_of(PANDA, shown + 0.01), IIWA)
    with closing(Kuka()) as kuka:
        assert np.abs(video.astype(int) - kuka.film_at(own, FRONT, SIZE)).mean() < 2.0
    assert stage.metrics["unreached_m"] < 0.005
    assert "ee_error_m" not in stage.metrics
    np.testing.assert_allclose(read_json(stage.path("poses.json"))["joints"], shown + 0.01)
    for name in ("side_by_side.mp4", "side_by_side.png", "believed.mp4"):
        assert stage.path(name).is_file()
    said = capsys.readouterr().out
    assert "0.000 m from the way that is believed" in said
    assert f"follow it with --demo {stage.path('retargeted.mp4')}" in said
    retarget.run(asked)
    assert "is there already" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"shows": "iiwa"}, "shows is iiwa, the robot's own arm: 'follow' follows that"),
        ({"shows": "ur5"}, "unknown arm 'ur5': choose one of"),
        ({"shows": "iiwa_gripper"}, "trained on an arm of 7 joints, expected the 12"),
        ({"encoder": ASSETS / "open"}, "the encoder was trained on the arm iiwa, expected panda: name one of that"),
        ({"encoder": ASSETS / "encoder"}, "the encoder was trained on the arm iiwa, expected panda"),
        ({"demo": "no.mp4"}, "no.mp4: no such video file"),
    ],
)
def test_what_can_not_be_retargeted(settings, said, knows_panda, tmp_path):
    asked = {"run": tmp_path / "run", "demo": "no.mp4", "encoder": knows_panda, **settings}
    with pytest.raises(UserError, match=said):
        retarget.run(retarget.Settings(**asked))
    assert not (tmp_path / "run").exists()


def test_an_encoder_that_keeps_no_name_is_told_by_its_landmarks(tmp_path):
    for name, found in (("open", 11), ("encoder", 0)):
        replace(load_encoder(ASSETS / name), arm=None).save(tmp_path / name)
        said = f"finds {found} landmarks, expected the 12 of panda: one of 'embed open --arm panda'"
        with pytest.raises(UserError, match=said):
            retarget.run(retarget.Settings(run=tmp_path / "run", encoder=tmp_path / name))


def test_a_camera_is_looked_for_only_by_who_knows_many(knows_panda, tmp_path):
    one = load_encoder(knows_panda)
    replace(one, domain=USUAL).save(tmp_path / "one")
    with pytest.raises(UserError, match=r"no-camera-known: the encoder .* knows one camera only"):
        retarget.run(retarget.Settings(run=tmp_path / "run", encoder=tmp_path / "one", camera_known=False))
    assert not (tmp_path / "run").exists()


def test_many_demonstrations_by_another_arm(knows_panda, tmp_path, monkeypatch):
    small = replace(filming.RECORD, held_out_frames=40, held_out_travel=0.0)
    monkeypatch.setattr(filming, "RECORD", small)

    def read(demonstration, mind):
        assert mind.arm == "panda"
        return Watched(demonstration.joints + 0.01, FRONT)

    monkeypatch.setitem(GUESSES, "imagination", replace(GUESSES["imagination"], watch=read))
    monkeypatch.setattr(benchmark_follow, "worked_off", lambda jobs, *_: (yield from (job() for job in jobs)))
    asked = benchmark_follow.Settings(
        run=tmp_path,
        encoder=ASSETS / "encoder",
        policy="direct",
        demos=1,
        shows="panda",
        shown_encoder=knows_panda,
        conditions=("plain",),
        jobs=1,
    )
    (row,) = benchmark_follow.run(asked).rows
    assert row["ee_error_m"] < 0.05 < row["hold_still_ee_error_m"]
    for wrong, said in (
        ({"shown_encoder": None}, "shows is panda, expected another arm than the robot's, and its --shown-encoder"),
        ({"shows": ""}, "unknown shows ''"),
        ({"conditions": ("textured",)}, "condition textured is of the robot's own arm"),
        ({"guess": "head"}, "the poses of panda are imagined, expected no other guess and no practice"),
        ({"practice": 2048}, "the poses of panda are imagined"),
        ({"shown_encoder": ASSETS / "encoder"}, "the encoder was trained on the arm iiwa, expected panda"),
    ):
        with pytest.raises(UserError, match=said):
            benchmark_follow.run(replace(asked, name="other", **wrong))


def test_the_panda_is_all_in_one_piece():
    """Its fingers are of its hand, and what is drawn of each link is there."""
    root = ElementTree.parse(ASSETS / "panda/panda.urdf").getroot()
    links = {link.get("name") for link in root.findall("link")}
    assert links == {*(f"panda_link{number}" for number in range(8)), "panda_hand"}
    meshes = {Path(mesh.get("filename")) for mesh in root.iter("mesh")}
    assert all((ASSETS / "panda" / mesh).is_file() for mesh in meshes)
    assert len(root.findall("link[@name='panda_hand']/visual")) == 3
    with closing(Kuka("panda")) as panda:
        middle = (np.array(PANDA.lower) + PANDA.upper) / 2
        assert panda.flange_positions(middle[None])[0] == pytest.approx([0.55, 0.0, 0.59], abs=0.1)
