"""Which demonstration a command is given."""

from __future__ import annotations

from pathlib import Path

from imitate.checkpoint import TrainedEncoder
from imitate.data.lerobot import SPLITS, LeRobotDataset
from imitate.demonstration import Demonstration, demonstration_from_video
from imitate.errors import UserError


def load_demo(text: str, run: Path, encoder: TrainedEncoder, resize: bool = False) -> Demonstration:
    """Find the demonstration that the user means.

    Args:
        text: ``test:3``, the third episode of a split of the run's dataset (``validation`` and ``train`` too);
            ``DATASET:12``, an episode of the dataset in that folder; or a video file.
        run: The run directory.
        encoder: That will embed it: its camera must have taken a dataset's frames.
        resize: Crop and scale a video to the encoder's size.

    Raises:
        UserError: There is no such thing, or it can't be scored by this encoder.
    """
    path = Path(text)
    head, colon, number = text.rpartition(":")
    if path.suffix and not colon:
        demonstration = demonstration_from_video(path, encoder.image_size if resize else None)
    elif colon and number.isdigit():
        dataset = LeRobotDataset(run / "record" / "dataset" if head in SPLITS else Path(head))
        camera = dataset.camera(encoder.camera.name)
        encoder.check_camera(camera, int(dataset.info["features"][f"observation.images.{camera.name}"]["shape"][0]))
        episodes = dataset.split(head) if head in SPLITS else range(len(dataset))
        if int(number) >= len(episodes):
            raise UserError(f"demonstration {text!r}: expected an episode from 0 to {len(episodes) - 1}")
        demonstration = dataset.demonstration(episodes[int(number)], camera.name)
    else:
        raise UserError(
            f"demonstration {text!r}: expected a video file, 'test:3' (an episode of the run's test split), or "
            "'path/to/dataset:3'"
        )
    demonstration.check_size(encoder.image_size)
    return demonstration
