import shutil
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from domains import USUAL

from imitate.data.camera import Camera
from imitate.data.demonstration import Demonstration
from imitate.data.domain import Domain
from imitate.data.lerobot.dataset import LeRobotDataset
from imitate.data.video.reader import read_video
from imitate.data.video.writer import write_video
from imitate.data.viewpoint import around_base, bearing, moved, turned
from imitate.embedding.encoders import build_encoder
from imitate.embedding.pose_head import PoseHead
from imitate.embedding.sequence_head import SequenceHead
from imitate.embedding.trained_encoder import TrainedEncoder, load_encoder
from imitate.envs import close_look, imagination, watching
from imitate.envs.cameras import CAMERAS
from imitate.envs.kuka import ARMS, ASSETS, Kuka, body_of
from imitate.envs.kuka_env import KukaEnv, Reference
from imitate.envs.landmarks import number_of
from imitate.envs.robot import Robot
from imitate.envs.room import Painter, Room, painters_of
from imitate.envs.scenes.scene import Scene
from imitate.envs.scenes.texture import Texture
from imitate.envs.studio import POSES, Studio
from imitate.envs.tcn_imitate import TCNImitateEnv
from imitate.errors import UserError
from imitate.keeping.runs import Stage, read_json, write_json
from imitate.pipelines import benchmark_follow, embed, follow, record
from imitate.pipelines.checking.views import held_out
from imitate.pipelines.embedding import blindness, open_world
from imitate.pipelines.embedding.teacher import Teacher
from imitate.pipelines.shared.belief import _displaced, _least_sure, outlined
from imitate.pipelines.shared.demo import load_demo, load_training
from imitate.pipelines.shared.embedded import View, frames_of
from imitate.pipelines.shared.policy import DIRECT, chosen, warn_if_lost
from imitate.pipelines.shared.reading import Mind
from imitate.pipelines.shared.rollout import PEOPLE, enlarged, film_demonstration
from imitate.reading.pose_tracking import Tracked

pytestmark = pytest.mark.slow
SIZE, FRONT, LANDMARKS = 32, CAMERAS["front"], number_of(ARMS["iiwa"], body_of("kuka/iiwa.urdf"))
FIRST = 5  # looks that a video is begun with, if nothing is sure


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """Moments that are measured on."""
    monkeypatch.setattr(blindness, "STEPS", 1)
    monkeypatch.setattr(blindness, "MOMENTS", 24)


@pytest.fixture
def tiny(tmp_path):
    return open_world.Settings(run=tmp_path / "run", image_size=SIZE, steps=4, moments=8)


@pytest.fixture(scope="module")
def blind():
    """An untrained encoder that says it has become blind to all that it may be."""
    torch.manual_seed(0)
    module = build_encoder("residual", SIZE, 32, LANDMARKS)
    trained = TrainedEncoder("residual", module, SIZE, 32, FRONT, PoseHead(32, 7), domain=Domain())
    return trained.to(torch.device("cpu"))


def test_what_is_drawn_meanwhile_is_learned(tmp_path):
    """Pairs of one moment find each other, and landmarks their places, on scenes that were not learned from."""
    settings = open_world.Settings(
        run=tmp_path, image_size=SIZE, objective="infonce", steps=150, moments=24, learning_rate=4e-3,
        self_regression=50.0, landmark_weight=50.0,
    )  # fmt: skip
    narrow = replace(settings, domain=replace(Domain(), scenes=False, covered=(0.0, 0.0), light=(0.8, 1.2)))
    figures = open_world.run(narrow).metrics
    assert figures["open_landmark_error_px"] < 0.6 * figures["untrained_open_landmark_error_px"]
    assert figures["plain_joint_error_rad"] < 0.95 * figures["untrained_plain_joint_error_rad"]
    assert figures["nearest_ee_error_m"] < 0.8 * figures["untrained_nearest_ee_error_m"]


def test_the_encoder_says_what_it_is_blind_to(tiny, capsys):
    stage = open_world.run(tiny)
    assert "the same moment, seen plain" in capsys.readouterr().out
    trained = load_encoder(stage.path("encoder"))
    assert (trained.domain, trained.landmarks, trained.camera) == (Domain(), LANDMARKS, FRONT)
    assert trained.any_scene
    assert stage.path("seen.png").is_file()
    kept = read_json(stage.path("encoder") / "encoder.json")
    assert kept["domain"] == Domain().to_json()
    assert set(stage.metrics) >= {
        "plain_joint_error_rad",
        "open_landmark_error_px",
        "same_moment",
        "pixels_same_moment",
    }
    assert open_world.run(tiny).finished
    assert capsys.readouterr().out == f"{stage.folder} is trained already\n"


