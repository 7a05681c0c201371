"""What a search has come to: plain data for the terminal, the report and whoever asks for JSON."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Literal

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from bnnlab.sweep.ledger import Ledger
from bnnlab.sweep.search.front import dominates, front, hypervolume
from bnnlab.sweep.search.journal import read_study, search_folder, spent
from bnnlab.sweep.search.objectives import Constraint, Objective
from bnnlab.sweep.search.space import Parameter, Value
from bnnlab.sweep.search.spec import Search

State = Literal[
    "completed", "running", "waiting", "pruned", "diverged", "failed", "refused", "same", "impossible"
]  # fmt: skip
MIN_TRIALS_FOR_IMPORTANCE = 10
"""With fewer completed trials PED-ANOVA's best tenth is a single one."""
BEST = 5
"""Trials that a search for one objective is remembered by; with several objectives the front decides."""


@dataclass(frozen=True)
class Searched:
    """What was searched by one name: a range of numbers, or words."""

    name: str
    low: float | None = None
    high: float | None = None
    log: bool = False
    choices: tuple[str, ...] = ()
    """In the order of the file; empty for numbers."""


@dataclass(frozen=True)
class TrialResult:
    """One trial. Accuracies are fractions."""

    number: int
    state: State
    point: Mapping[str, Value]
    values: Mapping[str, float]
    """Mean over the seeds of each objective; empty unless completed."""
    constraints: Mapping[str, float]
    """By how much each constraint is exceeded, by its text; at most 0 where it holds."""
    name: str | None
    """Under which it was enqueued."""
    why: str
    """Why it ended as it did; "" where it is completed."""
    cell: str | None
    run_keys: tuple[str, ...]
    metrics: Mapping[str, float]
    """Mean over the seeds of the final metrics of finished runs: test accuracies, sizes, MACs."""

    @property
    def is_feasible(self) -> bool:
        return all(excess <= 0 for excess in self.constraints.values())

    def value(self, metric: str) -> float | None:
        """An objective's value, else the mean of a final metric; None where neither is known."""
        found = self.values.get(metric)
        return self.metrics.get(metric) if found is None else found

    @property
    def summary(self) -> str:
        """ "growth_rate=16 blocks=2-2-2-2": the elements of a list together."""
        shown: dict[str, list[str]] = {}
        for name, value in self.point.items():
            whole = re.sub(r"_\d+$", "", name)
            text = f"{value:.4g}" if isinstance(value, float) else str(value)
            shown.setdefault(whole if f"{whole}_1" in self.point else name, []).append(text)
        return " ".join(f"{name}={'-'.join(texts)}" for name, texts in shown.items())


@dataclass(frozen=True)
class SearchResults:
    """All trials of a search and what follows from them."""

    study: str
    question: str
    profile: str
    search_id: str
    parameters: tuple[Searched, ...]
    objectives: tuple[Objective, ...]
    constraints: tuple[Constraint, ...]
    seeds: tuple[int, ...]
    budget: int
    seconds: float
    trials: tuple[TrialResult, ...]
    front: tuple[int, ...]
    """Numbers of the completed, feasible trials that no other dominates; for one objective the best trial."""
    history: tuple[tuple[int, float], ...]
    """After each completed trial, by its number: the best value so far; for several objectives the hypervolume of
    the front against the worst completed value of each."""
    importances: Mapping[str, Mapping[str, float]]
    """Share of each parameter, by objective (PED-ANOVA on completed trials); empty with few of them."""
    journal: str

    @property
    def completed(self) -> tuple[TrialResult, ...]:
        return tuple(trial for trial in self.trials if trial.state == "completed")

    def trial(self, number: int) -> TrialResult:
        return self.trials[number]

    @property
    def best(self) -> tuple[TrialResult, ...]:
        """The front from the first objective's best on; for one objective its best few trials, the best first."""
        sign, metric = self.objectives[0].sign, self.objectives[0].metric
        chosen = [self.trial(number) for number in self.front]
        if len(self.objectives) == 1:
            chosen = [trial for trial in self.completed if trial.is_feasible]
        ordered = sorted(chosen, key=lambda trial: (sign * trial.values[metric], trial.number))
        return tuple(ordered[:BEST] if len(self.objectives) == 1 else ordered)

    @property
    def worst(self) -> Mapping[str, float]:
        """The worst feasible value of each objective, against which the history's hypervolume is taken."""
        good = [trial for trial in self.completed if trial.is_feasible]
        return {o.metric: o.sign * max(o.sign * t.values[o.metric] for t in good) for o in self.objectives if good}

    def beaten_by(self, trial: TrialResult) -> tuple[int, ...]:
        """The trials of the front that are nowhere worse than this one and somewhere better."""
        mine = _vector(trial, self.objectives)
        return tuple(n for n in self.front if dominates(_vector(self.trial(n), self.objectives), mine))

    def counts(self) -> dict[str, int]:
        """How many trials ended in each state."""
        found: dict[str, int] = {}
        for trial in self.trials:
            found[trial.state] = found.get(trial.state, 0) + 1
        return found


