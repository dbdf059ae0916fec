from dataclasses import replace

import numpy as np
import pytest
import torch

from imitate.data.domain import Domain
from imitate.embedding.encoder_file import WEIGHTS
from imitate.embedding.encoders import build_encoder
from imitate.embedding.pose_head import PoseHead
from imitate.embedding.sequence_head import SequenceHead
from imitate.embedding.trained_encoder import TrainedEncoder, load_encoder
from imitate.envs.cameras import CAMERAS
from imitate.envs.kuka import ARMS, body_of
from imitate.envs.landmarks import number_of
from imitate.envs.studio import Studio
from imitate.envs.trajectories import REST, random_pace
from imitate.errors import UserError
from imitate.keeping.runs import read_json, write_json
from imitate.pipelines import embed
from imitate.pipelines.embedding import sequence

pytestmark = pytest.mark.slow
SIZE, FRONT, IIWA = 32, CAMERAS["front"], ARMS["iiwa"]
LANDMARKS = number_of(IIWA, body_of(IIWA.file))


def untrained(**facts):
    torch.manual_seed(0)
    module = build_encoder("residual", SIZE, 32, LANDMARKS)
    own = {"pose_head": PoseHead(32, 7), "domain": Domain(), "arm": "iiwa", **facts}
    return TrainedEncoder("residual", module, SIZE, 32, FRONT, **own).to(torch.device("cpu"))


@pytest.fixture
def tiny(tmp_path):
    untrained().save(tmp_path / "open")
    return sequence.Settings(
        run=tmp_path / "run", encoder=tmp_path / "open", videos=5, held_out=2, length=12, width=8, steps=3, batch=2,
        workers=1,
    )  # fmt: skip


def test_an_encoder_gets_a_head_for_videos_and_stays_what_it_is(tiny, capsys):
    stage = embed.run_any(tiny)
    assert "held-out videos" in capsys.readouterr().out
    before, after = load_encoder(tiny.encoder), load_encoder(stage.path("encoder"))
    assert after.sequence_head.width == tiny.width
    assert (after.domain, after.arm, after.landmarks) == (before.domain, before.arm, before.landmarks)
    frames = np.random.default_rng(0).integers(0, 256, (9, SIZE, SIZE, 3), np.uint8)
    for one, other in zip(before.look(frames), after.look(frames), strict=True):
        np.testing.assert_array_equal(one, other)
    read = after.decode_directions(*after.look(frames))
    assert read.shape == (9, 7)
    assert read.dtype == np.complex128
    with pytest.raises(UserError, match="no sequence head: train one with 'imitate embed sequence'"):
        before.decode_directions(*before.look(frames))
    assert set(stage.metrics) == {"joint_error_rad", "ee_error_m", "alone_joint_error_rad", "alone_ee_error_m"}
    assert not stage.path("videos").exists()
    assert sequence.run(tiny).finished
    assert capsys.readouterr().out == f"{stage.folder} is trained already\n"


