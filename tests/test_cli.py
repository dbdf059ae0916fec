import ast
import errno
import importlib
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from noise import LAYOUT, write_noise

from imitate import __version__
from imitate.data.video.writer import Compression, write_video
from imitate.envs.cameras import CAMERAS
from imitate.keeping.runs import Stage, kept_settings, read_json, write_json
from imitate.keeping.workers import WorkerDied
from imitate.pipelines import __main__ as front
from imitate.pipelines import embed, follow, imitate, record
from imitate.pipelines.__main__ import main
from imitate.pipelines.shared import cli
from imitate.pipelines.shared.signals import Interrupted, held_back
from imitate.policy.ppo import Learner
from imitate.reward.rewards import HuberReward

ROOT = Path(__file__).resolve().parents[1]


def recorded(folder, camera=CAMERAS["front"], size=32):
    """Write a dataset of four short episodes."""
    splits = {"train": 1, "validation": 2, "test": 1}
    write_noise(folder, replace(LAYOUT, cameras=(camera,), image_size=size, lengths=(4,) * 4, splits=splits))


@pytest.fixture(scope="module")
def made(encoder, tmp_path_factory):
    """An untrained encoder in ``enc``, and in ``run`` a recorded dataset of four episodes."""
    folder = tmp_path_factory.mktemp("cli")
    encoder.save(folder / "enc")
    recorded(folder / "run/record/dataset")
    write_video(folder / "wide.mp4", np.zeros((4, 32, 48, 3), np.uint8), 20, Compression(18, "yuv444p"))
    write_video(folder / "short.mp4", np.zeros((1, 32, 32, 3), np.uint8), 20, Compression(18, "yuv444p"))
    write_video(folder / "small.mp4", np.zeros((4, 32, 32, 3), np.uint8), 20, Compression(18, "yuv444p"))
    (folder / "corrupt.mp4").write_bytes((folder / "wide.mp4").read_bytes()[:500])
    (folder / "empty").mkdir()
    return folder


@pytest.fixture
def here(made, tmp_path, monkeypatch):
    folder = shutil.copytree(made, tmp_path / "here")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def seen(here):
    """Demonstrations of the default's size: a video, and datasets of several cameras."""
    write_video(here / "fits.mp4", np.zeros((4, 64, 64, 3), np.uint8), 20, Compression(18, "yuv444p"))
    for name, camera in {
        "front": CAMERAS["front"], "top": CAMERAS["top"], "moved": replace(CAMERAS["front"], fov=60.0)
    }.items():  # fmt: skip
        recorded(here / "seen" / name, camera, 64)


def refused(args, monkeypatch, capsys):
    """Run a command that the user got wrong, and return the one line that it says."""
    monkeypatch.setattr(sys, "argv", ["imitate", *args])
    with pytest.raises(SystemExit) as stop:
        main()
    out, err = capsys.readouterr()
    assert stop.value.code == 2
    assert out == ""
    assert err.endswith("\n")
    (line,) = err.splitlines()
    assert "Traceback" not in line
    return line


def test_too_little_memory_is_said(monkeypatch, capsys):
    def greedy(settings):
        raise MemoryError("Unable to allocate 1. TiB")

    monkeypatch.setattr("imitate.pipelines.record.run", greedy)
    line = refused(["record"], monkeypatch, capsys)
    assert line.startswith("imitate record: not enough memory (Unable to allocate 1. TiB): with more of it, the same")


@pytest.mark.parametrize("args", [[""], ["rekord"], ["--help-me"]])
def test_an_unknown_command_lists_the_choices(args, monkeypatch, capsys):
    line = refused(args, monkeypatch, capsys)
    assert "unknown command" in line
    assert "follow, imitate, evaluate, retarget, report, record, embed" in line


