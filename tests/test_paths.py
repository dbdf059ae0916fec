import numpy as np
import pytest

from imitate import (
    LeRobotDataset,
    UserError,
    demonstration_from_video,
    load_encoder,
    load_policy,
    read_video,
    write_video,
)
from imitate.data.video.writer import FOR_PEOPLE


@pytest.mark.parametrize("fps", [0, -1.0, float("nan"), float("inf"), "20", None])
def test_a_rate_that_is_none_is_refused(tmp_path, fps):
    write_video(tmp_path / "film.mp4", np.zeros((3, 16, 16, 3), np.uint8), 20, FOR_PEOPLE)
    with pytest.raises(UserError, match=r"fps is .*, expected frames a second, more than 0"):
        demonstration_from_video(tmp_path / "film.mp4", fps)


def test_a_path_may_be_a_text(unlearned, tmp_path, encoder):
    dataset = unlearned / "record" / "dataset"
    assert len(LeRobotDataset(str(dataset))) == len(LeRobotDataset(dataset))
    encoder.save(str(tmp_path / "encoder"))
    assert load_encoder(str(tmp_path / "encoder")).dim == encoder.dim
    video = str(tmp_path / "film.mp4")
    write_video(video, np.zeros((3, 16, 16, 3), np.uint8), 20, FOR_PEOPLE)
    assert read_video(video).frames[0].shape == (16, 16, 3)
    assert demonstration_from_video(video, 20.0).name == "film"
    with pytest.raises(UserError, match="no such policy"):
        load_policy(None, str(tmp_path / "policy.zip"))