def test_a_stopped_training_learns_the_same(tiny, monkeypatch):
    monkeypatch.setattr("imitate.keeping.snapshot.SHARE", float("inf"))  # one each step
    whole = load_encoder(open_world.run(tiny).path("encoder"))
    other, steps = replace(tiny, run=tiny.run.parent / "other"), []
    step = torch.optim.AdamW.step

    def stopped(self, *args):
        steps.append(self)
        if len(steps) == 3:
            raise KeyboardInterrupt
        return step(self, *args)

    monkeypatch.setattr(torch.optim.AdamW, "step", stopped)
    with pytest.raises(KeyboardInterrupt):
        open_world.run(other)
    monkeypatch.setattr(torch.optim.AdamW, "step", step)
    again = load_encoder(open_world.run(other).path("encoder"))
    for key, value in whole.module.state_dict().items():
        torch.testing.assert_close(again.module.state_dict()[key], value, rtol=0, atol=0)


def test_the_teacher_sees_the_plain_frame_of_each_pose():
    teacher = Teacher(None, ARMS["iiwa"], FRONT, 32, torch.device("cpu"))
    studio = Studio(ARMS["iiwa"], FRONT, SIZE, Domain(), 0)
    takes = studio.takes(0, 2 * POSES, views=1)
    with closing(Kuka()) as kuka:
        plain = kuka.film_at(takes.joints, FRONT, 64)
    np.testing.assert_array_equal(teacher.draw(takes.joints), plain)
    shipped = load_encoder(ASSETS / "encoder").embed(plain)
    np.testing.assert_array_equal(teacher.embed(plain).numpy(), shipped)


def test_a_student_comes_to_see_as_its_teacher_does(tmp_path):
    """Its embeddings of the plain scene, and of others, come nearer to the teacher's than those of other poses."""
    narrow = Domain(scenes=False, covered=(0.0, 0.0), light=(0.8, 1.2))
    settings = open_world.Settings(run=tmp_path, image_size=SIZE, steps=150, moments=48, domain=narrow)
    student = load_encoder(open_world.run(settings).path("encoder"))
    teacher = Teacher(None, ARMS["iiwa"], FRONT, 32, torch.device("cpu"))
    takes = Studio(ARMS["iiwa"], FRONT, SIZE, narrow, 1).takes(0, 8 * POSES, views=1)
    wanted = teacher.embed(teacher.draw(takes.joints)).numpy()
    seen = student.embed(takes.frames)
    own = np.linalg.norm(seen - wanted, axis=1).mean()
    others = np.linalg.norm(seen - np.roll(wanted, 1, axis=0), axis=1).mean()
    assert own < 0.8 * others


def test_a_teacher_of_something_else_is_refused(tiny, tmp_path, encoder):
    module = build_encoder("conv", SIZE, 16)
    for name, other, said in (
        ("dim", TrainedEncoder("conv", module, SIZE, 16, FRONT, PoseHead(16, 7)), "its dim is 16, expected 32"),
        ("arm", replace(encoder, camera=FRONT, dim=32, pose_head=PoseHead(32, 12)), "an arm of 12 joints, expected"),
        ("side", replace(encoder, camera=CAMERAS["side"]), "trained on another camera than 'front'"),
    ):
        other.save(tmp_path / name)
        with pytest.raises(UserError, match=rf"teacher .*{name}: .*{said}"):
            open_world.run(replace(tiny, teacher=tmp_path / name))
    assert not tiny.run.exists()


def test_a_training_may_begin_with_another_encoder(tiny, tmp_path, encoder):
    first = open_world.run(tiny).path("encoder")
    further = replace(tiny, run=tmp_path / "further", start=first, steps=1, learning_rate=1e-9)
    stage = open_world.run(further)
    trained, before = load_encoder(stage.path("encoder")), load_encoder(first)
    for key, value in before.module.named_parameters():
        torch.testing.assert_close(trained.module.get_parameter(key), value, atol=1e-6, rtol=0)
    kept = Stage(tiny.run / "embed").metrics  # what is beside it has learned nothing, there as here
    for name in ("untrained_plain_joint_error_rad", "untrained_same_moment"):
        assert stage.metrics[name] == kept[name]
    shutil.rmtree(first.parent)
    assert open_world.run(further).finished  # though what it began with is gone
    encoder.save(tmp_path / "conv")
    with pytest.raises(UserError, match=r"start .*conv: encoder is conv, expected residual"):
        open_world.run(replace(further, start=tmp_path / "conv", name="again"))
    with pytest.raises(UserError, match=r"nowhere.*: no such file"):
        open_world.run(replace(further, start=tmp_path / "nowhere", name="again"))
    assert not (further.run / "again").exists()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"arm": "ur5"}, "unknown arm 'ur5'"),
        ({"camera": "back"}, "unknown camera 'back'"),
        ({"camera": "front_aliased"}, "renderer 'tiny', which draws no scenes"),
        ({"objective": "triplet"}, "unknown objective 'triplet'"),
        ({"objective": "infonce", "teacher": Path("encoder")}, "teacher is encoder, but the objective is infonce"),
        ({"teacher": Path("nowhere")}, "nowhere.*: no such file"),
        ({"steps": 0}, "steps is 0"),
        ({"moments": 1}, "moments is 1"),
        ({"image_size": 8}, "image_size is 8"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0, expected more than 0"),
        ({"temperature": float("nan")}, "temperature is nan, expected more than 0"),
        ({"landmark_weight": 0.0}, "landmark_weight is 0.0, expected more than 0"),
        ({"self_regression": float("inf")}, "self_regression is inf, expected 0 or more"),
    ],
)
def test_other_settings_are_refused_before_anything_is_written(tiny, changed, said):
    with pytest.raises(UserError, match=said):
        open_world.run(replace(tiny, **changed))
    assert not tiny.run.exists()


