"""Call by call beside the reference: Gymnasium's SyncVectorEnv, and stable-baselines3's DummyVecEnv, of the same."""

import os
import subprocess
import sys
import warnings
from dataclasses import replace
from types import ModuleType

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import RecordVideo
from gymnasium.wrappers.vector import DictInfoToList, RecordEpisodeStatistics
from gymnasium.wrappers.vector import RecordVideo as RecordVideos
from stable_baselines3.common.env_checker import check_env
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor, VecNormalize, VecTransposeImage, VecVideoRecorder

from imitate.data.demonstration import Demonstration
from imitate.envs import ENV_IDS
from imitate.envs.kuka_env import KukaEnv, Reference
from imitate.envs.robot import Robot as Kuka
from imitate.envs.tcn_imitate import TCNImitateEnv
from imitate.errors import UserError
from imitate.policy.vec_env import SB3VecEnv
from imitate.reward.following import Following
from imitate.reward.true_reward import TrueReward
from imitate.reward.vector_wrapper import EmbeddingRewardVector
from imitate.reward.wrapper import EmbeddingReward

pytestmark = pytest.mark.slow  # each is quick, and there are three hundred
MANY, JOINTS, STEPS = 3, 7, 20  # longer than both demonstrations: episodes end
START = np.full(JOINTS, 0.1)


@pytest.fixture(params=ENV_IDS)
def env_id(request):
    return request.param


@pytest.fixture
def settings(env_id, pixels, demonstrations):
    """Of one environment that is fast and exact, whatever the size of a batch."""
    films = {"start_noise": 0.2, "render_mode": "rgb_array", "render_size": 16}
    if env_id == "TCNImitate-v0":
        return films | {"encoder": pixels, "demonstrations": demonstrations}
    references = [Reference.from_joints(shown.joints) for shown in demonstrations]
    return films | {"references": references, "image_size": 16}


@pytest.fixture
def one(env_id, settings):
    """Makes one environment, as the reference takes it."""
    return lambda **more: gym.make(env_id, disable_env_checker=True, **settings | more)


@pytest.fixture
def synced(one):
    """Makes the reference of many."""
    made = []

    def make(**more):
        made.append(SyncVectorEnv([lambda: one(**more)] * MANY, autoreset_mode=AutoresetMode.SAME_STEP))
        return made[-1]

    yield make
    for env in made:
        env.close()


@pytest.fixture
def many(env_id, settings):
    """Makes ours."""
    made = []

    def make(**more):
        made.append(gym.make_vec(env_id, num_envs=MANY, **settings | more))
        return made[-1]

    yield make
    for env in made:
        env.close()


@pytest.fixture
def dummy(one):
    """The reference for stable-baselines3."""
    env = DummyVecEnv([one] * MANY)
    yield env
    env.close()


@pytest.fixture
def ours(many):
    """Ours for stable-baselines3."""
    return SB3VecEnv(many())


def acts(seed=0):
    rng = np.random.default_rng(seed)
    while True:
        yield rng.uniform(-1, 1, (MANY, JOINTS)).astype(np.float32)


def same(a, b):
    """Whether two answers are equal, part by part."""
    if isinstance(b, dict):
        assert a.keys() == b.keys()
        for key in b:
            same(a[key], b[key])
    elif isinstance(b, (list, tuple)):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            same(x, y)
    elif isinstance(b, np.ndarray) and b.dtype != np.object_:
        assert (np.shape(a), a.dtype) == (b.shape, b.dtype)
        np.testing.assert_array_equal(a, b)
    elif isinstance(b, float):
        assert a == pytest.approx(b, rel=1e-6)
    else:
        assert a == b


def same_told(infos, reference):
    """Whether infos tell the same, of the same environments."""
    marked = {key for key in reference if key[0] == "_"}
    assert {key for key in infos if key[0] == "_" and infos[key].any()} == marked
    for mask in marked:
        np.testing.assert_array_equal(infos[mask], reference[mask])
        told, expected = infos[mask[1:]], reference[mask[1:]]
        if isinstance(expected, dict):
            same_told(told, expected)
        else:
            for row in np.flatnonzero(reference[mask]):
                same(told[row], expected[row])


def same_turn(turn, reference):
    """Whether a reset or a step gave the same."""
    same(turn[0], reference[0])
    for part, expected in zip(turn[1:-1], reference[1:-1], strict=True):
        assert part.dtype == expected.dtype
        np.testing.assert_allclose(part, expected, rtol=1e-6)
    same_told(turn[-1], reference[-1])


def same_steps(env, reference, steps=STEPS):
    """Whether both go on alike; returns whether an episode ended."""
    ended = False
    for action, _ in zip(acts(), range(steps), strict=False):
        expected = reference.step(action)
        same_turn(env.step(action), expected)
        ended |= bool((expected[2] | expected[3]).any())
    return ended


# Gymnasium: many at once


@pytest.mark.parametrize(
    "call",
    [
        {"seed": 5},
        {"seed": np.int64(0)},
        {"seed": [4, 0, 9]},
        {"seed": np.array([4, 0, 9])},
        {"seed": 5, "options": {}},
        {"seed": 5, "options": {"demonstration": 1}},
        {"seed": 5, "options": {"start": START}},
    ],
    ids=str,
)
def test_reset(many, synced, call):
    env, reference = many(), synced()
    seed = call["seed"]
    plain = seed.tolist() if isinstance(seed, (np.ndarray, np.integer)) else seed
    same_turn(env.reset(**call), reference.reset(**call | {"seed": plain}))
    same(env.np_random_seed, reference.np_random_seed)
    same([one.bit_generator.state for one in env.np_random], [one.bit_generator.state for one in reference.np_random])
    assert same_steps(env, reference)
    same_turn(env.reset(), reference.reset())


