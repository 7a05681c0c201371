"""What a sweep does about runs that fail."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bnnlab.experiment.failure import Failure

MAX_BACKOFF_S = 300.0
NUMBERS = re.compile(r"[0-9a-f]{16}|\d+")
"""Run keys, epochs, sizes: what differs between two causes that are one."""


@dataclass(frozen=True)
class Policy:
    """The rules of one sweep; none of them changes a result."""

    retry_failed: bool = False
    """Try runs again that failed in an earlier sweep."""
    fail_fast: bool = False
    """End the sweep at the first run that has failed."""
    retries: int = 2
    """How often a run is tried again in a row, without an epoch finished in between, after a failure that may pass:
    its process died or hung, the memory or the disk was full. A fault of the run itself is never tried again."""
    backoff_s: float = 1.0
    """Pause before the first such retry; each further one doubles it."""
    hang_timeout_s: float = 900.0
    """A run whose process makes no progress for so long is killed and counts as hung."""
    stop_after: int = 5
    """This many runs in a row that failed alike end the sweep; 0: never."""

    def pause_s(self, failures: int) -> float:
        """How long to wait after the `failures`-th failure in a row of a run, from 1."""
        return float(min(MAX_BACKOFF_S, self.backoff_s * 2 ** (failures - 1)))


class StopRule:
    """Counts failures in a row that look alike.

    A diverged run says something about its configuration and nothing about the machine: it is a finding, and never
    counts.
    """

    def __init__(self, stop_after: int) -> None:
        self.stop_after = stop_after
        self._alike = 0
        self._signature = ""

    def finished(self) -> None:
        self._alike, self._signature = 0, ""

    def failed(self, failure: Failure) -> str:
        """Take note of a failure; gives the reason to end the sweep, or ""."""
        if failure.kind in ("diverged", "start"):
            return ""
        signature = f"{failure.kind}: {NUMBERS.sub('#', failure.cause)}"
        self._alike = self._alike + 1 if signature == self._signature else 1
        self._signature = signature
        if not self.stop_after or self._alike < self.stop_after:
            return ""
        return f"{self._alike} runs in a row failed alike ({failure.kind}): {failure.cause}"
