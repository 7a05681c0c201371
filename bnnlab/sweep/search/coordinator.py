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
from collections import deque
from collections.abc import Mapping, Sequence
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
from bnnlab.sweep.search.journal import Clock, open_study, search_folder
from bnnlab.sweep.search.objectives import Constraint, is_cost, mean_over_seeds
from bnnlab.sweep.search.samplers import build_sampler
from bnnlab.sweep.search.space import Value
from bnnlab.sweep.search.spec import Search
from bnnlab.sweep.search.untried import Untried
from bnnlab.sweep.search.watcher import Flight, Watcher

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
        self._flights: dict[int, Flight] = {}
        self._of_run: dict[str, Flight] = {}
        self._by_cell: dict[str, int] = {}
        self._withdrawn: dict[str, str] = {}
        self._idle = 0
        self._failures = 0
        self._diverged = 0
        self._untried = Untried(search)
        self.enumerated = self._untried.fit(search.budget.trials)
        self._watcher = Watcher(search, self._directory)
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
                if flight.waiting and self._watcher.may_start(flight):
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
        elif self._untried.is_empty and not self._waiting_trials():
            self.ended = f"every point of the space has been tried, with {self.completed} trials completed"

    def _waiting_trials(self) -> bool:
        return bool(self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,)))

    # -- asking ------------------------------------------------------------------------------------

    def _propose(self) -> None:
        """Ask for a trial, and take it up."""
        point = self._untried.first()
        if point is not None and (self.enumerated or self._idle >= IDLE_BEFORE_RANDOM) and not self._waiting_trials():
            self.study.enqueue_trial(point)
        stuck = self._idle >= IDLE_BEFORE_RANDOM
        self.study.sampler = optuna.samplers.RandomSampler(seed=self._seed()) if stuck else self._sampler
        self._take_up(self.study.ask())

    def _take_up(self, trial: optuna.Trial) -> None:
        """Go on with a trial, wherever it stands."""
        point = self.search.space.suggest(trial)
        self._untried.discard(point)
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
        flight = Flight(trial, runs, costs, deque(runs), known=known)
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

    def _watch(self, flight: Flight) -> bool:
        """Show the pruner what is new; whether it ends the trial."""
        why = self._watcher.look(flight)
        if why is not None:
            self._end(flight, "pruned", why)
        return why is not None

    def _complete(self, flight: Flight) -> None:
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
        self.completed += 1
        self._watcher.remember(flight.number, directories[0], means)

    def _fail(self, flight: Flight, event: RunFailed) -> None:
        outcome = "diverged" if event.failure.kind == "diverged" else "failed"
        self._end(flight, outcome, f"run {event.run.run_key}: {event.failure.cause}", event.run.run_key)

    def _end(self, flight: Flight, outcome: str, why: str, failed_run: str | None = None) -> None:
        """End a trial before all its runs have; those in the engine's hands are taken back."""
        handed = set(self._keys(flight.runs)) - set(self._keys(flight.waiting)) - flight.ended - {failed_run}
        self._withdrawn |= dict.fromkeys(handed, why)
        self._land(flight)
        self._close(flight.trial, outcome, why)

    def _land(self, flight: Flight) -> None:
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
                self._untried.discard(self._point(trial))
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
            self.completed += 1
            self._watcher.remember(trial.number, self._directory(runs[0]), trial.user_attrs["means"])

    def _enqueue(self, trials: Sequence[FrozenTrial]) -> None:
        there = {trial.user_attrs.get("enqueued") for trial in trials}
        for first in self.search.enqueued:
            if first.name not in there:
                self.study.enqueue_trial(dict(first.point), user_attrs={"enqueued": first.name})

    def _point(self, trial: FrozenTrial) -> dict[str, Value]:
        known = {parameter.name: parameter for parameter in self.search.space.parameters}
        return {name: known[name].exact(value) for name, value in trial.params.items()}

    # -- odds and ends -----------------------------------------------------------------------------

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