def test_within_its_domain_an_encoder_takes_other_cameras(blind):
    near = replace(FRONT, eye=(1.9, -1.25, 1.2))
    blind.check_camera(near, SIZE)
    with pytest.raises(UserError, match=r"azimuth -92\.\d+, expected -60 to 60; distance 1\.3\d+, expected"):
        blind.check_camera(replace(FRONT, eye=(-1.8, -2.6, 1.2)), SIZE)
    with pytest.raises(UserError, match="image_size 32 != 64"):
        blind.check_camera(near, 64)


def test_an_environment_in_another_scene_is_accepted_by_a_blind_encoder_only(blind, encoder, demonstrations):
    camera = replace(FRONT, eye=(1.9, -1.25, 1.2))
    env = TCNImitateEnv(blind, demonstrations[0], scene="table", camera=camera)
    frame = env.reset(seed=0)[0]
    assert np.isfinite(frame).all()
    assert np.isfinite(env.step(env.action_space.sample())[1])
    env.close()
    for other in (encoder, replace(blind, domain=USUAL)):
        with pytest.raises(UserError, match="scene 'table': this encoder was trained in the plain one"):
            TCNImitateEnv(other, demonstrations[0], scene="table")


def test_demonstrations_in_other_scenes_are_read_by_a_blind_encoder_only(blind, encoder, tmp_path):
    few = {"train": 1, "validation": 2, "test": 1, "frames": 3, "held_out_frames": 12, "held_out_travel": 0.0}
    record.run(record.Settings(run=tmp_path, image_size=SIZE, workers=1, scene="random", **few))
    assert len(load_demo("test:0", tmp_path, blind)) == 12
    dataset = LeRobotDataset(tmp_path / "record/dataset")
    for other in (encoder, replace(blind, domain=USUAL)):
        for use in (load_demo, frames_of):
            with pytest.raises(UserError, match="domain holds no scenes: it was not trained on frames in other scenes"):
                use("test:0", tmp_path, other)
        with pytest.raises(UserError, match="domain holds no scenes"):
            load_training(1, tmp_path, other)
        with pytest.raises(UserError, match="domain holds no scenes"):
            View.of(dataset, other).embeddings(None)
    assert frames_of("test:0", tmp_path, blind).shape == (12, SIZE, SIZE, 3)
    assert len(load_training(1, tmp_path, blind)) == 1
    assert len(View.of(dataset, blind).embeddings(tmp_path / "cache")) == 4
    assert len(Mind(blind, "iiwa", tmp_path, 0).recollection[0])
    with pytest.raises(UserError, match="no reward is checked in other scenes than the plain one"):
        held_out(dataset, blind, "test", 1)
    blind.save(tmp_path / "blind")
    wanted = follow.Settings(run=tmp_path, demo="test:0", encoder=tmp_path / "blind", policy="direct", workers=1)
    stage = follow.run(wanted)
    assert stage.metrics["ee_error_m"] >= 0


def test_the_preset_of_the_command_is_this_one(tiny, tmp_path):
    assert isinstance(embed.ELSEWHERE["open"][1], open_world.Settings)
    assert embed.run_any(tiny).folder == Stage(tiny.run / "embed").folder


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"domain": {"light": [0.5, 1.0]}}, "not a domain"),
        ({"domain": Domain().to_json() | {"light": [2.0, 1.0]}}, "domain: light is from 2 to 1, which is empty"),
        ({"landmarks": 3}, "damaged, or not of this encoder"),
        ({"landmarks": 0}, "damaged, or not of this encoder"),
        ({"landmarks": -1}, "landmarks is -1, expected 0 to"),
        ({"landmarks": "many"}, "landmarks is 'many', expected 0 to"),
        ({"encoder": "conv"}, "the encoder 'conv' finds no landmarks, expected residual"),
    ],
)
def test_a_damaged_encoder_is_refused(blind, tmp_path, changed, said):
    blind.save(tmp_path / "blind")
    facts = read_json(tmp_path / "blind/encoder.json")
    write_json(tmp_path / "blind/encoder.json", facts | changed)
    with pytest.raises(UserError, match=said):
        load_encoder(tmp_path / "blind")
    shutil.rmtree(tmp_path / "blind")


