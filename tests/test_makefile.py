import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

ROOT = Path(__file__).resolve().parents[1]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
# Each target of the Makefile, with the variables that `make help` says it takes.
TAKES = {
    name: re.findall(r"([A-Z]+)=", note.partition("[")[2])
    for name, note in re.findall(r"^([a-z-]+):.*?## (.*)$", MAKEFILE, re.MULTILINE)
}
WORDS = ("RUN", "PRESET", "DEVICE", "DEMO")  # of one word each; ARGS is a piece of the command line
NASTY = (
    "my run", "a  b\tc ", "it's", "'", '"', 'say "hi"', "\\", "a\\ b\\", "\\'",
    "$(touch pwned)", "`touch pwned`", "x; touch pwned", "x & touch pwned", "x | touch pwned", "x' ; touch pwned '",
    "$(shell touch pwned)", "${shell touch pwned}", "$(error x)", "$(RUN)", "cost $5.mp4", "$HOME", "$$", "$",
    "*", "?", "[a]", "{a,b}", "~", "~/x", "#x", "a #b", "-x", "--", "(a)", "a,b", "a=b", "A=b c", "a:b", "100%", "%",
    "<in", ">out", "!x", "!!", "^", "|", "@x", "+x", "all x", "default x", "film é.mp4", "\x01\x7f",
)  # fmt: skip

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="needs make")


@pytest.fixture
def checkout(tmp_path):
    folder = tmp_path / "my clone's"
    folder.mkdir()
    for name in ("Makefile", "setup.cfg", "constraints.txt", "pyproject.toml"):
        shutil.copyfile(ROOT / name, folder / name)
    return folder


@pytest.fixture
def installed(checkout):
    """A checkout with a .venv whose commands only write down what they were called with."""
    tools = checkout / ".venv" / "bin"
    tools.mkdir(parents=True)
    for name in ("python", "ruff", "mypy"):
        script(tools / name, "printf '%s\\0' \"$@\" >called")
    (checkout / ".venv" / "installed").touch()
    return checkout


def script(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def make(checkout, *words, **env):
    # Without what a `make test` around this says: which of its variables were given, and that it is the outer one.
    others = {*WORDS, "DEMOS", "ARGS", "PYTHON", "MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES"}
    said = {name: value for name, value in os.environ.items() if name not in others}
    command = [shutil.which("make"), "--no-print-directory", *words]
    return subprocess.run(command, cwd=checkout, capture_output=True, text=True, env=said | env)


def called(checkout, *words, **env):
    """What a target calls python with."""
    (checkout / "called").unlink(missing_ok=True)
    done = make(checkout, *words, **env)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in checkout.iterdir()} <= {*os.listdir(ROOT), ".venv", "called"}, "something else ran"
    return (checkout / "called").read_text(encoding="utf-8").split("\0")[:-1]


def refused(done):
    """The one line that a target ends with, before make's own."""
    assert done.returncode == 2
    line, *rest = done.stderr.splitlines()
    assert len(rest) <= 1
    assert all(text.startswith("make: ***") for text in rest)
    return line


@pytest.mark.slow
@pytest.mark.parametrize(
    "target", sorted(TAKES.keys() - {"help", "install", "clean", "lint", "format", "type", "check"})
)
def test_every_target_takes_what_help_says_word_for_word(installed, target):
    plain = {name: f"some-{name.lower()}" for name in WORDS}
    said = [f"{name}={value}" for name, value in plain.items() if name in TAKES[target]]
    args = ["ARGS=--some 'more args' \"it's\" 'cost $5'"] if "ARGS" in TAKES[target] else []
    expected = called(installed, target, *said, *args)
    assert [name for name in plain if plain[name] in expected] == [name for name in WORDS if name in TAKES[target]]
    assert (expected[-4:] == ["--some", "more args", "it's", "cost $5"]) == bool(args)
    for value in NASTY:
        nasty = {name: value for name in plain}
        swapped = [value if word in plain.values() else word for word in expected]
        assert (
            called(installed, target, *(f"{name}={value}" for name in nasty if name in TAKES[target]), *args) == swapped
        )
        assert called(installed, target, *args, **nasty) == swapped


