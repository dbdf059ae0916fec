import warnings
from contextlib import closing
from dataclasses import replace
from time import perf_counter
from types import SimpleNamespace

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as check_env_sb3

from imitate.data.camera import Camera
from imitate.data.demonstration import Demonstration
from imitate.data.domain import Domain
from imitate.data.lerobot.dataset import LeRobotDataset
from imitate.embedding.trained_encoder import TrainedEncoder, load_encoder
from imitate.envs import ENV_IDS
from imitate.envs.bullet import block_means
from imitate.envs.cameras import CAMERAS
from imitate.envs.control import CONTROLS
from imitate.envs.film import Film
from imitate.envs.imagination import Imagination, watch
from imitate.envs.kuka import ARMS, ASSETS, Kuka
from imitate.envs.kuka_env import KukaEnv, Reference
from imitate.envs.robot import Robot
from imitate.envs.scenes.named import SCENES
from imitate.envs.tcn_imitate import TCNImitateEnv, tcn_imitate_vector
from imitate.envs.translation import translated
from imitate.envs.vector import KukaVectorEnv
from imitate.envs.watching import believing
from imitate.errors import UserError
from imitate.keeping.snapshot import Snapshot
from imitate.keeping.workers import WorkerDied
from imitate.policy.vec_env import SB3VecEnv
from imitate.reward.following import Following
from imitate.reward.rewards import FORMS, HuberReward, reward_of
from imitate.reward.true_reward import TrueReward
from imitate.reward.wrapper import EmbeddingReward


@pytest.mark.parametrize("env_id", ENV_IDS)
def test_both_checkers_pass_without_a_warning(env_id):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = gym.make(env_id, render_mode="rgb_array").unwrapped
        check_env(env)
        check_env_sb3(env)
        env.close()
        env.close()


@pytest.mark.parametrize("env_id", ENV_IDS)
def test_equal_seeds_give_equal_episodes(env_id):
    runs = []
    for _ in range(2):
        env = gym.make(env_id, start_noise=0.2, render_mode="rgb_array")
        env.action_space.seed(1)
        observation, _ = env.reset(seed=3)
        trace = [observation, env.render()]
        for _ in range(5):
            observation, reward, *_ = env.step(env.action_space.sample())
            trace += [observation, env.render(), reward]
        env.close()
        runs.append(trace)
    for a, b in zip(*runs, strict=True):
        if isinstance(a, dict):
            assert all((a[key] == b[key]).all() for key in a)
        else:
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("env_id", ENV_IDS)
def test_make_vec_is_batched(env_id):
    env = gym.make_vec(env_id, num_envs=3)
    observation, infos = env.reset(seed=0)
    assert env.observation_space.contains(observation)
    observation, reward, *_ = env.step(env.action_space.sample())
    assert env.observation_space.contains(observation)
    assert reward.shape == (3,)
    assert infos["step"].tolist() == [0, 0, 0]
    env.close()
    env.close()


def test_frames_differ_between_poses_and_are_not_blank():
    env = KukaEnv(image_size=64)
    first, _ = env.reset(seed=0)
    for _ in range(5):
        last, *_ = env.step(np.ones(7, np.float32))
    assert first["image"].std() > 5
    assert np.abs(first["image"].astype(int) - last["image"]).max() > 50
    env.close()


def test_several_clients_live_in_one_process():
    arms = [Kuka(), Kuka("iiwa_gripper"), Kuka()]
    for number, arm in enumerate(arms):
        arm.reset(np.full(arm.arm.joints, 0.1 * number))
    arms[0].step(np.ones(7))
    for number, arm in enumerate(arms[1:], start=1):
        np.testing.assert_allclose(arm.joint_states()[0], 0.1 * number)
    for arm in arms:
        arm.close()
        arm.close()


@pytest.mark.parametrize("arm", ARMS)
@pytest.mark.parametrize("control", CONTROLS)
def test_no_action_holds_still_against_gravity(arm, control):
    kuka = Kuka(arm, control)
    start = 0.4 * np.array(kuka.arm.upper)
    kuka.reset(start)
    for _ in range(40):
        kuka.step(np.zeros(kuka.arm.joints))
    np.testing.assert_allclose(kuka.joint_states()[0], start, atol=0.01)
    kuka.close()


@pytest.mark.parametrize("arm", ARMS)
@pytest.mark.parametrize("control", CONTROLS)
def test_an_action_moves_each_joint_its_way(arm, control):
    kuka = Kuka(arm, control)
    n = kuka.arm.joints
    start = np.clip(np.zeros(n), kuka.arm.lower, kuka.arm.upper)  # a Panda can't stretch its elbow
    for joint in range(n):
        action = np.zeros(n)
        action[joint] = 1.0
        kuka.reset(start)
        for _ in range(6):
            kuka.step(action)
        moved = kuka.joint_states()[0] - start
        assert moved[joint] > 0.05, (joint, moved)
        if control == "torque" and joint < 8:  # the light fingers lag behind an arm that accelerates
            moved = moved[:8]
        assert moved.argmax() == joint
    kuka.close()


