import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def checkout(tmp_path):
    for name in ("Makefile", "setup.cfg", "constraints.txt", "pyproject.toml"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    return tmp_path


def make(checkout, python):
    command = ["make", "--no-print-directory", "install", f"PYTHON={python}"]
    return subprocess.run(command, cwd=checkout, capture_output=True, text=True)


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
@pytest.mark.parametrize(
    ("script", "message"),
    [
        (None, "python not found: install Python 3.11, or say make PYTHON=/path/to/python3.11"),
        ('[ "$1" = -V ] && echo "Python 3.12.1" || exit 1', "is Python 3.12.1, but the pinned versions are for Python"),
    ],
    ids=["none", "another"],
)
def test_a_python_that_will_not_do_is_named_in_one_line(checkout, script, message):
    python = checkout / "python"
    if script:
        python.write_text(f"#!/bin/sh\n{script}\n")
        python.chmod(0o755)
    done = make(checkout, python)
    assert done.returncode == 2
    line, *rest = done.stderr.splitlines()
    assert line.startswith("imitate: ")
    assert message in line
    assert len(rest) == 1  # make's own: that the target was not made
    assert not (checkout / ".venv").exists()


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("DEMOS=all", "PRESET=fast"), "PRESET=fast: DEMOS=all is a preset of its own, leave PRESET out"),
        (("DEMOS=3",), "DEMOS=3: expected all; name one with DEMO="),
        (("DEMOS=all",), None),
    ],
)
def test_all_demonstrations_are_a_preset(checkout, words, message):
    command = ["make", "--no-print-directory", "--dry-run", "imitate", *words]
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True)
    if message is None:
        assert done.returncode == 0
        assert "pipelines imitate any --run runs/default" in done.stdout
    else:
        assert done.returncode == 2
        assert message in done.stderr
