"""``benchmark_follow`` that takes seconds: ``python -m imitate.pipelines.torturing.small_follow --run RUN``.

How its demonstrations are recorded is no setting of that command.
"""

from __future__ import annotations

from dataclasses import replace

from .. import benchmark_follow
from ..benchmarking import filming
from .subject import RECORD

SETTINGS = replace(benchmark_follow.PRESETS["default"][1], demos=3, conditions=("plain", "away"), films=1)


def main() -> None:
    """Run from the command line."""
    filming.RECORD = RECORD
    benchmark_follow.PRESETS["default"] = ("Short.", SETTINGS)
    benchmark_follow.main()


if __name__ == "__main__":
    main()