def test_landmarks_are_kept_with_the_encoder(blind, encoder, tmp_path):
    frames = np.random.default_rng(0).integers(0, 256, (5, SIZE, SIZE, 3), np.uint8)
    found = blind.find(frames)
    assert found.shape == (5, LANDMARKS, 2)
    assert np.abs(found).max() <= 1
    blind.save(tmp_path / "blind")
    np.testing.assert_array_equal(load_encoder(tmp_path / "blind").find(frames), found)
    with pytest.raises(UserError, match="this encoder finds no landmarks"):
        encoder.find(frames)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--domain.light", "1.5", "0.4"], "domain: light is from 1.5 to 0.4, which is empty"),
        (["--domain.azimuth", "5", "9"], "domain: azimuth is from 5 to 9, expected to hold 0"),
        (["--domain.fog", "0", "1"], "--domain.fog"),
        (["--domain.zoom", "1", "3.0"], None),
    ],
)
def test_a_domain_from_the_command_line(words, said, tmp_path, monkeypatch, capsys):
    run = ["--run", str(tmp_path / "run"), "--steps", "1", "--moments", "4", "--image-size", "32"]
    monkeypatch.setattr("sys.argv", ["embed", "open", *run, "--domain.no-scenes", *words])
    if said is None:
        said = "zoom is up to 3 times the 52 degrees of camera 'front', expected less than 170 degrees"
        monkeypatch.setattr(open_world, "WIDEST_VIEW", 150.0)
    with pytest.raises(SystemExit) as stopped:
        embed.main()
    assert stopped.value.code == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert said.replace("170", "150") in lines[0]
    assert not (tmp_path / "run").exists()
    monkeypatch.setattr("sys.argv", ["embed", "open", *run, "--domain.no-scenes", "--domain.azimuth", "-9", "3"])
    embed.main()
    kept = Domain.from_json(read_json(tmp_path / "run/embed/config.json")["settings"]["domain"])
    assert (kept.azimuth, kept.scenes) == ((-9.0, 3.0), False)


def left_alone(sight, viewing, seen):
    """An opinion on pixels only."""
    return seen.left


@pytest.mark.parametrize(
    ("lefts", "read", "expected"),
    [
        ([1.0, 1.0, 1.0], 2, 0.25),  # it gains no more, which is as good
        ([1.0, 2.0, 1.0], 2, 0.14),
        ([6.0, 4.0, 3.0, 1.0, 1.0], 4, 0.47),
        ([6.0, 7.0, 6.0], 2, 0.14),
        ([9.0, 9.0], 1, 0.02),  # the first looks left less
        ([0.001, 0.001], 1, 0.14),  # it is explained at once
        ([0.001, 1.0], 1, 0.13),  # and the last look has lost it
    ],
)
def test_a_video_in_the_open_is_read_in_its_own_room_until_no_less_is_left(
    lefts, read, expected, blind, demonstrations, monkeypatch
):
    """From what the pose head says; at what leaves the least, which is looked at once more."""
    frames = Kuka().film_at(demonstrations[0].joints, FRONT, SIZE)
    left, begun, sizes, tools = iter(lefts), [], [], []

    def looked(viewing, before, looks):
        sizes.append(viewing.frames.shape[1])
        tools.append(viewing.painter.landmarks)
        held = viewing.painter.landmarks == LANDMARKS
        share = next(left) if len(sizes) > FIRST else 8.0 if held else 11.0
        return close_look.Closer(before.poses + 0.01, before.offsets, np.full(len(frames), 1 - share / 10), share)

    def watched(embeddings, see, guesses, seconds, again):
        begun.append(guesses[0, 0])
        assert see(guesses[:2]).shape == (2, embeddings.shape[1])
        return Tracked(guesses + 0.1, np.zeros(len(guesses)))

    start = close_look.Closer(np.zeros((len(frames), 7)), np.zeros(6), np.zeros(len(frames)), np.inf)
    monkeypatch.setattr(close_look.Viewing, "marked", lambda *_: start)
    monkeypatch.setattr(close_look.Viewing, "look", looked)
    monkeypatch.setattr(watching, "read_poses", watched)
    monkeypatch.setattr(watching, "unlike", left_alone)
    np.testing.assert_allclose(watching.watch_closely(blind, frames).poses, expected)
    assert begun == pytest.approx([0.02 + 0.11 * k for k in range(read)])
    assert sizes == [SIZE] * (read + FIRST + 1)
    # From afar and closer, and closer at once; so the sister, which has no tool.
    assert tools == [LANDMARKS] * 3 + [LANDMARKS - 3] * 2 + [LANDMARKS] * (read + 1)
    assert next(left, None) is None