@pytest.mark.parametrize("target", sorted(TAKES.keys() - {"help"}))
def test_what_a_target_would_not_look_at_is_refused(installed, target):
    for name in {*WORDS, "DEMOS", "ARGS"} - {*TAKES[target]}:
        line = refused(make(installed, target, f"{name}=x"))
        assert f"*** make {target} takes no {name}: expected " in line
        assert re.findall(r"([A-Z]+)=", line) == TAKES[target]
        assert not (installed / "called").exists()


def test_several_targets_take_what_one_of_them_does(installed):
    assert called(installed, "record", "embed", "DEVICE=cuda") == called(installed, "embed", "DEVICE=cuda")


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example("a'b\"c$d`e;f g")
@given(st.text(st.characters(codec="utf-8", exclude_characters="\0\n\v\f\r"), min_size=1).map(lambda text: "x" + text))
def test_whatever_a_word_holds(installed, value):
    expected = ["-m", "pipelines", "evaluate", "--run", value, "--device", "auto", "--demos", value]
    assert called(installed, "evaluate", f"RUN={value}", f"DEMO={value}") == expected


def test_what_is_left_out_is_as_by_default(installed):
    expected = ["-m", "pipelines", "imitate", "default", "--run", "runs/default", "--device", "auto"]
    assert called(installed, "imitate") == expected
    assert called(installed, "imitate", "DEMO=", "DEMOS=", "ARGS=") == expected
    assert called(installed, "imitate", DEMO="", DEMOS="", ARGS="") == expected


@pytest.mark.parametrize("name", ["RUN", "PRESET", "DEVICE"])
def test_an_empty_word_is_refused(installed, name):
    line = refused(make(installed, "embed", f"{name}="))
    assert line.endswith(f"*** {name} is empty: expected one word, or leave it out.  Stop.")
    assert not (installed / "called").exists()


@pytest.mark.parametrize("name", [*WORDS, "DEMOS", "ARGS", "PYTHON"])
def test_a_line_break_is_refused(installed, name):
    for done in (make(installed, "imitate", f"{name}=a\ntouch pwned"), make(installed, "imitate", **{name: "a\nb"})):
        assert refused(done).endswith(f"*** {name} has a line break in it: expected one line.  Stop.")
    assert not (installed / "called").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("DEMOS=all", "PRESET=thorough"), "PRESET=thorough: DEMOS=all is a preset of its own, leave PRESET out"),
        (("DEMOS=all", "PRESET=default x"), "PRESET=default x: DEMOS=all is a preset of its own"),
        (("DEMOS=3",), "DEMOS=3: expected all; name one with DEMO="),
        (("DEMOS=all 3",), "DEMOS=all 3: expected all; name one with DEMO="),
        (("DEMOS=$(shell touch pwned)",), "DEMOS=$(shell touch pwned): expected all"),
        (("DEMOS=all",), None),
        (("DEMOS=all", "PRESET=any"), None),
    ],
)
def test_all_demonstrations_are_a_preset(installed, words, message):
    if message is None:
        expected = ["-m", "pipelines", "imitate", "any", "--run", "my run", "--device", "auto", "--demo", "a b.mp4"]
        assert called(installed, "imitate", *words, "RUN=my run", "DEMO=a b.mp4") == expected
    else:
        assert message in refused(make(installed, "imitate", *words))
        assert not (installed / "pwned").exists()


@pytest.mark.parametrize("target", ["record", "imitate", "check-reward"])
def test_another_environment_is_a_preset(installed, target):
    expected = ["-m", "pipelines", target, "environment", "--env", "a b:Reacher-v5", "--run", "my run"]
    assert called(installed, target, "ENV=a b:Reacher-v5", "RUN=my run")[: len(expected)] == expected
    if "PRESET" in TAKES[target]:
        line = refused(make(installed, target, "ENV=Reacher-v5", "PRESET=paper"))
        assert "PRESET=paper: ENV=Reacher-v5 is a preset of its own, leave PRESET out" in line


def test_an_environment_is_none_of_the_shells_variables(installed):
    """Whose ENV is a file, or in a container often the name of where it runs."""
    assert "environment" not in called(installed, "record", ENV="production")
    assert "expected one of the two" in refused(make(installed, "imitate", "ENV=Reacher-v5", "DEMOS=all"))


@pytest.mark.parametrize(("target", "out"), [("bench", "results/bench.csv"), ("torture", "results/torture.csv")])
def test_only_the_default_preset_writes_into_results(installed, target, out):
    assert called(installed, target)[-2:] == ["--out", out]
    for preset in ("quick", "default x", "x default"):
        assert out not in called(installed, target, f"PRESET={preset}")


