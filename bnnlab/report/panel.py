"""What a panel is: options that a dashboard sets, and a function from the analysis to a section."""

from __future__ import annotations

from abc import abstractmethod

from pydantic import Field

from bnnlab.report.analysis import Analysis
from bnnlab.report.content import Section
from bnnlab.values import Frozen


class Panel(Frozen):
    """A part of a report. Each kind is one module of `panels` and one line of its catalogue."""

    panel: str
    title: str | None = Field(default=None, min_length=1)
    """Its heading, where the panel's own does not fit."""

    @abstractmethod
    def build(self, analysis: Analysis) -> Section:
        """What this panel has to say. Says so where there is nothing to show, and never fails for it."""
