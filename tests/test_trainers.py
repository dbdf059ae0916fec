"""Other people's trainers learn in an environment that a video rewards: the snippets of docs/trainers.md.

Their packages are heavy, or ask for other versions than ours. So each is installed beside this environment, alone, in a
folder of its own, and runs in a process that looks there.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

import imitate

pytestmark = pytest.mark.slow
PAGE = (Path(__file__).resolve().parents[1] / "docs/trainers.md").read_text()
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE))
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)
ZOO = """
    rl_zoo3==2.9.2 sb3_contrib==2.9.2 sb3-team-hf-integration==3.2 huggingface_hub==2.4.0 httpcore2==2.16.2
    httpx2==2.16.2 truststore==0.10.5 h11==0.16.0 wasabi==1.1.3 optuna==5.0.0 sqlalchemy==2.1.9 alembic==1.20.1
    colorlog==6.12.0 pyyaml==6.0.4 shimmy==2.0.1 pytablewriter==1.2.1 dataproperty==1.1.1 mbstrdecoder==1.1.5
    pathvalidate==3.3.1 tabledata==1.3.5 tcolorpy==0.1.7 typepy==2.0.0 chardet==7.7.0
"""
VIDEO = """
    moviepy==2.2.1 proglog==0.1.12 decorator==5.3.1 imageio_ffmpeg==0.8.1 python-dotenv==1.2.4
"""  # of RecordVideo
PACKAGES = {
    "rl-baselines3-zoo": ZOO,
    "TorchRL": "torchrl==0.14.1 tensordict==0.14.3 pyvers==0.2.3 hoptorch==0.1.4",
    "skrl": "skrl==2.1.1",
    "CleanRL": "--ignore-requires-python cleanrl==1.2.0",  # it asks for a Python before 3.11; the script does not
    "imitation": "imitation==1.0.1",  # itself it asks for gymnasium 0.29 and stable-baselines3 2.2; it works with ours
    "Gymnasium's wrappers": VIDEO,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where a user's module and video lie."""
    folder = tmp_path_factory.mktemp("mine")
    (folder / "my_video.py").write_text(BLOCK.search(PAGE)[2])
    env = gym.make("Pendulum-v1", render_mode="rgb_array")
    env.reset(seed=0)
    frames = [env.render()]
    for _ in range(24):
        env.step(np.array([2.0], np.float32))
        frames.append(env.render())
    env.close()
    lossless = imitate.Compression(crf=0, pixels="yuv444p")
    imitate.write_video(folder / "expert.mp4", np.stack(frames), env.metadata["render_fps"], lossless)
    return folder


def installed(section, tmp_path):
    """A folder with a trainer's packages, or the test is skipped."""
    wanted = PACKAGES.get(section, "").split()
    if not wanted:
        return ""
    target = tmp_path / "packages"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    done = subprocess.run([*pip, "--target", target, *wanted], capture_output=True, text=True)
    if done.returncode and "NewConnectionError" in done.stderr:
        pytest.skip(f"{wanted[-1]} can't be installed: there is no network")
    assert done.returncode == 0, done.stderr
    return str(target)


def run(command, folder, *paths):
    where = os.pathsep.join(filter(None, [str(folder), *paths, os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": where, "OMP_NUM_THREADS": "1", "SDL_VIDEODRIVER": "dummy"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def snippets(section, kind):
    return [code for language, code in BLOCK.findall(SECTIONS[section]) if language == kind]


@pytest.mark.parametrize("section", [name for name in SECTIONS if snippets(name, "python") and name != "CleanRL"])
def test_a_trainer_takes_the_environment_as_it_is(section, folder, tmp_path):
    target = installed(section, tmp_path)
    for number, code in enumerate(snippets(section, "python")):
        script = tmp_path / f"snippet_{number}.py"
        script.write_text(code)
        run([sys.executable, script], folder, target)


def commands(section):
    """The command lines of a section, without the interpreter's name."""
    text = "\n".join(snippets(section, "bash")).replace("\\\n", " ")
    return [line.split()[1:] for line in text.splitlines() if line.startswith("python ")]


def test_the_zoo_trains_with_hyperparameters_that_are_supplied(folder, tmp_path):
    target = installed("rl-baselines3-zoo", tmp_path)
    (folder / "my_video.yml").write_text(snippets("rl-baselines3-zoo", "yaml")[0])
    (command,) = commands("rl-baselines3-zoo")
    run([sys.executable, *command], folder, target)
    assert list(folder.glob("logs/ppo/MyVideo-v0_1/MyVideo-v0.zip"))


@pytest.mark.parametrize("command", commands("CleanRL"), ids=lambda command: command[1])
def test_cleanrl_trains(command, folder, tmp_path):
    launcher, script, *rest = command
    if not (scripts := os.environ.get("CLEANRL")):
        if script.startswith("sac"):
            pytest.skip("CleanRL's soft actor-critic on PyPI is for gym: say CLEANRL=/path/to/its/repository")
        scripts = installed("CleanRL", tmp_path)
    (folder / launcher).write_text(snippets("CleanRL", "python")[0])
    run([sys.executable, launcher, Path(scripts) / "cleanrl" / script, *rest], folder, scripts)
    assert list(folder.glob(f"runs/*{Path(script).stem}*/events.out.tfevents.*"))