@pytest.mark.parametrize(
    ("seed", "message"),
    [
        (-1, "seed is -1, expected 0 or more"),
        (1.5, "a seed of type float, expected an integer"),
        ("1", "a seed of type str, expected an integer"),
        ([1, 2], "2 seeds, expected one, or one for each of the 3"),
        ([], "0 seeds, expected one, or one for each of the 3"),
        ([1, 2, -3], "seed is -3, expected 0 or more"),
    ],
)
def test_reset_refuses_what_is_no_seed(many, synced, seed, message):
    env, reference = many(), synced()
    with pytest.raises((ValueError, TypeError, gym.error.Error)):
        reference.reset(seed=seed)
    with pytest.raises(UserError, match=message):
        env.reset(seed=seed)


@pytest.mark.parametrize("mask", [[True, False, True], [False, True, False]])
def test_reset_of_some(many, synced, mask):
    env, reference = many(), synced()
    for both in (env, reference):
        both.reset(seed=1)
    same_steps(env, reference, 5)
    options = {"reset_mask": np.array(mask), "demonstration": 0}
    same_turn(env.reset(seed=[7, 8, 9], options=options), reference.reset(seed=[7, 8, 9], options=dict(options)))
    assert "reset_mask" in options, "what is handed over is left alone"
    assert same_steps(env, reference)


@pytest.mark.parametrize("env_id", ["TCNImitate-v0"], indirect=True)
def test_reset_of_some_where_demonstrations_wait(many, synced):
    env, reference = many(clock=False), synced(clock=False)
    for both in (env, reference):
        both.reset(seed=1)
    same_steps(env, reference, 5)
    mask = np.array([False, True, False])
    same_turn(env.reset(options={"reset_mask": mask}), reference.reset(options={"reset_mask": mask}))
    same_steps(env, reference)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.ones(2, bool), r"reset_mask of shape \(2,\) bool, expected \(3,\) bool"),
        (np.ones(MANY), r"reset_mask of shape \(3,\) float64, expected \(3,\) bool"),
        (np.zeros(MANY, bool), "one or more true"),
    ],
)
def test_reset_refuses_what_is_no_mask(many, synced, mask, message):
    env, reference = many(), synced()
    for both in (env, reference):
        both.reset(seed=0)
    with pytest.raises((ValueError, TypeError)):
        reference.reset(options={"reset_mask": mask})
    with pytest.raises(UserError, match=message):
        env.reset(options={"reset_mask": mask})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"demo": 1}, "unknown option 'demo': choose one of demonstration, start"),
        ({"demonstration": 7}, "no demonstration 7, expected 0 to 1"),
        ({"demonstration": 0.5}, "demonstration of type .*float.*, expected the index of one"),
        ({"demonstration": [0, 1]}, r"demonstration of shape \(2,\), expected \(\), or one each"),
        ({"start": START[:3]}, r"start of shape \(3,\), expected \(7,\)"),
    ],
)
def test_reset_refuses_what_is_no_option(many, one, options, message):
    with pytest.raises(UserError, match=message):
        many().reset(options=options)
    single = one()
    with pytest.raises(UserError):
        single.reset(options=options)
    single.close()


WRONG = {
    "one for all": np.zeros(JOINTS),
    "one row": np.zeros((1, JOINTS)),
    "one number each": np.zeros((MANY, 1)),
    "a number": 0.5,
    "a row too many": np.zeros((MANY + 1, JOINTS)),
    "a row too few": np.zeros((MANY - 1, JOINTS)),
    "turned": np.zeros((JOINTS, MANY)),
    "text": np.full((MANY, JOINTS), "a"),
    "complex": np.zeros((MANY, JOINTS), complex),
    "ragged": [[0.0] * JOINTS, [0.0], [0.0] * JOINTS],
    "none": None,
}


@pytest.mark.parametrize("wrong", WRONG)
def test_step_refuses_actions_of_another_shape(many, wrong):
    env, untouched = many(), many()
    for both in (env, untouched):
        both.reset(seed=0)
    with pytest.raises(UserError, match="actions of "):
        env.step(WRONG[wrong])
    same_steps(env, untouched, 2)


@pytest.mark.parametrize("kind", [list, np.float64, np.float32, np.int64])
def test_step_takes_actions_of_any_kind_of_number(many, synced, kind):
    env, reference = many(), synced()
    for both in (env, reference):
        both.reset(seed=0)
    action = np.random.default_rng(0).uniform(-2, 2, (MANY, JOINTS))
    action = action.tolist() if kind is list else action.astype(kind)
    same_turn(env.step(action), reference.step(action))


@pytest.mark.parametrize("env_id", ["KukaTrack-v0"], indirect=True)
def test_aim_at_refuses_frames_of_another_shape(many):
    env = many()
    env.reset(seed=0)
    for wrong in (4, [4], [4, 4]):
        with pytest.raises(UserError, match=r"frames to aim at of shape .*, expected \(3,\)"):
            env.aim_at(wrong)


