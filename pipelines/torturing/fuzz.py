"""Mutated bytes for what reads datasets and checkpoints: only a ``UserError`` may come out, and no process may die."""

from __future__ import annotations

import resource
import shutil
from collections.abc import Callable
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv

from imitate.data.lerobot.dataset import LeRobotDataset
from imitate.data.video.reader import read_video
from imitate.embedding.encoders.layers import NORM
from imitate.embedding.trained_encoder import load_encoder
from imitate.envs.kuka_env import observation_space
from imitate.errors import UserError
from imitate.keeping.workers import end_with_parent, starting
from imitate.policy.ppo import build_ppo, load_policy
from imitate.reward.following import Following
from imitate.reward.observation import PolicyObservation

from ..shared.results import read_results
from .damage import BYTES, draw, written
from .files import below
from .subject import EMBED, IMITATE, LEARNER, RECORD, Subject

MEMORY = 12 * 2**30  # bytes of addresses that a process may take: a reader that asks for more is told so
EDGE = 2000  # bytes at both ends of a file, where headers and indices stand: half of the mutations fall there
Reader = Callable[[], object]


def fuzz(subject: Subject) -> dict[str, Any]:
    """Execute the readers in a process of their own, and in another where one has died."""
    folder = subject.folder / "fuzzed"
    shutil.copytree(subject.given, folder, ignore=shutil.ignore_patterns("cache"))
    context = get_context("spawn")
    counts: dict[str, dict[str, int]] = {}
    crashes: list[str] = []
    done = 0
    while done < subject.executions:
        near, far = context.Pipe(duplex=False)
        process = context.Process(target=_work, args=(far, folder, subject.seed, done, subject.executions))
        with starting():
            process.start()
        far.close()
        current = "its start"
        try:
            while True:
                kind, *told = near.recv()
                if kind == "at":
                    done, current = told
                elif kind == "crash":
                    crashes.append(f"{told[0]}: {told[1]}")
                else:
                    counts = _added(counts, told[0])
        except EOFError:
            process.join()
        except BaseException:
            process.kill()
            process.join()
            raise
        if process.exitcode:
            crashes.append(f"{current}: the process ended with exit code {process.exitcode}")
            done += 1
    shutil.rmtree(folder)
    return {"fuzz_executions": done, "fuzz_crashes": len(crashes), "fuzz_files": counts, "crashes": crashes[:100]}


def _added(counts: dict[str, dict[str, int]], more: dict[str, dict[str, int]]) -> dict[str, dict[str, int]]:
    return {
        name: {key: counts.get(name, {}).get(key, 0) + more.get(name, {}).get(key, 0) for key in ("read", "refused")}
        for name in {**counts, **more}
    }


def _work(pipe: Connection, folder: Path, seed: int, first: int, end: int) -> None:
    """The loop of a process: say what comes, do it."""
    end_with_parent()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    torch.set_num_threads(1)
    targets = _targets(folder)
    counts = {name: {"read": 0, "refused": 0} for name in targets}
    for number in range(first, end):
        name = list(targets)[number % len(targets)]
        pipe.send(("at", number, f"{name}, execution {number}"))
        content = (folder / name).read_bytes()
        with written(folder / name, mutated(content, np.random.default_rng([seed, number]))):
            try:
                targets[name]()
                counts[name]["read"] += 1
            except UserError as error:
                counts[name]["refused"] += 1
                if len(str(error).splitlines()) != 1:
                    pipe.send(("crash", f"{name}, execution {number}", f"more than a line: {error!r}"))
            except Exception as error:  # whatever else comes out is what is looked for
                pipe.send(("crash", f"{name}, execution {number}", f"{type(error).__name__}: {error}"))
    pipe.send(("at", end, "its end"))
    pipe.send(("counts", counts))


def _targets(folder: Path) -> dict[str, Reader]:
    """By the name of each file, what reads it."""
    dataset = folder / "dataset"
    model = _model()
    readers: dict[str, Reader] = {
        "encoder/encoder.json": lambda: load_encoder(folder / "encoder"),
        "encoder/encoder.safetensors": lambda: load_encoder(folder / "encoder"),
        "policy.zip": lambda: load_policy(model, folder / "policy.zip"),
        "any-video.csv": lambda: read_results(folder / "any-video.csv"),
    }
    readers |= {path.name: partial(read_video, path) for path in sorted(folder.glob("demonstration.*"))}
    for path in below(dataset):
        name = path.relative_to(folder).as_posix()
        if path.suffix == ".mp4":
            readers[name] = partial(read_video, path)
        elif name.startswith("dataset/data/"):
            readers[name] = partial(_read_columns, LeRobotDataset(dataset))
        elif path.name == "info.json" or "episodes" in path.parts:
            readers[name] = lambda: _read_dataset(dataset)
    return readers


def _read_columns(opened: LeRobotDataset) -> None:
    """The tables with a row for each frame."""
    opened.joints()
    opened.column("observation.flange")


def _read_dataset(folder: Path) -> None:
    """All that ``embed`` asks of a dataset's tables."""
    dataset = LeRobotDataset(folder)
    camera = dataset.camera()
    dataset.image_size(camera.name)
    for name in ("train", "validation"):
        dataset.split(name)
    dataset.picture_files(camera.name)
    if dataset.has("observation.state"):
        dataset.joints()


def mutated(content: bytes, rng: np.random.Generator) -> bytes:
    """Bytes with one to four kinds of damage, half of them at the edges of the file."""
    for _ in range(int(rng.integers(1, 5))):
        if not content:
            break
        if rng.random() < 0.5 and len(content) > 2 * EDGE:
            head, body, tail = content[:EDGE], content[EDGE:-EDGE], content[-EDGE:]
            if rng.random() < 0.5:
                content = (draw(BYTES, rng)(head, rng) or b"") + body + tail
            else:
                content = head + body + (draw(BYTES, rng)(tail, rng) or b"")
        else:
            content = draw(BYTES, rng)(content, rng) or b""
    return content


def _model() -> PPO:
    """A policy of the right shape, in an environment that is never stepped."""
    joints = 7
    below, following = observation_space(joints, RECORD.image_size), Following(observe_pose=IMITATE.observe_pose)
    space = PolicyObservation(below, EMBED.dim, NORM, following).space

    class Still(gym.Env):
        observation_space = space
        action_space = gym.spaces.Box(-1.0, 1.0, (joints,), np.float32)

    return build_ppo(LEARNER, DummyVecEnv([Still]), 0, torch.device("cpu"), dim=EMBED.dim)