def test_what_was_drawn_is_not_drawn_again(tiny, monkeypatch):
    monkeypatch.setattr(sequence, "A_FILE", 2)
    whole = load_encoder(sequence.run(tiny).path("encoder"))
    other = replace(tiny, run=tiny.run.parent / "other")
    with monkeypatch.context() as stopped:
        stopped.setattr(sequence, "_fitted", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            sequence.run(other)
    drawn = sorted((other.run / "sequence/videos").iterdir())
    assert [path.stem for path in drawn] == ["0", "1", "2", "held-out"]
    drawn[1].write_bytes(b"damaged")
    files = []
    worked_off = sequence.worked_off
    monkeypatch.setattr(sequence, "worked_off", lambda jobs, n: worked_off([files.append(j) or j for j in jobs], n))
    again = load_encoder(sequence.run(other).path("encoder"))
    assert [job.args[3].stem for job in files] == ["1"]
    for one, two in zip(whole.sequence_head.parameters(), again.sequence_head.parameters(), strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=0)


def test_a_head_learns_from_frames_before_and_after():
    """Where a frame shows nothing, those about it do."""
    rng, count, length = np.random.default_rng(0), 60, 40
    angles = np.cumsum(rng.normal(0, 0.15, (count, length, 7)), axis=1)
    hidden = rng.random((count, length)) < 0.5
    embeddings = np.zeros((count, length, 32))
    embeddings[~hidden, :14] = np.concatenate([np.sin(angles), np.cos(angles)], axis=2)[~hidden]
    marks = np.zeros((count, length, LANDMARKS, 2))
    videos = sequence.Videos(*(part.astype(np.float32) for part in (embeddings, marks, angles)))
    learned, held_out = (sequence.Videos(*(part[own] for part in videos)) for own in (slice(10, None), slice(10)))
    settings = sequence.Settings(length=length, width=48, steps=250, batch=16, learning_rate=5e-3)
    encoder = untrained()
    encoder.sequence_head = sequence._fitted(settings, encoder, learned)
    read = np.stack([encoder.decode_directions(*seen) for seen in zip(*held_out[:2], strict=True)])
    off = np.abs(np.angle(read * np.exp(-1j * held_out.joints)))
    assert off[hidden[:10]].mean() < 0.5
    assert off[~hidden[:10]].mean() < 0.4


def test_a_video_is_one_movement_in_one_room():
    studio = Studio(IIWA, FRONT, SIZE, Domain(), 0)
    takes = studio.video(4, 30)
    assert takes.frames.shape == (30, SIZE, SIZE, 3)
    assert takes.landmarks.shape == (30, LANDMARKS, 2)
    assert np.abs(np.diff(takes.joints, axis=0)).max() < 0.11  # rad: 2 rad/s
    assert (takes.frames == takes.frames[:1]).all(axis=-1).mean() > 0.3  # the room
    np.testing.assert_array_equal(studio.video(4, 30).frames, takes.frames)
    assert np.abs(studio.video(5, 30).joints - takes.joints).max() > 0.1


def test_a_pace_has_rests_and_stays_within_the_movement():
    paces = np.array([random_pace(95, np.random.default_rng(seed)) for seed in range(40)])
    assert paces.shape == (40, 95)
    assert (paces >= 0).all()
    assert (paces <= 94).all()
    steps = np.diff(paces, axis=1)
    forwards = (steps >= 0).all(axis=1)
    assert (forwards | (steps <= 0).all(axis=1)).all()
    assert 10 < forwards.sum() < 30
    assert 0.1 < (steps == 0).mean() < 0.3
    assert (steps[:, : REST - 1] == 0).all(axis=1).any()


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"domain": None}, "knows one scene of one camera, expected one of 'embed open'"),
        ({"pose_head": None}, "expected one of 'embed open'"),
        ({"arm": None}, "expected one of 'embed open'"),
    ],
)
def test_only_an_encoder_of_the_open_world_gets_one(tiny, facts, said):
    untrained(**facts).save(tiny.encoder)
    with pytest.raises(UserError, match=said):
        sequence.run(tiny)
    assert not tiny.run.exists()


@pytest.mark.parametrize(
    "wrong", [{"videos": 0}, {"length": 1}, {"width": 0}, {"steps": 0}, {"batch": 0}, {"learning_rate": 0.0}]
)
def test_settings_that_can_not_be_are_refused(tiny, wrong):
    with pytest.raises(UserError, match=f"{next(iter(wrong))} is "):
        sequence.run(replace(tiny, **wrong))


def test_a_damaged_head_is_named(tmp_path):
    untrained(sequence_head=SequenceHead(32, LANDMARKS, 7, 8)).save(tmp_path)
    assert load_encoder(tmp_path).sequence_head.width == 8
    facts = read_json(tmp_path / "encoder.json")
    for width in (4, -1, "8", 10**9):
        write_json(tmp_path / "encoder.json", facts | {"sequence_head_width": width})
        with pytest.raises(UserError, match=f"{WEIGHTS}: damaged, or not of this encoder"):
            load_encoder(tmp_path)
    write_json(tmp_path / "encoder.json", facts | {"pose_head_joints": 0})
    with pytest.raises(UserError, match="a sequence head without landmarks, or without a pose head"):
        load_encoder(tmp_path)