@pytest.mark.parametrize("arm", ARMS)
def test_torques_stay_stable_under_random_actions(arm):
    kuka = Kuka(arm, "torque")
    rng = np.random.default_rng(0)
    kuka.reset(np.zeros(kuka.arm.joints))
    for _ in range(100):
        kuka.step(rng.uniform(-1, 1, kuka.arm.joints))
        assert np.abs(kuka.joint_states()[1]).max() < 20
    kuka.close()


def test_true_errors_are_those_of_the_reference(demonstrations):
    joints = demonstrations[0].joints
    env = KukaEnv([Reference.from_joints(joints)], image_size=16)
    _, info = env.reset(seed=0)
    assert info["joint_error_rad"] == pytest.approx(0, abs=1e-6)
    assert info["ee_error_m"] == pytest.approx(0, abs=1e-6)
    for t in range(1, len(joints)):
        action = (joints[t] - env.kuka.joint_states()[0]) * 20 / 2  # follow it
        _, reward, terminated, truncated, info = env.step(action.astype(np.float32))
        assert info["ee_error_m"] < 0.01
        assert reward == -info["joint_error_rad"]
        assert truncated == (t == len(joints) - 1)
        assert not terminated
    env.close()


def test_start_noise_is_bounded_and_seeded(demonstrations):
    env = KukaEnv([Reference.from_joints(demonstrations[0].joints)], image_size=16, start_noise=0.3)
    starts = [env.reset(seed=seed)[0]["joints"] for seed in (0, 0, 1)]
    np.testing.assert_array_equal(starts[0], starts[1])
    away = np.abs(np.array(starts) - demonstrations[0].joints[0])
    assert away.max() <= 0.3 + 1e-6
    assert away.max() > 0.05
    env.close()


def test_an_episode_starts_where_it_is_asked_to(demonstrations):
    shown = demonstrations[0].joints
    env = KukaEnv([Reference(shown[0], len(shown), shown, shown)], image_size=16, start_noise=0.3, midway=1.0)
    many = KukaVectorEnv(2, references=env.references, image_size=16)
    for starts in (shown[0] + 0.3, [shown[0], shown[0] + 0.3]):
        observed = many.reset(options={"start": starts})[0]["joints"]
        np.testing.assert_allclose(observed, np.broadcast_to(starts, (2, 7)), atol=1e-6)
    with pytest.raises(UserError, match=r"start of shape \(3,\), expected \(7,\), or one each"):
        many.reset(options={"start": np.zeros(3)})
    many.close()
    observation, info = env.reset(seed=0, options={"start": shown[0] + 0.3})
    np.testing.assert_allclose(observation["joints"], shown[0] + 0.3, atol=1e-6)
    assert info["step"] == 0
    assert info["joint_error_rad"] == pytest.approx(0.3, abs=1e-6)
    assert env.reset()[1]["step"] > 0, "the next one is drawn again"
    for start, message in (([0.0, 0.0], r"a start of shape \(2,\)"), (np.full(7, np.nan), "a start")):
        with pytest.raises(UserError, match=message):
            env.reset(options={"start": start})
    env.close()


@pytest.mark.slow
def test_episodes_start_midway_where_the_robot_believes_to_see_the_demonstration(encoder, demonstrations):
    shown = demonstrations[0]
    env = TCNImitateEnv(encoder, [shown], midway=0.5)
    believed = watch(encoder, encoder.embed(shown.frames)).poses
    assert np.abs(believed - shown.joints).max(axis=1).min() > 1e-4, "else the test can't tell the two apart"
    steps = []
    for seed in range(40):
        observation, info = env.reset(seed=seed)
        steps.append(info["step"])
        pose = believed[info["step"]] if info["step"] else shown.joints[0]
        np.testing.assert_allclose(observation[:7], pose, atol=1e-5)
        np.testing.assert_allclose(
            observation[-32:], encoder.embed(shown.frames)[info["step"] + 1], rtol=1e-2, atol=0.05
        )
    assert 10 <= steps.count(0) <= 30
    assert max(steps) >= len(shown) - 4
    env.reset(seed=int(np.argmax(steps)))
    taken = 0
    truncated = False
    while not truncated:
        _, _, _, truncated, info = env.step(np.zeros(7))
        taken += 1
    assert info["step"] == len(shown) - 1 == max(steps) + taken
    env.close()


@pytest.mark.slow
@pytest.mark.parametrize("video", ["bare", "known"])
def test_poses_are_read_without_a_pose_head_too(encoder, demonstrations, video):
    blind = replace(encoder, pose_head=None)
    shown = Demonstration("x", demonstrations[0].frames, demonstrations[0].joints if video == "known" else None)
    env = TCNImitateEnv(blind, [shown], midway=1.0)
    assert len({env.reset(seed=seed)[1]["step"] for seed in range(10)}) > 3
    env.close()


