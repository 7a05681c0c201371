"""Ctrl-C: what a command says then, and the command that goes on."""

from __future__ import annotations

import sys
from collections.abc import Callable

from bnnlab.cli.output import say


def until_interrupted(work: Callable[[], int]) -> int:
    """The exit code of `work`; 130 where it was interrupted."""
    try:
        return work()
    except KeyboardInterrupt:
        say(f"interrupted; nothing is lost, the same command goes on:  {same_command()}")
        return 130


def same_command(*more: str) -> str:
    """The command that goes on with this sweep. Not with --rerun: what that has trained by now would go again."""
    words = [word for word in sys.argv[1:] if word != "--rerun"]
    return " ".join(["bnnlab", *words, *(word for word in more if word not in words)])
