"""Where an engine's runs come from when they are not known beforehand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from bnnlab.sweep.events import Observer
from bnnlab.sweep.plan import PlannedRun


class RunSource(Observer, Protocol):
    """Gives out runs while a sweep goes on. It is told everything that happens, before other observers."""

    @property
    def is_done(self) -> bool:
        """Whether nothing more will come and nothing that was given out is waited for."""

    def next_run(self) -> PlannedRun | None:
        """A run for a free slot; None: none at this moment. May be finished already: that is told at once."""

    def withdrawn(self) -> Mapping[str, str]:
        """Keys of runs given out that need not go on, with the reason; each is named once."""