@pytest.mark.parametrize("steps", [1, 6, 12])
def test_a_position_target_is_as_far_as_a_full_velocity_goes_in_its_time(steps):
    driven = []
    bullet = SimpleNamespace(
        seconds=1 / 240,
        joint_states=lambda: (np.array([0.5, -0.5]), np.zeros(2)),
        drive_positions=lambda targets, forces, velocity: driven.append(targets),
        step=driven.append,
    )
    CONTROLS["position"](bullet, np.array([1.0, -1.0]), np.ones(2), steps)
    reach = 2.0 * steps / 240
    np.testing.assert_allclose(driven[0], [0.5 + reach, -0.5 - reach])
    assert driven[1] == steps


def test_demonstrations_are_drawn_or_chosen(encoder, demonstrations):
    env = TCNImitateEnv(encoder, demonstrations)
    drawn = {env.reset(seed=seed)[1]["demonstration"] for seed in range(12)}
    assert drawn == {0, 1}
    assert env.reset(options={"demonstration": 1})[1]["demonstration"] == 1
    with pytest.raises(UserError, match="no demonstration 2"):
        env.reset(options={"demonstration": 2})
    env.close()


def test_observation_holds_the_next_frame_and_reward_the_present_one(encoder, demonstrations):
    env = TCNImitateEnv(encoder, demonstrations[:1], Following(HuberReward(1.0, 0.5, 0.1, 0.01)))
    target = encoder.embed(demonstrations[0].frames)
    observation, _ = env.reset(seed=0)
    np.testing.assert_allclose(observation[14:46], target[0], atol=0.05)  # starts where it starts
    np.testing.assert_allclose(observation[46:], target[1], atol=0.05)
    observation, reward, _, _, info = env.step(np.ones(7, np.float32))
    squared = np.square(observation[14:46] - target[1]).sum()
    assert reward == pytest.approx(-0.01 * (squared + 0.5 * np.sqrt(0.1 + squared)), rel=0.05)
    assert info["embedding_distance"] == pytest.approx(squared**0.5, rel=0.05)
    assert info["env_reward"] == -info["joint_error_rad"]
    env.close()


def test_processes_imagine_what_one_does(encoder):
    poses = np.random.default_rng(0).uniform(-1, 1, (9, 7))
    encoder = replace(encoder, camera=replace(encoder.camera, renderer="tiny"))  # ours has threads instead
    alone = Imagination(encoder)
    expected, one = alone(poses), alone(poses[:1])
    alone.close()
    several = Imagination(encoder, workers=2)
    np.testing.assert_array_equal(several(poses), expected)
    np.testing.assert_array_equal(several(poses[:1]), one)  # fewer than there are processes
    several._crew.processes[1].kill()
    with pytest.raises(WorkerDied, match="worker process 2 of 2 of the imagination was killed by SIGKILL"):
        several(poses)
    several.close()


@pytest.mark.slow
def test_the_pose_read_off_the_next_frame_is_observed_where_asked_for(encoder, demonstrations):
    shown = demonstrations[0]
    believed = believing(shown, encoder).believed
    np.testing.assert_array_equal(believed, watch(encoder, encoder.embed(shown.frames)).poses)
    env, without = TCNImitateEnv(encoder, [shown], observe_pose=True), TCNImitateEnv(encoder, [shown])
    action = np.full(7, 0.1, np.float32)
    observation, plain = env.reset(seed=0)[0], without.reset(seed=0)[0]
    truncated, step = False, 0
    while not truncated:
        assert env.observation_space.contains(observation)
        ahead = believed[min(step + 1, len(shown) - 1)]
        np.testing.assert_allclose(observation[14:21], ahead, atol=1e-6)
        np.testing.assert_array_equal(np.delete(observation, range(14, 21)), plain)
        (observation, _, _, truncated, _), plain = env.step(action), without.step(action)[0]
        step += 1
    env.close()
    without.close()


def test_a_lookahead_observes_the_frames_to_come(pixels, demonstrations):
    shown = [replace(one, believed=one.joints) for one in demonstrations]
    made = {"observe_pose": True, "lookahead": 3}
    env, batched = TCNImitateEnv(pixels, shown, **made), tcn_imitate_vector(2, pixels, shown, **made)
    assert env.observation_space.shape == batched.single_observation_space.shape == (14 + 3 * 7 + 32 + 3 * 32,)
    observation, info = env.reset(seed=0)
    together, infos = batched.reset(seed=0)
    for _ in range(2 * max(map(len, shown))):
        own = (observation, info), (together[1], {key: infos[key][1] for key in ("demonstration", "step")})
        for seen, told in own:
            one = shown[told["demonstration"]]
            ahead = np.minimum(told["step"] + np.arange(1, 4), len(one) - 1)
            np.testing.assert_allclose(seen[14:35], one.joints[ahead].ravel(), atol=1e-6)
            np.testing.assert_array_equal(seen[67:], pixels.embed(one.frames)[ahead].clip(-10, 10).ravel())
        observation, _, _, truncated, info = env.step(np.zeros(7))
        if truncated:
            observation, info = env.reset()
        together, _, _, _, infos = batched.step(np.zeros((2, 7)))
    env.close()
    batched.close()
    with pytest.raises(UserError, match="lookahead is 0, expected 1 to 100 frames"):
        TCNImitateEnv(pixels, shown, lookahead=0)


