"""Who keeps a plan's part of MLflow: one process at a time, or runs would be logged twice."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import IO


class PlanIsKept(Exception):
    """Another process keeps this plan up to date in MLflow at this moment."""


def claim(plan_folder: Path) -> IO[str]:
    """The claim on a plan's part of MLflow, until it is closed. Raises PlanIsKept.

    The kernel releases it however this process ends. A sweep that shares its runs with another one finds it taken,
    and takes over when the other ends.
    """
    plan_folder.mkdir(parents=True, exist_ok=True)
    held = (plan_folder / "tracker.lock").open("a")
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        held.close()
        raise PlanIsKept from None
    return held
