import pytest

from pipelines.demo import stage_name


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a/clip.mp4", "b/clip.mp4"),
        ("clip.mp4", "clip.mov"),
        ("my clip.mp4", "my-clip.mp4"),
        ("demos/x:3", "other/x:3"),
        ("demos/x.y:3", "demos/x.y:4"),
        ("demos/test:3", "test:3"),
    ],
)
def test_each_demonstration_has_a_folder_of_its_own(one, other):
    assert stage_name("imitate", [one]) != stage_name("imitate", [other])


def test_a_folder_is_called_what_it_is_of(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert stage_name("imitate", ["test:3"]) == "imitate-test-3"
    assert stage_name("evaluate", ["test:3", "train:12"]) == "evaluate-test-3-train-12"
    assert stage_name("imitate", ["my.mp4"]).startswith("imitate-my-")
    assert stage_name("imitate", ["my.mp4"]) == stage_name("imitate", [f"{tmp_path}/./my.mp4"])