@pytest.mark.parametrize(
    ("begun", "lefts", "expected"),
    [
        (2.0, [5.0, 5.0, 5.0], 2),  # which of two it is shows at once
        (3.1, [5.0, 5.0, 5.0, 5.0], 0),  # both are read, and it is the robot's own unless the other leaves much less
        (3.1, [5.0, 5.0, 1.0, 1.0, 1.0, 0.96], 2),
        (3.1, [5.0, 5.0, 1.0, 1.0, 1.0, 0.1], 1),  # without its tool, but of the usual size
    ],
)
def test_of_an_arm_that_may_be_another_that_is_read_which_leaves_much_less(
    begun, lefts, expected, blind, demonstrations, monkeypatch
):
    """The robot's own, one without its tool, and its sister: 0, 1, 2."""
    frames = Kuka().film_at(demonstrations[0].joints, FRONT, SIZE)
    kinds = [painter.body.frames.sum() + painter.landmarks for painter in painters_of(ARMS["iiwa"])]
    left, looks = iter(lefts), []

    def looked(viewing, before, _):
        kind = kinds.index(viewing.painter.body.frames.sum() + viewing.painter.landmarks)
        looks.append(kind)
        share = next(left) if len(looks) > FIRST else begun if kind else 3.0
        poses = np.full_like(before.poses, kind)
        return close_look.Closer(poses, before.offsets, np.full(len(frames), 0.5), share)

    start = close_look.Closer(np.zeros((len(frames), 7)), np.zeros(6), np.zeros(len(frames)), np.inf)
    monkeypatch.setattr(close_look.Viewing, "marked", lambda *_: start)
    monkeypatch.setattr(close_look.Viewing, "look", looked)
    monkeypatch.setattr(watching, "read_poses", lambda _, see, guesses, *__, **___: Tracked(guesses, np.zeros(1)))
    monkeypatch.setattr(watching, "within_reach", lambda poses, arm: poses)
    monkeypatch.setattr(watching, "unlike", left_alone)
    np.testing.assert_allclose(watching.watch_closely(blind, frames).poses, expected)
    assert looks[:FIRST] == [0, 0, 0, 2, 2]
    assert next(left, None) is None


def test_an_encoder_of_the_plain_scene_takes_no_closer_look(encoder, demonstrations, monkeypatch):
    monkeypatch.setattr(watching, "Viewing", pytest.fail)
    frames = demonstrations[0].frames[:3]
    read = watching.watch_closely(encoder, frames).poses
    np.testing.assert_array_equal(read, imagination.watch(encoder, encoder.embed(frames)).poses)


def test_the_encoder_for_the_open_world_comes_with_the_package(tmp_path):
    folder, policy = chosen(tmp_path / "run", DIRECT, None, "iiwa", open_world=True)
    assert (folder, policy) == (ASSETS / "open", None)
    shipped = load_encoder(folder)
    assert shipped.any_scene
    assert shipped.camera == FRONT
    assert chosen(tmp_path / "run", DIRECT, tmp_path, "iiwa", open_world=True)[0] == tmp_path  # it is named
    for presets in (follow.PRESETS, benchmark_follow.PRESETS):
        assert presets["open"][1].open_world
        assert not presets["default"][1].open_world


def test_a_video_of_half_the_light_and_another_room_is_followed(tmp_path):
    """By the encoder that comes with the package, which knows neither."""
    demonstration = LeRobotDataset(ASSETS / "demonstration").demonstration(0)
    poses = demonstration.joints[:40]
    scene = Scene("striped", background=Texture("stripes", (0.6, 0.7, 0.8), (0.7, 0.6, 0.5), period=0.3))
    with closing(Kuka(scene=scene)) as kuka:
        frames = kuka.film_at(poses, FRONT, 64) // 2
        read = watching.watch_closely(load_encoder(ASSETS / "open"), frames).poses
        apart = np.linalg.norm(kuka.flange_positions(read) - kuka.flange_positions(poses), axis=1)
        still = np.linalg.norm(kuka.flange_positions(poses[:1]) - kuka.flange_positions(poses), axis=1)
    assert np.median(apart) < 0.05 < 0.5 * np.median(still)