def test_nothing_comes_before_reset_or_after_close(many, synced):
    env, reference = many(), synced()
    calls = [lambda both: both.step(np.zeros((MANY, JOINTS), np.float32)), lambda both: both.render()]
    for call in calls:
        with pytest.raises(gym.error.ResetNeeded):
            call(reference)
        with pytest.raises(gym.error.ResetNeeded, match="before the first reset: call reset first") as raised:
            call(env)
        assert isinstance(raised.value, UserError)
    with pytest.raises(gym.error.ResetNeeded):
        env.reset(options={"reset_mask": np.array([True, False, True])})
    env.reset(seed=0)
    env.close()
    env.close()
    assert env.closed
    for call in (*calls, lambda both: both.reset()):
        with pytest.raises(gym.error.ClosedEnvironmentError, match="closed: make another") as raised:
            call(env)
        assert isinstance(raised.value, UserError)


def test_render(many, synced):
    env, reference = many(), synced()
    for both in (env, reference):
        both.reset(seed=0)
    same_steps(env, reference, 2)
    same(env.render(), reference.render())
    assert env.render_mode == reference.render_mode


def test_render_without_a_mode(many, synced):
    env, reference = many(render_mode=None), synced(render_mode=None)
    for both in (env, reference):
        both.reset(seed=0)
        with pytest.warns(UserWarning, match="without a render mode"):
            assert both.render() == (None,) * MANY


def test_metadata_spaces_and_spec(many, synced, env_id):
    env, reference = many(), synced()
    assert env.metadata == reference.metadata
    assert env.metadata["render_fps"] == 20
    for name in ("num_envs", "observation_space", "action_space", "single_observation_space", "single_action_space"):
        assert getattr(env, name) == getattr(reference, name)
    assert env.spec.id == env_id
    assert env.unwrapped.spec is env.spec


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("env_id", ["KukaTrack-v0"], indirect=True)
def test_attributes(many, synced, workers):
    env, reference = many(workers=workers), synced()
    for both in (env, reference):
        both.set_attr("start_noise", (0.0, 0.1, 0.2))
        both.set_attr("midway", 0.0)
        both.reset(seed=0)
        with pytest.raises(ValueError, match="values"):
            both.set_attr("start_noise", [0.0])
        with pytest.raises(AttributeError):
            both.get_attr("nothing")
    for name in ("start_noise", "midway", "image_size", "render_mode", "np_random_seed", "observation_space"):
        same(env.get_attr(name), reference.get_attr(name))
    same(env.call("has_wrapper_attr", "aim"), reference.call("has_wrapper_attr", "aim"))
    same_turn(env.reset(seed=0), reference.reset(seed=0))
    same(env.render(), reference.render())
    if workers:
        with pytest.raises(UserError, match="a simulation can't be copied, nor leave its process: make another"):
            env.get_attr("kuka")
    for name in ("reset", "step", "close"):
        with pytest.raises(UserError, match=f"{name} of one environment would leave the others behind"):
            env.call(name)
    for row in (-1, MANY):
        with pytest.raises(UserError, match=f"aim_at of environment {row}, expected 0 to 2"):
            env.call_rows([0, row], "aim_at", 4)


@pytest.mark.parametrize("limit", [1, 5, 40, np.int64(5)])
def test_max_episode_steps(env_id, settings, many, limit):
    same_mode = {"autoreset_mode": AutoresetMode.SAME_STEP}
    reference = gym.make_vec(
        f"imitate:{env_id}", MANY, "sync", same_mode, max_episode_steps=int(limit), disable_env_checker=True, **settings
    )
    env = many(max_episode_steps=limit)
    same_turn(env.reset(seed=0), reference.reset(seed=0))
    assert same_steps(env, reference, 11 if limit < 9 else STEPS)
    reference.close()


def test_max_episode_steps_goes_on_from_a_state(many):
    env, other = many(max_episode_steps=4), many(max_episode_steps=4)
    env.reset(seed=0)
    for action, _ in zip(acts(), range(3), strict=False):
        env.step(action)
    other.restore(env.state())
    assert env.step(action)[3].all()
    assert other.step(action)[3].all()


@pytest.mark.parametrize("limit", [0, -2, 1.5, "5"])
def test_max_episode_steps_is_a_number_of_steps(many, limit):
    with pytest.raises(UserError, match=f"max_episode_steps is {limit!r}, expected a number of 1 or more, or None"):
        many(max_episode_steps=limit)


@pytest.mark.parametrize("limit", [None, -1])
def test_max_episode_steps_may_be_without_limit(many, limit):
    env = many(max_episode_steps=limit)
    env.reset(seed=0, options={"demonstration": 1})
    for step, action in zip(range(16), acts(), strict=False):
        assert env.step(action)[3].all() == (step == 15)


@pytest.mark.parametrize("env_id", ["KukaTrack-v0"], indirect=True)
def test_gymnasiums_other_ways_to_make_many(env_id, settings, synced):
    reference, same_mode = synced(), {"autoreset_mode": AutoresetMode.SAME_STEP}
    env = gym.make_vec(f"imitate:{env_id}", MANY, "async", same_mode, **settings)
    assert isinstance(env, AsyncVectorEnv)
    same_turn(env.reset(seed=0), reference.reset(seed=0))
    same_steps(env, reference)
    env.close()


def test_gymnasiums_wrappers_of_many(many, synced):
    env, reference = (DictInfoToList(RecordEpisodeStatistics(make())) for make in (many, synced))
    same(env.reset(seed=0)[1], reference.reset(seed=0)[1])
    ended = 0
    for action, _ in zip(acts(), range(STEPS), strict=False):
        infos, expected = env.step(action)[4], reference.step(action)[4]
        for info in (*infos, *expected):
            ended += "final_info" in info
            info.get("episode", {}).pop("t", None)  # s
        same(infos, expected)
    assert ended


