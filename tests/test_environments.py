"""Anybody's environment, by the commands: it plays, learns to see, is checked, and learns from a video."""

import html
import json
import os
import shutil
import subprocess
import sys
import warnings
from dataclasses import replace
from functools import partialmethod
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.vector import SyncVectorEnv
from slider import FPS, Slider, picture

import imitate
from imitate.data.lerobot.dataset import LeRobotDataset
from imitate.data.rendering import Rendering
from imitate.embedding.trained_encoder import load_encoder
from imitate.errors import UserError
from imitate.keeping.manifest import SNAPSHOT
from imitate.keeping.runs import read_json
from imitate.keeping.snapshot import Snapshots
from imitate.pipelines import check_reward, embed, evaluate, follow, record, report
from imitate.pipelines import imitate as imitating_command
from imitate.pipelines.environments import checked, imitating, recording
from imitate.pipelines.environments.made import Made
from imitate.pipelines.environments.seeing import completed, find_encoder
from imitate.pipelines.shared import learning, pieces
from imitate.pipelines.shared.pieces import PIECES
from imitate.policy.ppo import Learner, build_plain_ppo
from imitate.policy.sac import SACLearner, build_sac
from imitate.reward.filming import BLANK, Filming, rendered

pytestmark = pytest.mark.slow
ID = "slider:Slider-v0"
SIZE, STEPS = 16, 2400  # more than one piece of play
LEARNER = Learner(
    n_envs=2, n_steps=32, batch_size=32, n_epochs=4, gamma=0.9, learning_rate=1e-3, log_std=-1.0, width=32
)
SOFT = SACLearner(n_envs=2, n_steps=16, batch_size=64, random_steps=64, width=32)
PLAY = recording.Settings(env=ID, steps=STEPS, length=12, image_size=SIZE, workers=2)


def brightness(frames):
    return frames[:, ::4, ::4, 0].reshape(len(frames), -1)


@pytest.fixture(scope="module", autouse=True)
def found_by_processes():
    """The environment's module lies beside this one."""
    before = os.environ.get("PYTHONPATH", "")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [os.path.dirname(__file__), before]))
    yield
    os.environ["PYTHONPATH"] = before


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return tmp_path_factory.mktemp("slider") / "run"


@pytest.fixture(scope="module")
def recorded(run):
    return record.run_any(replace(PLAY, run=run))


@pytest.fixture(scope="module")
def trained(run, recorded):
    return embed.run(embed.Settings(run=run, epochs=60, batch=48, device="cpu"))


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    path = tmp_path_factory.mktemp("video") / "pushed.mp4"
    imitate.write_video(path, np.stack([picture(place) for place in np.linspace(0.3, 0.75, 16)]), FPS)
    return str(path)


@pytest.fixture(scope="module")
def wanted(run, trained, video):
    return imitating.Settings(run=run, demo=video, steps=1536, sac=SOFT, learner=LEARNER, device="cpu")


@pytest.fixture(scope="module")
def learned(wanted):
    return imitating_command.run_any(wanted)


def test_it_plays_in_processes_as_it_does_in_one(recorded, tmp_path):
    alone = recording.run(replace(PLAY, run=tmp_path / "alone", workers=1))
    both = [LeRobotDataset(stage.path("dataset")) for stage in (recorded, alone)]
    assert both[0].lengths.tolist() == both[1].lengths.tolist()
    assert both[0].lengths.sum() - len(both[0]) == STEPS
    assert (both[0].column("action") == both[1].column("action")).all()
    assert (both[0].demonstration(7).frames == both[1].demonstration(7).frames).all()
    assert not recorded.path(PIECES).exists()
    assert recorded.path("contact_sheet.png").stat().st_size > 1000
    assert len(np.unique(both[0].column("action"), axis=0)) > STEPS / 2  # pieces differ


