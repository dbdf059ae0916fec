"""The wrappers around environments that are not the Kuka, in Gymnasium's own vector environments."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv

from imitate.data.demonstration import Demonstration
from imitate.errors import UserError
from imitate.measuring.alignment import nearest_frames
from imitate.policy.vec_env import SB3VecEnv
from imitate.reward.following import NEVER, Following
from imitate.reward.rewards import FORMS, HuberReward, ProgressReward, reward_of
from imitate.reward.targets import Targets
from imitate.reward.vector_wrapper import EmbeddingRewardVector
from imitate.reward.wrapper import EmbeddingReward

SIZE, LENGTHS = 32, (4, 6)


class Dots(gym.Env):
    """A robot of two joints: each brightens its half of the picture."""

    def __init__(self):
        self.observation_space = spaces.Dict(
            {
                "image": spaces.Box(0, 255, (SIZE, SIZE, 3), np.uint8),
                "joints": spaces.Box(-1, 1, (2,), np.float32),
                "velocities": spaces.Box(-1, 1, (2,), np.float32),
            }
        )
        self.action_space = spaces.Box(-1, 1, (2,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._joints = self.np_random.uniform(-1, 1, 2).astype(np.float32)
        self._demonstration, self._step = int(self.np_random.integers(len(LENGTHS))), 0
        return self._observe(np.zeros(2, np.float32)), self._info()

    def step(self, action):
        before, self._joints = self._joints, np.clip(self._joints + 0.5 * action, -1, 1).astype(np.float32)
        self._step += 1
        truncated = self._step >= LENGTHS[self._demonstration] - 1
        return self._observe(self._joints - before), float(self._joints[0]), False, truncated, self._info()

    def _observe(self, velocities):
        halves = (127.5 * (self._joints + 1)).astype(np.uint8).repeat(SIZE // 2)
        image = np.broadcast_to(halves[:, None], (SIZE, SIZE, 3)).copy()
        return {"image": image, "joints": self._joints, "velocities": np.clip(velocities, -1, 1)}

    def _info(self):
        return {"demonstration": self._demonstration, "step": self._step, "place": self._joints.copy()}


@pytest.fixture(scope="module")
def shown():
    rng = np.random.default_rng(0)
    return [Demonstration(f"{n}", rng.integers(0, 256, (n, SIZE, SIZE, 3), np.uint8), None) for n in LENGTHS]


def batch(count, make=SyncVectorEnv, mode=AutoresetMode.SAME_STEP):
    return make([Dots for _ in range(count)], autoreset_mode=mode)


def typical_distance(pixels, shown):
    env = EmbeddingReward(Dots(), pixels, shown)
    env.reset(seed=0)
    return env.step(np.zeros(2, np.float32))[4]["embedding_distance"]


@pytest.mark.slow
@pytest.mark.parametrize("gives_up", [False, True])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("make", [SyncVectorEnv, AsyncVectorEnv])
def test_gymnasiums_own_vector_environment_equals_single_step_by_step(pixels, shown, make, form, gives_up):
    count = 4
    give_up = typical_distance(pixels, shown) if gives_up else NEVER
    reward_form = reward_of(form, HuberReward())
    batched = EmbeddingRewardVector(batch(count, make), pixels, shown, Following(reward_form, give_up))
    singles = [EmbeddingReward(Dots(), pixels, shown, Following(reward_form, give_up)) for _ in range(count)]
    rng = np.random.default_rng(0)
    observations, infos = batched.reset(seed=3)
    assert batched.observation_space.contains(observations)
    expected = [env.reset(seed=3 + i) for i, env in enumerate(singles)]
    ends = []
    for _ in range(30):
        for i, (observation, info) in enumerate(expected):
            np.testing.assert_array_equal(observations[i], observation)
            for key, value in info.items():
                np.testing.assert_allclose(infos[key][i], value, rtol=1e-6)
        actions = rng.uniform(-1, 1, (count, 2)).astype(np.float32)
        observations, rewards, terminated, truncated, infos = batched.step(actions)
        expected = []
        for i, env in enumerate(singles):
            observation, reward, lost, cut, info = env.step(actions[i])
            assert (terminated[i], truncated[i]) == (lost, cut)
            assert rewards[i] == pytest.approx(reward)
            if lost or cut:
                np.testing.assert_array_equal(infos["final_obs"][i], observation)
                assert infos["_final_obs"][i]
                assert infos["_final_info"][i]
                for key, value in info.items():
                    np.testing.assert_allclose(infos["final_info"][key][i], value, rtol=1e-6)
                observation, info = env.reset()
            else:
                assert not infos.get("_final_info", np.zeros(count, bool))[i]
            expected.append((observation, info))
        ends.append((terminated, truncated))
    assert any(cut.any() and not cut.all() for _, cut in ends)
    assert any((lost & ~cut).any() for lost, cut in ends) == gives_up
    batched.close()


OWN = slice(4, 36)  # of an observation


def episode(env, seed):
    """The observations of an episode and the rewards between them; an info."""
    rng = np.random.default_rng(seed)
    observation, info = env.reset(seed=seed)
    observations, rewards, done = [observation], [], False
    while not done:
        observation, reward, lost, cut, info = env.step(rng.uniform(-1, 1, 2).astype(np.float32))
        observations.append(observation)
        rewards.append(reward)
        done = lost or cut
    return np.stack(observations), rewards, info


@pytest.mark.parametrize("seed", range(4))
def test_progress_sums_up_to_how_far_an_episode_came(pixels, shown, seed):
    env = EmbeddingReward(Dots(), pixels, shown, Following(ProgressReward()))
    for _ in range(2):  # the second time, what came before the reset is not counted
        observations, rewards, info = episode(env, seed)
        nearest = nearest_frames(observations[:, OWN], Targets(pixels, shown).each[info["demonstration"]])
        assert sum(rewards) == pytest.approx(0.1 * (nearest[-1] - nearest[0]))
        np.testing.assert_allclose(rewards, 0.1 * np.diff(nearest))


@pytest.mark.parametrize("gives_up", [False, True])
def test_a_reward_is_told_where_each_robot_was_since_its_last_reset(pixels, shown, gives_up):
    told = []

    def reward(moment):
        told.append(moment)
        return np.zeros(len(moment.own))

    count, give_up = 4, typical_distance(pixels, shown) if gives_up else NEVER
    env = EmbeddingRewardVector(batch(count), pixels, shown, Following(reward, give_up))
    rng = np.random.default_rng(0)
    before, infos = env.reset(seed=3)
    resets = np.zeros(3, int)  # at the end of a demonstration, by giving up, and both in one step
    for _ in range(30):
        followed = infos["demonstration"]
        after, _, lost, cut, infos = env.step(rng.uniform(-1, 1, (count, 2)).astype(np.float32))
        ended = lost | cut
        moment = told.pop()
        np.testing.assert_array_equal(moment.before, before[:, OWN])
        last = np.where(ended[:, None], infos.get("final_obs", after), after)
        np.testing.assert_array_equal(moment.own, last[:, OWN])
        assert all(a is env.targets.each[i] for a, i in zip(moment.demonstrations, followed, strict=True))
        told_last = infos.get("final_info", infos)
        steps = np.where(ended, told_last["step"], infos["step"])
        for demonstration, target, step in zip(moment.demonstrations, moment.target, steps, strict=True):
            np.testing.assert_array_equal(target, demonstration[min(step, len(demonstration) - 1)])
        before = after
        resets += [cut.any(), lost.any(), (lost & ~cut).any() and cut.any()]
    assert resets.all() if gives_up else resets[0]


def test_the_frame_that_is_reached_is_the_nearest_of_the_next_few(pixels):
    greys = [0, 60, 120, 180, 180, 180, 240, 0]  # in the middle, a pause
    frames = np.stack([np.full((SIZE, SIZE, 3), grey, np.uint8) for grey in greys])
    targets = Targets(pixels, [Demonstration("first", frames[:2], None), Demonstration("grey", frames, None)])

    def reached(grey, frame):
        own = pixels.embed(np.full((1, SIZE, SIZE, 3), grey, np.uint8))
        return int(targets.reached(own, np.array([1]), np.array([frame]))[0])

    assert reached(60, 0) == 1
    assert reached(121, 1) == 2
    assert reached(0, 1) == 1, "not back, and not so far ahead"
    assert reached(180, 2) == reached(170, 2) == 5, "the end of a pause"
    assert reached(150, 1) in (2, 4), "halfway: one or the other, and of a pause the last within AHEAD"
    assert reached(240, 2) == 5, "no farther than AHEAD"
    assert reached(0, 7) == reached(240, 7) == 7
    before, own = pixels.embed(frames[[0, 1, 1, 6]]), pixels.embed(frames[[0, 2, 1, 6]])
    told = np.array([0, 1, 1, 1]), np.array([0, 3, 3, 3])
    np.testing.assert_array_equal(targets.ahead(before, own, *told, clock=True), [1, 4, 4, 4])
    # The first has reached its first frame; the second comes nearer to the fourth, is at the third, and waited for; the
    # third stands still, which is not; the last is beyond: it is at the pause, and that is passed.
    np.testing.assert_array_equal(targets.ahead(before, own, *told, clock=False), [1, 3, 4, 6])


def test_an_environment_that_cannot_wait_needs_a_clock(pixels, shown):
    with pytest.raises(UserError, match="expected aim_at"):
        EmbeddingReward(Dots(), pixels, shown, Following(clock=False))
    with pytest.raises(UserError, match="expected aim_at"):
        EmbeddingRewardVector(batch(2), pixels, shown, Following(clock=False))


@pytest.mark.parametrize("wrong", [-1.0, float("nan")])
def test_giving_up_below_zero_is_refused(wrong):
    with pytest.raises(UserError, match=f"give_up is {wrong}, expected a distance of 0 or more"):
        Following(give_up=wrong)


@pytest.mark.parametrize("gives_up", [False, True])
def test_sb3_learns_in_gymnasiums_own_vector_environment(pixels, shown, gives_up):
    give_up = typical_distance(pixels, shown) if gives_up else NEVER
    env = SB3VecEnv(EmbeddingRewardVector(batch(3), pixels, shown, Following(give_up=give_up)))
    env.seed(0)
    env.reset()
    ended = 0
    for _ in range(10):
        _, _, dones, infos = env.step(np.ones((3, 2), np.float32))
        ended += dones.sum()
        for done, info in zip(dones, infos, strict=True):
            assert info["embedding_distance"] > 0
            assert ("terminal_observation" in info) == done
            if done:
                assert info["terminal_observation"].shape == env.observation_space.shape
    assert ended
    env.close()


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.DISABLED])
def test_another_autoreset_mode_is_refused(pixels, shown, mode):
    env = batch(1, mode=mode)
    with pytest.raises(UserError, match=r"of autoreset mode .*, expected AutoresetMode\.SAME_STEP"):
        EmbeddingRewardVector(env, pixels, shown)
    env.close()
