"""Printing: people read stderr while a command works; stdout is for what was asked for."""

from __future__ import annotations

import json
import sys
from typing import Any


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    json.dump(value, sys.stdout, indent=2, allow_nan=False)
    sys.stdout.write("\n")


def say(text: str) -> None:
    """A line for people, on stderr."""
    print(text, file=sys.stderr, flush=True)


def duration(seconds: float) -> str:
    """>>> [duration(s) for s in (8.2, 125, 7300, 200000)]
    ['8 s', '2 min 5 s', '2 h 2 min', '2 d 8 h']
    """
    whole = round(seconds)
    for unit, next_unit, size, next_size in (("d", "h", 86_400, 3_600), ("h", "min", 3_600, 60), ("min", "s", 60, 1)):
        if whole >= size:
            rest = whole % size // next_size
            return f"{whole // size} {unit}" + (f" {rest} {next_unit}" if rest else "")
    return f"{whole} s"