def test_play_goes_on_where_it_was_stopped(recorded, tmp_path):
    settings = replace(PLAY, run=tmp_path / "run", workers=1)
    whole, rendering = recording.seen(settings)
    stage = recording.Stage(settings.run / "record")
    assert recording.begun(stage, whole, rendering)
    env = settings.make()
    filming = recording.Filming(env, env.observation_space, settings.frames, SIZE)
    recording.play_piece(env, filming, whole, stage, 1)
    env.close()
    made = stage.path(PIECES) / "000001.npz"
    before = made.stat().st_mtime_ns
    kept = made.stat().st_ino
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces.shutil, "rmtree", lambda path, ignore_errors=False: None)
        recording.run(settings)
    assert (made.stat().st_mtime_ns, made.stat().st_ino) == (before, kept)
    one, other = (LeRobotDataset(at.path("dataset")) for at in (stage, recorded))
    assert (one.column("action") == other.column("action")).all()


def test_it_is_embedded_by_time_alone_and_within_each_video(run, trained, capsys):
    assert trained.settings["self_regression"] == 0
    assert trained.settings["objective"] == "video_infonce"
    assert load_encoder(trained.path("encoder")).rendering.environment == "Slider-v0"
    embed.run(embed.Settings(run=run, epochs=60, batch=48, device="cpu"))
    assert "is trained already" in capsys.readouterr().out


def test_what_is_said_of_the_objective_holds(recorded, run):
    plain = replace(embed.PRESETS["plain"][1], run=run)
    assert embed._as_can_be(plain) == plain  # InfoNCE over all videos, as it says
    play = embed._as_can_be(embed.Settings(run=run))
    assert play == replace(embed.PRESETS["play"][1], run=run)
    own = embed._as_can_be(embed.Settings(run=run, positive=7))
    assert (own.objective, own.positive, own.self_regression) == ("infonce", 7, 0)


def test_proprioception_is_regressed(tmp_path):
    stage = record.run_any(replace(PLAY, run=tmp_path, steps=300, proprioception="[0:1]"))
    felt = LeRobotDataset(stage.path("dataset")).column("observation.state")
    assert felt.shape[1] == 1
    trained = embed.run(embed.Settings(run=tmp_path, epochs=20, videos=16, batch=16, device="cpu"))
    assert trained.settings["self_regression"] > 0
    assert trained.metrics["pose_spearman_joint"] > 0.5


def test_the_reward_is_checked(run, trained, video, capsys):
    settings = checked.Settings(run=run, demo=video, device="cpu")
    stage = check_reward.run_any(settings)
    assert stage.folder.name.startswith("check-reward-pushed-")
    assert stage.metrics["grades_in_order"] > 0.8
    assert {"pixels_nearest_play", "untrained_nearest_play"} <= stage.metrics.keys()
    assert "random play" in capsys.readouterr().out
    check_reward.run_any(settings)
    assert "is checked already" in capsys.readouterr().out


def test_it_learns_what_the_video_shows(learned):
    figures = learned.metrics
    assert figures["reward"] > figures["hold_still_reward"] + 0.5
    assert figures["reward"] > figures["random_reward"]
    assert figures["env_return"] > figures["hold_still_env_return"]  # which pays for being on the right
    assert figures["env_steps"] == 1536
    assert learned.settings["algorithm"] == "sac"  # as actions are numbers within bounds
    rollout = read_json(learned.path("rollout.json"))
    assert rollout["fps"] == FPS
    assert len(rollout["env_reward"]) == 15
    for name in (
        "policy.zip",
        "curve.json",
        "learning.png",
        "side_by_side.mp4",
        "side_by_side.gif",
        "side_by_side.png",
    ):
        assert learned.path(name).stat().st_size > 500
    assert all(np.isfinite(row["env_reward"]) for row in read_json(learned.path("curve.json")))


def test_what_it_learned_is_not_learned_again(learned, wanted, capsys):
    imitating_command.run_any(wanted)
    assert "has learned already" in capsys.readouterr().out