def test_what_is_believed_of_a_demonstration_is_where_episodes_start_midway(demonstrations):
    references = [Reference.from_joints(shown.joints) for shown in demonstrations[:2]]
    references.append(Reference(references[0].start, 12))  # a bare video
    env = KukaVectorEnv(2, references=references, image_size=16, midway=1.0)
    believed = [
        np.full((one.length, 7), 0.01 * k) + 0.001 * np.arange(one.length)[:, None] for k, one in enumerate(references)
    ]
    env.believe(believed)
    for seed in range(6):
        observed, infos = env.reset(seed=seed)
        for joints, shown, step in zip(observed["joints"], infos["demonstration"], infos["step"], strict=True):
            known = step == 0 and shown < 2  # where its first pose is known, it starts there
            wanted = references[shown].start if known else believed[shown][step]
            np.testing.assert_allclose(joints, wanted, atol=1e-6)
    with pytest.raises(UserError, match="poses of 2 demonstrations, expected those of 3"):
        env.believe(believed[:2])
    with pytest.raises(UserError, match=r"believed poses \(5, 7\), expected"):
        env.believe([one[:5] for one in believed])
    with pytest.raises(UserError, match=r"believed poses \(0,\), expected"):
        env.believe([[], *believed[1:]])
    with pytest.raises(UserError, match="a believed pose"):
        env.believe([np.full_like(one, np.nan) for one in believed])
    env.close()


def test_an_episode_starts_alike_whether_poses_were_read_or_not(demonstrations):
    joints = demonstrations[0].joints
    starts = []
    for reference in (Reference.from_joints(joints), replace(Reference.from_joints(joints), believed=joints + 0.1)):
        env = KukaEnv([reference], image_size=16, start_noise=0.1)
        starts.append(env.reset(seed=0)[0]["joints"])
        env.close()
    np.testing.assert_array_equal(*starts)


def test_poses_are_read_once(encoder, demonstrations):
    shown = replace(demonstrations[0], believed=demonstrations[0].joints)
    assert believing(shown, encoder) is shown
    with pytest.raises(UserError, match="`believed` is missing"):
        EmbeddingReward(KukaEnv(image_size=32), encoder, [shown, demonstrations[1]], Following(observe_pose=True))
    with pytest.raises(UserError, match="3 poses for 12 frames"):
        replace(shown, believed=shown.joints[:3])


@pytest.mark.parametrize("form", FORMS)
def test_rewards_of_every_form_are_made_by_name(pixels, demonstrations, form):
    reward = reward_of(form, HuberReward(bonus=3.0))
    made = {"encoder": pixels, "demonstrations": demonstrations, "reward": reward}
    env, batched = gym.make("TCNImitate-v0", **made), gym.make_vec("TCNImitate-v0", num_envs=2, **made)
    env.reset(seed=0)
    batched.reset(seed=0)
    action = np.ones(7, np.float32)
    for _ in range(20):
        _, single, _, truncated, _ = env.step(action)
        assert batched.step(np.stack([action, -action]))[1][0] == pytest.approx(single)
        if truncated:
            env.reset()
    env.close()
    batched.close()


@pytest.mark.parametrize("workers", [0, 2])
def test_batched_equals_single_step_by_step(encoder, demonstrations, workers):
    count = 3
    made = {"start_noise": 0.1, "midway": 0.5, "observe_pose": True}
    shown = [replace(one, believed=one.joints[::-1]) for one in demonstrations]  # told apart from the true ones
    batched = tcn_imitate_vector(count, encoder, shown, workers=workers, **made)
    singles = [TCNImitateEnv(encoder, shown, **made) for _ in range(count)]
    rng = np.random.default_rng(0)
    observations, infos = batched.reset(seed=5)
    expected = [env.reset(seed=5 + i) for i, env in enumerate(singles)]
    for step in range(25):  # longer than both demonstrations: resets are compared too
        for i, (observation, info) in enumerate(expected):
            np.testing.assert_array_equal(observations[i, :21], observation[:21])
            np.testing.assert_allclose(observations[i, 21:], observation[21:], atol=0.08)  # bfloat16 kernels
            for key in ("demonstration", "step", "ee_error_m", "joint_error_rad"):
                assert infos[key][i] == info[key], (step, key)
        actions = rng.uniform(-1, 1, (count, 7)).astype(np.float32)
        observations, rewards, _, truncated, infos = batched.step(actions)
        expected = []
        for i, env in enumerate(singles):
            observation, reward, _, done, info = env.step(actions[i])
            assert rewards[i] == pytest.approx(reward, abs=0.02)
            assert truncated[i] == done
            if done:
                np.testing.assert_allclose(infos["final_obs"][i], observation, atol=0.08)
                for key in ("step", "ee_error_m", "env_reward"):
                    assert infos["final_info"][key][i] == info[key]
                observation, info = env.reset()
            expected.append((observation, info))
    batched.close()
    for env in singles:
        env.close()


