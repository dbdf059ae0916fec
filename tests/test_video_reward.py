"""A reward from a video, around environments of any kind."""

from copy import deepcopy
from ctypes.util import find_library

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import AddRenderObservation, TimeLimit
from slider import FPS, HEIGHT, WIDTH, Slider, picture

from imitate.data.demonstration import Demonstration
from imitate.data.video.writer import Compression, write_video
from imitate.errors import UserError
from imitate.reward.following import NEVER, Following
from imitate.reward.frames import Frames
from imitate.reward.video_reward import VideoReward, VideoRewardVector

LENGTH = 8
MODES = list(AutoresetMode)


NAMED = spaces.Dict({"at": spaces.Box(-1, 1, (2,), np.float64), "left": spaces.Discrete(2)})


def columns(frames):
    """Where it is bright: an encoder of somebody else's."""
    return frames[..., 0].mean(axis=1) / 25.0


def centre(frames):
    """In which column it is brightest, of the middle."""
    return frames[:, 0, :, 0].argmax(axis=1)[:, None].astype(np.float32)


def made(**settings):
    return Slider("rgb_array", **settings)


def framed():
    return AddRenderObservation(made(), render_only=False, render_key="seen", obs_key="felt")


@pytest.fixture(scope="module")
def demonstration():
    places = np.linspace(0.3, 0.8, LENGTH)
    return Demonstration("pushed", np.stack([picture(place) for place in places]), None)


def follow(env, steps=20, seed=0):
    """A rollout in which the bar is pushed to the right: observations, rewards, ends, and infos."""
    observation, info = env.reset(seed=seed)
    rows = [(observation, 0.0, False, info)]
    for _ in range(steps):
        observation, reward, terminated, truncated, info = env.step(np.array([0.3], np.float32))
        rows.append((observation, reward, terminated or truncated, info))
        if terminated or truncated:
            break
    return rows


def test_an_environment_is_rewarded_for_looking_like_a_video(demonstration, tmp_path):
    write_video(tmp_path / "pushed.mp4", demonstration.frames, FPS, Compression(0, "yuv444p"))
    for shown in (demonstration, tmp_path / "pushed.mp4", str(tmp_path / "pushed.mp4")):
        env = VideoReward(made(), shown, columns)
        assert env.observation_space.shape == (2 + 2 * HEIGHT,)
        rows = follow(env)
        assert len(rows) == LENGTH  # the video is over
        for step, (observation, reward, _, info) in enumerate(rows):
            assert observation in env.observation_space
            assert (info["demonstration"], info["step"], info["env_step"]) == (0, step, "its own")
            if step:
                own = columns(middle_of(picture(info["place"])))[0]
                target = columns(middle_of(demonstration.frames[step]))[0]
                distance = np.linalg.norm(own - target)
                assert info["embedding_distance"] == pytest.approx(distance, abs=1e-4)
                assert reward == pytest.approx(-0.01 * (distance**2 + np.sqrt(0.001 + distance**2)), abs=1e-4)
                assert info["env_reward"] == info["place"]
                np.testing.assert_allclose(observation[2 : 2 + HEIGHT], own, atol=1e-5)


def middle_of(frame):
    edge = (WIDTH - HEIGHT) // 2
    return frame[None, :, edge : edge + HEIGHT]


def test_the_nearer_the_bar_the_higher_the_reward(demonstration):
    env = VideoReward(made(), demonstration, columns)
    env.reset(seed=0)
    rewards = []
    for place in (0.34, 0.44, 0.64):  # frame 1 shows it at 0.37
        env.reset(seed=0, options={"place": place})
        rewards.append(env.step(np.zeros(1, np.float32))[1])
    assert rewards == sorted(rewards, reverse=True)