@pytest.mark.parametrize(
    "name", ["record", "embed", "imitate", "evaluate", "follow", "check-reward", "report", "bench"]
)
@pytest.mark.parametrize(
    ("args", "word"),
    [
        (["--no-such-option", "3"], "--no-such-option"),
        (["no-such-preset"], "no-such-preset"),
        (["--seed", "many"], "many"),
        (["--seeds", "many"], "many"),
        (["--device"], "--device"),
    ],
)
def test_what_the_command_line_does_not_know(here, monkeypatch, capsys, name, args, word):
    line = refused([name, *args], monkeypatch, capsys)
    assert line.startswith(f"imitate {name}: ")
    assert word in line
    assert not (here / "runs").exists()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--arm", "ur5"], "unknown arm 'ur5': choose one of iiwa, iiwa_gripper, panda"),
        (["--cameras", "back"], "unknown camera 'back': choose one of front, front_aliased, side, top"),
        (["--cameras", "front", "front"], "each named once"),
        (["--train", "1" + 15 * "0"], "train is 1000000000000000, expected 1 to 1000000"),
        (["--train", "1" + 30 * "0"], "expected 1 to 1000000"),
        (["--workers", "1" + 15 * "0"], "workers is 1000000000000000, expected 0 to 1024"),
        (["--frames", "400000"], "frames is 400000: an episode of 4.9 GB of pixels, expected at most 4.3"),
        (["--frames", "1"], "frames is 1, expected 2 to 1000000"),
        (["--held-out-frames", "1"], "held_out_frames is 1, expected 2 to 1000000"),
        (["--image-size", "5"], "image_size is 5, expected 16 to 1024"),
        (["--train", "0"], "train is 0, expected 1 to 1000000"),
        (["--crf", "52"], "crf is 52, expected 0"),
        (["--seed", "-1"], "seed"),
    ],
)
def test_record_refuses(here, monkeypatch, capsys, args, message):
    assert message in refused(["record", "--run", "new", *args], monkeypatch, capsys)
    assert not (here / "new").exists()


