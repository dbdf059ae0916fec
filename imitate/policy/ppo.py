"""The learner: PPO from stable-baselines3, its settings, and what it tells while it learns."""

from __future__ import annotations

import io
import pickle
import re
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any, TypeVar

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3 import PPO, SAC
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.vec_env import VecEnv

from imitate.errors import UserError, check_bounds
from imitate.keeping.finite import check_weights
from imitate.keeping.manifest import verified
from imitate.keeping.runs import written_aside
from imitate.policy.network import ImitationFeatures, ImitationPolicy

MEMBERS = {  # the tensors in a zip of stable-baselines3
    PPO: ("policy", "policy.optimizer", "pytorch_variables"),
    SAC: ("policy", "actor.optimizer", "critic.optimizer", "ent_coef_optimizer", "pytorch_variables"),
}
TRUE_ERRORS = ("ee_error_m", "joint_error_rad")  # that the arm's environments tell
OF_A_PROCESS = ("start_time", "_num_timesteps_at_start", "tensorboard_log")  # not of the policy


@dataclass(frozen=True)
class Learner:
    """Settings of PPO (table 2 of the paper, and what the paper does not say)."""

    n_envs: int = 64
    """Environments that act at the same time."""
    n_steps: int = 32
    """Steps of each between two updates."""
    batch_size: int = 512
    """Samples a gradient step."""
    n_epochs: int = 10
    """Passes over the samples an update."""
    gamma: float = 0.9
    """Discount factor. What the robot does now shows within half a second. With 0.99 the advantage of an
    action drowns in the noise of all that comes after."""
    gae_lambda: float = 0.95
    """Of generalised advantage estimation; the paper's tau."""
    clip_range: float = 0.2
    """Of the probability ratio; the paper's epsilon."""
    learning_rate: float = 3e-4
    """At the start. Of a policy that begins with nothing, 1e-3."""
    anneal: bool = True
    """Let the learning rate fall linearly to 0."""
    log_std: float = -3.0
    """Logarithm of the actions' standard deviation at the start. Of a policy that begins with nothing, -1."""
    width: int = 256
    """Units of each of the two hidden layers, of policy and value function."""

    def __post_init__(self) -> None:
        bounds = {
            "n_envs": (1, 4096), "n_steps": (2, 10**6), "batch_size": (2, 10**6), "n_epochs": (1, 1000),
            "gamma": (0, 1), "gae_lambda": (0, 1), "clip_range": (1e-6, 10), "learning_rate": (1e-9, 10),
            "log_std": (-10, 10), "width": (1, 10**4),
        }  # fmt: skip
        check_bounds(self, "learner.", **bounds)


def build_ppo(
    learner: Learner,
    env: VecEnv,
    seed: int,
    device: torch.device,
    tensorboard: Path | None = None,
    dim: int = 32,
    lookahead: int = 1,
    learns: bool = True,
) -> PPO:
    """Make a PPO model that has learned nothing yet.

    Args:
        learner: Settings of PPO.
        env: That it will learn in, with observations as of ``PolicyObservation``.
        seed: Of everything random.
        device: Of its networks.
        tensorboard: Folder of its logs.
        dim: Of the embeddings.
        lookahead: Frames of the demonstration that are observed.
        learns: Whether it will. Else it is without an optimiser, whose first one in a process takes seconds to import.

    Raises:
        UserError: Embeddings of that dimension do not fit the observations.
    """
    features = {"joints": env.action_space.shape[0], "dim": dim, "lookahead": lookahead}  # type: ignore[index]
    more: dict[str, Any] = {"features_extractor_class": ImitationFeatures, "features_extractor_kwargs": features}
    if not learns:
        more["optimizer_class"] = NoOptimizer
    return _ppo(ImitationPolicy, learner, env, more, seed, device, tensorboard)


def build_plain_ppo(
    learner: Learner, env: VecEnv, seed: int, device: torch.device, tensorboard: Path | None = None
) -> PPO:
    """Make a PPO model that takes its observations as they are, in which no pose stands; it has learned nothing yet.

    Args:
        learner: Settings of PPO.
        env: That it will learn in.
        seed: Of everything random.
        device: Of its networks.
        tensorboard: Folder of its logs.
    """
    policy = "MultiInputPolicy" if isinstance(env.observation_space, spaces.Dict) else "MlpPolicy"
    return _ppo(policy, learner, env, {}, seed, device, tensorboard)


def _ppo(
    policy: str | type[ImitationPolicy],
    learner: Learner,
    env: VecEnv,
    more: dict[str, Any],
    seed: int,
    device: torch.device,
    tensorboard: Path | None,
) -> PPO:
    """A PPO model, whose network has ``more`` settings than the learner's."""
    env.observation_space.seed(seed)  # nobody samples it, but its generator is saved with the policy
    model = PPO(
        policy,
        env,
        learning_rate=partial(falling, learner.learning_rate) if learner.anneal else learner.learning_rate,
        n_steps=learner.n_steps,
        batch_size=learner.batch_size,
        n_epochs=learner.n_epochs,
        gamma=learner.gamma,
        gae_lambda=learner.gae_lambda,
        clip_range=learner.clip_range,
        policy_kwargs={
            "net_arch": [learner.width, learner.width],
            "log_std_init": learner.log_std,
            "optimizer_kwargs": {"eps": 1e-5, "fused": True},  # stable-baselines3's epsilon; one call for all weights
        }
        | more,
        seed=seed,
        device=device,
        tensorboard_log=str(tensorboard) if tensorboard else None,
    )
    if tensorboard is None:
        model.set_logger(Logger(folder=None, output_formats=[]))  # its own would leave a folder in /tmp
    return model


