"""The one that asks Optuna for trials and tells it what became of them; the source of a search's runs.

A trial is a cell: the spec's seeds trained at one point, judged by their mean. What is asked is either trained, or
answered at once:

    refused      a constraint on what is known before training does not hold
    same         the cell is that of an earlier trial of this search, whatever became of it
    impossible   the values exclude each other, so that there is no such network

Optuna is told that these are PRUNED, with the excess of each constraint; samplers learn from both. A trial whose runs
the ledger has already is completed without training. Trials end as COMPLETE, as PRUNED (by the pruner, or because
training diverged, which says as much about the point) or as FAIL (which says something about the machine).

A coordinator may be killed between any two lines. What it had asked stays RUNNING in the journal; the next one takes
each such trial up where it stands, with the runs that it has in the ledger.
"""

from __future__ import annotations

import hashlib
import random
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from bnnlab.experiment.config import RunConfig
from bnnlab.experiment.costs import predicted_costs
from bnnlab.experiment.directory import RunDirectory
from bnnlab.experiment.record import RunState
from bnnlab.sweep.events import EpochFinished, Event, RunFailed, RunFinished, RunReused
from bnnlab.sweep.ledger import Ledger
from bnnlab.sweep.plan import PlannedRun
from bnnlab.sweep.search.front_pruner import Course, out_of_reach
from bnnlab.sweep.search.journal import Clock, open_study, search_folder
from bnnlab.sweep.search.objectives import Constraint, curve, is_cost, mean_over_seeds
from bnnlab.sweep.search.samplers import Front, Nop, Wilcoxon, build_sampler
from bnnlab.sweep.search.space import Value
from bnnlab.sweep.search.spec import Search

IDLE_BEFORE_RANDOM = 20
"""After so many proposals in a row that start nothing, the next is drawn from what is left, not by the sampler."""
IDLE_BEFORE_END = 1000
"""After so many, there is nothing left to find."""
FAILURES_BEFORE_END = 5
"""So many failed trials in a row are a fault of the machine, not of the points."""
DIVERGED_BEFORE_END = 20
"""So many trials in a row that failed or diverged are a fault of the base."""
PROPOSALS_AT_ONCE = 20
"""So that a row of refusals does not keep the engine from its running runs."""
COUNTABLE = 10_000
"""A finite space up to this size is known point by point, so that its end is noticed."""


@dataclass
class _Flight:
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