def test_a_video_of_an_unknown_camera_is_read(tmp_path, capsys):
    """The first pose tells how far aside it stands; of a bare video nobody knows."""
    dataset = LeRobotDataset(ASSETS / "demonstration")
    poses = dataset.demonstration(0).joints[:60]
    aside = around_base(moved(FRONT, np.array([0.01, -0.01, 0.08, 0.05, 0.0, 0.0])), 0.5)
    with closing(Kuka()) as kuka:
        frames, encoder = kuka.film_at(poses, aside, 64), load_encoder(ASSETS / "open")
        told = watching.watch_closely(encoder, frames, camera_known=False, first=poses[0])
        apart = np.linalg.norm(kuka.flange_positions(told.poses) - kuka.flange_positions(poses), axis=1)
    assert np.median(apart) < 0.08
    assert bearing(told.camera) == pytest.approx(bearing(aside), abs=0.15)
    assert told.camera.eye == pytest.approx(aside.eye, abs=0.35)
    assert told.poses[0, 0] == pytest.approx(poses[0, 0], abs=0.05)
    write_video(tmp_path / "aside.mp4", frames, 20)
    settings = replace(follow.PRESETS["open"][1], demo=str(tmp_path / "aside.mp4"), run=tmp_path, camera_known=False)
    stage = follow.run(settings)
    kept = read_json(stage.path("poses.json"))
    assert Camera.from_json(kept["camera"]) != FRONT
    assert stage.metrics["camera_moved_m"] > 0.05
    assert stage.metrics["explained"] > 0.95
    said = capsys.readouterr().out
    assert "the camera was found: it stands at" in said
    assert "those degrees are told by the base and the light alone" in said
    follow.run(settings)
    assert "the camera was found: it stands at" in capsys.readouterr().out  # of what is done already, too
    bare = np.array(kept["joints"])
    off = bare[:, 0] - poses[:, 0]  # in the plain scene, base and light tell; else it is the same in all frames
    assert np.abs(off - np.median(off)).mean() < 0.05
    assert abs(np.median(off)) < 0.2


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"open_world": False}, "encoder knows one camera only, expected that of 'follow open'"),
        ({"guess": "head"}, "a camera is found by imagination alone, expected no other guess and no practice"),
        ({"practice": 100}, "a camera is found by imagination alone"),
        ({"policy": "imitate-any"}, "a policy has learned before one camera, expected --policy direct"),
    ],
)
def test_an_unknown_camera_is_not_looked_for_everywhere(tmp_path, changed, said):
    settings = replace(follow.PRESETS["open"][1], run=tmp_path / "run", camera_known=False)
    with pytest.raises(UserError, match=f"--no-camera-known: .*{said}"):
        follow.run(replace(settings, **changed))
    assert not (tmp_path / "run").exists()


def test_a_recording_of_another_camera_is_read_from_there():
    """It says where its camera stood: without a word more, the first joint is where it was."""
    poses = LeRobotDataset(ASSETS / "demonstration").demonstration(0).joints[:20]
    aside = around_base(FRONT, -0.8)
    with closing(Kuka()) as kuka:
        shown = Demonstration("aside", kuka.film_at(poses, aside, 64), poses, camera=aside)
        read = watching.believing(shown, load_encoder(ASSETS / "open"))
        apart = np.linalg.norm(kuka.flange_positions(read.believed) - kuka.flange_positions(poses), axis=1)
    assert np.median(apart) < 0.05
    assert read.believed_camera.eye == pytest.approx(aside.eye)
    with pytest.raises(
        UserError, match="demonstration aside was filmed -46 degrees about the base from the camera here"
    ):
        TCNImitateEnv(load_encoder(ASSETS / "open"), read)
    TCNImitateEnv(load_encoder(ASSETS / "open"), read, camera=aside).close()


def test_whole_turns_of_the_first_joint_are_nothing():
    arm = ARMS["iiwa"]
    seen = np.linspace(-0.3, 0.3, 5)
    assert watching._turn(seen, arm) == 0
    assert watching._turn(seen + 2 * np.pi, arm) == pytest.approx(-2 * np.pi)
    assert watching._turn(seen + 2.5, arm) == pytest.approx(arm.upper[0] - 2.8)
    assert watching._turn(np.array([-3.0, 3.0]), arm) == 0  # it has no room: as far on either side
    poses = np.zeros((4, 7))
    poses[:, 0] = 3.0
    there = watching.as_seen_from(around_base(FRONT, 1.0), poses, FRONT)
    np.testing.assert_allclose(there[:, 0], 4.0 - 2 * np.pi)
    np.testing.assert_array_equal(watching.as_seen_from(Camera.unknown("phone"), poses, FRONT), poses)


def test_one_frame_that_was_misread_winds_no_joint(blind, monkeypatch):
    """By a known camera a joint is where it can be, wherever that stands; by another it may turn all the way round."""
    given = []

    def begun(sight, viewings, guesses):
        given.append(guesses[0].poses[:, 0])
        raise InterruptedError

    monkeypatch.setattr(watching, "_begun", begun)
    angles = np.zeros((80, 7))
    angles[:, 0] = np.linspace(2.5, 4.0, 80)
    frames = np.zeros((80, blind.image_size, blind.image_size, 3), np.uint8)
    for turn in (0.0, 1.0):
        camera = around_base(FRONT, turn)
        directions = np.exp(1j * (angles - turn * np.eye(7)[0]))  # as the usual camera would see it
        monkeypatch.setattr(TrainedEncoder, "decode_directions", lambda *_, seen=directions: seen)
        for known in (True, False):
            with pytest.raises(InterruptedError):
                watching.watch_closely(blind, frames, camera=camera, camera_known=known)
    inside = slice(20, -20)  # at both ends it is smooth beyond them
    for known, free in (given[:2], given[2:]):
        np.testing.assert_allclose(np.exp(1j * known[inside]), np.exp(1j * angles[inside, 0]), atol=1e-3)
        assert np.abs(known).max() <= np.pi
        np.testing.assert_allclose(np.diff(free[inside]), np.diff(angles[inside, 0]), atol=1e-3)