class NoOptimizer:
    """In the place of an optimiser: takes a saved one's state, and does nothing with it."""

    def __init__(self, parameters: Any, **settings: Any) -> None:
        self.param_groups: list[Any] = []

    def load_state_dict(self, state: dict[str, Any], strict: bool = True) -> None:
        """Leave it."""


def falling(rate: float, remaining: float) -> float:
    """A learning rate that falls linearly to 0. Saved by its name: a function within one would be by its code."""
    return rate * remaining


def as_it_began(schedule: Callable[[float], float], rollout: float, remaining: float) -> float:
    """What a schedule says where an update's rollout began. SB3 asks it where that has ended: at the last one, for 0.

    Args:
        schedule: From what remains of the training to a rate.
        rollout: Of the training, a share.
        remaining: Of it, a share.
    """
    return schedule(min(1.0, remaining + rollout))


_falling = falling  # in policies that were saved by that name


def save_policy(model: PPO | SAC, path: str | Path) -> None:
    """Write SB3's own zip, so that users can load it with SB3: the same bytes for the same policy.

    Raises:
        UserError: There is NaN or infinity in the weights.
    """
    check_policy(model)
    saved = io.BytesIO()
    model.save(saved, exclude=OF_A_PROCESS)
    with (
        written_aside(Path(path)) as aside,
        zipfile.ZipFile(saved) as source,
        zipfile.ZipFile(aside, "w") as target,
    ):
        for name in source.namelist():
            content = source.read(name)
            if name == "data":  # as text, besides the pickled values: where they lay in memory
                content = re.sub(rb" at 0x[0-9a-f]+", b"", content)
            target.writestr(zipfile.ZipInfo(name), content)  # without the time


Model = TypeVar("Model", PPO, SAC)


def load_policy(model: Model, path: str | Path) -> Model:
    """Load parameters into a freshly built model. ``PPO.load`` and ``SAC.load`` would run code from the file.

    Raises:
        UserError: The file is missing, damaged, or of a policy of another shape, or of another algorithm.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such policy")
    verified(path)
    try:
        _check_members(path, type(model))
        model.set_parameters(str(path), device=model.device)
    except (
        ValueError,
        RuntimeError,
        LookupError,
        TypeError,
        AttributeError,
        AssertionError,
        ArithmeticError,
        NotImplementedError,  # a way to compress that zipfile does not know
        OSError,
        EOFError,
        zipfile.BadZipFile,
        pickle.UnpicklingError,  # code in the file, which torch refuses to run
    ) as error:
        said = " ".join(" ".join(str(error).splitlines()[:2]).split()) or type(error).__name__  # what, and where
        raise UserError(f"{path}: damaged, or not a policy of this shape ({said})") from None
    check_weights(str(path), model.policy.state_dict(), "damaged: learn it anew")
    return model


def check_policy(model: PPO | SAC) -> None:
    """Stop a learner whose weights are no numbers any more.

    Raises:
        UserError: There is NaN or infinity in them.
    """
    check_weights("the policy", model.policy.state_dict(), "lower the learning rate")


def _check_members(path: Path, algorithm: type[PPO | SAC]) -> None:
    """Refuse what stable-baselines3 does not write, before anything is unpacked.

    A compressed member may be a thousand times as large as it looks, and the name of one says which attribute of the
    model takes it.
    """
    wanted = next(members for known, members in MEMBERS.items() if issubclass(algorithm, known))
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            stem, dot, suffix = member.filename.rpartition(".")
            if member.compress_type != zipfile.ZIP_STORED or (dot + suffix == ".pth" and stem not in wanted):
                of = ", ".join(wanted)
                raise ValueError(f"{member.filename!r} in it is compressed, or none of {of}, of {algorithm.__name__}")


class Curve(BaseCallback):
    """Keeps, for each rollout, the mean reward and what the infos tell beside it, and passes them on.

    Args:
        tell: Called with each row: ``steps`` (of all environments), ``seconds`` since the start, ``reward``, and
            ``told`` and ``embedding_distance``, means over the rollout.
        told: Names in the infos, whose means are kept as far as they are there.
    """

    def __init__(
        self, tell: Callable[[dict[str, float]], Any] = lambda row: None, told: Sequence[str] = TRUE_ERRORS
    ) -> None:
        super().__init__()
        self._told = (*told, "embedding_distance")
        self.rows: list[dict[str, float]] = []
        self._tell = tell
        self._sums: dict[str, list[float]] = {}
        self._start = perf_counter()

    @property
    def seconds(self) -> float:
        """Since the start of the training, without interruptions."""
        return perf_counter() - self._start

    def _on_training_start(self) -> None:
        if not self.rows:
            self._start = perf_counter()

    def state(self) -> dict[str, Any]:
        """For ``restore``, between two rollouts."""
        return {"rows": self.rows, "seconds": self.seconds}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        self.rows = state["rows"]
        self._start = perf_counter() - state["seconds"]

    def _on_rollout_start(self) -> None:
        check_policy(self.model)  # type: ignore[arg-type]

    def _on_step(self) -> bool:
        infos = self.locals["infos"]
        for key in self._told:
            values = [info[key] for info in infos if key in info]
            if values:
                self._sums.setdefault(key, []).append(float(np.mean(values)))
        self._sums.setdefault("reward", []).append(float(np.mean(self.locals["rewards"])))
        return True

    def _on_rollout_end(self) -> None:
        row = {"steps": float(self.num_timesteps), "seconds": self.seconds}
        row |= {k: float(np.mean(v)) for k, v in self._sums.items()}
        self._sums.clear()
        for key, value in row.items():
            self.logger.record(f"imitate/{key}", value)
        self.rows.append(row)
        self._tell(row)

    def _on_training_end(self) -> None:
        check_policy(self.model)  # type: ignore[arg-type]