def test_errors_that_are_not_known_are_not_told():
    unknown = {"references": [Reference(START, 5)], "image_size": 16}
    env = gym.make_vec("KukaTrack-v0", num_envs=MANY, **unknown)
    reference = SyncVectorEnv([lambda: KukaEnv(**unknown)] * MANY, autoreset_mode=AutoresetMode.SAME_STEP)
    same_turn(env.reset(seed=0), reference.reset(seed=0))
    assert same_steps(env, reference, 6)
    sb3, dummy = SB3VecEnv(env), DummyVecEnv([lambda: KukaEnv(**unknown)])
    sb3.reset()
    dummy.reset()
    assert sb3.reset_infos[0].keys() == dummy.reset_infos[0].keys()
    for both in (env, reference, dummy):
        both.close()


class Filmed(list):
    """What moviepy is handed: frames, at so many a second."""

    made = []  # noqa: RUF012

    def __init__(self, frames, fps):
        super().__init__(frames)
        self.fps = fps
        self.made.append(self)

    def write_videofile(self, path, **_):
        """Nowhere."""


@pytest.fixture
def filmed(monkeypatch):
    """The films that recorders made, with or without moviepy."""
    place = "moviepy.video.io.ImageSequenceClip"
    for end in [*(i for i, letter in enumerate(place) if letter == "."), None]:
        monkeypatch.setitem(sys.modules, place[:end], ModuleType(place[:end]))
    sys.modules[place].ImageSequenceClip = Filmed
    monkeypatch.setattr(Filmed, "made", [])
    return Filmed.made


