"""Notices that a run makes no progress."""

from __future__ import annotations

import time

from bnnlab.experiment.directory import RunDirectory
from bnnlab.experiment.heartbeat import Pulse

LOOK_EVERY_S = 1.0
LONGEST_LOOK_S = 5.0
"""More time than this between two looks was not spent watching: the coordinator itself was stopped, or the laptop
asleep, and then the silence of the others means nothing."""


class Watch:
    """How long a run's process has been without progress, and without a heartbeat, while we looked."""

    def __init__(self, directory: RunDirectory) -> None:
        self.directory = directory
        self.idle_s = 0.0
        """Seconds without progress."""
        self.silent_s = 0.0
        """Seconds without a heartbeat."""
        self._pulse: Pulse | None = directory.pulse()
        self._looked = time.monotonic()

    def look(self) -> None:
        """Take note of how things stand; reads nothing more than once a second."""
        now = time.monotonic()
        passed = now - self._looked
        if passed < LOOK_EVERY_S:
            return
        self._looked = now
        passed = min(passed, LONGEST_LOOK_S)
        pulse, before = self.directory.pulse(), self._pulse
        self._pulse = pulse
        self.silent_s = self.silent_s + passed if pulse == before else 0.0
        gets_on = pulse is not None and (before is None or pulse.progress != before.progress)
        self.idle_s = 0.0 if gets_on else self.idle_s + passed

    def not_started(self) -> None:
        """The process waits in a queue: forget the silence."""
        self.idle_s = self.silent_s = 0.0
        self._looked = time.monotonic()

    def complaint(self, timeout_s: float) -> str | None:
        """What is wrong, once there has been no progress for `timeout_s`."""
        if self.idle_s < timeout_s:
            return None
        where = f" in {self._pulse.doing} after {self._pulse.steps} batches" if self._pulse else ""
        state = "stopped or its machine unreachable" if self.silent_s >= min(timeout_s, 10.0) else "alive"
        return f"no progress for {timeout_s:.0f} s{where}; its process is {state}"
