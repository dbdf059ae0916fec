"""``benchmark-imitation`` that takes seconds: ``python -m imitate.pipelines.torturing.small_benchmark --run RUN``.

The methods are no setting of that command, and it has none that is short enough to be killed twenty times.
"""

from __future__ import annotations

from dataclasses import replace

from .. import benchmark_imitation
from ..benchmarking.methods import EMBED, IMITATE, Method
from .subject import LEARNER

# No poses are read: the other victims do that, and each restart would take as long for it as for all else.
SHORT = replace(IMITATE, steps=512, observe_pose=False, midway=0.0, learner=LEARNER, device="cpu")
# An encoder of its own each, beside the run's: the benchmark trains what is missing.
TRAINED = replace(EMBED, name="embed-short", epochs=100, videos=4, batch=4, positive=2, device="cpu")
METHODS = {
    "tcn_self": Method("short", TRAINED, SHORT),
    "oracle": Method("short, and told the truth", TRAINED, replace(SHORT, oracle=True)),
}
SETTINGS = replace(benchmark_imitation.PRESETS["default"][1], methods=tuple(METHODS), demos=("test:0",), seeds=(0,))


def main() -> None:
    """Run from the command line."""
    benchmark_imitation.METHODS.clear()
    benchmark_imitation.METHODS.update(METHODS)
    benchmark_imitation.PRESETS["default"] = ("Short.", SETTINGS)
    benchmark_imitation.main()


if __name__ == "__main__":
    main()