def test_gymnasiums_recorders(many, synced, one, filmed, tmp_path):
    for make, wrapper in ((many, RecordVideos), (synced, RecordVideos), (one, RecordVideo)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the folder, and of the last frame
            env = wrapper(make(), str(tmp_path), episode_trigger=lambda _: True, video_length=4)
        env.reset(seed=0)
        for action, _ in zip(acts(), range(4), strict=False):
            env.step(action if wrapper is RecordVideos else action[0])
        env.close()
    ours, reference, single = filmed
    assert ours.fps == reference.fps == single.fps == 20
    assert len(single) == 5
    same(list(ours), list(reference))


# Gymnasium: one


@pytest.fixture
def bare(env_id, settings):
    """One environment without what gym.make wraps it in."""
    env = (TCNImitateEnv if env_id == "TCNImitate-v0" else KukaEnv)(**settings)
    yield env
    env.close()


def test_one_takes_seeds_of_numpy(bare, one):
    reference = one()
    observation, info = reference.reset(seed=0)
    same(bare.reset(seed=np.int64(0)), (observation, info))
    assert bare.np_random_seed == reference.unwrapped.np_random_seed == 0
    for wrong in (-1, 0.5, "0"):
        with pytest.raises(UserError, match="seed"):
            bare.reset(seed=wrong)
    reference.close()


def test_one_draws_from_the_generator_that_it_is_given(bare):
    drawn = []
    for _ in range(2):
        bare.np_random = np.random.default_rng(3)
        assert bare.np_random_seed == -1
        drawn.append(bare.reset())
    same(*drawn)


def test_one_refuses_what_comes_before_reset_or_after_close(bare):
    calls = {"step": lambda: bare.step(np.zeros(JOINTS, np.float32)), "render": bare.render, "reset": bare.reset}
    for name in ("step", "render"):
        with pytest.raises(gym.error.ResetNeeded, match=f"{name} before the first reset: call reset first"):
            calls[name]()
    bare.reset(seed=0)
    bare.close()
    for name, call in calls.items():
        with pytest.raises(gym.error.ClosedEnvironmentError, match=f"{name} of an environment that is closed"):
            call()


@pytest.mark.parametrize("wrong", [np.zeros((1, JOINTS)), np.zeros(3), 0.0, None, ["a"] * JOINTS])
def test_one_refuses_actions_of_another_shape(bare, wrong):
    bare.reset(seed=0)
    with pytest.raises(UserError, match="action of "):
        bare.step(wrong)


def test_one_renders_as_it_was_made_to(one, bare):
    bare.reset(seed=0)
    picture = bare.render()
    assert (picture.shape, picture.dtype) == ((16, 16, 3), np.uint8)
    assert bare.metadata["render_fps"] == 20
    silent = one(render_mode=None)
    silent.reset(seed=0)
    with pytest.warns(UserWarning, match="without a render mode"):
        assert silent.render() is None
    silent.close()


# Stable-baselines3


def same_rollout(ours, dummy, steps=STEPS):
    """Whether both go on alike; returns how many episodes ended."""
    ended = 0
    for action, _ in zip(acts(), range(steps), strict=False):
        (observation, rewards, dones, infos), expected = ours.step(action), dummy.step(action)
        same((observation, dones), (expected[0], expected[2]))
        assert rewards.dtype == expected[1].dtype
        np.testing.assert_allclose(rewards, expected[1], rtol=1e-6)
        same(list(infos), list(expected[3]))
        same(list(ours.reset_infos), list(dummy.reset_infos))
        ended += dones.sum()
    return ended


def same_reset(ours, dummy):
    same(ours.reset(), dummy.reset())
    same(list(ours.reset_infos), list(dummy.reset_infos))


@pytest.mark.parametrize("seed", [3, 0, np.int64(0)])
def test_sb3_seed(ours, dummy, seed):
    assert ours.seed(seed) == dummy.seed(int(seed))
    same_reset(ours, dummy)
    assert same_rollout(ours, dummy) > 1
    same_reset(ours, dummy)  # the seed is used up


def test_sb3_seed_of_none_is_one_drawn(ours):
    starts = []
    for _ in range(2):
        np.random.seed(0)  # noqa: NPY002, stable-baselines3 draws from it
        assert all(isinstance(seed, int) for seed in ours.seed())
        starts.append(ours.reset())
    same(*starts)
    with pytest.raises(UserError, match="seed is -1"):
        ours.seed(-1)


@pytest.mark.parametrize(
    "options",
    [
        {"demonstration": 1},
        {"start": START},
        [{"demonstration": 1}, {"demonstration": 0}, {"demonstration": 1}],
        [{"demonstration": 1}, {}, {"start": START, "demonstration": 0}],
        [{}, {}, {"start": START}],
        {},
        None,
    ],
    ids=str,
)
@pytest.mark.parametrize("first", [True, False])
def test_sb3_set_options(ours, dummy, options, first):
    for env in (ours, dummy):
        env.seed(0)
        if not first:
            env.reset()
        env.set_options(options)
    same_reset(ours, dummy)
    same_rollout(ours, dummy, 5)
    same_reset(ours, dummy)  # the options are used up


def test_sb3_set_options_refuses_fewer_than_environments(ours):
    with pytest.raises(UserError, match="2 options, expected a dict for each of the 3 environments"):
        ours.set_options([{}, {}])


@pytest.mark.parametrize("wrong", WRONG)
def test_sb3_step_refuses_actions_of_another_shape(ours, wrong):
    ours.reset()
    with pytest.raises(UserError, match="actions of the policy of "):
        ours.step(WRONG[wrong])


def test_sb3_step_before_reset(ours, dummy):
    for env in (dummy, ours):
        with pytest.raises(gym.error.ResetNeeded):
            env.step(np.zeros((MANY, JOINTS), np.float32))
    ours.close()
    ours.close()


def test_sb3_pictures(ours, dummy):
    for env in (ours, dummy):
        env.seed(0)
        env.reset()
    same_rollout(ours, dummy, 2)
    same(ours.get_images(), dummy.get_images())
    same(ours.render(), dummy.render())
    same(ours.render("rgb_array"), dummy.render("rgb_array"))
    same(ours.env_method("render", indices=[2, 0]), dummy.env_method("render", indices=[2, 0]))
    assert (ours.render_mode, ours.metadata) == (dummy.render_mode, dummy.metadata)
    assert ours.metadata["render_fps"] == 20


def test_sb3_pictures_without_a_mode(many, one):
    for env in (SB3VecEnv(many(render_mode=None)), DummyVecEnv([lambda: one(render_mode=None)] * MANY)):
        env.reset()
        with pytest.warns(UserWarning, match="render mode"):
            assert env.get_images() == [None] * MANY
        with pytest.warns(UserWarning, match="render_mode"):
            assert env.render() is None
        env.close()


def test_sb3_video_recorder(ours, dummy, filmed, tmp_path):
    for env in (ours, dummy):
        recorder = VecVideoRecorder(env, str(tmp_path), lambda step: step == 0, video_length=4)
        recorder.seed(0)
        recorder.reset()
        for action, _ in zip(acts(), range(5), strict=False):
            recorder.step(action)
        recorder.close()
    film, expected = filmed
    assert film.fps == expected.fps == 20
    assert len(film) == 5
    same(list(film), list(expected))


@pytest.mark.parametrize("name", ["observation_space", "action_space", "render_mode", "metadata", "np_random_seed"])
def test_sb3_get_attr(ours, dummy, name):
    for env in (ours, dummy):
        env.seed(4)
        env.reset()
    for indices in (None, 1, [2, 0]):
        assert ours.get_attr(name, indices) == dummy.get_attr(name, indices)
    assert ours.has_attr(name) == dummy.has_attr(name)
    assert not ours.has_attr("nothing")
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        ours.get_attr("nothing")


@pytest.mark.parametrize("env_id", ["TCNImitate-v0"], indirect=True)
def test_sb3_get_attr_of_what_all_share(ours, dummy):
    for indices in (None, 1, [2, 0]):
        assert ours.get_attr("encoder", indices) == dummy.get_attr("encoder", indices)
        for method in ("get_wrapper_attr", "has_wrapper_attr"):
            asked = [env.env_method(method, "encoder", indices=indices) for env in (ours, dummy)]
            assert asked[0] == asked[1]
    with pytest.raises(UserError, match="set_attr: encoder is shared by all environments"):
        ours.env_method("set_wrapper_attr", "encoder", None, indices=1)


@pytest.mark.parametrize("env_id", ["KukaTrack-v0"], indirect=True)
@pytest.mark.parametrize("workers", [0, 2])
def test_sb3_attributes_of_each(many, one, workers):
    ours = SB3VecEnv(many(workers=workers))
    dummy = DummyVecEnv([lambda: one().unwrapped] * MANY)
    for env in (ours, dummy):
        env.set_attr("start_noise", 0.0)
        env.seed(0)
        env.set_options([{"demonstration": 1}, {}, {"start": START}])
    same_reset(ours, dummy)
    for env in (ours, dummy):
        assert env.env_method("aim_at", 4) == [None] * MANY
    assert ours.has_attr("aim_at")
    assert ours.get_attr("aim") == dummy.get_attr("aim") == [4] * MANY
    assert ours.get_attr("start_noise") == dummy.get_attr("start_noise") == [0.0] * MANY
    same(ours.get_images(), dummy.get_images())
    same_rollout(ours, dummy)
    for refused, message in [
        (lambda: ours.set_attr("observation_space", None), "set_attr: observation_space is shared by all"),
        (lambda: ours.env_method("nothing"), "no attribute 'nothing'"),
    ]:
        refuses(refused, message)
    dummy.close()


def refuses(call, message):
    """Whether a call is refused in one line, as an attribute that isn't there."""
    with pytest.raises(AttributeError, match=message) as raised:
        call()
    assert isinstance(raised.value, UserError)
    assert "\n" not in str(raised.value)


@pytest.fixture(params=["this process", "workers", "sync"])
def reached(request, many, synced):
    """Ours for stable-baselines3, of each vector environment that reaches any of its environments."""
    return SB3VecEnv(synced() if request.param == "sync" else many(workers=2 if request.param == "workers" else 0))


@pytest.mark.parametrize("env_id", ["KukaTrack-v0"], indirect=True)
@pytest.mark.parametrize(
    "indices", [None, 1, -1, [0], [2, 0], [1, 1], [], range(1, 3), np.array([0, 2])], ids=lambda indices: f"{indices}"
)
def test_sb3_attributes_of_some(reached, one, indices):
    dummy = DummyVecEnv([lambda: one().unwrapped] * MANY)
    both = (reached, dummy)
    for env in both:
        env.set_attr("start_noise", 0.0, indices)
        env.set_attr("added", [1, 2], indices=indices)
        env.seed(0)
    same_reset(*both)

    def same_call(method, *args, **kwargs):
        same(*(env.env_method(method, *args, indices=indices, **kwargs) for env in both))

    same_call("aim_at", 2)
    same_call("aim_at", frame=4)
    same_call("set_wrapper_attr", "midway", 0.0)
    same_call("set_wrapper_attr", name="nothing", value=1, force=False)
    same_call("has_wrapper_attr", "added")
    same_call("has_wrapper_attr", "nothing")
    for name in ("aim", "midway", "added", "render_mode", "observation_space"):
        same_call("get_wrapper_attr", name)
        same(*(env.get_attr(name, indices) for env in both))
    same_call("render")
    for name in ("aim", "start_noise", "midway"):
        same(*(env.get_attr(name) for env in both))
    same(*(list(env.env_method("has_wrapper_attr", "added")) for env in both))
    same_rollout(*both)
    same_reset(*both)
    dummy.close()


@pytest.mark.parametrize("env_id", ["KukaTrack-v0"], indirect=True)
def test_sb3_attributes_that_some_lack(reached, dummy):
    for env in (reached, dummy):
        env.set_attr("added", 1, indices=[0, 2])
        assert env.get_attr("added", [2, 0]) == [1, 1]
        for indices in (None, 1, [0, 1]):
            with pytest.raises(AttributeError, match="no attribute 'added'"):
                env.get_attr("added", indices)
        for indices in (3, [0, -4]):
            with pytest.raises(IndexError):
                env.get_attr("added", indices)
    assert not reached.has_attr("added")
    for call in (
        lambda: reached.get_attr("added", 1),
        lambda: reached.env_method("get_wrapper_attr", "added"),
        lambda: reached.env_method("nothing", indices=[1]),
    ):
        refuses(call, "no attribute")


@pytest.mark.parametrize("env_id", ["KukaTrack-v0"], indirect=True)
def test_sb3_calls_that_would_leave_others_behind_are_refused(reached):
    for name in ("reset", "step", "restore", "close"):
        for indices in (None, 0, [2, 1]):
            refuses(lambda n=name, i=indices: reached.env_method(n, indices=i), f"{name} is of all environments at")


def test_sb3_attributes_of_processes_of_gymnasium():
    env = SB3VecEnv(AsyncVectorEnv([Robot] * MANY, autoreset_mode=AutoresetMode.SAME_STEP))
    env.set_options([{"grey": 3}, {"grey": 4}, {"grey": 5}])
    env.reset()
    assert env.get_attr("grey", [2, -3]) == env.env_method("get_wrapper_attr", "grey", indices=[2, 0]) == [5, 3]
    assert env.env_method("has_wrapper_attr", "nothing", indices=1) == [False]
    assert [told["speed"] for _, told in env.env_method("turn", indices=[2, 0, 1], speed=2)] == [2] * MANY
    env.set_attr("steps", 2)
    assert env.get_attr("steps") == [2] * MANY
    some = r"of some environments: AsyncVectorEnv.* reaches them only all at once: leave out indices"
    for refused, message in [
        (lambda: env.set_attr("steps", 1, indices=0), f"set_wrapper_attr {some}"),
        (lambda: env.env_method("turn", indices=[0, 1]), f"turn {some}"),
        (lambda: env.env_method("turn", indices=[0, 0, 1, 2]), f"turn {some}"),
        (lambda: env.env_method("nothing"), "no attribute 'nothing'"),
        (lambda: env.env_method("reset"), "env_method: reset is of all environments at once"),
    ]:
        refuses(refused, message)
    assert env.get_attr("steps") == [2] * MANY
    env.close()


def test_sb3_env_is_wrapped(ours, dummy):
    for wrapper in (Monitor, RecordVideo):
        assert ours.env_is_wrapped(wrapper) == dummy.env_is_wrapped(wrapper) == [False] * MANY
    below = SyncVectorEnv([lambda: Monitor(Robot()), Robot], autoreset_mode=AutoresetMode.SAME_STEP)
    env = SB3VecEnv(below)
    assert env.env_is_wrapped(Monitor) == [True, False]
    assert env.env_is_wrapped(Monitor, indices=1) == [False]
    env.close()


def test_sb3_wrappers(many, one, env_id):
    wraps = [VecMonitor, lambda env: VecNormalize(VecMonitor(env), norm_obs_keys=["joints"])]
    if env_id == "KukaTrack-v0":
        wraps.append(VecTransposeImage)
    else:
        wraps[1] = VecNormalize
    for wrap in wraps:
        ours, dummy = wrap(SB3VecEnv(many())), wrap(DummyVecEnv([one] * MANY))
        for env in (ours, dummy):
            env.seed(0)
        same(ours.reset(), dummy.reset())
        for action, _ in zip(acts(), range(STEPS), strict=False):
            (observation, rewards, dones, infos), expected = ours.step(action), dummy.step(action)
            same((observation, dones), (expected[0], expected[2]))
            np.testing.assert_allclose(rewards, expected[1], rtol=1e-5)
            for info in (*infos, *expected[3]):
                info.get("episode", {}).pop("t", None)  # s
                info.get("episode", {"r": 0.0})["r"] = round(float(info.get("episode", {"r": 0.0})["r"]), 3)
            same(list(infos), list(expected[3]))
        assert isinstance(ours.unwrapped, SB3VecEnv)
        dummy.close()


# Any environment, rewarded by embedding distance


class Robot(gym.Env):
    """A robot of two joints that goes nowhere; a reset tells where it stands, or is told so.

    Args:
        lacks: What it does not observe.
        tells: Its info.
        space: That takes the place of those that it observes.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}  # noqa: RUF012

    def __init__(self, lacks=(), tells=("demonstration", "step"), **space):
        parts = {
            "image": spaces.Box(0, 255, (32, 32, 3), np.uint8),
            "joints": spaces.Box(-1, 1, (2,), np.float32),
            "velocities": spaces.Box(-1, 1, (2,), np.float32),
        }
        self.observation_space = spaces.Dict({k: v for k, v in (parts | space).items() if k not in lacks})
        self.action_space = spaces.Box(-1, 1, (JOINTS,), np.float32)
        self.tells = tells

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.grey = int((options or {}).get("grey", self.np_random.integers(256)))
        self.steps = 0
        return self.turn(grey=self.grey, nested={"first": True})

    def step(self, action):
        self.steps += 1
        self.grey = (self.grey + 40) % 256
        observation, info = self.turn(speed=0.5)
        return observation, 1.0, False, self.steps >= 5, info

    def turn(self, **more):
        parts = {
            "image": np.full((32, 32, 3), self.grey, np.uint8),
            "joints": np.zeros(2, np.float32),
            "velocities": np.zeros(2, np.float32),
        }
        info = {"demonstration": 0, "step": self.steps}
        return (
            {key: parts[key] for key in self.observation_space.spaces},
            {key: self.tells[key] if isinstance(self.tells, dict) else info[key] for key in self.tells} | more,
        )


@pytest.fixture
def shown():
    frames = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), np.uint8)
    return [Demonstration("noise", frames, None)]


def made_of(make, vector):
    """Makes an environment, or, of it, Gymnasium's vector environment."""
    return SyncVectorEnv([make] * MANY, autoreset_mode=AutoresetMode.SAME_STEP) if vector else make()


REWARDED = pytest.mark.parametrize(
    ("vector", "rewarded"), [(False, EmbeddingReward), (True, EmbeddingRewardVector)], ids=["one", "many"]
)


@REWARDED
def test_an_environment_without_a_picture_is_named(pixels, shown, vector, rewarded):
    env = made_of(lambda: Robot(["image"]), vector)
    with pytest.raises(UserError, match=r"observes a Dict, expected a Dict with 'image': `imitate\.VideoR") as raised:
        rewarded(env, pixels, shown)
    assert "\n" not in str(raised.value)


@REWARDED
@pytest.mark.parametrize("lacking", [["joints"], ["velocities"], ["joints", "velocities"]])
def test_a_body_is_what_there_is_of_it(pixels, shown, vector, rewarded, lacking):
    env = rewarded(made_of(lambda: Robot(lacking), vector), pixels, shown)
    space = env.single_observation_space if vector else env.observation_space
    assert space.shape == (2 * (2 - len(lacking)) + 2 * pixels.dim,)
    assert env.reset(seed=0)[0] in env.observation_space
    env.close()


@REWARDED
@pytest.mark.parametrize(
    ("space", "message"),
    [
        (
            {"image": spaces.Box(0, 255, (48, 48, 3), np.uint8)},
            r"'image' of \(48, 48, 3\) uint8, .* \(32, 32, 3\) u",
        ),
        ({"image": spaces.Box(0, 1, (32, 32, 3), np.float32)}, r"'image' of \(32, 32, 3\) float32, expected the enc"),
    ],
)
def test_what_is_observed_otherwise_is_named(pixels, shown, vector, rewarded, space, message):
    with pytest.raises(UserError, match=message):
        rewarded(made_of(lambda: Robot(**space), vector), pixels, shown)


@REWARDED
def test_an_observation_that_is_no_dict_is_named(pixels, shown, vector, rewarded):
    if vector:
        env = gym.make_vec("CartPole-v1", MANY, "sync", {"autoreset_mode": AutoresetMode.SAME_STEP})
    else:
        env = gym.make("CartPole-v1")
    with pytest.raises(UserError, match=r"observes a Box, expected a Dict with 'image': `imitate\.VideoReward`"):
        rewarded(env, pixels, shown)


@REWARDED
@pytest.mark.parametrize(
    ("tells", "message"),
    [
        (["step"], "an info without 'demonstration', expected 'demonstration' .index. and 'step'"),
        (["demonstration"], "an info without 'step', expected 'demonstration' .index. and 'step'"),
        ({"demonstration": 1, "step": 0}, "an info of demonstration .* at step .*, expected a demonstration of 0 to 0"),
        ({"demonstration": -1, "step": 0}, "an info of demonstration .* expected a demonstration of 0 to 0"),
        ({"demonstration": 0, "step": -1}, "an info of demonstration .*, and a step of 0 or more"),
        ({"demonstration": 0.0, "step": 0}, "an info of demonstration float64 and step int64, expected integers"),
    ],
)
def test_what_is_not_told_is_named(pixels, shown, vector, rewarded, tells, message):
    env = rewarded(made_of(lambda: Robot(tells=tells), vector), pixels, shown)
    with pytest.raises(UserError, match=message):
        env.reset(seed=0)


@REWARDED
def test_a_reward_comes_after_a_reset(pixels, shown, vector, rewarded):
    env = rewarded(made_of(Robot, vector), pixels, shown)
    with pytest.raises(gym.error.ResetNeeded):
        env.step(env.action_space.sample())
    env.reset(seed=np.int64(3), options={"grey": 7})
    env.close()


def test_the_true_reward_is_told_by_what_rewards_otherwise():
    env = TrueReward(made_of(Robot, True))
    env.reset(seed=0)
    with pytest.raises(UserError, match="no info 'env_reward', expected that of EmbeddingRewardVector: wrap it"):
        env.step(env.action_space.sample())


def test_poses_of_another_robot_are_refused(pixels, shown):
    read = [Demonstration("read", shown[0].frames, None, np.zeros((6, 3)))]
    with pytest.raises(UserError, match=r"believed poses of 3 joints, expected \(2,\)"):
        EmbeddingReward(Robot(), pixels, read, Following(observe_pose=True))


@pytest.mark.parametrize("give_up", [12.0, np.inf])
def test_infos_of_any_environment_are_told_as_by_each_alone(pixels, shown, give_up):
    def alone():
        return EmbeddingReward(Robot(), pixels, shown, Following(give_up=give_up))

    env = EmbeddingRewardVector(made_of(Robot, True), pixels, shown, Following(give_up=give_up))
    reference, lost = made_of(alone, True), 0
    same_turn(env.reset(seed=1), reference.reset(seed=1))
    mask = np.array([False, True, True])
    for action, step in zip(acts(), range(12), strict=False):
        turn, expected = env.step(action), reference.step(action)
        same_turn(turn, expected)
        lost += expected[2].sum()
        if step == 6:
            options = {"reset_mask": mask, "grey": 9}
            same_turn(env.reset(options=options), reference.reset(options=dict(options)))
    assert (lost > 0) == (give_up < np.inf)
    sb3, dummy = SB3VecEnv(env), DummyVecEnv([alone] * MANY)
    for both in (sb3, dummy):
        both.seed(0)
        both.set_options([{"grey": 3}, {}, {"grey": 5}])
    same_reset(sb3, dummy)
    assert same_rollout(sb3, dummy, 12)
    assert sb3.get_attr("steps") == dummy.get_attr("steps")


def test_other_vector_environments_are_refused(pixels, shown):
    env = SyncVectorEnv([Robot])
    with pytest.raises(UserError, match=r"of autoreset mode AutoresetMode\.NEXT_STEP, expected"):
        SB3VecEnv(env)


def test_stable_baselines3_finds_nothing_to_warn_of(pixels, shown):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(EmbeddingReward(Robot(), pixels, shown))


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"lookahead": 1.5}, "lookahead is 1.5, expected 1 to 100 frames"),
        ({"clock": "no"}, "clock is 'no', expected True or False"),
        ({"observe_pose": "x"}, "observe_pose is 'x', expected True or False"),
        ({"reward": "x"}, "reward is 'x', expected a function"),
        ({"start_noise": "a"}, "start_noise is 'a', expected a number"),
        ({"demonstrations": ["a"]}, "a demonstration of type str, expected a Demonstration"),
    ],
)
def test_what_is_of_another_kind_is_named(pixels, demonstrations, said, message):
    with pytest.raises(UserError, match=message):
        TCNImitateEnv(**{"encoder": pixels, "demonstrations": demonstrations} | said)