def test_who_is_not_sure_counts_less(blind, monkeypatch):
    """A frame that may show the arm in two ways says what is between, and says it faintly."""
    directions = np.exp(1j * np.full((41, 7), 0.5))
    directions[20] = 0.05 * np.exp(-2.5j)
    monkeypatch.setattr(TrainedEncoder, "decode_directions", lambda *_: directions)
    sight = watching.Sight(blind, np.zeros((41, 32), np.float32), np.zeros((41, LANDMARKS, 2), np.float32))
    (read,) = watching._directions(sight, ARMS["iiwa"])
    np.testing.assert_allclose(np.angle(read), 0.5, atol=0.01)
    doubts = close_look.Guess.of(read).doubts
    assert (doubts[20] > 1.5 * doubts[0]).all()


def test_how_sure_a_guess_is():
    """As of a normal distribution that is wound around the circle."""
    rng, spread = np.random.default_rng(0), 0.6
    angles = 0.3 + rng.normal(0, spread, (100_000, 1))
    guess = close_look.Guess.of(np.exp(1j * angles).mean(axis=0, keepdims=True))
    assert guess.poses[0, 0] == pytest.approx(0.3, abs=0.01)
    assert guess.doubts[0, 0] == pytest.approx(spread, abs=0.01)
    nothing = close_look.Guess.of(np.array([[0.0 + 0j, 2.0 + 0j]]))
    assert np.isfinite(nothing.doubts).all()
    assert nothing.doubts[0, 0] > 1.5 > 0.2 > nothing.doubts[0, 1]


def test_without_a_head_the_robot_is_home(blind):
    sight = watching.Sight(replace(blind, pose_head=None), np.zeros((5, 32)), np.zeros((5, LANDMARKS, 2)))
    (read,) = watching._directions(sight, ARMS["iiwa"])
    guess = close_look.Guess.of(read)
    np.testing.assert_array_equal(guess.poses, np.zeros((5, 7)))
    assert (guess.doubts > 1.5).all()


def test_both_heads_are_asked_and_what_leaves_the_least_counts(blind, demonstrations, monkeypatch):
    """The sequence head first; if that is not sure, what the pose head says, too, of either arm."""
    together, alone = np.full((9, 7), 0.2), np.full((9, 7), -0.3)
    head = SequenceHead(32, LANDMARKS, 7, 4)
    reads = replace(blind, sequence_head=head)
    monkeypatch.setattr(
        TrainedEncoder, "decode_directions", lambda *seen: np.exp(1j * (alone if len(seen) == 2 else together))
    )
    frames, begun = demonstrations[0].frames[:9, :SIZE, :SIZE], []

    def looked(viewing, before, looks):
        begun.append((viewing.painter.landmarks == LANDMARKS, round(before.poses[0, 0], 3)))
        left = 1.0 if before.poses[0, 0] < 0 else 4.0
        return close_look.Closer(before.poses, before.offsets, np.zeros(9), left)

    monkeypatch.setattr(close_look.Viewing, "marked", lambda _, guess, marks: start(guess.poses))
    monkeypatch.setattr(close_look.Viewing, "look", looked)
    monkeypatch.setattr(watching, "read_poses", lambda _, see, guesses, *__, **___: Tracked(guesses, np.zeros(1)))
    monkeypatch.setattr(watching, "unlike", left_alone)
    np.testing.assert_allclose(watching.watch_closely(reads, frames).poses, alone)
    own, sister = (True, 0.2), (False, 0.2)
    assert begun[:5] == [own, own, own, (True, -0.3), (True, -0.3)]
    assert begun[5:9] == [sister, sister, (False, -0.3), (False, -0.3)]


def start(poses):
    return close_look.Closer(poses, np.zeros(6), np.zeros(len(poses)), np.inf)


def test_landmarks_tell_an_arm_from_its_sister():
    """Of a video of the sister, she is more like it than the robot's own arm at the same poses, and the other way."""
    encoder, poses = (
        load_encoder(ASSETS / "open"),
        LeRobotDataset(ASSETS / "demonstration").demonstration(0).joints[:30],
    )
    own, *_, sister = painters_of(ARMS["iiwa"])
    room = Room(
        np.full((64, 64, 3), 255, np.uint8),
        np.ones((9, 3), np.float32),
        np.zeros(9, bool),
        np.zeros((64, 64), bool),
        0.0,
    )
    for painter, other in ((own, sister), (sister, own)):
        frames = painter.draw(room, poses, FRONT)
        sight = watching.Sight.of(encoder, frames)

        def unlike(believed, frames=frames, sight=sight):
            viewing = close_look.Viewing(frames, believed, FRONT, 0.05)
            return watching.unlike(sight, viewing, viewing.judged(poses))

        assert 3 * unlike(painter) < unlike(other)
    assert watching.likeliest([1.0, 0.96, 0.94]) == 2
    assert watching.likeliest([1.0, 0.96, 0.99]) == 0