def search_results(search: Search, ledger: Ledger) -> SearchResults:
    """Read journal and ledger as they are at this moment, also while the search goes on."""
    folder = search_folder(ledger, search)
    study = read_study(folder, search)
    frozen = study.get_trials(deepcopy=False) if study else []
    trials = tuple(_trial(trial, search, ledger) for trial in frozen)
    good = [trial for trial in trials if trial.state == "completed" and trial.is_feasible]
    vectors = [_vector(trial, search.objectives) for trial in good]
    chosen = [good[index].number for index in front(vectors)]
    return SearchResults(
        study=search.study,
        question=search.question,
        profile=search.profile,
        search_id=search.search_id,
        parameters=tuple(_searched(parameter) for parameter in search.space.parameters),
        objectives=search.objectives,
        constraints=search.constraints,
        seeds=search.seeds,
        budget=search.budget.trials,
        seconds=spent(folder),
        trials=trials,
        front=tuple(chosen[:1] if len(search.objectives) == 1 else chosen),
        history=_history(good, vectors, search.objectives),
        importances=_importances(study, search.objectives, sum(t.state == "completed" for t in trials)),
        journal=str(folder / "journal.log"),
    )


def results_json(results: SearchResults) -> dict[str, Any]:
    """The results as `--json` prints them."""
    return {
        "search": results.search_id,
        "objectives": {o.metric: o.direction for o in results.objectives},
        "constraints": [constraint.text for constraint in results.constraints],
        "budget": results.budget,
        "seconds": results.seconds,
        "counts": results.counts(),
        "front": list(results.front),
        "importances": {metric: dict(shares) for metric, shares in results.importances.items()},
        "trials": [
            {
                "number": trial.number,
                "state": trial.state,
                "name": trial.name,
                "params": dict(trial.point),
                "values": dict(trial.values),
                "constraints": dict(trial.constraints),
                "cell": trial.cell,
                "run_keys": list(trial.run_keys),
                "metrics": dict(trial.metrics),
                "why": trial.why,
            }
            for trial in results.trials
        ],
        "journal": results.journal,
    }


def _searched(parameter: Parameter) -> Searched:
    match parameter.distribution:
        case CategoricalDistribution(choices=choices):
            return Searched(parameter.name, choices=tuple(str(choice) for choice in choices))
        case IntDistribution(low=low, high=high, log=log) | FloatDistribution(low=low, high=high, log=log):
            return Searched(parameter.name, float(low), float(high), log)


def _trial(trial: FrozenTrial, search: Search, ledger: Ledger) -> TrialResult:
    notes = trial.user_attrs
    known = {parameter.name: parameter for parameter in search.space.parameters}
    texts = {constraint.name: constraint.text for constraint in search.constraints}
    keys = tuple(notes.get("runs", ()))
    finals = [result["metrics"] for key in keys if (result := ledger.directory(key).result()) is not None]
    shared = [name for name in (finals[0] if finals else {}) if all(name in metrics for metrics in finals)]
    values = trial.values if trial.state is TrialState.COMPLETE else []
    return TrialResult(
        number=trial.number,
        state=_state(trial),
        point={name: known[name].exact(value) for name, value in trial.params.items() if name in known},
        values={o.metric: value for o, value in zip(search.objectives, values, strict=False)},
        constraints={texts.get(name, name): excess for name, excess in trial.constraints.items()},
        name=notes.get("enqueued"),
        why=notes.get("why", "") if trial.state is not TrialState.COMPLETE else "",
        cell=notes.get("cell"),
        run_keys=keys,
        metrics={name: fmean(metrics[name] for metrics in finals) for name in shared},
    )


def _state(trial: FrozenTrial) -> State:
    if trial.state is TrialState.COMPLETE:
        return "completed"
    if trial.state in (TrialState.RUNNING, TrialState.WAITING):
        return "running" if trial.state is TrialState.RUNNING else "waiting"
    state: State = trial.user_attrs.get("outcome", "failed")
    return state


def _vector(trial: TrialResult, objectives: Sequence[Objective]) -> tuple[float, ...]:
    return tuple(objective.sign * trial.values[objective.metric] for objective in objectives)


def _history(
    trials: Sequence[TrialResult], vectors: Sequence[tuple[float, ...]], objectives: Sequence[Objective]
) -> tuple[tuple[int, float], ...]:
    if not trials:
        return ()
    if len(objectives) == 1:
        best = [min(vectors[: index + 1])[0] * objectives[0].sign for index in range(len(vectors))]
    else:
        worst = tuple(max(column) for column in zip(*vectors, strict=True))
        best = [hypervolume(vectors[: index + 1], worst) for index in range(len(vectors))]
    return tuple((trial.number, value) for trial, value in zip(trials, best, strict=True))


def _importances(
    study: optuna.Study | None, objectives: Sequence[Objective], completed: int
) -> dict[str, dict[str, float]]:
    if study is None or completed < MIN_TRIALS_FOR_IMPORTANCE:
        return {}
    found = {}
    for index, objective in enumerate(objectives):

        def loss(trial: FrozenTrial, index: int = index, sign: int = objective.sign) -> float:
            return sign * float(trial.values[index])  # PED-ANOVA takes small values for good ones

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what Optuna says of parameters that few trials have
            found[objective.metric] = optuna.importance.get_param_importances(
                study,
                evaluator=optuna.importance.PedAnovaImportanceEvaluator(),
                target=loss,
            )
    return found