@pytest.mark.parametrize("observe", ["flat", "dict", "env"])
@pytest.mark.parametrize(
    "own", [None, spaces.Dict({"at": spaces.Box(-1, 1, (2,), np.float64), "left": spaces.Discrete(2)})]
)
def test_observations_are_of_the_form_that_is_asked_for(demonstration, observe, own):
    env = VideoReward(made(own=own), demonstration, columns, Following(lookahead=2), observe=observe)
    check_env(env, skip_render_check=True)
    observation = env.reset(seed=3)[0]
    bare = made(own=own).reset(seed=3)[0]
    if observe == "flat":
        assert observation.shape == (2 + 2 * (own is not None) + 3 * HEIGHT,)
    elif observe == "dict":
        assert set(observation) == {"state", "embedding", "demonstration"}
        assert observation["demonstration"].shape == (2, HEIGHT)
        np.testing.assert_equal(observation["state"], bare)
    else:
        np.testing.assert_equal(observation, bare)


@pytest.mark.parametrize("observe", ["flat", "dict", "env"])
@pytest.mark.parametrize("give_up", [NEVER, 5.0])
@pytest.mark.parametrize("mode", MODES)
def test_many_environments_are_rewarded_as_each_alone(demonstration, mode, give_up, observe):
    keyed = mode == AutoresetMode.SAME_STEP
    frames, make = (Frames("seen"), framed) if keyed else (None, made)
    both = [demonstration, demonstration]
    following = Following(give_up=give_up)
    env = VideoRewardVector(SyncVectorEnv([make] * 3, autoreset_mode=mode), both, columns, following, frames, observe)
    assert env.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP
    alone = [VideoReward(make(), both, columns, following, frames, observe) for _ in range(3)]
    options = {"demonstration": np.array([0, 1, 0])}
    observation, infos = env.reset(seed=5, options=options)
    single = [one.reset(seed=5 + k, options={"demonstration": k % 2}) for k, one in enumerate(alone)]
    rng, ended, own_ends = np.random.default_rng(0), 0, 0
    for _ in range(25):
        for k, (own, info) in enumerate(single):
            np.testing.assert_equal(row_of(observation, k), own)
            assert (infos["step"][k], infos["place"][k]) == (info["step"], info["place"])
        actions = rng.uniform([[-1.0], [0.5], [1.0]], [[1.0], [1.4], [1.6]]).astype(np.float32)
        observation, rewards, terminated, truncated, infos = env.step(actions)
        for k, one in enumerate(alone):
            own, reward, end, cut, info = one.step(actions[k])
            assert (rewards[k], terminated[k], truncated[k]) == (pytest.approx(reward, rel=1e-6), end, cut)
            if end or cut:
                ended, own_ends = ended + 1, own_ends + info["env_terminated"]
                assert infos["_final_info"][k]
                last = infos["final_obs"]
                np.testing.assert_equal(row_of(last, k) if isinstance(last, dict) else last[k], own)
                for name in ("step", "place", "embedding_distance", "env_reward", "env_step", "env_terminated"):
                    expected = info[name]
                    assert infos["final_info"][name][k] == (
                        expected if isinstance(expected, str) else pytest.approx(expected, rel=1e-5)
                    )
                own, info = one.reset(options={"demonstration": int(infos["demonstration"][k])})
            single[k] = own, info
    assert ended >= 6
    assert own_ends >= 2 or give_up < NEVER  # the bar is at the right edge before the video is over
    env.close()


def row_of(batch, row):
    if isinstance(batch, dict):
        return {key: row_of(part, row) for key, part in batch.items()}
    return batch[row]


@pytest.mark.parametrize("copy", [True, False])
@pytest.mark.parametrize("mode", MODES)
def test_processes_are_rewarded_like_threads(demonstration, mode, copy):
    frames, make = (Frames("seen"), framed) if mode == AutoresetMode.SAME_STEP else (None, made)
    rollouts, ended = [], 0
    for kind in (SyncVectorEnv, AsyncVectorEnv):
        env = kind([make] * 2, autoreset_mode=mode, copy=copy)
        env = VideoRewardVector(env, [demonstration] * 2, columns, Following(ends=True), frames)
        rollout = [env.reset(seed=0)]
        for _ in range(12):
            rollout.append(deepcopy(env.step(np.array([[0.9], [1.5]], np.float32))))
            ended += rollout[-1][2].sum()
        rollouts.append(rollout)
        env.close()
    np.testing.assert_equal(*rollouts)
    assert ended >= 2


