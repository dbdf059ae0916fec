"""``imitate record ...``, in a checkout ``python -m pipelines record ...`` too: run one command.

The command's module is imported only here below, so that worker processes, which start by importing the
main module again, start without PyTorch.
"""

from __future__ import annotations

import os
import select
import signal
import sys
from difflib import get_close_matches
from importlib import import_module

from imitate import __version__
from imitate.pipelines.shared.signals import Interrupted, raised

GROUPS = {  # what people do daily comes first
    "Show the robot a video": {
        "follow": "follow a video at once, without learning: imitate follow my.mp4",
        "imitate": "learn to follow a demonstration, or any",
        "evaluate": "run a policy again, on other demonstrations and seeds",
        "retarget": "the way of another arm's hand, as a video of the robot's own",
        "report": "a run on one page that opens offline",
    },
    "What it learns from": {
        "record": "film the robot's random movements",
        "embed": "train the encoder on them, or on a dataset of others",
        "check-reward": "does the learned reward rank poses as the truth does?",
    },
    "A dataset of your own, without any simulator": {
        "align": "videos of one task, laid along the first frame by frame",
        "retrieve": "the nearest frames of other episodes; labels, carried over",
        "label": "progress and reward of each frame, as columns of a copy",
    },
    "How well, and how fast": {
        "benchmark-imitation": "several methods and seeds on demonstrations held out",
        "benchmark-follow": "a hundred demonstrations that nothing has seen",
        "benchmark-environments": "other people's environments, beside their own reward",
        "benchmark-training": "what an encoder costs, and what it is worth",
        "bench": "each stage beside what bounds it",
        "compression": "what H.264 does to the embedding",
    },
    "For your shell, and for those who work on all this": {
        "completion": "what bash, zsh or tcsh need to complete commands, presets and settings",
        "promote": "ship a run's encoder, policy, demonstration and film",
        "torture": "killed, damaged, lied to, worn out: what must be 0",
    },
}
COMMANDS = tuple(name for group in GROUPS.values() for name in group)
USAGE = "imitate COMMAND [PRESET] [--SETTING VALUE ...]; imitate COMMAND --help lists both"
STDOUT = 1


def module_of(name: str) -> str:
    """What the module of a command is called."""
    return f"imitate.pipelines.{name.replace('-', '_')}"


def overview() -> str:
    """All commands, in groups, on one screen."""
    width = max(map(len, COMMANDS))
    groups = [
        "\n".join([title, *(f"  {name:{width}}  {what}" for name, what in group.items())])
        for title, group in GROUPS.items()
    ]
    return "\n\n".join([USAGE, *groups])


def main() -> None:
    """Run the command that the first argument names, quietly to its end where nobody reads on what it prints."""
    try:
        try:
            _main()
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        if not _unread():
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), STDOUT)
        raise SystemExit(128 + signal.SIGPIPE) from None


def _unread() -> bool:
    """Whether standard output leads to nobody any more, as in ``imitate follow --help | head``."""
    watched = select.poll()
    watched.register(STDOUT, 0)
    return bool(watched.poll(0))


def _main() -> None:
    name = sys.argv[1].replace("_", "-") if len(sys.argv) > 1 else "--help"  # a command may be called as its module
    if name in ("-h", "--help"):
        print(overview())
        return
    if name == "--version":
        print(f"imitate {__version__}")
        return
    if name not in COMMANDS:
        near = "".join(f", did you mean {close}?" for close in get_close_matches(name, COMMANDS, 1))
        print(f"imitate: unknown command {name!r}{near or ':'} choose one of {', '.join(COMMANDS)}", file=sys.stderr)
        raise SystemExit(2)
    del sys.argv[1]
    try:
        with raised():  # importing takes seconds
            module = import_module(module_of(name))
    except Interrupted as stop:
        print(f"imitate {name}: stopped by {stop.name} before it began", file=sys.stderr)
        raise SystemExit(stop.exit_code) from None
    module.main()


if __name__ == "__main__":
    main()
