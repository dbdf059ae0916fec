import errno
import math
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imitate.errors import UserError
from imitate.keeping.runs import Stage
from imitate.pipelines.shared.results import (
    DIGITS,
    Results,
    about,
    as_cell,
    check_out,
    numbers,
    read_results,
    rounded,
    table,
    write_results,
)

ROWS = [
    {"method": "tcn", "seed": 0, "ee_error_m": 0.0123456789, "curve": as_cell([1.0, 0.5])},
    {"method": "the 'plain', or \"TCN\"", "seed": 1, "ee_error_m": None},
    {"method": "two\nlines", "seed": 2, "ee_error_m": 3.0, "more": -1e-9},
]
ABOUT = {"command": "imitate bench", "machine": {"cores": 2}, "share": math.nan}


def test_what_is_written_is_read(tmp_path):
    out = tmp_path / "new" / "name.csv"
    write_results(out, Results(ROWS, ABOUT, {"curves": [{"steps": 1}], "none": []}))
    found = read_results(out, ("curves", "none"))
    names = ("method", "seed", "ee_error_m", "curve", "more")
    assert found.rows == [{name: rounded(row.get(name)) for name in names} for row in ROWS]
    assert list(found.rows[0]) == list(names)
    assert found.about == ABOUT | {"share": None}
    assert found.more == {"curves": [{"steps": 1}], "none": []}
    assert {path.name for path in out.parent.iterdir()} == {
        "name.csv", "name-curves.csv", "name-none.csv", "name.json",
    }  # fmt: skip
    assert out.read_text().splitlines()[1] == "tcn,0,0.0123457,1 0.5,"
    assert read_results(out).more == {}


def test_what_is_read_is_written_to_the_byte(tmp_path):
    out, again = tmp_path / "one.csv", tmp_path / "two.csv"
    write_results(out, Results(ROWS, ABOUT))
    write_results(again, read_results(out))
    assert again.read_bytes() == out.read_bytes()
    assert again.with_suffix(".json").read_bytes() == out.with_suffix(".json").read_bytes()


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.floats() | st.integers(-(2**53), 2**53), min_size=1, max_size=5))
def test_figures_are_those_that_were_rounded(tmp_path, values):
    out = tmp_path / "name.csv"
    write_results(out, Results([{"name": "a", "value": value} for value in values], {}))
    assert [row["value"] for row in read_results(out).rows] == [
        value if isinstance(value, int) else rounded(value) for value in values
    ]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_rounding_moves_no_figure_by_more_than_half_a_digit(value):
    assert abs(rounded(value) - value) <= 0.5000001 * 10.0 ** (1 - DIGITS) * abs(value) or abs(value) < 1e-300
    assert rounded(rounded(value)) == rounded(value)


def test_rounding_reaches_what_is_within_and_leaves_counts():
    assert rounded({"a": [1 / 3, (2, math.inf)], "b": {"c": 123456789, "d": "0.123456789"}}) == {
        "a": [0.333333, [2, None]],
        "b": {"c": 123456789, "d": "0.123456789"},
    }


def test_several_figures_fit_one_cell():
    assert numbers(as_cell([1 / 3, 2.0, -1e-9])) == [0.333333, 2.0, -1e-9]
    assert math.isnan(numbers(as_cell([None]))[0])
    assert (numbers(None), numbers(7), numbers(0.5)) == ([], [7.0], [0.5])
    with pytest.raises(ValueError, match="few"):
        numbers("1 few")


@pytest.mark.parametrize("name", ["name.csv", "name-curves.csv", "name.json"])
@pytest.mark.parametrize(
    "damage",
    [lambda content: None, lambda content: b"\xff\xfe" + content, lambda content: content[:-4] + b',"\n"a,b,c,d,"e,f'],
    ids=["missing", "another encoding", "more at the end"],
)
def test_damage_is_one_line_that_names_the_file(tmp_path, name, damage):
    out, path = tmp_path / "name.csv", tmp_path / name
    write_results(out, Results(ROWS, ABOUT, {"curves": [{"method": "tcn", "steps": "1 2"}]}))
    content = damage(path.read_bytes())
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    with pytest.raises(UserError) as error:
        read_results(out, ("curves",))
    assert str(error.value).startswith(f"{path}: ")
    assert len(str(error.value).splitlines()) == 1


def test_what_stands_in_a_finished_stage_is_verified(tmp_path):
    stage = Stage(tmp_path / "stage")
    stage.begin({})
    write_results(stage.path("name.csv"), Results(ROWS, ABOUT))
    stage.finish({})
    assert read_results(stage.path("name.csv")).rows[0]["method"] == "tcn"
    content = stage.path("name.csv").read_text()
    stage.path("name.csv").write_text(content.replace("tcn", "TCN"))
    with pytest.raises(UserError, match=r"name.csv: damaged"):
        read_results(stage.path("name.csv"))


def test_interrupted_writing_leaves_what_there_was(tmp_path, monkeypatch):
    out = tmp_path / "name.csv"
    write_results(out, Results(ROWS, ABOUT, {"curves": [{"steps": 1}]}))
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    written = Path.write_text

    def full(path, text, *args, **kwargs):
        if path.suffix == ".json":  # which is the last
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return written(path, text, *args, **kwargs)

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space left") as error:
        write_results(out, Results(ROWS[:1], {}, {"curves": []}))
    assert error.value.filename == str(out.with_suffix(".json"))
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_the_json_takes_its_place_last(tmp_path, monkeypatch):
    places = []
    replaced = os.replace
    monkeypatch.setattr(os, "replace", lambda old, new: places.append(Path(new).name) or replaced(old, new))
    write_results(tmp_path / "name.csv", Results(ROWS, ABOUT, {"curves": [], "encoders": []}))
    assert places[-1] == "name.json"
    assert sorted(places[:-1]) == ["name-curves.csv", "name-encoders.csv", "name.csv"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("name.json", "name.json: expected the name of a table, such as name.csv"),
        ("name", "name: expected the name of a table, such as name.csv"),
        ("", "expected the name of a table, such as"),
        (".csv", "csv: expected the name of a table, such as"),
        ("taken.csv", "taken.csv is a folder"),
        ("beside.csv", "beside.json is a folder"),
    ],
)
def test_a_place_that_cannot_be_written_to_is_refused(tmp_path, name, message):
    for folder in ("taken.csv", "beside.json"):
        (tmp_path / folder).mkdir()
    for refused in (check_out, read_results):
        with pytest.raises(UserError, match=message):
            refused(tmp_path / name)
    check_out(tmp_path / "good.csv")
    assert table(tmp_path / "good.csv", "curves") == tmp_path / "good-curves.csv"


def test_no_name_is_no_place():
    with pytest.raises(UserError, match=r"^\.: expected the name of a table, such as results\.csv"):
        check_out(Path(""))


def test_what_is_said_of_all_results():
    said = about("imitate bench")
    assert said["command"] == "imitate bench"
    assert said["machine"]["cores"] == os.cpu_count()
    assert {"python", "torch", "numpy"} <= said["versions"].keys()