DATASET = ["--dataset", "run/record/dataset"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--dataset", "nowhere"], "nowhere: no such dataset folder"),
        (["--dataset", "empty"], "info.json: no such file"),
        ([*DATASET, "--camera", "top"], "no camera 'top': choose one of front"),
        ([*DATASET, "--encoder", "resnet"], "unknown encoder 'resnet': choose one of conv, inception"),
        ([*DATASET, "--encoder", "inception"], "at least 75 pixels, got 32"),
        (
            [*DATASET, "--objective", "tripplet"],
            "unknown objective 'tripplet': choose one of infonce, triplet",
        ),
        ([*DATASET, "--device", "tpu"], "unknown device 'tpu': choose one of auto, cpu, cuda"),
        ([*DATASET, "--imagenet", "no.pth"], "imagenet weights are of the inception encoder"),
        ([*DATASET, "--encoder", "inception", "--imagenet", "no.pth"], "no.pth: no such weights file"),
        ([*DATASET, "--batch", "1"], "batch is 1, expected 2 to 1000000"),
        ([*DATASET, "--dim", "1" + 12 * "0"], "dim is 1000000000000, expected 1 to 100000"),
        ([*DATASET, "--noise", "-0.1"], "noise is -0.1, expected 0 or more"),
        ([*DATASET, "--learning-rate", "0"], "learning_rate is 0.0, expected more than 0"),
        ([*DATASET, "--preset", "large", "--dim", "0"], "dim is 0, expected 1 to 100000"),
        (["--preset", "large"], "unknown preset 'large': choose one of default, paper, thorough"),
    ],
)
def test_embed_refuses(here, monkeypatch, capsys, args, message):
    assert message in refused(["embed", "--run", "new", *args], monkeypatch, capsys)
    assert not (here / "new").exists()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--encoder", "nowhere"], "nowhere/encoder.json: no such file"),
        (["--demo", "missing.mp4"], "missing.mp4: no such video file"),
        (["--demo", "http://127.0.0.1:9/a.mp4"], "http://127.0.0.1:9/a.mp4: no such video file"),
        (["--demo", "corrupt.mp4"], "corrupt.mp4: not a readable video"),
        (["--demo", "wide.mp4"], "frames of 48x32, expected the encoder's 32x32"),
        (["--demo", "short.mp4"], "short.mp4: one picture, expected a video"),
        (["--demo", "test:999"], "'test:999': expected an episode from 0 to 0"),
        (["--demo", "test:1"], "'test:1': expected an episode from 0 to 0"),
        (["--demo", "nowhere:0"], "'nowhere:0': nowhere is neither a split (train, validation, test) nor a dataset"),
        (["--demo", "run/record/dataset:4"], "expected an episode from 0 to 3"),
        (["--demo", "test"], "demonstration 'test': expected a video file"),
        (["--demo", ""], "demonstration '': expected a video file"),
        (["--arm", "ur5"], "unknown arm 'ur5': choose one of iiwa, iiwa_gripper, panda"),
        (["--arm", "iiwa_gripper"], "trained on an arm of 7 joints, expected the 12 of the arm that is to imitate"),
        (["--control", "force"], "unknown control 'force': choose one of position, torque, velocity"),
        (["--reward-form", "vip"], "unknown reward form 'vip': choose one of difference, huber, progress"),
        (["--reward.scale", "-1"], "reward.scale is -1.0, expected a number of 0 or more"),
        (["--device", "tpu"], "unknown device 'tpu'"),
        (["--seed", "-1"], "seed"),
        (["--steps", "0"], "steps"),
        (["--learner.gamma", "1.5"], "gamma is 1.5, expected 0 to 1"),
    ],
)
def test_imitate_refuses(here, monkeypatch, capsys, args, message):
    assert message in refused(["imitate", "--run", "run", "--encoder", "enc", *args], monkeypatch, capsys)
    assert [path.name for path in (here / "run").iterdir()] == ["record"]


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"fov": 60.0}, "!= 60.0"),
        ({"eye": [2.0, 0.0, 1.0]}, "eye"),
        ({"renderer": "gl"}, "renderer raster != gl"),
    ],
)
def test_a_demonstration_of_another_camera_is_refused(here, monkeypatch, capsys, change, difference):
    path = here / "run/record/dataset/meta/info.json"
    info = read_json(path)
    info["cameras"][0] |= change
    write_json(path, info)
    for demo in ("test:0", "run/record/dataset:1"):
        line = refused(["imitate", "--run", "run", "--encoder", "enc", "--demo", demo], monkeypatch, capsys)
        assert "trained on another camera than 'front'" in line
        assert difference in line
    assert [path.name for path in (here / "run").iterdir()] == ["record"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "run/imitate: no finished policy there"),
        (["--policy", "other"], "run/other: no finished policy there"),
        (["--run", "nowhere"], "nowhere/imitate: no finished policy there"),
    ],
)
def test_evaluate_refuses(here, monkeypatch, capsys, args, message):
    assert message in refused(["evaluate", "--run", "run", *args], monkeypatch, capsys)
    assert [path.name for path in (here / "run").iterdir()] == ["record"]
    assert not (here / "nowhere").exists()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--encoder", "nowhere"], "nowhere/encoder.json: no such file"),
        (["--split", "validate"], "unknown split 'validate': choose one of test, train, validation"),
        (["--policy", "imitate"], "run/imitate: no finished policy there"),
        (["--device", "tpu"], "unknown device 'tpu'"),
        (["--probe.demos", "0"], "probe.demos is 0, expected 1 to 1000000"),
        (["--probe.random-poses", "1"], "probe.random_poses is 1, expected 2 to 1000000"),
        (["--probe.seed", "-1"], "probe.seed is -1, expected 0 to 4294967295"),
    ],
)
def test_check_reward_refuses(here, monkeypatch, capsys, args, message):
    assert message in refused(["check-reward", "--run", "run", "--encoder", "enc", *args], monkeypatch, capsys)
    assert [path.name for path in (here / "run").iterdir()] == ["record"]


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"robot_type": "ur5"}, "robot 'ur5' can't be drawn here"),
        ({"cameras": [CAMERAS["top"].to_json() | {"name": "front"}]}, "trained on another camera than 'front' (eye"),
        ({"splits": {"train": "0:4"}}, "no split 'validation'"),
    ],
)
def test_check_reward_refuses_a_dataset_that_it_can_not_draw_anew(here, monkeypatch, capsys, facts, message):
    path = here / "run/record/dataset/meta/info.json"
    write_json(path, read_json(path) | facts)
    assert message in refused(["check-reward", "--run", "run", "--encoder", "enc"], monkeypatch, capsys)
    assert [path.name for path in (here / "run").iterdir()] == ["record"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["folow"], "imitate: unknown command 'folow', did you mean follow? choose one of follow, imitate, "),
        (
            ["record", "--trian", "5"],
            "imitate record: Unrecognized options: --trian, 5, did you mean --train? (imitate",
        ),
        (
            ["imitate", "--learner.gamma", "2"],
            "imitate imitate: learner.gamma is 2.0, expected 0 to 1 (imitate",
        ),
        (["record", "--arm", "ur5"], "imitate record: unknown arm 'ur5'"),
    ],
)
def test_a_real_command_says_one_line_and_exits_with_2(tmp_path, command, message):
    args = [*command, "--run", str(tmp_path / "run")]
    done = subprocess.run([sys.executable, "-m", "pipelines", *args], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert message in line
    assert not (tmp_path / "run").exists()


@pytest.fixture(scope="module")
def script():
    done = subprocess.run([sys.executable, "-m", "pipelines", "completion", "bash"], cwd=ROOT, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout.decode()


@pytest.mark.slow
def test_a_shell_completes_commands_presets_and_settings(tmp_path, script):
    (tmp_path / "script").write_text(script)

    def completed(*words):
        typed = " ".join(f"'{word}'" for word in ("imitate", *words))
        asked = f". ./script; COMP_WORDS=({typed}); COMP_CWORD={len(words)}; _tyro_imitate; echo ${{COMPREPLY[@]}}"
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "-c", asked], cwd=tmp_path, capture_output=True, text=True, env={**os.environ, "PATH": path}
        )
        return done.stdout.split()

    assert completed("benchmark-f") == ["benchmark-follow"]
    assert completed("imitate", "pa") == ["paper"]
    assert "--demo" in completed("imitate", "default", "--de")
    assert "complete -o default -F _tyro_imitate imitate" in script  # where it knows nothing, names of files