def test_a_demonstration_is_drawn_whatever_the_environment_draws(demonstration):
    env = VideoReward(made(), [demonstration] * 2, columns)
    places = [(env.reset(seed=seed)[1]["demonstration"], env.unwrapped.place > 0.3) for seed in range(40)]
    assert len(set(places)) == 4
    env.reset(seed=1)
    again = [env.reset()[1]["demonstration"] for _ in range(20)]
    env.reset(seed=1)
    assert [env.reset()[1]["demonstration"] for _ in range(20)] == again
    assert set(again) == {0, 1}


def test_only_what_was_reset_is_rendered_again(demonstration):
    env = SyncVectorEnv([made] * 4)
    rendered = []
    for one in env.envs:
        render = one.render
        one.render = lambda render=render: rendered.append(0) or render()
    env = VideoRewardVector(env, demonstration, columns)
    env.reset(seed=0)
    del rendered[:]
    for _ in range(LENGTH - 2):
        env.step(np.zeros((4, 1), np.float32))
    assert len(rendered) == 4 * (LENGTH - 2)
    env.step(np.zeros((4, 1), np.float32))  # the video is over
    assert len(rendered) == 4 * (LENGTH - 1) + 4


class Own(gym.vector.VectorEnv):
    """Many of its own making."""

    metadata = {"render_modes": ["rgb_array"], "autoreset_mode": AutoresetMode.NEXT_STEP}  # noqa: RUF012
    render_mode = "rgb_array"
    num_envs = 2
    single_observation_space = spaces.Box(-1, 1, (2,), np.float32)
    spec = None


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (Own, 'expected a SyncVectorEnv or an AsyncVectorEnv, .* vectorization_mode="sync" or "async"'),
        (
            lambda: AsyncVectorEnv([made], shared_memory=False),
            "without shared memory, .*NEXT_STEP resets an episode once more .*: expected shared memory, or .*DISABLED",
        ),
    ],
)
def test_many_that_would_be_reset_wrongly_are_refused(demonstration, make, message):
    env = make()
    with pytest.raises(UserError, match=message):
        VideoRewardVector(env, demonstration, columns)
    if isinstance(env, AsyncVectorEnv):
        env.close()


@pytest.mark.parametrize(
    ("shape", "crop", "size", "message"),
    [
        ((HEIGHT // 2, WIDTH // 2), None, HEIGHT, None),
        ((HEIGHT, HEIGHT), None, HEIGHT, None),  # of the encoder's size: it has seen them already
        ((HEIGHT, HEIGHT), None, None, "40x24 beside demonstration x of 24x24, expected the same shape"),
        ((WIDTH, HEIGHT), None, HEIGHT, "pictures of 40x24 beside demonstration x of 24x40, expected the same shape"),
        ((HEIGHT, WIDTH), (0, 0, 12, 12), None, None),
        (
            (HEIGHT // 2, WIDTH // 2),
            (0, 0, 12, 12),
            None,
            "40x24 beside demonstration x of 20x12, expected the same si",
        ),
    ],
)
def test_video_and_environment_show_the_same_part_of_the_world(shape, crop, size, message):
    rng = np.random.default_rng(0)
    shown = Demonstration("x", rng.integers(0, 256, (6, *shape, 3), np.uint8), None)
    env = VideoReward(made(), shown, columns, frames=Frames(crop=crop, size=size))
    if message is None:
        env.reset(seed=0)
    else:
        with pytest.raises(UserError, match=message):
            env.reset(seed=0)


class Network(torch.nn.Module):
    """As somebody else's is: tensors, with gradients."""

    def __init__(self, dtype):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(HEIGHT, 3, dtype=dtype))

    def forward(self, frames):
        return torch.from_numpy(frames[:, 0, :, 0] / 255).to(self.weight.dtype) @ self.weight


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_somebody_elses_network_embeds(demonstration, dtype):
    env = VideoReward(made(), demonstration, Network(dtype))
    env.reset(seed=0)
    assert np.isfinite(env.step(np.zeros(1, np.float32))[1])


def test_a_network_in_training_is_refused(demonstration):
    """It would embed the demonstration, a batch, otherwise than the environment, frame by frame."""
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 5, 5), torch.nn.BatchNorm2d(4), torch.nn.Flatten())

    def embed(frames):
        return network(torch.from_numpy(frames).movedim(3, 1) / 255)

    lit = (demonstration.frames * np.linspace(0.2, 1, LENGTH)[:, None, None, None]).astype(np.uint8)
    for frames in (lit, lit[[0, 0, *range(LENGTH)]]):  # it may begin at rest
        shown = Demonstration("lit", frames, None)
        with pytest.raises(UserError, match=r"otherwise alone than beside another, .* call its \.eval\(\)"):
            VideoReward(made(), shown, embed)
    network.eval()
    env = VideoReward(made(), demonstration, embed)
    env.reset(seed=0, options={"place": 0.3})
    assert env.step(np.array([0.5 / 7 / 0.1], np.float32))[4]["embedding_distance"] == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("ends", [False, True])
