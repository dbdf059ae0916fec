"""imitate: show a robot a video, and it learns to do the same, from pixels alone.

Importing this package registers ``TCNImitate-v0`` and its siblings with Gymnasium. The names in ``__all__`` are what
users import; each is loaded when it is first asked for, so that this import is quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from imitate.data.demonstration import Demonstration, demonstration_from_video
    from imitate.data.lerobot.dataset import LeRobotDataset
    from imitate.data.video.reader import read_video
    from imitate.data.video.writer import Compression, write_video
    from imitate.embedding.trained_encoder import TrainedEncoder, load_encoder
    from imitate.errors import UserError
    from imitate.pipelines.environments.checking import RewardReport, check_reward
    from imitate.pipelines.environments.fit import fit
    from imitate.policy.ppo import Learner, build_ppo, load_policy
    from imitate.policy.vec_env import SB3VecEnv
    from imitate.reward.following import Following
    from imitate.reward.frames import Frames
    from imitate.reward.rewards import DifferenceReward, HuberReward, Moment, ProgressReward
    from imitate.reward.vector_wrapper import EmbeddingRewardVector
    from imitate.reward.video_reward import VideoReward, VideoRewardVector
    from imitate.reward.wrapper import EmbeddingReward

__version__ = "0.1.0"
__all__ = [
    "Compression",
    "Demonstration",
    "DifferenceReward",
    "EmbeddingReward",
    "EmbeddingRewardVector",
    "Following",
    "Frames",
    "HuberReward",
    "LeRobotDataset",
    "Learner",
    "Moment",
    "ProgressReward",
    "RewardReport",
    "SB3VecEnv",
    "TrainedEncoder",
    "UserError",
    "VideoReward",
    "VideoRewardVector",
    "build_ppo",
    "check_reward",
    "demonstration_from_video",
    "fit",
    "load_encoder",
    "load_policy",
    "read_video",
    "write_video",
]

_ROOMS = {
    "data.demonstration": ("Demonstration", "demonstration_from_video"),
    "data.lerobot.dataset": ("LeRobotDataset",),
    "data.video.reader": ("read_video",),
    "data.video.writer": ("Compression", "write_video"),
    "embedding.trained_encoder": ("TrainedEncoder", "load_encoder"),
    "errors": ("UserError",),
    "pipelines.environments.checking": ("RewardReport", "check_reward"),
    "pipelines.environments.fit": ("fit",),
    "policy.ppo": ("Learner", "build_ppo", "load_policy"),
    "policy.vec_env": ("SB3VecEnv",),
    "reward.following": ("Following",),
    "reward.frames": ("Frames",),
    "reward.video_reward": ("VideoReward", "VideoRewardVector"),
    "reward.wrapper": ("EmbeddingReward",),
    "reward.vector_wrapper": ("EmbeddingRewardVector",),
    "reward.rewards": ("DifferenceReward", "HuberReward", "Moment", "ProgressReward"),
}


def __getattr__(name: str) -> Any:
    for room, names in _ROOMS.items():
        if name in names:
            return getattr(import_module(f"imitate.{room}"), name)
    raise AttributeError(f"module 'imitate' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


# The simulated robots stand above this library and import it, never the other way round. Only their ids are announced
# here, so that `import imitate` is enough for `gym.make`.
import_module("imitate.envs")