@pytest.mark.parametrize(("algorithm", "rollout"), [("sac", 32), ("ppo", 64)])
def test_learning_goes_on_from_its_snapshot(wanted, learned, monkeypatch, algorithm, rollout):
    """The environment can't be put back to where it was: its episodes begin anew, and all else goes on."""
    settings = replace(wanted, name=f"broken-off-{algorithm}", steps=512, algorithm=algorithm)
    state, remembered = imitating.SB3VecEnv.state, []

    def killed(env):
        killed.calls += 1
        if killed.calls == 4:
            raise KeyboardInterrupt
        return state(env)

    killed.calls = 0
    monkeypatch.setattr(imitating.SB3VecEnv, "state", killed)
    with pytest.raises(KeyboardInterrupt):
        imitating.run(settings)
    monkeypatch.undo()
    restore = learning.restore_memory
    monkeypatch.setattr(
        learning, "restore_memory", lambda *of: (restore(*of), remembered.append(of[0].replay_buffer.pos))
    )
    stage = imitating.run(settings)
    steps = [row["steps"] for row in read_json(stage.path("curve.json"))]
    assert steps == list(range(rollout, 513, rollout))
    assert remembered == ([32] if algorithm == "sac" else [])  # steps of each environment, from before


def test_the_algorithm_is_one_that_can_learn_such_actions(wanted):
    few, many = spaces.Discrete(3), spaces.Box(-1, 1, (2,))
    assert imitating.settled(wanted, few).algorithm == "ppo"
    assert imitating.settled(wanted, spaces.Box(-np.inf, np.inf, (2,))).algorithm == "ppo"
    assert imitating.settled(wanted, many).algorithm == "sac"
    assert imitating.settled(replace(wanted, algorithm="ppo"), many).algorithm == "ppo"
    with pytest.raises(UserError, match=r"actions of Discrete\(3\), expected a Box with bounds for sac: take ppo"):
        imitating.settled(replace(wanted, algorithm="sac"), few)
    with pytest.raises(UserError, match="steps is 95, expected 96 or more for sac: its first 64 are at random"):
        imitating.settled(replace(wanted, steps=95), many)
    assert imitating.settled(replace(wanted, steps=96), many).steps == 96
    assert imitating.settled(replace(wanted, steps=1), few).steps == 1


def test_the_oracle_learns_from_the_environments_own_reward(wanted, learned):
    stage = imitating.run(replace(wanted, name="oracle", oracle=True, steps=4096, algorithm="ppo"))
    assert stage.metrics["env_return"] > stage.metrics["hold_still_env_return"]


def test_all_of_it_is_on_the_page(run, learned, trained):
    page = html.unescape(report.run(report.Settings(run=run)).read_text())
    for text in ("its own return", "return by the video", "nearest frame of random play", "the environment's own"):
        assert text in page
    assert "flange error, cm" not in page


def test_a_config_makes_the_same_settings(learned, recorded, monkeypatch):
    taken = {}
    for module, stage in ((imitating_command, learned), (record, recorded)):
        monkeypatch.setattr(module, "run_any", lambda settings, module=module: taken.update({module: settings}))
        monkeypatch.setattr(sys, "argv", ["imitate", "--config", str(stage.path("config.json")), "--run", "elsewhere"])
        module.main()
    assert isinstance(taken[imitating_command], imitating.Settings)
    assert taken[imitating_command].learner == LEARNER
    assert isinstance(taken[record], recording.Settings)
    assert (taken[record].env, taken[record].steps) == (ID, STEPS)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"env": ""}, "env is empty, expected the id"),
        ({"env": "Slyder-v0"}, r"env 'Slyder-v0' can't be made: NameNotFound: Environment `Slyder` doesn't exist"),
        ({"env": "no_such_module:X-v0"}, "can't be made: ModuleNotFoundError: No module named 'no_such_module'"),
        ({"env_kwargs": ("width",)}, "env_kwargs 'width', expected a name, an equals sign and a value"),
        ({"env_kwargs": ("wide=3",)}, "can't be made: TypeError: .*wide"),
        ({"env_kwargs": ("render_mode=null",)}, 'its render mode is None, expected "rgb_array"'),
        ({"key": "pixels"}, "observes no 'pixels'"),
        ({"crop": (0, 0, 99, 9)}, "expected those that hold the crop"),
        ({"steps": 0}, "steps is 0"),
        ({"proprioception": "[1:9]"}, r"expected entries of \[0:2\]"),
        ({"fps": 0}, "fps is 0, expected steps of the environment a second"),
    ],
)
def test_what_can_not_be_played_is_one_line(tmp_path, settings, message):
    with pytest.raises(UserError, match=message) as raised:
        record.run_any(replace(PLAY, run=tmp_path / "run", **settings))
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"demo": ""}, "demo is empty, expected a video"),
        ({"demo": "nowhere.mp4"}, "nowhere.mp4: no such"),
        ({"observe": "dict"}, "which this learner does not take"),
        ({"observe": "all"}, "unknown observe 'all'"),
        ({"crop": (0, 0, 20, 20)}, "rendered otherwise"),
        ({"env": "Pendulum-v1"}, "rendered otherwise .environment"),
    ],
)
def test_what_can_not_be_learned_is_one_line(wanted, settings, message):
    before = sorted(wanted.run.iterdir())
    with pytest.raises(UserError, match=message):
        imitating.run(replace(wanted, name="wrong", **settings))
    assert sorted(wanted.run.iterdir()) == before


