"""The runs that wait to be started, in order; some of them for a time, some for another run."""

from __future__ import annotations

import heapq
import time
from collections import deque
from collections.abc import Collection, Iterable

from bnnlab.sweep.plan import PlannedRun


class Backlog:
    """First in, first out, but that a run taken up again goes before all others once its pause is over."""

    def __init__(self) -> None:
        self._ready: deque[PlannedRun] = deque()
        self._pausing: list[tuple[float, int, PlannedRun]] = []
        self._behind: dict[str, list[PlannedRun]] = {}
        self._count = 0

    def __bool__(self) -> bool:
        return bool(self._ready or self._pausing or self._behind)

    def add(self, run: PlannedRun) -> None:
        self._ready.append(run)

    def add_behind(self, run: PlannedRun, key: str) -> None:
        """Keep a run back until the one with this key is finished (`released`) or failed (`taken_behind`)."""
        self._behind.setdefault(key, []).append(run)

    def add_after(self, run: PlannedRun, pause_s: float) -> None:
        """Put a run first, after a pause."""
        if pause_s <= 0:
            self._ready.appendleft(run)
        else:
            self._count += 1  # a tie is broken by age: runs themselves have no order
            heapq.heappush(self._pausing, (time.monotonic() + pause_s, self._count, run))

    def released(self, key: str) -> None:
        """The run with this key is finished: those that waited for it go first."""
        self._ready.extendleft(reversed(self._behind.pop(key, [])))

    def taken_behind(self, key: str) -> Iterable[PlannedRun]:
        """Those that waited for a run that will never be finished; they leave the backlog."""
        return self._behind.pop(key, [])

    def drop(self, keys: Collection[str]) -> None:
        """Forget the runs with these keys."""
        self._ready = deque(run for run in self._ready if run.run_key not in keys)
        self._pausing = [entry for entry in self._pausing if entry[2].run_key not in keys]
        heapq.heapify(self._pausing)

    def __len__(self) -> int:
        return len(self._ready) + len(self._pausing) + sum(map(len, self._behind.values()))

    def take(self) -> PlannedRun | None:
        """The next run that may start now."""
        while self._pausing and self._pausing[0][0] <= time.monotonic():
            self._ready.appendleft(heapq.heappop(self._pausing)[2])
        return self._ready.popleft() if self._ready else None