@pytest.mark.slow
@pytest.mark.parametrize("clock", [True, False])
@pytest.mark.parametrize("workers", [0, 2])
def test_giving_up_batched_equals_single_step_by_step(pixels, demonstrations, workers, clock):
    count, give_up = 6, 11.3
    settings = {"give_up": give_up, "start_noise": 0.2, "clock": clock}
    batched = tcn_imitate_vector(count, pixels, demonstrations, workers=workers, **settings)
    singles = [TCNImitateEnv(pixels, demonstrations, **settings) for _ in range(count)]
    rng = np.random.default_rng(0)
    observations, infos = batched.reset(seed=5)
    for i, env in enumerate(singles):
        np.testing.assert_array_equal(observations[i], env.reset(seed=5 + i)[0])
    told = ("demonstration", "step", "ee_error_m", "joint_error_rad")
    ends = []  # of each step: which environments gave up, and which came to the end of their demonstration
    for step in range(120):
        actions = rng.uniform(-1, 1, (count, 7)).astype(np.float32)
        observations, rewards, terminated, truncated, infos = batched.step(actions)
        for i, env in enumerate(singles):
            observation, reward, lost, cut, info = env.step(actions[i])
            assert (terminated[i], truncated[i]) == (lost, cut), (step, i)
            assert lost == (info["embedding_distance"] > give_up)
            assert rewards[i] == pytest.approx(reward)
            assert infos["embedding_distance"][i] == pytest.approx(info["embedding_distance"])
            assert infos.get("_final_obs", np.zeros(count))[i] == (lost or cut)
            assert infos.get("_final_info", np.zeros(count))[i] == (lost or cut)
            if lost or cut:
                np.testing.assert_array_equal(infos["final_obs"][i], observation)
                for key in (*told, "env_reward", "embedding_distance"):
                    assert infos["final_info"][key][i] == pytest.approx(info[key]), (step, i, key)
                observation, info = env.reset()
            np.testing.assert_array_equal(observations[i], observation)  # of the next episode, or undisturbed
            for key in told:
                assert infos[key][i] == info[key], (step, i, key)
        ends.append((terminated, truncated))
    assert any(lost.any() and not (lost | cut).all() for lost, cut in ends)  # some gave up while others went on,
    if clock:  # else they hardly ever come to an end
        assert any((lost & ~cut).any() and cut.any() for lost, cut in ends)  # also where another came to its end,
        assert any((lost & cut).any() for lost, cut in ends)  # and one did both at once
    batched.close()
    for env in singles:
        env.close()


def test_a_demonstration_waits_for_a_robot_that_comes_where_there_is_no_clock():
    whole = LeRobotDataset(ASSETS / "demonstration").demonstration(0)
    shown = replace(whole, frames=whole.frames[:40], joints=whole.joints[:40])
    env = TCNImitateEnv(ASSETS / "encoder", [shown], clock=False)
    inside, last = env.kuka_env, len(shown) - 1
    env.reset(seed=0)
    still, done = [0], False
    while not done:
        _, _, _, done, info = env.step(np.zeros(7, np.float32))
        still.append(info["step"])
    assert still[-1] == last
    assert (np.diff(still) >= 1).all(), "who does not come nearer is not waited for"

    def slowly(share):  # take the pose that is compared with next, or go a share of the way there
        env.reset(seed=0)
        steps, done, errors = [], False, []
        while not done:
            ahead = shown.joints[inside.aim] - inside.kuka.joint_states()[0]
            _, _, _, done, info = env.step(np.clip(share * ahead / 0.1, -1, 1).astype(np.float32))
            assert info["joint_error_rad"] == pytest.approx(
                np.abs(inside.kuka.joint_states()[0] - shown.joints[info["step"]]).mean()
            )
            steps.append(info["step"])
            errors.append(info["ee_error_m"])
        assert (np.diff(steps) >= 0).all()
        return steps, np.mean(errors)

    steps, error = slowly(1.0)
    assert steps[-1] == last
    slow_steps, slow_error = slowly(0.25)
    assert slow_steps[-1] == last
    assert len(slow_steps) > 1.5 * len(steps)
    assert max(error, slow_error) < 0.1
    env.close()