def test_a_video_that_is_not_there_is_told_before_anything_plays(tmp_path):
    for command, settings in ((imitating, imitating.Settings), (checked, checked.Settings)):
        with pytest.raises(UserError, match=r"typo\.mp4: no such video file"):
            command.run(settings(run=tmp_path, env=ID, demo="typo.mp4"))
    assert not list(tmp_path.iterdir())


def test_what_its_author_has_to_mend_is_one_line_that_names_the_place(tmp_path, monkeypatch, capsys):
    """A module in the folder that the command runs in, whose step raises."""
    (tmp_path / "breaks.py").write_text(
        "import gymnasium as gym\nfrom slider import Slider\n\n\nclass Breaks(Slider):\n    def step(self, action):\n"
        "        raise RuntimeError('blew up')\n\n\ngym.register('Breaks-v0', Breaks)\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    with pytest.raises(
        UserError, match=r"env 'breaks:Breaks-v0' broke off: RuntimeError: blew up \(.*breaks\.py, line 7\)"
    ):
        recording.run(replace(PLAY, env="breaks:Breaks-v0", run=tmp_path / "run", workers=1))
    env = Made("breaks:Breaks-v0").make()
    env.reset(seed=0)
    with pytest.raises(UserError, match=r"blew up \(.*breaks\.py, line 7\)"):  # whoever steps it
        env.step(env.action_space.sample())


