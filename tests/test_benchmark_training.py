"""What encoders cost and what they are worth: small ones, from nothing."""

from dataclasses import replace

import pytest

from imitate.errors import UserError
from imitate.keeping.runs import Stage
from imitate.pipelines import benchmark_training, embed, record
from imitate.pipelines.benchmark_training import VARIANTS, Settings
from imitate.pipelines.shared.results import read_results

SMALL = {
    record: {
        "train": 4,
        "validation": 2,
        "test": 1,
        "frames": 34,
        "held_out_frames": 34,
        "image_size": 32,
        "workers": 1,
    },
    embed: {"epochs": 2, "videos": 4, "batch": 4},
}


@pytest.fixture
def small(monkeypatch, tmp_path):
    for module, changes in SMALL.items():
        said, settings = module.PRESETS["default"]
        monkeypatch.setitem(module.PRESETS, "default", (said, replace(settings, **changes)))
    monkeypatch.setitem(VARIANTS, "longer", benchmark_training.Variant(embed={"epochs": 3}))
    monkeypatch.setitem(VARIANTS, "fewer", benchmark_training.Variant(record={"train": 3}))
    return Settings(run=tmp_path / "run", variants=("default", "longer", "fewer"), demos=1, device="cpu")


@pytest.mark.slow
def test_each_variant_is_trained_once_and_measured(small, capsys):
    rows = benchmark_training.run(small)
    assert [(row["variant"], row["episodes"], row["epochs"]) for row in rows] == [
        ("default", 4, 2),
        ("longer", 4, 3),
        ("fewer", 3, 2),
    ]
    assert all(row["train_seconds"] > 0 and row["read_seconds"] > 0 and row["ee_error_m"] > 0 for row in rows)
    assert len({row["ee_error_m"] for row in rows}) == 3
    results = read_results(small.run / "training.csv")
    assert [row["variant"] for row in results.rows] == ["default", "longer", "fewer"]
    assert results.about["demonstrations"] == 1
    assert Stage(small.run / "episodes-4" / "embed-longer").settings["epochs"] == 3
    again = benchmark_training.run(small)
    assert "is trained already" in capsys.readouterr().out
    assert [row["ee_error_m"] for row in again] == [row["ee_error_m"] for row in rows]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"variants": ("default", "longest")}, "unknown variant 'longest': choose one of batch-"),
        ({"demos": 0}, "demos is 0"),
        ({"device": "tpu"}, "unknown device 'tpu'"),
    ],
)
def test_what_is_wrong_shows_before_anything_is_recorded(small, change, said):
    with pytest.raises(UserError, match=said):
        benchmark_training.run(replace(small, **change))
    assert not small.run.exists()


def test_a_variant_changes_settings_that_there_are():
    for variant in VARIANTS.values():
        replace(record.PRESETS["default"][1], **variant.record)
        embed.check(replace(embed.PRESETS["default"][1], **variant.embed))