def test_help_of_a_command_has_its_presets_and_settings(monkeypatch, capsys):
    for name, usage in (("imitate", "[PRESET] [VIDEO] [--SETTING"), ("record", "[PRESET] [--SETTING")):
        monkeypatch.setattr(sys, "argv", ["imitate", name, "--help"])
        with pytest.raises(SystemExit) as stop:
            main()
        assert not stop.value.code
        told = capsys.readouterr().out
        assert f"imitate {name} {usage}" in told
        presets = importlib.import_module(front.module_of(name)).PRESETS
        assert all(f"  {preset}" in told and said in told for preset, (said, _) in presets.items())
        settings = fields(presets["default"][1])
        assert all(f"--{field.name.replace('_', '-')}" in told for field in settings)


@pytest.mark.slow
def test_what_is_completed_is_what_the_commands_take(script, capsys):
    (line,) = [line for line in script.splitlines() if line.startswith("COMPLETION_SPEC = ")]
    commands = ast.literal_eval(line.partition(" = ")[2])["subcommands"]
    assert list(commands) == sorted(front.COMMANDS)
    for name, command in commands.items():
        presets = importlib.import_module(front.module_of(name)).PRESETS
        assert {*command["subcommands"]} == {*presets}
        with pytest.raises(SystemExit):
            cli._settings(name, presets, ["default", "--help"])
        help_text = capsys.readouterr().out
        flags = [flag for option in command["subcommands"]["default"]["options"] for flag in option["flags"]]
        assert len(flags) == len({*flags})
        assert [flag for flag in flags if flag not in help_text] == []


def test_completion_of_no_such_shell_is_one_line(monkeypatch, capsys):
    assert "unknown preset 'fish'" in refused(["completion", "fish"], monkeypatch, capsys)
    assert "choose one of bash, tcsh, zsh" in refused(["completion", "--shell", "fish"], monkeypatch, capsys)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["my.mp4"], ["--demo", "my.mp4"]),
        (["default", "test:3", "--seed", "5"], ["--demo", "test:3", "--seed", "5"]),
        (["a folder:0", "--no-clock"], ["--demo=a folder:0", "--no-clock"]),
    ],
)
def test_a_demonstration_may_stand_by_itself(monkeypatch, words, said):
    taken = []
    monkeypatch.setattr(follow, "run", taken.append)
    for args in (words, said):
        monkeypatch.setattr(sys, "argv", ["imitate", "follow", *args])
        main()
    assert taken[0] == taken[1] != follow.PRESETS["default"][1]