def test_a_keyword_that_is_none_is_named(env_id, settings):
    for make in (gym.make, gym.make_vec):
        with pytest.raises(TypeError, match="unexpected keyword argument 'lookahed'"):
            make(env_id, lookahed=2, **settings)


def test_keywords_say_the_same_as_what_they_are_fields_of(pixels, demonstrations):
    followed, robot = Following(give_up=12.0, lookahead=2), Kuka(start_noise=0.3, control="position")
    whole = TCNImitateEnv(pixels, demonstrations, followed, robot)
    said = TCNImitateEnv(pixels, demonstrations, give_up=12.0, lookahead=2, start_noise=0.3, control="position")
    both = TCNImitateEnv(pixels, demonstrations, replace(followed, lookahead=1), robot, lookahead=2)
    for other in (said, both):
        same(whole.reset(seed=0), other.reset(seed=0))
        same(whole.step(START), other.step(START))
        other.close()
    whole.close()


FORKED = """
import gymnasium as gym, imitate, torch
torch.set_num_threads(2)
envs = gym.make_vec("TCNImitate-v0", num_envs=2, vectorization_mode="async", vector_kwargs={"context": "fork"})
envs.reset(seed=0)
print(envs.step(envs.action_space.sample())[0].shape[0], "environments")
envs.close()
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_forked_environments_do_not_wait_for_threads_that_they_lack():
    words = [sys.executable, "-c", FORKED]
    alone = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    done = subprocess.run(words, env=alone, capture_output=True, text=True, timeout=120)
    assert done.stdout.endswith("2 environments\n"), done.stderr