class Coordinator:
    """Asks and tells. Make it while `journal.coordinating` the search's folder."""

    def __init__(self, search: Search, ledger: Ledger, *, retry_failed: bool = False) -> None:
        self.search = search
        self.ledger = ledger
        self.folder = search_folder(ledger, search)
        self.clock = Clock(self.folder)
        self.study = open_study(self.folder, search)
        self.ended = ""
        """Why the search is over; "" while it goes on."""
        self.completed = 0
        self.runs: list[PlannedRun] = []
        """The runs of all trials so far, in the order of the trials."""
        self._flights: dict[int, _Flight] = {}
        self._of_run: dict[str, _Flight] = {}
        self._by_cell: dict[str, int] = {}
        self._withdrawn: dict[str, str] = {}
        self._courses: list[Course] = []
        self._idle = 0
        self._failures = 0
        self._diverged = 0
        self._unseen = self._countable_points()
        self.enumerated = self._unseen is not None and len(self._unseen) <= search.budget.trials
        self._sampler = self._new_sampler()
        self._remember(retry_failed)

    # -- the source of runs ------------------------------------------------------------------------

    @property
    def is_done(self) -> bool:
        self._check_end()
        return bool(self.ended) and not self._flights

    def next_run(self) -> PlannedRun | None:
        for _ in range(PROPOSALS_AT_ONCE):
            for flight in self._flights.values():
                if flight.waiting and self._may_start(flight):
                    return flight.waiting.popleft()
            self._check_end()
            if self.ended or self.completed + len(self._flights) >= self.search.budget.trials:
                return None
            self._propose()
        return None

    def withdrawn(self) -> Mapping[str, str]:
        withdrawn, self._withdrawn = self._withdrawn, {}
        return withdrawn

    def tell(self, event: Event) -> None:
        flight = self._of_run.get(event.run.run_key)
        if flight is None:
            return
        match event:
            case EpochFinished():
                self._watch(flight)
            case RunReused() | RunFinished():
                flight.ended.add(event.run.run_key)
                if not self._watch(flight) and len(flight.ended) == len(flight.runs):
                    self._complete(flight)
            case RunFailed():
                self._fail(flight, event)

    def close(self) -> None:
        """Write down how long it took."""
        self.clock.save()

    def _may_start(self, flight: _Flight) -> bool:
        """Seeds that only count if the trial is not pruned wait until that is decided."""
        handed = len(flight.runs) - len(flight.waiting)
        if isinstance(self.search.pruner, Nop) or handed == 0 or flight.known:
            return True
        if isinstance(self.search.pruner, Wilcoxon):
            return len(flight.ended) == handed
        return flight.runs[0].run_key in flight.ended

    def _check_end(self) -> None:
        budget = self.search.budget
        if self.completed >= budget.trials:
            self.ended = f"{self.completed} of {budget.trials} trials are completed"
        elif budget.time is not None and self.clock.seconds() >= budget.time:
            self.ended = f"its time is up, with {self.completed} of {budget.trials} trials completed"
        elif self._failures >= FAILURES_BEFORE_END:
            self.ended = f"{self._failures} trials in a row failed"
        elif self._diverged >= DIVERGED_BEFORE_END:
            self.ended = f"{self._diverged} trials in a row failed or diverged"
        elif self._idle >= IDLE_BEFORE_END:
            self.ended = f"{self._idle} proposals in a row were refused or known"
        elif self._unseen is not None and not self._unseen and not self._waiting_trials():
            self.ended = f"every point of the space has been tried, with {self.completed} trials completed"

    def _waiting_trials(self) -> bool:
        return bool(self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,)))

    # -- asking ------------------------------------------------------------------------------------

    def _propose(self) -> None:
        """Ask for a trial, and take it up."""
        if self._unseen and (self.enumerated or self._idle >= IDLE_BEFORE_RANDOM) and not self._waiting_trials():
            self.study.enqueue_trial(dict(self._unseen[next(iter(self._unseen))]))
        stuck = self._idle >= IDLE_BEFORE_RANDOM
        self.study.sampler = optuna.samplers.RandomSampler(seed=self._seed()) if stuck else self._sampler
        self._take_up(self.study.ask())

    def _take_up(self, trial: optuna.Trial) -> None:
        """Go on with a trial, wherever it stands."""
        point = self.search.space.suggest(trial)
        self._seen(point)
        self._idle += 1
        configs = []
        for seed in self.search.seeds:
            config = self.search.config(point, seed)
            if not isinstance(config, RunConfig):
                self._close(trial, "impossible", "; ".join(mistake.text for mistake in config))
                return
            configs.append(config)
        try:
            costs = self._costs(configs[0])
        except (ValueError, RuntimeError) as error:  # whatever torch says of layers that do not fit
            self._close(trial, "impossible", str(error).splitlines()[0])
            return
        violated = [text for c in self.search.constraints if (text := self._constrain(trial, c, costs))]
        if violated:
            self._close(trial, "refused", "; ".join(violated))
            return
        twin = self._by_cell.setdefault(configs[0].cell_key, trial.number)
        if twin != trial.number:
            self._close(trial, "same", f"the cell of trial {twin}", same_as=twin)
            return
        self._idle = 0
        labels = self.search.space.labels(point)
        runs = tuple(PlannedRun(config, labels, tags={"bnnlab.trial": str(trial.number)}) for config in configs)
        self._note(trial, cell=configs[0].cell_key, runs=[run.run_key for run in runs])
        self._start(trial, runs, costs)

    def _start(self, trial: optuna.Trial, runs: tuple[PlannedRun, ...], costs: Mapping[str, float]) -> None:
        known = all(self.ledger.state(run.run_key) is RunState.FINISHED for run in runs)
        flight = _Flight(trial, runs, costs, deque(runs), known=known)
        flight.stored = len(self.study.get_trials(deepcopy=False)[trial.number].intermediate_values)
        self._flights[trial.number] = flight
        self._of_run |= {run.run_key: flight for run in runs}
        self.runs += runs

    def _costs(self, config: RunConfig) -> dict[str, float]:
        return predicted_costs(config) if any(is_cost(metric) for metric in self.search.asked_for) else {}

    def _constrain(self, trial: optuna.Trial, constraint: Constraint, known: Mapping[str, float]) -> str | None:
        """Tell Optuna by how much a constraint is violated; a sentence if it is."""
        value = known.get(constraint.metric)
        if value is None:
            return None
        excess = constraint.excess(value)
        if constraint.name not in trial.constraints:
            trial.set_constraint(constraint.name, excess)
        return f"{constraint.metric} is {value:.4g}, not {constraint.text.partition(' ')[2]}" if excess > 0 else None

    # -- watching and telling ----------------------------------------------------------------------

    def _watch(self, flight: _Flight) -> bool:
        """Show the pruner what is new; whether it ends the trial. Only values decide, never how fast they came."""
        pruner, objective = self.search.pruner, self.search.watched
        if objective is None or isinstance(pruner, Nop):
            return False
        if isinstance(pruner, Front):
            return not flight.known and self._watch_front(flight, pruner)
        if isinstance(pruner, Wilcoxon):
            values: Sequence[float] = self._seed_values(flight, objective.metric)
        else:
            values = curve(self._directory(flight.runs[0]), objective.metric)
        steps = len(flight.runs) if isinstance(pruner, Wilcoxon) else flight.runs[0].config.training.epochs
        for step, value in enumerate(values[flight.judged :], flight.judged + 1):
            if step > flight.stored:
                flight.trial.report(value, step)
            flight.judged = step
            if step < steps and not flight.known and flight.trial.should_prune():
                what = f"seed {step} of {steps}" if isinstance(pruner, Wilcoxon) else f"epoch {step} of {steps}"
                self._prune(flight, f"{pruner.name} ended it after {what}, at {objective.metric} {value:.4g}")
                return True
        return False

    def _watch_front(self, flight: _Flight, rule: Front) -> bool:
        directory, metrics = self._directory(flight.runs[0]), [o.metric for o in self.search.objectives]
        curves = {metric: curve(directory, metric) for metric in metrics if not is_cost(metric)}
        epochs = min(len(values) for values in curves.values())
        total = flight.runs[0].config.training.epochs
        for epoch in range(flight.judged + 1, min(epochs, total - 1) + 1):
            flight.judged = epoch
            by = out_of_reach(rule, self.search.objectives, curves, flight.costs, epoch, self._courses)
            if by is not None:
                text = f"after epoch {epoch} of {total} it could not reach the front any more: trial {by.number} is"
                self._prune(flight, f"{text} better than the most that it could hope for")
                return True
        return False

    def _seed_values(self, flight: _Flight, metric: str) -> list[float]:
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

    def _complete(self, flight: _Flight) -> None:
        directories = [self._directory(run) for run in flight.runs]
        means = mean_over_seeds(directories, self.search.asked_for)
        if isinstance(means, str):
            self._end(flight, "failed", means)
            return
        for constraint in self.search.constraints:
            self._constrain(flight.trial, constraint, means)
        values = [means[objective.metric] for objective in self.search.objectives]
        self._note(flight.trial, means=dict(means))
        self.study.tell(flight.trial, values)
        self._land(flight)
        self._failures = self._diverged = 0
        self._count_in(flight.number, directories[0], means)

    def _count_in(self, number: int, directory: RunDirectory, means: Mapping[str, float]) -> None:
        self.completed += 1
        if isinstance(self.search.pruner, Front):
            metrics = [o.metric for o in self.search.objectives]
            curves = {metric: curve(directory, metric) for metric in metrics if not is_cost(metric)}
            feasible = all(c.excess(means[c.metric]) <= 0 for c in self.search.constraints)
            self._courses.append(Course(number, curves, means, feasible))

    def _prune(self, flight: _Flight, why: str) -> None:
        self._end(flight, "pruned", why)

    def _fail(self, flight: _Flight, event: RunFailed) -> None:
        outcome = "diverged" if event.failure.kind == "diverged" else "failed"
        self._end(flight, outcome, f"run {event.run.run_key}: {event.failure.cause}", event.run.run_key)

    def _end(self, flight: _Flight, outcome: str, why: str, failed_run: str | None = None) -> None:
        """End a trial before all its runs have; those in the engine's hands are taken back."""
        handed = set(self._keys(flight.runs)) - set(self._keys(flight.waiting)) - flight.ended - {failed_run}
        self._withdrawn |= dict.fromkeys(handed, why)
        self._land(flight)
        self._close(flight.trial, outcome, why)

    def _land(self, flight: _Flight) -> None:
        del self._flights[flight.number]
        for run in flight.runs:
            del self._of_run[run.run_key]

    def _close(self, trial: optuna.Trial, outcome: str, why: str, **attributes: Any) -> None:
        self._note(trial, outcome=outcome, why=why, **attributes)
        self.study.tell(trial, state=TrialState.FAIL if outcome == "failed" else TrialState.PRUNED)
        self._failures += outcome == "failed"
        self._diverged += outcome in ("failed", "diverged")

    @staticmethod
    def _note(trial: optuna.Trial, **attributes: Any) -> None:
        for name, value in attributes.items():
            if trial.user_attrs.get(name) != value:
                trial.set_user_attr(name, value)

    # -- going on after an earlier session ---------------------------------------------------------

    def _remember(self, retry_failed: bool) -> None:
        """Read the journal: what is completed, what was under way, which of the first trials are still to come."""
        trials = self.study.get_trials(deepcopy=False)
        retried = {trial.user_attrs.get("retry_of") for trial in trials}
        for trial in trials:
            if trial.state is TrialState.WAITING:
                continue
            outcome = trial.user_attrs.get("outcome")
            if trial.state.is_finished():
                self._seen(self._point(trial))
            if outcome == "failed" and retry_failed and trial.number not in retried:
                self.study.enqueue_trial(self._point(trial), user_attrs={"retry_of": trial.number})
                continue
            if trial.state.is_finished() and "cell" in trial.user_attrs:
                self._remember_cell(trial)
        self._enqueue(trials)
        self.study.sampler = optuna.samplers.RandomSampler(seed=self._seed())
        for trial in trials:
            if trial.state is TrialState.RUNNING:
                self._take_up(optuna.Trial(self.study, trial._trial_id))

    def _remember_cell(self, trial: FrozenTrial) -> None:
        self._by_cell.setdefault(trial.user_attrs["cell"], trial.number)
        point = self._point(trial)
        labels = self.search.space.labels(point)
        configs = [self.search.config(point, seed) for seed in self.search.seeds]
        runs = [
            PlannedRun(config, labels, tags={"bnnlab.trial": str(trial.number)})
            for config in configs
            if isinstance(config, RunConfig)
        ]
        self.runs += runs
        if trial.user_attrs.get("outcome") == "pruned":
            for directory in map(self._directory, runs):
                if directory.state() is RunState.INTERRUPTED:  # the coordinator was killed before it could say so
                    directory.set_pruned(trial.user_attrs["why"])
        if trial.state is TrialState.COMPLETE and runs:
            self._count_in(trial.number, self._directory(runs[0]), trial.user_attrs["means"])

    def _enqueue(self, trials: Sequence[FrozenTrial]) -> None:
        there = {trial.user_attrs.get("enqueued") for trial in trials}
        for first in self.search.enqueued:
            if first.name not in there:
                self.study.enqueue_trial(dict(first.point), user_attrs={"enqueued": first.name})

    def _point(self, trial: FrozenTrial) -> dict[str, Value]:
        known = {parameter.name: parameter for parameter in self.search.space.parameters}
        return {name: known[name].exact(value) for name, value in trial.params.items()}

    # -- what is left ------------------------------------------------------------------------------

    def _countable_points(self) -> dict[Any, dict[str, Value]] | None:
        """The points of a small finite space in random order; None for any other."""
        if self.search.space.size(COUNTABLE) is None:
            return None
        points = list(self.search.space.points())
        random.Random(self.search.sampler.seed).shuffle(points)
        return {_key(point): point for point in points}

    def _seen(self, point: Mapping[str, Value]) -> None:
        if self._unseen is not None:
            self._unseen.pop(_key(point), None)

    def _new_sampler(self) -> optuna.samplers.BaseSampler:
        # Later sessions go on with another stream: the first one's would propose the same again.
        seed = self._seed() if self.study.get_trials(deepcopy=False) else None
        return build_sampler(self.search.sampler, objectives=len(self.search.objectives), seed=seed)

    def _seed(self) -> int:
        text = f"{self.search.sampler.seed} {len(self.study.get_trials(deepcopy=False))}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4])

    def _directory(self, run: PlannedRun) -> RunDirectory:
        return self.ledger.directory(run.run_key)

    @staticmethod
    def _keys(runs: Sequence[PlannedRun] | deque[PlannedRun]) -> list[str]:
        return [run.run_key for run in runs]


def _key(point: Mapping[str, Value]) -> tuple[tuple[str, Value], ...]:
    return tuple(sorted(point.items()))
