"""The trials in flight, as a pruner sees them. Only values decide, never how fast they came."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import optuna

from bnnlab.experiment.directory import RunDirectory
from bnnlab.sweep.plan import PlannedRun
from bnnlab.sweep.search.front_pruner import Course, out_of_reach
from bnnlab.sweep.search.objectives import curve, is_cost, mean_over_seeds
from bnnlab.sweep.search.samplers import Front, Nop, Wilcoxon
from bnnlab.sweep.search.spec import Search


@dataclass
class Flight:
    """A trial that is being trained."""

    trial: optuna.Trial
    runs: tuple[PlannedRun, ...]
    costs: Mapping[str, float]
    waiting: deque[PlannedRun] = field(default_factory=deque)
    ended: set[str] = field(default_factory=set)
    stored: int = 0
    """Epochs of the first seed, or seeds, whose values Optuna has."""
    judged: int = 0
    """Those after which the pruner has been asked."""
    known: bool = False
    """The ledger had every run when the trial was proposed: nothing is left to prune."""

    @property
    def number(self) -> int:
        return self.trial.number


class Watcher:
    """Asks the pruner about a trial whenever there is something new to see of it."""

    def __init__(self, search: Search, directory: Callable[[PlannedRun], RunDirectory]) -> None:
        self.search = search
        self._directory = directory
        self._courses: list[Course] = []
        self._metrics = [objective.metric for objective in search.objectives]

    def may_start(self, flight: Flight) -> bool:
        """Whether the trial's next seed may be trained: not while the pruner may make it needless."""
        handed = len(flight.runs) - len(flight.waiting)
        if isinstance(self.search.pruner, Nop) or handed == 0 or flight.known:
            return True
        if isinstance(self.search.pruner, Wilcoxon):
            return len(flight.ended) == handed
        return flight.runs[0].run_key in flight.ended

    def look(self, flight: Flight) -> str | None:
        """Show the pruner what is new of a trial; why it ends the trial, None where it does not."""
        pruner, objective = self.search.pruner, self.search.watched
        if objective is None or isinstance(pruner, Nop):
            return None
        if isinstance(pruner, Front):
            return None if flight.known else self._beyond_hope(flight, pruner)
        by_seed = isinstance(pruner, Wilcoxon)
        if by_seed:
            values, steps = self._seed_values(flight, objective.metric), len(flight.runs)
        else:
            values, steps = self._curve(flight, objective.metric), flight.runs[0].config.training.epochs
        for step, value in enumerate(values[flight.judged :], flight.judged + 1):
            if step > flight.stored:
                flight.trial.report(value, step)
            flight.judged = step
            if step < steps and not flight.known and flight.trial.should_prune():
                what = f"{'seed' if by_seed else 'epoch'} {step} of {steps}"
                return f"{pruner.name} ended it after {what}, at {objective.metric} {value:.4g}"
        return None

    def remember(self, number: int, directory: RunDirectory, means: Mapping[str, float]) -> None:
        """Note how a completed trial went: `FrontPruner` judges the others by it."""
        if isinstance(self.search.pruner, Front):
            feasible = all(c.excess(means[c.metric]) <= 0 for c in self.search.constraints)
            self._courses.append(Course(number, self._curves(directory), means, feasible))

    def _beyond_hope(self, flight: Flight, rule: Front) -> str | None:
        curves = self._curves(self._directory(flight.runs[0]))
        epochs = min(len(values) for values in curves.values())
        total = flight.runs[0].config.training.epochs
        for epoch in range(flight.judged + 1, min(epochs, total - 1) + 1):
            flight.judged = epoch
            by = out_of_reach(rule, self.search.objectives, curves, flight.costs, epoch, self._courses)
            if by is not None:
                text = f"after epoch {epoch} of {total} it could not reach the front any more: trial {by.number} is"
                return f"{text} better than the most that it could hope for"
        return None

    def _curve(self, flight: Flight, metric: str) -> Sequence[float]:
        return curve(self._directory(flight.runs[0]), metric)

    def _curves(self, directory: RunDirectory) -> dict[str, tuple[float, ...]]:
        return {metric: curve(directory, metric) for metric in self._metrics if not is_cost(metric)}

    def _seed_values(self, flight: Flight, metric: str) -> Sequence[float]:
        """Final values of the first seeds, up to the first that has not ended."""
        values: list[float] = []
        for run in flight.runs:
            if run.run_key not in flight.ended:
                break
            value = mean_over_seeds([self._directory(run)], [metric])
            if isinstance(value, str):
                break
            values.append(value[metric])
        return values
