"""``python -m pipelines record ...``: run one command.

The command's module is imported only here below, so that worker processes, which start by importing the
main module again, start without PyTorch.
"""

from __future__ import annotations

import sys
from importlib import import_module

from .shared.signals import Interrupted, raised

COMMANDS = (
    "record",
    "embed",
    "imitate",
    "evaluate",
    "follow",
    "check_reward",
    "bench",
    "benchmark_imitation",
    "benchmark_follow",
    "report",
    "compression",
    "promote",
    "torture",
)


def main() -> None:
    """Run the command that the first argument names."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name in ("-h", "--help"):
        print("python -m pipelines COMMAND [PRESET] [--SETTING VALUE ...]; COMMAND --help says more\n")
        print("\n".join(COMMANDS))
        return
    if name not in COMMANDS:
        print(f"imitate: unknown command {name!r}: choose one of {', '.join(COMMANDS)}", file=sys.stderr)
        raise SystemExit(2)
    del sys.argv[1]
    try:
        with raised():  # importing takes seconds
            module = import_module(f"pipelines.{name}")
    except Interrupted as stop:
        print(f"imitate {name}: stopped by {stop.name} before it began", file=sys.stderr)
        raise SystemExit(stop.exit_code) from None
    module.main()


if __name__ == "__main__":
    main()