def test_what_is_shown_is_what_to_type(installed):
    done = make(installed, "--dry-run", "imitate", "DEMO=it's $5.mp4")
    expected = ".venv/bin/python -m pipelines imitate default --run runs/default --device auto --demo 'it'\\''s $5.mp4'"
    assert done.stdout.strip() == expected


def test_help_lists_every_command(checkout):
    listed = {line.split()[0] for line in make(checkout, "help").stdout.splitlines()}
    (phony,) = re.findall(r"^PHONY := (.*)$", MAKEFILE, re.MULTILINE)
    assert listed == TAKES.keys() == set(phony.split())


ENDS = {  # what a Python answers, and what is then said of it
    "none": (None, "not found: install Python 3.11, 3.12 or 3.13, or say make PYTHON=/path/to/python3.11"),
    "another": (
        '[ "$1" = -V ] && echo "Python 3.10.1" || exit 1',
        "is Python 3.10.1, but the pinned versions are for 3.11 to 3.13: install Python 3.11",
    ),
    "python 2": ('echo "Python 2.7.18" >&2', "is Python 2.7.18, but the pinned versions are for 3.11 to 3.13"),
    "shim": (
        'echo "pyenv: python3.12: command not found\n\nNote: See pyenv help" >&2; exit 127',
        "is there, but does not run (pyenv: python3.12: command not found): install Python 3.11, 3.12 or",
    ),
    "stub": ('echo "Python was not found; run without arguments to install"', "is no Python (Python was not found;"),
    "silent": ("exit 0", "is there, but is no Python (it says nothing): install Python 3.11"),
    "garbage": (r"printf '\001\033[2J\377\n  \nx'", "is there, but is no Python ([2J): install Python 3.11"),
    "crash": (
        '[ "$1" = -V ] && echo Python 3.11.4 || { echo "Fatal Python error: init_fs" >&2; exit 1; }',
        "is there, but does not run (Fatal Python error: init_fs): install Python 3.11",
    ),
    "killed": ("kill -9 $$", "is there, but does not run (Killed): install"),
    "no venv": (
        'case $1 in -V) echo Python 3.11.4 ;; -m) mkdir -p .venv/bin; touch .venv/bin/python\n'
        'echo "ensurepip is not\navailable.  On Debian/Ubuntu systems, you need"; exit 1 ;; esac',
        "can't make .venv (ensurepip is not): on Debian and Ubuntu install python3.11-venv, or say make PYTHON=",
    ),
    "no pip": (
        '[ "$1" = -m ] && mkdir -p .venv/bin || echo Python 3.12.4',
        ".venv/bin/python: not found): on Debian and Ubuntu install python3.12-venv",
    ),
}  # fmt: skip


@pytest.mark.parametrize("end", ENDS)
def test_a_python_that_will_not_do_is_named_in_one_line(checkout, end):
    answer, message = ENDS[end]
    python = checkout / "my python" / "python"
    if answer:
        script(python, answer)
    line = refused(make(checkout, "install", f"PYTHON={python}"))
    assert line.startswith(f"imitate: {python} ")
    assert message in line
    assert not (checkout / ".venv").exists()


def test_what_cannot_be_run_is_told_from_what_is_not_there(checkout):
    (checkout / "folder").mkdir()
    for python in ("folder", "setup.cfg", "./setup.cfg"):
        line = refused(make(checkout, "install", f"PYTHON={python}"))
        assert line.startswith(f"imitate: {python} is there, but does not run (")
    for python in ("", "$(touch pwned)", "$(shell touch pwned)", "a; touch pwned", "-c", "a\\nb"):
        assert ("is empty" if not python else f"imitate: {python} not found") in refused(
            make(checkout, "install", f"PYTHON={python}")
        )
    assert not (checkout / "pwned").exists()


