"""What a search judges a trial by: objectives, and constraints known before training or after it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from bnnlab.experiment.costs import COSTS
from bnnlab.experiment.directory import RunDirectory

Direction = Literal["maximize", "minimize"]

OF_EPOCHS = ("val/top1", "val/top5", "val/loss", "train/top1", "train/loss")
"""Recorded after each epoch; a run's value is that of its last epoch."""
BEST_OF_EPOCHS = {"val/top1_best": "val/top1", "val/top5_best": "val/top5"}
"""The highest value of any epoch, and the metric that it is the highest of."""
OF_TESTS = ("test/top1", "test/top5", "test/loss", "test/top1_best", "test/top5_best")
METRICS = (*OF_EPOCHS, *BEST_OF_EPOCHS, *OF_TESTS, *COSTS)
"""All that a run reports and a search may ask for."""


def is_cost(metric: str) -> bool:
    """Whether the configuration decides it, so that it is known before training."""
    return metric in COSTS


def curve_metric(metric: str) -> str | None:
    """What shows after each epoch where a metric is heading; None for a cost."""
    if metric in BEST_OF_EPOCHS:
        return BEST_OF_EPOCHS[metric]
    if metric in OF_TESTS:
        return "val/" + metric.removeprefix("test/").removesuffix("_best")
    return None if is_cost(metric) else metric


@dataclass(frozen=True)
class Objective:
    metric: str
    direction: Direction

    @property
    def sign(self) -> int:
        """Times a value: smaller is better."""
        return -1 if self.direction == "maximize" else 1


@dataclass(frozen=True)
class Constraint:
    """A quantity and one bound of it."""

    metric: str
    kind: Literal["at_most", "at_least"]
    bound: float

    @property
    def name(self) -> str:
        return f"{self.metric} {self.kind} {self.bound:g}"

    @property
    def text(self) -> str:
        """ "model/size_mib ≤ 4.1", for people."""
        return f"{self.metric} {'≤' if self.kind == 'at_most' else '≥'} {self.bound:g}"

    def excess(self, value: float) -> float:
        """By how much the bound is violated; at most 0 where it holds."""
        return value - self.bound if self.kind == "at_most" else self.bound - value


def run_value(directory: RunDirectory, metric: str) -> float | None:
    """The final value of a metric of a finished run; None where the run did not report it."""
    result = directory.result()
    if result is None:
        return None
    if metric in result["metrics"]:
        return float(result["metrics"][metric])
    values = () if metric in OF_TESTS else curve(directory, metric)
    return values[-1] if values else None


def curve(directory: RunDirectory, metric: str) -> tuple[float, ...]:
    """After each epoch so far, what the run's value of a metric would be if it ended there."""
    name = curve_metric(metric)
    if name is None:
        return ()
    values: list[float] = []
    for epoch in directory.epochs():
        if name not in epoch.metrics:
            break
        value = epoch.metrics[name]
        values.append(max(value, values[-1]) if metric.endswith("_best") and values else value)
    return tuple(values)


def mean_over_seeds(directories: Sequence[RunDirectory], metrics: Sequence[str]) -> Mapping[str, float] | str:
    """The mean of each metric over a trial's runs; a sentence where a run lacks one."""
    means = {}
    for metric in metrics:
        values = [run_value(directory, metric) for directory in directories]
        known = [value for value in values if value is not None]
        if len(known) < len(values):
            return f"run {directories[values.index(None)].run_key} did not report {metric}"
        means[metric] = fmean(known)
    return means