@pytest.mark.parametrize("args", [["my.mp4", "--demo", "b.mp4"], ["my.mp4", "--seed", "5", "--demo=b.mp4"]])
def test_two_demonstrations_are_refused(monkeypatch, capsys, args):
    assert "'my.mp4' and --demo: expected one of the two" in refused(["follow", *args], monkeypatch, capsys)


@pytest.mark.slow
@pytest.mark.parametrize("args", [[], ["follow", "--help"]])
def test_whoever_reads_no_further_ends_it_quietly(args):
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([sys.executable, "-m", "pipelines", *args], cwd=ROOT, stdout=write, stderr=subprocess.PIPE)
    os.close(write)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, b"")


def test_a_pipe_that_breaks_elsewhere_is_no_quiet_end(monkeypatch):
    def broken(settings):
        raise BrokenPipeError

    monkeypatch.setattr(follow, "run", broken)
    monkeypatch.setattr(sys, "argv", ["imitate", "follow"])
    with pytest.raises(BrokenPipeError):
        main()


def test_the_version_is_told(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["imitate", "--version"])
    front.main()
    assert capsys.readouterr().out == f"imitate {__version__}\n"


@pytest.mark.parametrize("args", [[], ["--help"], ["-h"]])
def test_help_lists_the_commands_on_one_screen(monkeypatch, capsys, args):
    monkeypatch.setattr(sys, "argv", ["imitate", *args])
    front.main()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 34
    assert max(map(len, lines)) <= 110
    listed = [line.split()[0] for line in lines if line.startswith("  ")]
    assert listed == list(front.COMMANDS)
    modules = {f"imitate.pipelines.{path.stem}" for path in (ROOT / "pipelines").glob("[a-z]*.py")}
    assert {*map(front.module_of, listed)} == modules - {"imitate.pipelines.lowpoly"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "args",
    [
        ["embed", "--encoder", "resnet"],
        ["embed", "--encoder", "inception", "--imagenet", "no.pth"],
        ["embed", "--device", "tpu"],
        ["imitate", "--arm", "ur5"],
        ["imitate", "--control", "force"],
        ["imitate", "--reward-form", "vip"],
        ["imitate", "--demo", "missing.mp4"],
        ["imitate", "--demo", "corrupt.mp4"],
        ["imitate", "--demo", "wide.mp4"],
        ["imitate", "--demo", "small.mp4"],
        ["imitate", "paper", "--demo", "small.mp4"],
        ["imitate", "--demo", "short.mp4"],
        ["imitate", "--demo", "short.mp4", "--resize"],
        ["imitate", "--demo", "run/record/dataset:4"],
        ["imitate", "--demo", "run/record/dataset:3"],
        ["imitate", "paper", "--demo", "seen/front:0"],
        ["imitate", "--demo", "seen/top:0"],
        ["imitate", "--demo", "seen/moved:0"],
        ["imitate", "--demo", "seen/front:0", "--arm", "iiwa_gripper"],
        ["imitate", "--demo", "test:0", "--arm", "iiwa_gripper"],
        ["imitate", "--demo", "fits.mp4", "--arm", "iiwa_gripper"],
        ["imitate", "--demo", "fits.mp4", "--oracle"],
        ["imitate", "--demo", "test:20"],
        ["imitate", "paper", "--demo", "test:5"],
        ["imitate", "--demo", "empty:0"],
        ["imitate", "--demo", "nowhere:0"],
        ["imitate", "--demo", "test"],
        ["imitate", "--preset", "large"],
        ["check-reward", "--split", "validate"],
        ["check-reward", "--device", "tpu"],
        ["check-reward", "--policy", "imitate"],
        ["check-reward", "--preset", "large"],
    ],
)
def test_a_mistake_shows_before_hours_of_recording_and_training(here, seen, monkeypatch, capsys, args):
    def started(settings):
        raise AssertionError("started to record or train")

    monkeypatch.setattr(record, "run", started)
    if args[0] in ("imitate", "check-reward"):
        monkeypatch.setattr(embed, "run", started)
    refused([*args, "--run", "new"], monkeypatch, capsys)
    assert not (here / "new").exists()


