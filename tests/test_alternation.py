"""A rollout of two halves in turn is the rollout of all environments at once."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import CallbackList, StopTrainingOnMaxEpisodes

from envs.tcn_imitate import tcn_imitate_vector
from imitate.alternation import AlternatingPPO
from imitate.ppo import Curve, Learner, build_ppo
from imitate.vec_env import Halves, SB3VecEnv

CPU = torch.device("cpu")
# Hardly any noise on the actions, whose random numbers are drawn in another order. Episodes end within the rollout.
STEADY = Learner(n_envs=3, n_steps=30, batch_size=30, n_epochs=1, width=16, log_std=-10.0)
KEPT = ("observations", "actions", "rewards", "episode_starts", "values", "advantages", "returns")


@pytest.fixture
def halves(pixels, demonstrations):
    env = Halves([SB3VecEnv(tcn_imitate_vector(n, pixels, demonstrations, workers=w)) for n, w in ((2, 2), (1, 0))])
    yield env
    env.close()


def collected(model):
    """The buffer of a first rollout, whose learner has not moved yet."""
    model.learn(1, callback=CallbackList([]))
    return {name: getattr(model.rollout_buffer, name) for name in KEPT}


def test_a_rollout_of_halves_is_that_of_all(halves, pixels, demonstrations):
    whole = SB3VecEnv(tcn_imitate_vector(3, pixels, demonstrations))
    expected, got = (collected(build_ppo(STEADY, env, 0, CPU)) for env in (whole, halves))
    whole.close()
    assert expected["episode_starts"].sum() > 2 * 3  # some ended, and were bootstrapped
    for name in KEPT:
        np.testing.assert_allclose(got[name], expected[name], atol=5e-3, err_msg=name)


def test_an_environment_that_is_no_halves_is_collected_as_sb3_does(pixels, demonstrations):
    kept = []
    for kind in (PPO, AlternatingPPO):
        env = SB3VecEnv(tcn_imitate_vector(2, pixels, demonstrations))
        kept.append(collected(kind("MlpPolicy", env, n_steps=20, batch_size=20, seed=0, device="cpu")))
        env.close()
    for name in KEPT:
        np.testing.assert_array_equal(kept[0][name], kept[1][name], err_msg=name)


def test_equal_seeds_learn_alike(halves):
    noisy, weights = replace(STEADY, log_std=-1.0), []
    for _ in range(2):
        model = build_ppo(noisy, halves, 0, CPU).learn(180)
        weights.append(torch.cat([p.detach().flatten() for p in model.policy.parameters()]))
    assert torch.equal(*weights)


def test_a_callback_stops_it_and_threads_are_given_back(halves):
    threads = torch.get_num_threads()
    curve = Curve()
    model = build_ppo(STEADY, halves, 0, CPU)
    model.learn(1000, callback=[curve, StopTrainingOnMaxEpisodes(1)])
    assert 3 * 10 < model.num_timesteps < 3 * 30
    model.learn(90)  # goes on
    assert not curve.rows
    assert torch.get_num_threads() == threads
