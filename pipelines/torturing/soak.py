"""Many steps and resets of the environments that a policy learns in: nothing may grow, nothing slow down."""

from __future__ import annotations

import os
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from imitate.envs.tcn_imitate import tcn_imitate_vector

from ..timing.peak import PROC, family, held
from .subject import Subject

ENVS_A_WORKER = 4
SAMPLES = 100  # of memory, files and speed
SETTLED = 0.05  # share of the steps after which nothing should grow any more


def soak(subject: Subject) -> dict[str, Any]:
    """Step the default environments, at random actions, in worker processes as ``imitate`` has them."""
    rng = subject.random("soak")
    envs = tcn_imitate_vector(ENVS_A_WORKER * subject.workers, workers=subject.workers)
    rounds = -(-subject.steps // envs.num_envs)
    marks = np.unique(np.linspace(0, rounds, SAMPLES + 1).astype(int))[1:]
    memory, files, speeds, resets = [], [], [], envs.num_envs
    try:
        envs.reset(seed=subject.seed)
        done, start = 0, perf_counter()
        for mark in marks:
            for _ in range(mark - done):
                ended = envs.step(rng.uniform(-1, 1, envs.action_space.shape).astype(np.float32))[3]
                resets += int(ended.sum())
            speeds.append((mark - done) * envs.num_envs / (perf_counter() - start))
            processes = family(os.getpid())
            memory.append(sum(map(held, processes)))
            files.append(sum(map(_open_files, processes)))
            done, start = mark, perf_counter()
    finally:
        envs.close()
    first = int(SETTLED * len(marks))
    quarter = max(1, (len(marks) - first) // 4)
    before, after = median(speeds[first : first + quarter]), median(speeds[-quarter:])
    return {
        "soak_steps": rounds * envs.num_envs,
        "soak_resets": resets,
        "soak_memory_growth": max(memory[first:]) / memory[first] - 1,
        "soak_memory_mb": memory[first] * 1024 / 1e6,
        "soak_files_growth": max(files[first:]) - files[first],
        "soak_steps_per_second": after,
        "soak_speed_change": after / before - 1,
    }


def _open_files(pid: int) -> int:
    try:
        return len(list((PROC / str(pid) / "fd").iterdir()))
    except OSError:  # it has ended
        return 0