@pytest.mark.parametrize(
    ("args", "size"),
    [
        (["--demo", "fits.mp4"], 64),
        (["--demo", "small.mp4", "--resize"], 64),
        (["paper", "--demo", "small.mp4", "--resize"], 299),
        (["--demo", "test:0"], 64),
        (["--demo", "test:19", "--oracle"], 64),
        (["paper", "--demo", "test:4"], 299),
        (["--demo", "seen/front:3"], 64),
        (["--demo", "seen/front:3", "--oracle"], 64),
    ],
)
def test_a_demonstration_that_will_do_starts_the_work(here, seen, monkeypatch, args, size):
    class Started(Exception):
        pass

    def started(settings):
        assert record.PRESETS[settings.preset][1].image_size == size
        raise Started

    monkeypatch.setattr(embed, "run", started)
    monkeypatch.setattr(sys, "argv", ["imitate", "imitate", *args, "--run", "new"])
    with pytest.raises(Started):
        main()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--demo", "fits.mp4"], "frames of 64x64, expected the encoder's 32x32"),
        (["--demo", "test:1"], "'test:1': expected an episode from 0 to 0"),
    ],
)
def test_what_is_recorded_says_what_a_demonstration_must_be(here, monkeypatch, capsys, args, message):
    def started(settings):
        raise AssertionError("started to train")

    write_video(here / "fits.mp4", np.zeros((4, 64, 64, 3), np.uint8), 20, Compression(18, "yuv444p"))
    stage = Stage(here / "run" / "record")
    stage.begin({})
    stage.finish({})
    monkeypatch.setattr(embed, "run", started)
    assert message in refused(["imitate", "--run", "run", *args], monkeypatch, capsys)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--objective", "triplet"], "a video of 4 frames has none more than 30 frames from another"),
        (["--seed", "-1"], "seed"),
    ],
)
def test_embed_refuses_before_it_writes(here, monkeypatch, capsys, args, message):
    assert message in refused(["embed", "--run", "new", *DATASET, *args], monkeypatch, capsys)
    assert not (here / "new").exists()


def test_embed_needs_another_episode_to_retrieve_from(here, monkeypatch, capsys):
    path = here / "run/record/dataset/meta/info.json"
    write_json(path, read_json(path) | {"splits": {"train": "0:3", "validation": "3:4"}})
    assert "1 validation episode" in refused(["embed", "--run", "new", *DATASET], monkeypatch, capsys)
    assert not (here / "new").exists()


@pytest.mark.parametrize("name", ["record", "embed", "imitate"])
def test_an_unknown_preset_lists_the_choices(here, monkeypatch, capsys, name):
    assert "unknown preset 'papr': choose one of " in refused([name, "papr"], monkeypatch, capsys)


@pytest.fixture
def configured(tmp_path):
    """Writes what a stage of these settings says of itself."""

    def write(settings, **more):
        Stage(tmp_path / "made").begin(kept_settings(settings) | more)
        return str(tmp_path / "made" / "config.json")

    return write


SOME = [
    *(settings for module in (record, embed, imitate) for _, settings in module.PRESETS.values()),
    record.Settings(cameras=("front", "top"), seed=3, held_out_travel=0.125),
    embed.Settings(dataset=Path("/data/mine"), camera="top", image_size=96, learning_rate=1e-7),
    imitate.Settings(demo="my films/-a b.mp4", resize=True, oracle=True, reward=HuberReward(0, 1, 0, 0.1, 2)),
    imitate.Settings(
        demo="-x.mp4", encoder=Path("runs/new/embed-plain/encoder"), learner=Learner(anneal=False, log_std=-3)
    ),
]