def test_an_end_of_the_environments_own_is_one_only_if_that_is_said(demonstration, ends):
    """Else a learner would be drawn to it, or shun it, by no more than the sign of the reward."""
    env = VideoReward(made(), demonstration, columns, Following(ends=ends))
    many = VideoRewardVector(SyncVectorEnv([made] * 2), demonstration, columns, Following(ends=ends))
    env.reset(seed=0, options={"place": 0.93})
    many.reset(seed=0, options={"place": 0.93})
    *_, terminated, truncated, info = env.step(np.ones(1, np.float32))  # it is beyond 0.95
    assert (terminated, truncated, info["env_terminated"]) == (ends, not ends, True)
    *_, terminated, truncated, infos = many.step(np.ones((2, 1), np.float32))
    assert terminated.tolist() == [ends] * 2
    assert truncated.tolist() == [not ends] * 2
    assert infos["final_info"]["env_terminated"].tolist() == [True] * 2
    with pytest.raises(UserError, match="ends is 1, expected True or False"):
        Following(ends=1)


def test_environments_that_are_there_are_not_closed(demonstration):
    mine = [made() for _ in range(2)]
    for one in mine:
        one.close = lambda: pytest.fail("closed")
    VideoRewardVector(SyncVectorEnv([lambda one=one: one for one in mine]), demonstration, columns)


def test_an_encoder_is_tried_on_what_it_will_see(demonstration):
    def relative(frames):  # black frames have no brightness to divide by
        bright = frames[:, 0, :, 0].astype(float)
        return bright / bright.sum(axis=1, keepdims=True)

    bars = Demonstration("middle", np.stack([picture(place) for place in np.linspace(0.4, 0.6, 5)]), None)
    VideoReward(made(), bars, relative)


def test_without_a_clock_the_demonstration_waits(demonstration):
    def steps(clock):
        env = VideoReward(made(), demonstration, centre, Following(clock=clock))
        env.reset(seed=0, options={"place": 0.3})
        told = []
        for _ in range(30):
            *_, truncated, info = env.step(np.array([0.2], np.float32))  # slower than the video
            told.append(info["step"])
            if truncated:
                break
        return told

    assert steps(True) == list(range(1, LENGTH))
    waited = steps(False)
    assert waited[-1] == LENGTH - 1
    assert len(waited) > LENGTH


@pytest.mark.parametrize("norm", [1, 10])
def test_without_a_clock_it_is_the_same_whatever_the_norm(norm):
    """Whoever stands still is waited for, and does not pass through the video because all of it is near."""

    def on_a_circle(frames):
        turn = centre(frames)[:, 0] / 24
        return norm * np.stack([np.cos(turn), np.sin(turn)], axis=1)

    shown = Demonstration("slow", np.stack([picture(place) for place in np.linspace(0.2, 0.8, 24)]), None)
    env = VideoReward(made(), shown, on_a_circle, Following(clock=False))
    env.reset(seed=0, options={"place": 0.2})
    told = [env.step(np.zeros(1, np.float32))[4]["step"] for _ in range(6)]
    assert np.diff(told).tolist() == [1] * 5