def test_the_oracle_is_rewarded_by_the_true_error(encoder, demonstrations):
    env = TrueReward(tcn_imitate_vector(2, encoder, demonstrations[:1]))
    learned = tcn_imitate_vector(2, encoder, demonstrations[:1])
    first, expected = env.reset(seed=0)[0], learned.reset(seed=0)[0]
    np.testing.assert_array_equal(first, expected)
    for _ in range(len(demonstrations[0]) + 2):
        actions = env.action_space.sample()
        observation, reward, _, truncated, infos = env.step(actions)
        expected = learned.step(actions)
        np.testing.assert_array_equal(observation, expected[0])
        errors = np.where(truncated, infos.get("final_info", infos)["joint_error_rad"], infos["joint_error_rad"])
        np.testing.assert_allclose(reward, -errors)
        assert (reward != expected[1]).all()
    env.close()
    learned.close()


def test_sb3_gets_what_it_needs_to_bootstrap(encoder, demonstrations):
    env = SB3VecEnv(tcn_imitate_vector(2, encoder, demonstrations[:1]))
    env.seed(0)
    env.reset()
    for _ in range(len(demonstrations[0]) - 1):
        observation, _, dones, infos = env.step(np.ones((2, 7), np.float32))
    assert dones.all()
    for i, info in enumerate(infos):
        assert info["TimeLimit.truncated"]
        assert info["step"] == len(demonstrations[0]) - 1
        assert np.abs(info["terminal_observation"][:7] - observation[i, :7]).max() > 0.05
    env.close()


def test_a_bare_video_starts_at_a_pose_that_looks_like_its_first_frame(encoder, demonstrations):
    video = Demonstration("bare", demonstrations[0].frames, None)
    env = TCNImitateEnv(encoder, [video])
    observation, info = env.reset(seed=0)
    shown = encoder.embed(video.frames[:1])
    guessed = Imagination(encoder)(encoder.decode_joints(shown))
    found = np.linalg.norm(observation[14 : 14 + 32] - shown[0])
    assert found < 0.95 * np.linalg.norm(guessed - shown)  # all poses look much alike to an untrained encoder
    assert "ee_error_m" not in info
    env.close()


def test_a_demonstration_from_another_room_is_compared_as_it_would_look_here(pixels, demonstrations):
    """At the poses that are believed, whatever its own frames look like."""
    shown, poses = demonstrations[0], demonstrations[0].joints
    shown = replace(shown, frames=shown.frames // 3, believed=poses)
    encoder = replace(pixels, domain=Domain())
    robot = Robot(scene="table", translates=True)
    here = translated(shown, robot, encoder.camera, encoder.image_size)
    with closing(Kuka(scene=SCENES["table"])) as kuka:
        np.testing.assert_array_equal(here.frames, kuka.film_at(poses, encoder.camera, encoder.image_size))
    np.testing.assert_array_equal(here.joints, poses)
    apart = []
    for translates in (True, False):
        env = TCNImitateEnv(encoder, [shown], robot=robot, translates=translates)
        env.reset(seed=0)
        apart.append(env.step(np.zeros(7))[4]["embedding_distance"])
        env.close()
    assert apart[0] < 0.2 * apart[1]


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"arm": "ur5"}, "unknown arm 'ur5': choose one of iiwa, iiwa_gripper, panda"),
        ({"control": "force"}, "unknown control 'force': choose one of position, torque, velocity"),
        ({"camera": "back"}, "unknown camera 'back': choose one of front, front_aliased, side, top"),
        ({"render_mode": "human"}, "unknown render mode 'human'"),
        ({"references": []}, "no demonstration to follow"),
        ({"start_noise": -1.0}, "start_noise is -1.0, expected 0 to pi rad"),
        ({"render_size": -3}, "image_size 64 and render_size -3: expected 16 to 2048 pixels"),
        ({"arm": "iiwa_gripper", "references": [Reference.from_joints(np.zeros((5, 7)))]}, "7 joints, expected the 12"),
        ({"references": [Reference(np.zeros(7), 5, believed=np.zeros((5, 12)))]}, r"\(5, 12\), expected \(5, 7\)"),
        ({"references": [Reference(np.zeros(7), 5, believed=np.zeros((4, 7)))]}, r"\(4, 7\), expected \(5, 7\)"),
        ({"midway": 1.5}, "midway is 1.5, expected a share of 0 to 1"),
        ({"midway": float("nan")}, "midway is nan, expected a share of 0 to 1"),
    ],
)
@pytest.mark.parametrize("make", [KukaEnv, KukaVectorEnv])
def test_bad_settings_are_named(make, kwargs, message):
    with pytest.raises(UserError, match=message):
        make(**kwargs)