@pytest.mark.parametrize("settings", SOME)
@pytest.mark.parametrize("preset", [[], ["default"]])
def test_a_config_alone_makes_the_same_settings(configured, monkeypatch, settings, preset):
    module = sys.modules[type(settings).__module__]
    name, asked = module.__name__.split(".")[-1], []
    path = configured(settings, filmed_by=[{"name": "front"}])
    monkeypatch.setattr(module, "run", asked.append)
    monkeypatch.setattr(sys, "argv", ["imitate", name, *preset, "--run", "runs/new", "--config", path, "--seed", "9"])
    main()
    (made,) = asked
    assert made.run == Path("runs/new")
    assert kept_settings(made) == kept_settings(replace(settings, run=made.run, seed=9))


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--config"], "--config: expected a config.json after it"),
        (["paper", "--config", "CONFIG"], "no preset"),
        (["--config", "none.json"], "none.json: no such file"),
        (["--config", "enc/encoder.json"], "enc/encoder.json: no settings in it"),
        (["--config", "CONFIG", "--steps", "many"], "many"),
        (["--config", "OTHER"], "OTHER: not the settings of imitate, which has none called 'cameras'"),
        (["--config", "WRONG"], "WRONG: not the settings of imitate (Error parsing --steps"),
        (["--config", "HELP"], "HELP: not the settings of imitate, which has none called 'help'"),
        (["--config", "NESTED"], "NESTED: not the settings of imitate"),
        (["--config", "LIST"], "LIST: no settings in it"),
    ],
)
def test_a_config_that_will_not_do(here, monkeypatch, capsys, args, message):
    kept = kept_settings(imitate.Settings())
    for name, content in {
        "CONFIG": {"settings": kept}, "OTHER": {"settings": kept_settings(record.Settings())},
        "WRONG": {"settings": kept | {"steps": "many"}}, "HELP": {"settings": kept | {"help": True}},
        "NESTED": {"settings": kept | {"learner": {"help": True}}}, "LIST": {"settings": []},
    }.items():  # fmt: skip
        write_json(Path(name), content)
    assert message in refused(["imitate", *args], monkeypatch, capsys)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("when", ["importing", "running"])
def test_a_command_that_is_told_to_stop_says_how_to_go_on(here, monkeypatch, capsys, number, when):
    def stopped(*args):
        os.kill(os.getpid(), number)
        raise AssertionError("went on")

    before = [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)]
    if when == "importing":
        monkeypatch.setattr(front, "import_module", stopped)
    else:
        monkeypatch.setattr(record, "run", stopped)
    monkeypatch.setattr(sys, "argv", ["imitate", "record"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 128 + number
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"imitate record: stopped by {signal.Signals(number).name}")
    assert when == "importing" or line.endswith("the same command goes on")
    assert [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)] == before


BENCHMARKS = ("benchmark-imitation", "benchmark-follow", "benchmark-training", "benchmark-environments")
GOING_ON = ("record", "embed", "imitate", *BENCHMARKS)


@pytest.mark.parametrize("name", front.COMMANDS)
def test_a_command_says_whether_it_goes_on(here, monkeypatch, capsys, name):
    def harmed(error):
        def run(settings):
            raise error

        monkeypatch.setattr(importlib.import_module(front.module_of(name)), "run", run)
        monkeypatch.setattr(sys, "argv", ["imitate", name])
        with pytest.raises(SystemExit):
            main()
        (line,) = capsys.readouterr().err.splitlines()
        return line

    ends = {name: "the same command goes on" for name in GOING_ON}
    ends["imitate"] += ", but for practice that had not ended"
    ends["check-reward"] = "the same command goes on to the check, which starts over"
    again = ends.get(name, "the same command starts over")
    full = OSError(errno.ENOSPC, "No space left on device", "runs/a")
    assert harmed(Interrupted(signal.SIGTERM)) == f"imitate {name}: stopped by SIGTERM: {again}"
    assert harmed(WorkerDied("worker process 1 of 2")) == f"imitate {name}: worker process 1 of 2; {again}"
    assert harmed(full) == f"imitate {name}: runs/a: No space left on device: when that is mended, {again}"


def test_what_must_not_be_torn_apart_comes_to_its_end_first():
    done = []

    def work(error):
        with held_back() as told_to_stop:
            assert not told_to_stop()
            os.kill(os.getpid(), signal.SIGTERM)
            assert told_to_stop()
            done.append(error)
            if error:
                raise error

    for error in (None, RuntimeError("a process that was stopped too")):
        with pytest.raises(Interrupted) as stop:
            work(error)
        assert (stop.value.name, stop.value.exit_code) == ("SIGTERM", 143)
    assert len(done) == 2


@pytest.mark.parametrize("error", [OSError("of no system call"), BrokenPipeError(errno.EPIPE, "Broken pipe")])
def test_what_no_user_can_mend_is_a_traceback(here, monkeypatch, error):
    def broken(settings):
        raise error

    monkeypatch.setattr(record, "run", broken)
    monkeypatch.setattr(sys, "argv", ["imitate", "record"])
    with pytest.raises(OSError) as raised:  # noqa: PT011
        main()
    assert raised.value is error
