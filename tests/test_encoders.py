from dataclasses import replace

import numpy as np
import pytest
import torch

from imitate.data.camera import Camera
from imitate.embedding.encoders import ENCODERS, build_encoder
from imitate.embedding.encoders.inception import TRUNK, InceptionEncoder
from imitate.embedding.encoders.layers import SpatialSoftmax
from imitate.embedding.pose_head import PoseHead
from imitate.embedding.preprocess import preprocess
from imitate.embedding.trained_encoder import TrainedEncoder, load_encoder
from imitate.envs.kuka import ARMS, ASSETS
from imitate.errors import UserError
from imitate.keeping.runs import read_json, write_json

CAMERA = Camera("front", (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))


def random_frames(count, size, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), np.uint8)


@pytest.mark.parametrize("name", ENCODERS)
def test_embeddings_have_norm_10(name):
    size = 80
    module = build_encoder(name, size).eval()
    with torch.inference_mode():
        out = module(preprocess(torch.from_numpy(random_frames(3, size))))
    assert out.shape == (3, 32)
    assert out.dtype == torch.float32
    torch.testing.assert_close(out.norm(dim=1), torch.full((3,), 10.0))


def test_spatial_softmax_finds_a_bright_spot():
    maps = torch.zeros(1, 1, 5, 9)
    maps[0, 0, 4, 2] = 100.0
    torch.testing.assert_close(SpatialSoftmax()(maps), torch.tensor([[-0.5, 1.0]]))


def test_preprocessing_maps_bytes_to_plus_minus_one():
    frames = torch.tensor([0, 255], dtype=torch.uint8).reshape(1, 1, 2, 1).repeat(1, 1, 1, 3)
    out = preprocess(frames)
    assert out.shape == (1, 3, 1, 2)
    assert out[0, 0].tolist() == [[-1.0, 1.0]]


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("joints", [0, 7])
def test_checkpoint_round_trip_is_exact(tmp_path, name, joints):
    size = 80
    head = PoseHead(32, joints) if joints else None
    trained = TrainedEncoder(name, build_encoder(name, size), size, 32, CAMERA, head).to(torch.device("cpu"))
    frames = random_frames(4, size)
    trained.save(tmp_path)
    loaded = load_encoder(tmp_path)
    trained.save_pretrained(tmp_path / "again")
    assert (tmp_path / "again/encoder.safetensors").read_bytes() == (tmp_path / "encoder.safetensors").read_bytes()
    assert TrainedEncoder.from_pretrained(tmp_path / "again").camera == loaded.camera
    assert loaded.camera == CAMERA
    embedded = trained.embed(frames)
    np.testing.assert_array_equal(loaded.embed(frames), embedded)
    if joints:
        np.testing.assert_array_equal(loaded.decode_joints(embedded), trained.decode_joints(embedded))
        assert loaded.decode_joints(embedded).shape == (4, 7)
        directions = loaded.decode_directions(embedded)
        np.testing.assert_allclose(np.angle(directions), loaded.decode_joints(embedded), atol=1e-6)
    else:
        with pytest.raises(UserError, match="no pose head"):
            loaded.decode_joints(embedded)


def test_an_encoder_knows_its_arm(tmp_path):
    """Not only how many joints that has: a Panda has as many as a Kuka."""
    trained = TrainedEncoder("conv", build_encoder("conv", 64), 64, 32, CAMERA, PoseHead(32, 7))
    trained.save(tmp_path / "nobody")
    load_encoder(tmp_path / "nobody").check_arm(ARMS["panda"])  # nobody says
    replace(trained, arm="iiwa").save(tmp_path)
    known = load_encoder(tmp_path)
    known.check_arm(ARMS["iiwa"])
    with pytest.raises(UserError, match="trained on the arm iiwa, expected panda: name one of that"):
        known.check_arm(ARMS["panda"])
    with pytest.raises(UserError, match="trained on an arm of 7 joints, expected the 12"):
        known.check_arm(ARMS["iiwa_gripper"])
    assert [arm.name for arm in ARMS.values()] == list(ARMS)
    assert {load_encoder(ASSETS / shipped).arm for shipped in ("encoder", "open")} == {"iiwa"}


def test_a_damaged_checkpoint_is_named(tmp_path):
    TrainedEncoder("conv", build_encoder("conv", 64), 64, 32, CAMERA).save(tmp_path)
    weights = tmp_path / "encoder.safetensors"
    flipped = bytearray(weights.read_bytes())
    flipped[-100] ^= 1
    weights.write_bytes(flipped)
    with pytest.raises(UserError, match=r"encoder\.safetensors: damaged, .*another sha256"):
        load_encoder(tmp_path)
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(UserError, match=r"encoder\.safetensors: damaged"):
        load_encoder(tmp_path)
    weights.unlink()
    with pytest.raises(UserError, match="no such file"):
        load_encoder(tmp_path)


