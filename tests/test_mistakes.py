"""Bad inputs, at least 500 a run and the same in each: Hypothesis shrinks what goes wrong to the smallest that does."""

import sys

import pytest
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st

from imitate.errors import UserError
from imitate.pipelines import record
from imitate.pipelines.torturing import mistakes
from imitate.pipelines.torturing.said import said, untouched

LINES, FILES = 450, 250
GENERATED = settings(
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.function_scoped_fixture],
)


def test_each_wrong_command_line_is_one_line(subject):
    refused = []

    @settings(GENERATED, max_examples=LINES)
    @given(mistakes.command_lines())
    def mistaken(args):
        ended, fault = mistakes.wrong(subject.folder, args)
        assert fault == ""
        event(args[0] if args[0] in mistakes.COMMANDS else "no command")
        refused.append(ended)

    mistaken()
    assert sum(refused) >= LINES


def test_each_wrong_file_is_one_line(subject):
    refused = []

    @settings(GENERATED, max_examples=FILES)
    @given(mistakes.files(subject.folder))
    def mistaken(spoilt):
        ended, fault = mistakes.spoil(subject.folder, spoilt)
        assert fault == ""
        refused.append(ended)

    mistaken()
    assert sum(refused) >= 500 - LINES
    assert len(refused) >= FILES


SETTINGS = [
    (command, name, kind)
    for command, settings_of in sorted(mistakes.COMMANDS.items())
    for name, kind in mistakes.options(settings_of).items()
    if name not in mistakes.FREE
]


@pytest.mark.parametrize(("command", "name", "kind"), SETTINGS, ids=[f"{c}-{n}" for c, n, _ in SETTINGS])
def test_every_setting_is_got_wrong(subject, command, name, kind):
    """The random ones above leave settings out."""

    @settings(GENERATED, max_examples=4)
    @given(mistakes.values(name, kind))
    def mistaken(words):
        args = (command, *mistakes._place(command), f"--{name.replace('_', '-')}", *words)
        assert mistakes.wrong(subject.folder, args) == (True, "")

    mistaken()


@settings(GENERATED, max_examples=50)
@given(st.sampled_from(sorted(mistakes.COMMANDS)), st.data())
def test_what_is_right_is_not_called_a_mistake(command, data):
    """Of settings as they are by default, on a run that is not there, the settings are not what is complained of."""
    known = mistakes.options(mistakes.COMMANDS[command])
    names = [name for name, kind in known.items() if kind is int and hasattr(mistakes.COMMANDS[command], name)]
    if not names:
        return
    name = data.draw(st.sampled_from(sorted(names)))
    value = getattr(mistakes.COMMANDS[command], name)
    told = said([command, "--run", "/dev/null/run", f"--{name.replace('_', '-')}", str(value)])
    assert not any(name in line.split("/dev/null")[0] for line in told.lines)


@pytest.mark.parametrize("file", mistakes.READERS)
def test_a_whole_file_is_taken(subject, file):
    """So that a spoilt one is refused for what is spoilt."""
    assert mistakes.wrong(subject.folder, mistakes.READERS[file]) == (False, "accepted")


def test_a_traceback_would_be_seen(subject, monkeypatch):
    def broken(settings):
        raise ZeroDivisionError("nothing but a traceback")

    monkeypatch.setattr(record, "_check", broken)
    assert mistakes.wrong(subject.folder, ("record", "--run", "new")) == (
        True,
        "ZeroDivisionError: nothing but a traceback",
    )


def test_what_is_left_behind_would_be_seen(subject, monkeypatch):
    def careless(settings):
        (subject.folder / "whole" / "left").write_text("half")
        raise UserError("too late")

    monkeypatch.setattr(record, "_check", careless)
    refused, fault = mistakes.wrong(subject.folder, ("record", "--run", "new"))
    assert refused
    assert fault.endswith("whole/left")
    (subject.folder / "whole" / "left").unlink()


def test_more_than_a_line_would_be_seen(subject, monkeypatch):
    def talkative(settings):
        print("by the way", file=sys.stderr)
        raise UserError("one\ntwo")

    monkeypatch.setattr(record, "_check", talkative)
    assert "2 lines" in mistakes.wrong(subject.folder, ("record", "--run", "new"))[1]


def test_a_mistake_that_is_taken_would_be_seen(subject):
    assert mistakes.wrong(subject.folder, ("record", "--run", "new", "--seed", "3")) == (False, "accepted")
    assert not (subject.folder / "new").exists()


def test_a_file_that_is_written_anew_is_a_change(tmp_path):
    (tmp_path / "a").write_text("a")
    with untouched(tmp_path) as changed:
        (tmp_path / "a").write_text("b")
        (tmp_path / "cache").mkdir()
        (tmp_path / "cache" / "c").write_text("c")
    assert changed
    assert {*changed} == {str(tmp_path / "a")}