def test_a_video_of_another_rate_goes_by_as_fast(demonstration, tmp_path):
    write_video(tmp_path / "slow.mp4", demonstration.frames.repeat(3, axis=0), 3 * FPS, Compression(0, "yuv444p"))
    assert len(follow(VideoReward(made(), tmp_path / "slow.mp4", columns))) == LENGTH
    assert len(follow(VideoReward(made(), tmp_path / "slow.mp4", columns, fps=2 * FPS))) == 2 * LENGTH


def test_only_what_is_cropped_is_seen(demonstration):
    env = VideoReward(made(), demonstration, columns, frames=Frames(crop=(0, 0, 12, 12)))
    assert env.observation_space.shape == (2 + 2 * 12,)
    env.reset(seed=0, options={"place": 0.9})
    assert env.step(np.zeros(1, np.float32))[0][2:14].max() == 0  # the bar is not there


def test_an_episode_may_end_before_the_video(demonstration):
    rows = follow(VideoReward(TimeLimit(made(), 4), demonstration, columns))
    assert [row[2] for row in rows] == [False] * 4 + [True]


class Odd(Slider):
    """Renders what is no picture, or another one than before."""

    def __init__(self, odd):
        super().__init__("rgb_array")
        self.odd, self.rendered = odd, 0

    def render(self):
        self.rendered += 1
        return self.odd(super().render(), self.rendered)


def nan(frames):
    return np.where(frames[..., 0].any(axis=1), np.nan, 0.0)


@pytest.mark.parametrize(
    ("make", "settings", "message"),
    [
        (Slider, {}, 'its render mode is None, expected "rgb_array": make it with that'),
        (lambda: Odd(lambda frame, _: None), {}, "a picture of nothing, expected pictures"),
        (lambda: Odd(lambda frame, _: frame[..., 0]), {}, r"a picture of \(24, 40\) uint8, expected pictures"),
        (lambda: Odd(lambda frame, _: frame / 255), {}, r"a picture of \(24, 40, 3\) float64, expected pictures"),
        (lambda: Odd(lambda frame, n: frame[n > 1 :]), {}, r"a picture of \(23, 40\), expected \(24, 40\), as the"),
        (made, {"frames": Frames("pixels")}, "observes no 'pixels', expected a Dict with the pictures under that key"),
        (made, {"frames": Frames(crop=(0, 0, 50, 10))}, r"40x24, expected those that hold the crop \(0, 0, 50, 10\)"),
        (made, {"encoder": nan}, "an embedding became nan .*: mend the encoder"),
        (made, {"encoder": lambda frames: columns(frames)[:1]}, r"makes \(1, 24\) of 2 frames .* expected \(2, dim\)"),
        (made, {"encoder": lambda frames: frames.mean()}, r"makes \(\) of 2 frames"),
        (made, {"encoder": 3}, "an encoder of type int, expected a trained one, or a function"),
        (made, {"encoder": "nowhere"}, "nowhere/encoder.json"),
        (made, {"encoder": lambda frames: np.full((len(frames), 2), 1e300)}, "an embedding became inf"),
        (made, {"encoder": lambda frames: [[1.0], [1.0, 2.0]]}, "the encoder makes no numbers of 2 frames"),
        (made, {"demonstrations": np.zeros((5, 24, 24, 3), np.uint8)}, "expected a video file or an imitate.Demonstr"),
        (made, {"encoder": lambda frames: columns(frames) * 1j}, "makes no numbers of 2 frames .complex ones."),
        (
            made,
            {"demonstrations": Demonstration("x", [picture(0)] * 3, None)},
            "type list, expected an array: numpy.st",
        ),
        (made, {"demonstrations": None}, "expected a video file or an imitate.Demonstration, or a list of them"),
        (made, {"demonstrations": columns}, "expected a video file or an imitate.Demonstration, or a list of them"),
        (lambda: "Pendulum-v1", {}, "an environment of type str, expected one that is made: gymnasium.make"),
        (made, {"demonstrations": [3]}, "expected a video file or an imitate.Demonstration, or a list of them"),
        (made, {"frames": "pixels"}, "frames of type str, expected imitate.Frames"),
        (made, {"following": 3}, "following of type int, expected imitate.Following"),
        (made, {"fps": 10}, "frames of no rate, which fps means nothing to: leave fps out"),
        (made, {"fps": 0, "demonstrations": "x.mp4"}, "fps is 0, expected steps of the environment a second, more t"),
        (lambda: made(own=spaces.Sequence(spaces.Box(0, 1, (2,)))), {}, "is no vector: expected observe='dict' or"),
        (made, {"demonstrations": []}, "no demonstration to follow"),
        (made, {"demonstrations": "nowhere.mp4"}, "nowhere.mp4: no such video file"),
        (made, {"observe": "all"}, "unknown observe 'all': choose"),
    ],
)
def test_what_can_not_be_is_one_line(demonstration, make, settings, message):
    with pytest.raises(UserError, match=message) as raised:
        follow(VideoReward(make(), **({"demonstrations": demonstration, "encoder": columns} | settings)))
    assert "\n" not in str(raised.value)


