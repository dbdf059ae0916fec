"""The training of an encoder: what is trained, how far it is, and what is kept of it on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import torch
from torch.optim.lr_scheduler import LRScheduler, MultiStepLR, OneCycleLR
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from imitate.embedding.batch import Batch
from imitate.embedding.loss import Loss, Progress
from imitate.embedding.trained_encoder import TrainedEncoder
from imitate.embedding.training import Course, fit
from imitate.keeping.finite import check_weights
from imitate.keeping.runs import Stage
from imitate.keeping.snapshot import Snapshot, Snapshots, random_states, restore_random_states

from ..shared.signals import held_back

SHORTEST_CYCLE = 11  # steps: of 10 or fewer, a tenth leaves nothing to rise in
TOLD = 20  # steps between two points of a curve


@dataclass(frozen=True)
class Lessons:
    """What an encoder learns, and how.

    Attributes:
        steps: That there are in all.
        batches: Those from a step on.
        loss: What is made small.
        course: How frames are disturbed.
        optimizer: adamw or sgd.
        learning_rate: The highest.
    """

    steps: int
    batches: Callable[[int], Iterator[Batch]]
    loss: Loss
    course: Course
    optimizer: str
    learning_rate: float


class Training:
    """An encoder in training, from its first step or from a snapshot on.

    Args:
        lessons: Of it.
        trained: The encoder that is trained.
        baselines: What was measured before; it is kept in the snapshot.

    Attributes:
        steps: That there are in all.
        done: Steps that were taken.
        last: The loss of the last one.
    """

    def __init__(
        self, lessons: Lessons, trained: TrainedEncoder, baselines: dict[str, dict[str, float]] | None = None
    ) -> None:
        self.steps = lessons.steps
        self.done, self.last = 0, 0.0
        self._lessons, self._trained, self._baselines = lessons, trained, baselines
        self._modules = [trained.module] + ([trained.pose_head] if trained.pose_head is not None else [])
        for module in self._modules:
            module.train()
        self._optimizer, self._scheduler = optimizer_of(lessons, self._modules, self.steps)
        self._frames, self._start = 0, perf_counter()

    @property
    def _parts(self) -> list[Any]:
        """What has a state of its own."""
        return [*self._modules, self._optimizer, self._scheduler]

    @property
    def seconds(self) -> float:
        """Since the start, without interruptions."""
        return perf_counter() - self._start

    @property
    def frames_per_second(self) -> float:
        """How fast it has been."""
        return self._frames / self.seconds

    def snapshot(self) -> Snapshot:
        """All that it goes on with, for ``restore``.

        Raises:
            UserError: There is NaN or infinity in the weights.
        """
        for module in self._modules:  # a finite loss may leave weights that are not: the last good snapshot stays
            check_weights("the encoder in training", module.state_dict(), "lower learning-rate")
        return Snapshot.of(
            {
                "step": self.done,
                "frames": self._frames,
                "seconds": self.seconds,
                "loss": self.last,
                "baselines": self._baselines,
                "parts": [part.state_dict() for part in self._parts],
                "course": self._lessons.course.state(),
                "random": random_states(),
            }
        )

    def restore(self, kept: dict[str, Any]) -> None:
        """Go on from a snapshot."""
        self.done, self._frames, seconds, self.last = (kept[name] for name in ("step", "frames", "seconds", "loss"))
        for part, state in zip(self._parts, kept["parts"], strict=True):
            part.load_state_dict(state)
        self._lessons.course.restore(kept["course"], self._trained.device)
        restore_random_states(kept["random"])
        self._start = perf_counter() - seconds

    def missing(self) -> Iterator[Progress]:
        """Take the steps that are missing, yielding after each."""
        lessons = self._lessons
        batches = self._counted(lessons.batches(self.done))
        for progress in fit(
            self._trained.module, lessons.loss, batches, self._optimizer, self._scheduler, lessons.course
        ):
            self.done += 1
            self.last = progress.loss
            yield progress

    def _counted(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        for batch in batches:
            self._frames += len(batch.frames)
            yield batch


def optimizer_of(
    lessons: Lessons, modules: list[torch.nn.Module], steps: int
) -> tuple[torch.optim.Optimizer, LRScheduler]:
    """The optimizer of the lessons, with its schedule over so many steps."""
    parameters = [p for module in modules for p in module.parameters()]
    if lessons.optimizer == "sgd":
        sgd = torch.optim.SGD(parameters, lessons.learning_rate, momentum=0.9)
        return sgd, MultiStepLR(sgd, [max(1, steps * k // 4) for k in (1, 2, 3)], gamma=0.1)
    adamw = torch.optim.AdamW(parameters, lessons.learning_rate, weight_decay=1e-4, fused=True)
    cycle = max(steps, SHORTEST_CYCLE)
    return adamw, OneCycleLR(adamw, lessons.learning_rate, total_steps=cycle, pct_start=0.1)


def fit_encoder(
    lessons: Lessons,
    stage: Stage,
    trained: TrainedEncoder,
    snapshots: Snapshots | None = None,
    baselines: dict[str, dict[str, float]] | None = None,
    kept: dict[str, Any] | None = None,
) -> dict[str, float]:
    """Train, and say how fast: the loss and the rest of it stand in the stage's ``tensorboard`` folder.

    Args:
        lessons: That it learns.
        stage: That keeps the figures of each step.
        trained: The encoder that is trained.
        snapshots: Where snapshots go, which do not change what is learned; None: there are none.
        baselines: What was measured before; it is kept in the snapshot.
        kept: The last snapshot, to go on with.
    """
    training = Training(lessons, trained, baselines)
    if kept is not None:
        training.restore(kept)
    steps, done = training.steps, training.done
    writer = SummaryWriter(str(stage.path("tensorboard")), purge_step=done + 1 if done else None)
    with writer, held_back() as told_to_stop, tqdm(total=steps, initial=done, unit="step", desc="embed") as bar:
        for progress in training.missing():
            bar.update()
            if training.done % TOLD == 0:
                bar.set_postfix(loss=f"{progress.loss:.3f}", active=f"{progress.active:.2f}")
                for key, value in progress._asdict().items():
                    writer.add_scalar(f"embed/{key}", value, training.done)
            if snapshots is not None and (snapshots.due or training.done == steps or told_to_stop()):
                snapshots.write(training.snapshot)
            if told_to_stop():
                break
    return {
        "train_seconds": training.seconds,
        "frames_per_second": training.frames_per_second,
        "final_loss": training.last,
    }
