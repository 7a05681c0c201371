"""One planned run of a study, as the statistics see it: where it stands in the grid and what is recorded of
it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from bnnlab.experiment.record import RunRecord, RunState


@dataclass(frozen=True)
class Observation:
    """A planned run: its place in the grid, its seed, and its record (None where nothing has started)."""

    axes: Mapping[str, str]
    """Axis name to level label, for each axis of the block of the study that planned this run."""
    seed: int
    record: RunRecord | None

    @property
    def run_key(self) -> str | None:
        """The key that a figure in a report is traced to."""
        return None if self.record is None else self.record.run_key

    def value(self, metric: str) -> float | None:
        """The final value of a metric; None where the run is unfinished, did not log it, or logged a NaN or
        infinity."""
        if self.record is None or self.record.state is not RunState.FINISHED or self.record.metrics is None:
            return None
        value = self.record.metrics.get(metric)
        return value if value is not None and math.isfinite(value) else None

    def lacks(self, metric: str) -> str:
        """Why `value` is None, in a few words for a person."""
        if self.record is None:
            return "not started"
        if self.record.state is not RunState.FINISHED:
            return self.record.state.value
        if self.record.metrics is None or metric not in self.record.metrics:
            return f"did not log {metric}"
        return f"{metric} is {self.record.metrics[metric]}"

    def within(self, part: Mapping[str, tuple[str, ...]]) -> bool:
        """Whether this run lies in a part of the grid, given as the admitted levels of some axes."""
        return all(self.axes.get(axis) in levels for axis, levels in part.items())


def level_label(value: object) -> str:
    """How a level of an axis is written: as in YAML, so that `within: {growth_rate: 64}` names the level
    64."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "null" if value is None else str(value)


def cell_label(axes: Mapping[str, str]) -> str:
    """A cell in one line: "scaling=xnor, downsampling=fp"; "all runs" for a study without axes."""
    return ", ".join(f"{axis}={level}" for axis, level in axes.items()) or "all runs"