@pytest.mark.parametrize(
    "facts",
    [
        {"dim": 10**12},
        {"dim": 10**30},
        {"dim": -1},
        {"dim": 32.5},
        {"dim": "32"},
        {"image_size": 10**9},
        {"image_size": None},
        {"pose_head_joints": 10**12},
        {"pose_head_joints": True},
        {"encoder": ["conv"]},
        {"encoder": None},
        {"camera": None},
        {"camera": {"name": "front"}},
        {"camera": CAMERA.to_json() | {"fov": "wide"}},
        {"camera": CAMERA.to_json() | {"fov": 1e999}},
        {"camera": CAMERA.to_json() | {"eye": [1, 2]}},
        {"camera": CAMERA.to_json() | {"up": [1, 2, None]}},
        {"camera": CAMERA.to_json() | {"name": 3}},
        {"camera": CAMERA.to_json() | {"samples": 10**9}},
        {"arm": 7},
    ],
    ids=str,
)
def test_what_no_encoder_can_be_is_one_line_before_it_takes_memory(tmp_path, facts):
    TrainedEncoder("conv", build_encoder("conv", 64), 64, 32, CAMERA, PoseHead(32, 7)).save(tmp_path)
    write_json(tmp_path / "encoder.json", read_json(tmp_path / "encoder.json") | facts)
    with pytest.raises(UserError, match=r"damaged|not a camera|unknown encoder|arm is 7, expected a name") as error:
        load_encoder(tmp_path)
    assert len(str(error.value).splitlines()) == 1


def test_frames_of_another_size_are_refused():
    trained = TrainedEncoder("conv", build_encoder("conv", 64), 64, 32, CAMERA).to(torch.device("cpu"))
    with pytest.raises(UserError, match=r"shape \(1, 32, 32, 3\) uint8, expected \(n, 64, 64, 3\) uint8"):
        trained.embed(random_frames(1, 32))


def test_another_camera_is_refused_by_its_differing_fields():
    trained = TrainedEncoder("conv", build_encoder("conv", 64), 64, 32, CAMERA)
    trained.check_camera(Camera("renamed", CAMERA.eye, CAMERA.target), 64)
    with pytest.raises(UserError, match=r"fov 50.0 != 60.0; image_size 64 != 32"):
        trained.check_camera(Camera("front", CAMERA.eye, CAMERA.target, fov=60.0), 32)


def test_unknown_encoder_lists_the_choices():
    with pytest.raises(UserError, match="unknown encoder 'resnet': choose one of conv, inception"):
        build_encoder("resnet", 64)


def torchvision_state():
    """A synthetic Inception-v3 state_dict: torchvision's keys, also of layers beyond the trunk."""
    donor = InceptionEncoder(80)
    state = {k: torch.randn_like(v) if v.is_floating_point() else v for k, v in donor.state_dict().items()}
    trunk = {k: v for k, v in state.items() if k.split(".")[0] in TRUNK}
    return trunk | {"Mixed_7c.branch1x1.conv.weight": torch.zeros(1), "fc.weight": torch.zeros(1000, 2048)}


def test_imagenet_weights_load_by_torchvisions_names(tmp_path):
    state = torchvision_state()
    # spot checks against torchvision's published names
    assert state["Conv2d_1a_3x3.conv.weight"].shape == (32, 3, 3, 3)
    assert state["Mixed_5b.branch5x5_2.conv.weight"].shape == (64, 48, 5, 5)
    assert state["Mixed_5d.branch3x3dbl_3.bn.running_var"].shape == (96,)
    assert state["Mixed_5c.branch_pool.conv.weight"].shape == (64, 256, 1, 1)
    torch.save(state, tmp_path / "inception.pth")
    encoder = InceptionEncoder(80)
    encoder.load_imagenet(tmp_path / "inception.pth")
    for key, value in encoder.state_dict().items():
        if key in state:
            torch.testing.assert_close(value, state[key])


def test_weights_that_are_no_inception_are_named(tmp_path):
    state = torchvision_state()
    del state["Mixed_5c.branch1x1.conv.weight"]
    torch.save(state, tmp_path / "less.pth")
    with pytest.raises(UserError, match=r"lacks 1 parameters of Inception-v3, such as Mixed_5c"):
        InceptionEncoder(80).load_imagenet(tmp_path / "less.pth")
    (tmp_path / "junk.pth").write_bytes(b"junk")
    with pytest.raises(UserError, match="not a readable state_dict"):
        InceptionEncoder(80).load_imagenet(tmp_path / "junk.pth")


class Planted:
    def __reduce__(self):
        return (open, ("planted", "w"))


def test_code_in_a_weights_file_does_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"Conv2d_1a_3x3.conv.weight": Planted()}, "hostile.pth")
    with pytest.raises(UserError):
        InceptionEncoder(80).load_imagenet(tmp_path / "hostile.pth")
    assert not (tmp_path / "planted").exists()


def test_inception_refuses_small_images():
    with pytest.raises(UserError, match="at least 75 pixels, got 64"):
        build_encoder("inception", 64)


def test_a_run_is_no_encoder_and_the_encoder_in_it_is_named(tmp_path):
    stage = tmp_path / "run/embed/encoder"
    TrainedEncoder("conv", build_encoder("conv", 32), 32, 32, CAMERA).save(stage)
    for folder in (tmp_path / "run", tmp_path / "run/embed"):
        with pytest.raises(UserError, match=f"expected the folder of an encoder, such as {stage}"):
            load_encoder(folder)
    with pytest.raises(UserError, match=r"encoder\.json: no such file$"):
        load_encoder(tmp_path)
