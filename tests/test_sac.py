"""Soft actor-critic: what it learns with, and what it goes on with."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from slider import Slider
from stable_baselines3.common.vec_env import DummyVecEnv

from imitate.errors import UserError
from imitate.keeping.snapshot import Snapshot
from imitate.policy.ppo import Learner, build_plain_ppo, load_policy, save_policy
from imitate.policy.sac import SACLearner, build_sac, suits
from imitate.policy.state import learner_state, memory_of, restore_learner, restore_memory

CPU = torch.device("cpu")
SMALL = SACLearner(n_envs=2, n_steps=8, batch_size=16, random_steps=16, width=16)
BOTH = spaces.Dict({"at": spaces.Box(-1, 1, (2,), np.float64), "left": spaces.Discrete(2)})


def built(own=None):
    env = DummyVecEnv([lambda: gym.wrappers.TimeLimit(Slider("rgb_array", own), 10)] * 2)
    return build_sac(SMALL, env, 400, 0, CPU)


@pytest.mark.parametrize("own", [None, BOTH], ids=["a vector", "a dict"])
def test_a_learner_goes_on_from_its_state(own):
    learned = built(own).learn(160)
    kept = Snapshot.of(learner_state(learned) | {"memory": memory_of(learned)}).unpacked()
    again = built(own)
    restore_learner(again, kept)
    restore_memory(again, kept["memory"])
    assert again.num_timesteps == 160
    assert again.log_ent_coef.item() == learned.log_ent_coef.item() != pytest.approx(np.log(SMALL.entropy))
    for one, other in zip(learned.policy.parameters(), again.policy.parameters(), strict=True):
        assert torch.equal(one, other)
    assert again.replay_buffer.pos == learned.replay_buffer.pos == 80
    for name in ("actions", "rewards", "dones", "timeouts", "observations", "next_observations"):
        before, after = (getattr(model.replay_buffer, name) for model in (learned, again))
        for key in before if isinstance(before, dict) else [slice(None)]:
            np.testing.assert_array_equal(before[key], after[key])


def test_what_is_remembered_is_not_copied_and_stays_as_it_was():
    model = built().learn(64)
    memory = memory_of(model)
    assert np.shares_memory(memory["actions"], model.replay_buffer.actions)
    before = memory["rewards"].copy()
    model.learn(64, reset_num_timesteps=False)
    assert (memory["rewards"] == before).all()
    assert len(memory_of(model)["rewards"]) == 2 * len(before)


def test_its_policy_is_loaded_as_safely_as_of_ppo(tmp_path):
    learned = built().learn(64)
    save_policy(learned, tmp_path / "policy.zip")
    again = load_policy(built(), tmp_path / "policy.zip")
    for one, other in zip(learned.policy.parameters(), again.policy.parameters(), strict=True):
        assert torch.equal(one, other)
    other = build_plain_ppo(Learner(n_steps=8, batch_size=16, width=16), learned.get_env(), 0, CPU)
    with pytest.raises(UserError, match=r"'actor\.optimizer\.pth' in it is .* none of policy, .*, of PPO"):
        load_policy(other, tmp_path / "policy.zip")


def test_its_rate_falls_and_entropy_begins_as_it_is_told():
    model = built()
    assert model.log_ent_coef.item() == pytest.approx(np.log(SMALL.entropy))
    assert [model.lr_schedule(left) for left in (1.0, 0.5, 0.0)] == [1e-3, 5e-4, 0]
    assert model.gradient_steps == 16  # one for each step of one environment


def test_actions_must_be_numbers_within_bounds():
    assert suits(spaces.Box(-1, 1, (2,)))
    assert not suits(spaces.Box(-np.inf, 1, (2,)))
    env = DummyVecEnv([lambda: Slider("rgb_array", actions=spaces.Discrete(3))])
    with pytest.raises(UserError, match=r"actions of Discrete\(3\), expected a Box with bounds for sac: take ppo"):
        build_sac(SMALL, env, 100, 0, CPU)


@pytest.mark.parametrize(("name", "value"), [("gamma", 2), ("entropy", 0), ("n_steps", 0), ("updates", float("nan"))])
def test_settings_out_of_bounds_are_named(name, value):
    with pytest.raises(UserError, match=f"sac.{name.replace('_', '.')} is"):
        SACLearner(**{name: value})