def test_how_far_a_camera_is_from_where_it_should_be():
    assert _displaced(FRONT, FRONT) == {"camera_moved_m": 0.0, "camera_turned_rad": pytest.approx(0.0, abs=1e-6)}
    assert _displaced(FRONT, turned(FRONT, 0.03, 0.04))["camera_turned_rad"] == pytest.approx(0.05, abs=1e-4)
    apart = 2 * np.hypot(1.9, 1.2) * np.sin(0.25)
    assert _displaced(FRONT, around_base(FRONT, 0.5))["camera_moved_m"] == pytest.approx(apart)


def test_what_was_shown_stands_beside_the_robot(demonstrations):
    """Drawn anew, and sharp, if nothing but the pose is to be seen; else as it was."""
    shown = demonstrations[0]
    env = KukaEnv([Reference.from_joints(shown.joints)], Robot(image_size=SIZE))
    sharp = film_demonstration(shown, env)
    np.testing.assert_array_equal(sharp, env.kuka.film_at(shown.joints, FRONT, PEOPLE))
    dark = replace(shown, frames=shown.frames // 2)
    np.testing.assert_array_equal(film_demonstration(dark, env), enlarged(dark.frames))
    env.close()


def test_the_second_that_is_least_explained_is_told(capsys, demonstrations):
    sure = np.full(60, 0.9)
    sure[30:45] = 0.1
    figures = _least_sure(sure)
    assert figures["explained"] == pytest.approx(0.7)
    assert figures["explained_worst"] == pytest.approx((15 * 0.1 + 5 * 0.9) / 20)
    assert figures["explained_worst_at"] in (1.25, 1.3, 1.35, 1.4, 1.45, 1.5)
    warn_if_lost(demonstrations[0], figures | {"believed_embedding_distance": 0.5})
    said = capsys.readouterr().err
    assert (
        "the poses that are believed explain 30 % of what moves, and 70 % in all of it, expected 80 % or more" in said
    )
    warn_if_lost(demonstrations[0], _least_sure(np.full(7, 0.9)) | {"believed_embedding_distance": 9.0})
    assert not capsys.readouterr().err  # how far embeddings are apart says nothing there


def test_what_is_believed_in_the_open_is_kept_with_how_sure_it_is(tmp_path, monkeypatch, capsys):
    """Of a video in which there is no arm, it is said."""
    frames = np.full((24, 64, 64, 3), 180, np.uint8)
    for k, frame in enumerate(frames):
        frame[20:34, k : k + 12] = (60, 40, 90)
    write_video(tmp_path / "box.mp4", frames, 20)
    settings = replace(follow.PRESETS["open"][1], demo=str(tmp_path / "box.mp4"), run=tmp_path)
    monkeypatch.setattr(watching, "MOST", 1)  # once is enough
    stage = follow.run(settings)
    assert len(read_json(stage.path("poses.json"))["explained"]) == 24
    assert stage.metrics["explained_worst"] < 0.8
    assert 0 <= stage.metrics["camera_turned_rad"] < 0.3
    seen = read_video(stage.path("believed.mp4")).frames
    assert seen.shape == (24, PEOPLE, PEOPLE, 3)
    assert "of box, the poses that are believed explain" in capsys.readouterr().err
    follow.run(settings)
    assert "of box, the poses that are believed explain" in capsys.readouterr().err  # of what is done already, too


def test_what_is_believed_is_drawn_over_the_video(demonstrations):
    """Around the arm, and where it is believed to be."""
    frames, poses = demonstrations[0].frames[:3], demonstrations[0].joints[:3]
    drawn = {
        name: outlined(frames, at, Painter(ARMS["iiwa"]), FRONT)
        for name, at in (("right", poses), ("wrong", poses + 0.5))
    }
    edges = {name: (film == (255, 0, 255)).all(axis=-1) for name, film in drawn.items()}
    assert edges["right"].any(axis=(1, 2)).all()
    seen = Kuka().film_at(poses, FRONT, PEOPLE).min(axis=-1)
    crossed = {name: (seen[edge] < 100).mean() for name, edge in edges.items()}
    assert crossed["right"] < 0.02 < 0.1 < crossed["wrong"]  # beside the arm all is white


def test_another_arm_is_refused_by_the_closer_look():
    with pytest.raises(UserError, match="an arm of 7 joints, expected the 12"):
        watching.watch_closely(load_encoder(ASSETS / "open"), np.zeros((2, 64, 64, 3), np.uint8), "iiwa_gripper")


@pytest.mark.parametrize("head", [True, False])
@pytest.mark.parametrize("count", [2, 24])
def test_a_video_in_which_nothing_moves_is_read(blind, head, count):
    encoder = blind if head else replace(blind, pose_head=None)
    frames = np.full((count, SIZE, SIZE, 3), 200, np.uint8)
    assert np.isfinite(watching.watch_closely(encoder, frames).poses).all()