def test_a_camera_that_is_not_the_encoders_is_refused(encoder, demonstrations):
    with pytest.raises(UserError, match=r"another camera than 'side' \(eye"):
        TCNImitateEnv(encoder, demonstrations, camera="side")
    wide = Camera("wide", encoder.camera.eye, encoder.camera.target, fov=90.0)
    with pytest.raises(UserError, match=r"fov 52.0 != 90.0"):
        tcn_imitate_vector(2, encoder, demonstrations, camera=wide)


@pytest.mark.parametrize("joints", [np.zeros((12, 12)), None])
def test_an_encoder_of_another_arm_is_refused(encoder, demonstrations, joints):
    shown = Demonstration("other arm", demonstrations[0].frames, joints)
    for make in (TCNImitateEnv, tcn_imitate_vector):
        with pytest.raises(
            UserError, match="an arm of 7 joints, expected the 12 of the arm that is to imitate: use its"
        ):
            make(encoder=encoder, demonstrations=[shown], arm="iiwa_gripper", midway=0.5)


@pytest.mark.parametrize("make", [TCNImitateEnv, tcn_imitate_vector])
def test_a_demonstration_is_embedded_once(encoder, demonstrations, monkeypatch, make):
    embedded = []

    def embed(self, frames):
        embedded.append(len(frames))
        return np.zeros((len(frames), 32), np.float32)

    monkeypatch.setattr(TrainedEncoder, "embed", embed)
    make(encoder=encoder, demonstrations=demonstrations).close()
    assert embedded == [len(shown) for shown in demonstrations]


def test_a_demonstration_of_the_wrong_size_is_refused(encoder, demonstrations):
    large = Demonstration("large", np.zeros((5, 48, 64, 3), np.uint8), None)
    with pytest.raises(UserError, match="frames of 64x48, expected the encoder's 32x32"):
        TCNImitateEnv(encoder, [large])


def test_an_action_of_another_shape_is_named():
    env = KukaEnv(image_size=16)
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"action of shape \(2,\), expected \(7,\)"):
        env.step([0.0, 0.0])
    env.close()


def test_actions_that_are_no_numbers_stop_the_episode():
    env = KukaEnv(image_size=16)
    env.reset(seed=0)
    with pytest.raises(ValueError, match="an action became nan"):
        env.step(np.full(7, np.nan, np.float32))
    env.close()


def test_an_error_in_a_worker_reaches_the_user():
    env = KukaVectorEnv(2, workers=2, image_size=16)
    env.reset(seed=0)
    with pytest.raises(ValueError, match="an action became nan"):
        env.step(np.full((2, 7), np.nan, np.float32))
    env.close()


@pytest.mark.parametrize("samples", [1, 2, 3, 4])
def test_means_of_blocks_are_rounded(samples):
    size = 8
    drawn = np.random.default_rng(0).integers(0, 256, (size * samples, size * samples, 4), np.uint8)
    drawn[:samples] = 255  # the greatest sums, in which no channel may run over into the next
    blocks = drawn.reshape(size, samples, size, samples, 4)[..., :3]
    expected = np.floor(blocks.mean((1, 3)) + 0.5).astype(np.uint8)
    means = block_means([drawn, drawn[::-1]], samples)
    less = np.array([expected, expected[::-1]], int) - means
    assert set(np.unique(less)) <= ({0, 1} if samples == 3 else {0})


@pytest.mark.parametrize("renderer", ["raster", "tiny"])
def test_a_film_holds_what_was_exposed_however_little_memory_there_is(monkeypatch, renderer):
    kuka, camera = Kuka(), replace(CAMERAS["front"], renderer=renderer)
    poses = np.linspace(-1, 1, 35).reshape(5, 7)
    expected = kuka.film_at(poses, camera, 16)
    np.testing.assert_array_equal(expected[-1], kuka.film(camera, 16))
    developed, develop = [], kuka.develop

    def counting(exposed, *others):
        developed.append(len(exposed))
        return develop(exposed, *others)

    monkeypatch.setattr(kuka, "develop", counting)
    for most, pieces in ((2**24, [5]), (2 * max(16**2 * 3, kuka.expose(camera, 16).nbytes), [2, 2, 1])):
        monkeypatch.setattr("imitate.envs.film.DEVELOPED_BYTES", most)
        film = Film(kuka, camera, 16, len(poses))
        for pose in poses:
            kuka.reset(pose)
            film.add(kuka.expose(camera, 16))
        np.testing.assert_array_equal(film.frames(), expected)
        assert developed == pieces
        developed.clear()
    assert kuka.film_at(poses[:0], camera, 16).shape == (0, 16, 16, 3)
    kuka.close()


def test_a_pixel_is_the_mean_of_its_samples():
    kuka, camera = Kuka(), CAMERAS["front"]
    kuka.reset(np.full(7, 0.3))
    drawn = kuka.film(replace(camera, samples=1), 64)
    smooth = kuka.film(replace(camera, samples=2), 32)
    kuka.close()
    np.testing.assert_allclose(smooth, drawn.reshape(32, 2, 32, 2, 3).mean(axis=(1, 3)), atol=0.5)