def test_an_install_that_fails_is_begun_anew(checkout):
    """Neither a first pip that fails nor a second leaves a .venv that is taken for whole."""
    pip = """case "$*" in *torch) [ -e network ] ;; *-e*) [ -e room ] ;; esac && exit
        echo "WARNING: x"; echo "ERROR: no wheel"; exit 1"""
    fake = """case $1 in -V) echo Python 3.11.4 ;;
        -m) rm -rf .venv; mkdir -p .venv/bin; cp pip .venv/bin/python; echo >>made ;; esac"""
    script(checkout / "pip", pip)
    python = script(checkout / "my python" / "python", fake)
    for missing in ("network", "room"):
        line = refused(make(checkout, "install", f"PYTHON={python}"))
        assert line.startswith("imitate: pip can't install (ERROR: no wheel): .venv/pip.log has the rest")
        assert "WARNING: x" in (checkout / ".venv" / "pip.log").read_text()
        assert not (checkout / ".venv" / "installed").exists()
        (checkout / missing).touch()
    for _ in range(2):
        assert make(checkout, "install", f"PYTHON={python}").returncode == 0
    assert len((checkout / "made").read_text()) == 3


TOOLS = ("sh", "rm", "mkdir", "cp", "ls", "mv", "touch", "printf", "tr", "grep", "head", "cut", "tail")
NO_WHEEL = """case "$*" in
    *"pip install"*--only-binary*) [ -e network ] || { echo "ERROR: no network"; exit 1; }
        ls "$XDG_CACHE_HOME"/imitate-video/*.whl && exit
        echo "ERROR: No matching distribution found for pybullet"; exit 1 ;;
    *"pip wheel"*) for folder; do case $last in -w) break ;; esac; last=$folder; done
        mkdir -p "$folder"
        [ -e compiles ] && echo >"$folder/pybullet.whl" || { echo "error: no Python.h"; exit 1; } ;; esac"""


def test_pybullet_is_compiled_once_where_it_has_no_wheel(checkout):
    script(checkout / "pip", NO_WHEEL)
    fake = """case $1 in -V) echo Python 3.13.4 ;;
        -m) rm -rf .venv; mkdir -p .venv/bin; cp pip .venv/bin/python ;; esac"""
    python = script(checkout / "my python" / "python", fake)
    kept = checkout / "my cache" / "imitate-video"

    def install(compiler=True):
        bare = checkout / "bare"
        shutil.rmtree(bare, ignore_errors=True)
        bare.mkdir()
        for tool in TOOLS:
            (bare / tool).symlink_to(shutil.which(tool))
        if compiler:
            script(bare / "g++", "")
        path = {"PATH": str(bare), "XDG_CACHE_HOME": str(kept.parent)}
        return make(checkout, "install", f"PYTHON={python}", **path)

    assert refused(install()).startswith("imitate: pip can't install (ERROR: no network): .venv/pip.log has the rest")
    (checkout / "network").touch()
    line = refused(install(compiler=False))
    assert "PyBullet has no wheel for this Python 3.13 and must be compiled, but there is no C++ compiler" in line
    assert "install g++ and python3.13-dev" in line
    assert refused(install()).startswith("imitate: pip can't install (error: no Python.h): .venv/pip.log has the rest")
    assert list(kept.iterdir()) == []
    (checkout / "compiles").touch()
    said = install()
    assert said.returncode == 0, said.stderr
    assert said.stdout.count("compiling PyBullet, which has no wheel for this Python 3.13") == 1
    assert [path.name for path in kept.iterdir()] == ["pybullet.whl"]
    (checkout / ".venv" / "installed").unlink()
    again = install()
    assert again.returncode == 0, again.stderr
    assert "compiling" not in again.stdout


@pytest.mark.parametrize(
    ("there", "taken"), [((), "3.11"), (("3.13",), "3.13"), (("3.13", "3.12"), "3.12"), (("3.12", "3.11"), "3.11")]
)
def test_a_python_that_runs_is_taken(checkout, there, taken):
    bare = checkout / "bare"
    bare.mkdir()
    for tool in TOOLS:
        (bare / tool).symlink_to(shutil.which(tool))
    for version in there:
        script(bare / f"python{version}", "[ $1 = -V ] && echo Python 3.9")
    line = refused(make(checkout, "install", PATH=str(bare)))
    assert line.startswith(f"imitate: python{taken} {'is Python 3.9' if there else 'not found'}")


@pytest.mark.slow
def test_a_python_that_is_said_in_quotes_makes_the_venv(checkout):
    """Up to pip, with the Python that runs this."""
    folder = checkout / "my python"
    folder.mkdir()
    (folder / "python").symlink_to(sys.executable)
    line = refused(make(checkout, "install", f"PYTHON={folder / 'python'}", PIP_NO_INDEX="1", PIP_FIND_LINKS="/none"))
    assert line.startswith("imitate: pip can't install (ERROR: ")
    assert not (checkout / ".venv" / "installed").exists()
