import os
import re
import subprocess
import sys
import venv
import zipfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import pytest

from imitate.keeping.runs import read_json

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

ROOT = Path(__file__).resolve().parents[1]
FLOORS = ("imitate", "envs", "pipelines")
FROM_IMITATE = """
import gymnasium
import imitate
env = gymnasium.make("TCNImitate-v0")
observation, info = env.reset(seed=0)
assert env.observation_space.contains(observation)
for _ in range(3):
    observation, reward, terminated, truncated, info = env.step(env.action_space.sample())
    assert reward < 0
    assert info["ee_error_m"] >= 0
env.close()
"""
FROM_GYMNASIUM = """
import gymnasium
env = gymnasium.make("imitate:TCNImitate-v0")
env.reset(seed=0)
env.close()
"""
NOT_IN_THE_WAY = """
import importlib.util
import imitate
for name in ("envs", "assets", "pipelines", "tests"):
    assert importlib.util.find_spec(name) is None, name
assert imitate.__version__ == "{version}"
"""


def run(*command, cwd):
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL_ENV"))}
    done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True, env=clean)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


def setuptools_is_here():
    try:
        return int(version("setuptools").split(".")[0]) >= 77
    except PackageNotFoundError:
        return False


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    options = ["--no-isolation"] if setuptools_is_here() else []
    run(sys.executable, "-m", "build", *options, "--outdir", folder, ROOT, cwd=folder)  # of the source distribution
    (path,) = folder.glob("*.whl")
    return path


def test_the_wheel_holds_one_package_and_what_it_needs(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"imitate"}
    assert len(tops) == 2
    assert {
        "imitate/py.typed",
        "imitate/envs/bullet.py",
        "imitate/data/lerobot/dataset.py",
        "imitate/pipelines/__main__.py",
        "imitate/pipelines/reporting/report.html",
        "imitate/pipelines/reporting/page.css",
        "imitate/pipelines/reporting/page.js",
        "imitate/assets/kuka/iiwa.urdf",
        "imitate/assets/kuka/iiwa_gripper.sdf",
        "imitate/assets/encoder/encoder.json",
        "imitate/assets/encoder/encoder.safetensors",
        "imitate/assets/policy/policy.zip",
        "imitate/assets/demonstration/meta/info.json",
    } <= names
    shipped = {
        f"imitate/{path.relative_to(ROOT).as_posix()}"
        for folder in ("kuka", "panda", "encoder", "open", "policy", "demonstration")
        for path in (ROOT / "assets" / folder).rglob("*")
        if path.is_file() and "cache" not in path.parts
    }
    assert shipped
    assert shipped <= names
    modules = {path.relative_to(ROOT).as_posix() for floor in FLOORS for path in (ROOT / floor).rglob("*.py")}
    assert {name if name.startswith("imitate/") else f"imitate/{name}" for name in modules} <= names
    assert not any("cache" in name.split("/") for name in names)


def install(python, package):
    pip = (sys.executable, "-m", "pip", "--python", python, "--quiet", "--disable-pip-version-check")
    kept = Path.home() / ".cache" / "imitate-video"  # where `make` keeps the PyBullet that it has compiled
    command = (*pip, "install", "--no-compile", "-c", ROOT / "constraints.txt", "--find-links", kept)
    run(*command, package, cwd=python.parent)


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory):
    """The interpreter of an environment with nothing but the wheel and what it asks for."""
    folder = tmp_path_factory.mktemp("clean")
    venv.create(folder)
    python = folder / "bin" / "python"
    install(python, "torch")
    install(python, wheel)
    return python


@pytest.mark.parametrize("script", [FROM_IMITATE, FROM_GYMNASIUM], ids=["import imitate", "imitate:TCNImitate-v0"])
def test_installed_alone_it_makes_the_environment(python, tmp_path, script):
    run(python, "-c", script, cwd=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_installed_it_keeps_to_its_own_name(python, wheel, tmp_path):
    run(python, "-c", NOT_IN_THE_WAY.format(version=wheel.name.split("-")[1]), cwd=tmp_path)


def test_installed_it_follows_a_video_from_any_folder(python, tmp_path):
    said = run(python.parent / "imitate", "follow", cwd=tmp_path)
    made = tmp_path / "runs" / "default" / "follow"
    assert (made / "side_by_side.gif").stat().st_size > 100_000
    assert str(made.relative_to(tmp_path)) in said
    assert read_json(made / "metrics.json")["ee_error_m"] < 0.05
    assert read_json(made / "config.json")["git_commit"] is None
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


def test_installed_it_rewards_anybodys_environment_as_the_front_page_says(python, wheel, tmp_path):
    install(python, f"{wheel}[environments]")
    (snippet,) = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs/index.md").read_text(), re.DOTALL | re.MULTILINE)
    said = run(python, "-c", snippet, cwd=tmp_path)
    reward, distance, own = map(float, said.split()[-3:])
    assert np.isfinite([reward, distance, own]).all()
    assert [path.name for path in tmp_path.iterdir()] == ["expert.mp4"]