def test_samples_make_the_picture_a_smoother_function_of_the_pose():
    kuka, camera = Kuka(), CAMERAS["front"]

    def filmed(samples):
        for turn in np.linspace(0.3, 0.5, 21):
            kuka.reset(np.full(7, turn))
            yield kuka.film(replace(camera, samples=samples), 64).astype(float)

    def detour(samples):  # the way from picture to picture, against that from the first to the last
        pictures = np.array([picture.ravel() for picture in filmed(samples)])
        return np.linalg.norm(np.diff(pictures, axis=0), axis=1).sum() / np.linalg.norm(pictures[-1] - pictures[0])

    assert detour(2) < 0.75 * detour(1)
    kuka.close()


@pytest.mark.parametrize("samples", [0, 5, 2.0, "2", None])
def test_samples_that_no_camera_has(samples):
    with pytest.raises(UserError, match=r"samples, expected 1 to 4"):
        Camera.from_json({**CAMERAS["front"].to_json(), "samples": samples})


def test_a_camera_of_a_file_that_says_nothing_of_samples_has_one():
    known = CAMERAS["front_aliased"].to_json()
    del known["samples"]
    assert Camera.from_json(known) == CAMERAS["front_aliased"]


def test_the_encoder_in_the_package_sees_through_a_camera_that_there_is():
    assert load_encoder(ASSETS / "encoder").camera == CAMERAS["front"]


def acted(env, rng, steps):
    """What an environment tells in that many random steps, with resets."""
    told = []
    for _ in range(steps):
        observation, reward, _, truncated, info = env.step(rng.uniform(-1.2, 1.2, env.action_space.shape))
        told.append((observation, reward, truncated, info))
        if truncated:
            told.append(env.reset())
    return told


def same(a, b):
    """Whether two nested results are equal to the bit."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, tuple | list):
        return len(a) == len(b) and all(map(same, a, b))
    return np.array_equal(a, b, equal_nan=np.asarray(a).dtype.kind == "f")


@pytest.mark.slow
@pytest.mark.parametrize("control", CONTROLS)
@pytest.mark.parametrize("arm", ARMS)
def test_an_environment_goes_on_from_its_state_to_the_bit(arm, control):
    joints = np.random.default_rng(0).uniform(ARMS[arm].lower, ARMS[arm].upper, (14, ARMS[arm].joints))
    references = [replace(Reference.from_joints(joints[:n]), believed=joints[:n]) for n in (9, 14)]
    made = {"arm": arm, "control": control, "image_size": 32, "start_noise": 0.1, "midway": 0.5}
    env, other = KukaEnv(references, **made), KukaEnv(references, **made)
    env.reset(seed=1)
    acted(env, np.random.default_rng(2), 40)  # a past of several episodes, which only one of them has
    for steps in range(0, 20, 3):
        acted(env, np.random.default_rng(3), steps)
        other.restore(Snapshot.of(env.state()).unpacked())
        assert same(env.state(), other.state())
        went_on, goes_on = (acted(one, np.random.default_rng(4), 30) for one in (env, other))
        assert same(went_on, goes_on)
    env.close()
    other.close()


@pytest.mark.slow
@pytest.mark.parametrize(("oracle", "clock"), [(False, True), (True, True), (False, False)])
def test_many_environments_go_on_in_any_number_of_processes(encoder, demonstrations, oracle, clock):
    def made(workers):
        env = tcn_imitate_vector(
            3, encoder, demonstrations, workers=workers, start_noise=0.1, midway=0.5, give_up=12.0, clock=clock
        )
        return SB3VecEnv(TrueReward(env) if oracle else env)

    env, other = made(0), made(2)
    env.seed(5)
    env.reset()
    rng = np.random.default_rng(0)
    for steps in (3, 20):
        for _ in range(steps):
            env.step(rng.uniform(-1, 1, (3, 7)).astype(np.float32))
        other.restore(Snapshot.of(env.state()).unpacked())
        for _ in range(20):
            actions = rng.uniform(-1, 1, (3, 7)).astype(np.float32)
            assert same(env.step(actions), other.step(actions))
    env.close()
    other.close()


def test_a_process_that_dies_is_named_at_once():
    env = KukaVectorEnv(4, workers=2, image_size=16)
    env.reset(seed=0)
    env._crew.processes[1].kill()
    env._crew.processes[1].join()
    before = perf_counter()
    with pytest.raises(WorkerDied, match="worker process 2 of 2 of the environments was killed by SIGKILL"):
        env.step(np.zeros((4, 7)))
    assert perf_counter() - before < 5
    env.close()
    assert not any(process.is_alive() for process in env._crew.processes)