def test_last_moments_that_nobody_can_see_are_refused(demonstration):
    env = SyncVectorEnv([made], autoreset_mode=AutoresetMode.SAME_STEP)
    with pytest.raises(UserError, match="renders no episode's last moment: make it with another autoreset mode, or"):
        VideoRewardVector(env, demonstration, columns)


@pytest.mark.parametrize("crop", [(0, 0, 0, 5), (5, 0, 2, 5), (-1, 0, 5, 5), (0, 0, 5), (0, 0, 5.5, 5)])
def test_a_crop_that_is_none_is_refused(crop):
    with pytest.raises(UserError, match=r"crop is .*, expected"):
        Frames(crop=crop)


@pytest.mark.parametrize("name", ["Pendulum-v1", "Reacher-v5"])
def test_gymnasiums_own_environments_are_rewarded(name, monkeypatch):
    """The nearer what is done to what is shown, the higher the reward; whatever draws it."""
    if name == "Reacher-v5":
        if find_library("OSMesa") is None:
            pytest.skip("MuJoCo draws nothing without a screen here: install Debian's libosmesa6")
        monkeypatch.setenv("MUJOCO_GL", "osmesa")
    rng = np.random.default_rng(0)

    def pixels(frames):
        return frames[:, ::4, ::4].reshape(len(frames), -1) / 25.5

    def acted(env, actions):
        rows = [env.reset(seed=4)] + [env.step(action) for action in actions]
        return [row[1] for row in rows[1:]], [row[-1] for row in rows]

    still = {"default_camera_config": {"lookat": np.zeros(3), "trackbodyid": -1}} if name == "Reacher-v5" else {}
    bare = gym.make(name, render_mode="rgb_array", **still)
    actions = rng.uniform(-1, 1, (12, *bare.action_space.shape)).astype(np.float32)
    bare.reset(seed=4)
    pictures = [bare.render()]
    for action in actions:
        bare.step(action)
        pictures.append(bare.render())
    shown = Demonstration("acted", np.stack(pictures), None)
    env = VideoReward(gym.make(name, render_mode="rgb_array", **still), shown, pixels)
    rewards, infos = acted(env, actions)
    assert infos[-1]["step"] == 12
    assert max(info["embedding_distance"] for info in infos[1:]) < 1e-3
    others, _ = acted(env, -actions)
    assert sum(others) < sum(rewards)
    many = gym.make_vec(name, 2, vectorization_mode="sync", render_mode="rgb_array", **still)
    many = VideoRewardVector(many, shown, pixels)
    many.reset(seed=4)
    for action, reward in zip(actions, rewards, strict=True):
        assert many.step(np.stack([action, -action]))[1][0] == pytest.approx(reward, abs=1e-4)
    for made in (bare, env, many):
        made.close()