def test_actions_that_nobody_can_play_leave_nothing_behind(tmp_path):
    settings = replace(PLAY, run=tmp_path / "run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Slider, "__init__", partialmethod(Slider.__init__, actions=spaces.MultiDiscrete([3, 3])))
        with pytest.raises(UserError, match=r"actions of MultiDiscrete.*, expected a Box or Discrete"):
            recording.run(settings)
    assert not (tmp_path / "run/record/config.json").exists()


def test_commands_of_the_arm_say_that_it_is_another_environments_run(run, trained, video):
    for command in (imitating_command, follow):
        with pytest.raises(
            UserError, match="an encoder of Slider-v0, and this command is the arm's: say 'imitate imitate"
        ):
            command.run(command.Settings(run=run, demo=video))


def test_too_little_play_leaves_room_for_more(tmp_path):
    settings = replace(PLAY, run=tmp_path, steps=5, workers=1)
    with pytest.raises(UserError, match="1 episodes of play, expected 6 or more: raise steps"):
        recording.run(settings)
    assert recording.run(replace(settings, steps=100)).finished


def test_the_rate_is_that_of_its_play(run, trained, tmp_path):
    at = shutil.copytree(run, tmp_path / "run")
    config = read_json(at / "record/config.json")
    config["settings"]["fps"] = 5
    (at / "record/manifest.json").unlink()
    (at / "record/config.json").write_text(json.dumps(config))
    recording.Stage(at / "record").finish({})
    encoder = load_encoder(trained.path("encoder"))
    assert completed(imitating.Settings(), at, encoder).fps == 5
    assert completed(imitating.Settings(fps=20), at, encoder).fps == 20


def test_its_length_is_that_of_its_play(trained, tmp_path):
    settings = replace(PLAY, run=tmp_path / "run", env_kwargs=("max_episode_steps=7",), steps=100, workers=1)
    recording.run(settings)
    found = completed(imitating.Settings(), settings.run, load_encoder(trained.path("encoder")))
    assert found.make().spec.max_episode_steps == 7


def test_its_policy_is_none_of_the_arm(run, learned):
    with pytest.raises(UserError, match=f"a policy of {ID}, expected one of the arm"):
        evaluate.run(evaluate.Settings(run=run, policy=learned.folder.name))


def test_another_film_of_the_same_name_is_another(wanted, learned, video, tmp_path):
    other = shutil.copy(video, tmp_path / Path(video).name)
    imitate.write_video(other, np.stack([picture(place) for place in np.linspace(0.3, 0.4, 16)]), FPS)
    before = Path(video).read_bytes()
    try:
        shutil.copy(other, video)
        with pytest.raises(UserError, match=r"made with other settings \(demo changed\)"):
            imitating_command.run_any(wanted)
    finally:
        Path(video).write_bytes(before)


@pytest.mark.parametrize("algorithm", ["ppo", "sac"])
def test_what_observes_a_dict_learns_even_by_a_single_update(algorithm, tmp_path):
    """With its own observation alone, of which a policy takes each part."""
    space = spaces.Dict({"at": spaces.Box(-1, 1, (2,)), "left": spaces.Discrete(2)})
    frames = np.stack([picture(place) for place in np.linspace(0.3, 0.75, 16)])
    shown = imitate.Demonstration("pushed", frames, None)
    vector = SyncVectorEnv([lambda: Slider("rgb_array", own=space)] * 2)
    envs = imitate.VideoRewardVector(vector, shown, brightness, observe="env")
    env, cpu = imitate.SB3VecEnv(envs), torch.device("cpu")
    model = build_plain_ppo(LEARNER, env, 0, cpu) if algorithm == "ppo" else build_sac(SOFT, env, 96, 0, cpu)
    before = [weights.clone() for weights in model.policy.parameters()]
    rows, _ = learning.learn(model, env, 96, Snapshots(tmp_path / SNAPSHOT, algorithm))
    assert len(rows) == {"ppo": 1, "sac": 3}[algorithm]  # of which the first two of sac are at random
    assert not all(map(torch.equal, before, model.policy.parameters()))
    envs.close()


def test_environments_that_are_closed_blacken_no_others(monkeypatch):
    monkeypatch.setenv("MUJOCO_GL", "osmesa")
    pytest.importorskip("mujoco")

    def made():
        env = gym.make("InvertedPendulum-v5", render_mode="rgb_array", width=32, height=32)
        env.reset(seed=0)
        return env, rendered(env)

    (one, seen), (other, _) = made(), made()
    assert np.ptp(seen) > 0
    other.close()
    del other
    assert (rendered(one) == seen).all()
    one.close()


def test_an_environment_of_mujocos_may_have_no_shadows(monkeypatch):
    monkeypatch.setenv("MUJOCO_GL", "osmesa")
    pytest.importorskip("mujoco")
    fixed = 'default_camera_config={"trackbodyid": -1, "lookat": [0, 0, 0], "distance": 2.5}'
    made = [
        Made(env, (*of, "width=64", "height=64", fixed)).make()
        for env, of in (("Pusher-v5", ()), ("imitate/Shadowless-v0", ("of=Pusher-v5",)))
    ]
    for env in made:
        env.reset(seed=3)
    own, without = map(rendered, made)
    assert (own <= without.astype(int) + 3).mean() > 0.99  # a shadow is dark
    assert (own.astype(int) < without - 20).mean() > 0.005
    assert Rendering.of(made[1], None, None).environment == "imitate/Shadowless-v0"
    assert made[1].unwrapped.spec.kwargs["of"] == "Pusher-v5"
    for _ in range(100):
        steps = [env.step(np.full(7, 0.5, np.float32)) for env in made]
        np.testing.assert_array_equal(steps[0][0], steps[1][0])
        assert [step[3] for step in steps] == [steps[0][3]] * 2
    assert steps[0][3]  # its limit of steps is that of the other
    for env in made:  # or a context of OpenGL is freed whenever it is found to be nobody's
        env.close()


def test_what_has_no_shadows_is_told():
    with pytest.raises(UserError, match="of is empty, expected the id"):
        Made("imitate/Shadowless-v0").make()
    with pytest.raises(UserError, match="of is 'Pendulum-v1', which has no lamps"):
        Made("imitate/Shadowless-v0", ("of=Pendulum-v1",)).make()


def test_an_environment_that_draws_nothing_is_told():
    env = Slider("rgb_array")
    filming = Filming(env, env.observation_space, imitate.Frames(), 16)
    env.reset(seed=0)
    env.place = 0.0  # out of the middle, which is seen
    for _ in range(BLANK - 1):
        filming.one(None)
    env.place = 0.5
    filming.one(None)
    env.place = 0.0
    for _ in range(BLANK - 1):
        filming.one(None)
    with pytest.raises(UserError, match="1000 pictures on end of one colour"):
        filming.one(None)


def test_of_many_environments_the_one_that_draws_nothing_is_told():
    envs = gym.vector.SyncVectorEnv([lambda: Slider("rgb_array")] * 2)
    filming = Filming(envs, envs.single_observation_space, imitate.Frames(), 16)
    envs.reset(seed=0)
    envs.envs[0].place, envs.envs[1].place = 0.5, 0.0
    for _ in range(BLANK - 2):
        filming.all(None)
    filming.some(None, np.array([True, False]))  # which says nothing of the other
    filming.some(None, np.array([False, True]))
    with pytest.raises(UserError, match="environment 1: 1000 pictures on end of one colour"):
        filming.all(None)


def test_without_play_it_says_what_is_missing(tmp_path, video):
    with pytest.raises(UserError, match="no encoder there, and no play to train one on: say --env"):
        imitating.run(imitating.Settings(run=tmp_path, demo=video))
    with pytest.raises(UserError, match="no encoder there, and no play"):
        checked.run(checked.Settings(run=tmp_path, demo=video))


def test_play_and_encoder_are_made_where_they_are_missing(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(embed, "run", asked.append)
    made = Made(env=ID, crop=(0, 0, 24, 24))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recording, "run", asked.append)
        folder = find_encoder(made, tmp_path, None, "cpu")
    assert folder == tmp_path / "embed/encoder"
    play, see = asked
    assert (play.env, play.crop, play.run) == (ID, (0, 0, 24, 24), tmp_path)
    assert (see.run, see.device) == (tmp_path, "cpu")


def test_a_free_camera_is_warned_of(monkeypatch):
    monkeypatch.setenv("MUJOCO_GL", "osmesa")
    pytest.importorskip("mujoco")
    demonstration = imitate.Demonstration("any", np.zeros((4, 32, 32, 3), np.uint8), None)

    def rewarded(**settings):
        env = gym.make("Reacher-v5", render_mode="rgb_array", width=32, height=32, **settings)
        return imitate.VideoReward(env, demonstration, lambda frames: frames[:, ::8, ::8].reshape(len(frames), -1))

    with pytest.warns(UserWarning, match="MuJoCo's free camera looks at the middle"):
        rewarded().close()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rewarded(default_camera_config={"lookat": np.zeros(3), "trackbodyid": -1}).close()


def test_one_command_after_another_does_it_all(tmp_path, video):
    """As a user types it, in processes of their own."""
    said = f"--env {ID} --demo {video} --run {tmp_path / 'run'} --steps 96".split()
    learner = [
        "--sac.n-envs",
        "2",
        "--sac.n-steps",
        "16",
        "--sac.batch-size",
        "16",
        "--sac.random-steps",
        "16",
        "--device",
        "cpu",
    ]
    paths = os.pathsep.join([os.path.dirname(__file__), *filter(None, [os.environ.get("PYTHONPATH")])])
    play = f"record environment --env {ID} --steps 300 --length 12 --image-size 16 --run {tmp_path / 'run'}".split()
    see = f"embed --epochs 5 --batch 48 --device cpu --run {tmp_path / 'run'}".split()
    for words in (play, see, ["imitate", "environment", *said, *learner]):
        done = subprocess.run(
            [sys.executable, "-m", "imitate.pipelines", *words],
            env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
    (made,) = (tmp_path / "run").glob("imitate-pushed-*/metrics.json")
    assert json.loads(made.read_text())["env_steps"] == 96
