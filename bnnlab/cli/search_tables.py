"""A search on the terminal: its space, its trials, its answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console

from bnnlab.cli.output import duration, print_json
from bnnlab.cli.tables import coloured, new_table
from bnnlab.experiment.config import RunConfig
from bnnlab.paper.metrics import describe_metric
from bnnlab.sweep.ledger import Ledger
from bnnlab.sweep.project import find_project
from bnnlab.sweep.search.results import SearchResults, results_json, search_results
from bnnlab.sweep.search.spec import Search

COUNTED = 1_000_000
"""Points of a space that are counted."""


def show_search(search: Search, *, json: bool = False) -> None:
    """What `bnnlab plan` and `--dry-run` show of a search; starts nothing."""
    results = search_results(search, Ledger(find_project().ledger))
    if json:
        print_json(_json(search, results) | {"space": {p.name: p.describe() for p in search.space.parameters}})
        return
    console = Console()
    table = new_table(f"{search.study}, profile {search.profile}: the space")
    for column in ("parameter", "values", "moves", "where"):
        table.add_column(column, overflow="fold")
    for entry in search.space.entries:
        moves = ", ".join(sorted(entry.moves))
        where = ", ".join(f"{parent}: {' or '.join(sorted(labels))}" for parent, labels in entry.when)
        for parameter in entry.parameters:
            table.add_row(parameter.name, parameter.describe(), moves, where)
    console.print(table)
    size = search.space.size(COUNTED)
    points = f"{size:,} points" if size is not None else "more points than can be tried"
    objectives = ", ".join(f"{o.direction} {o.metric}" for o in search.objectives)
    limits = ", ".join(constraint.text for constraint in search.constraints) or "none"
    time_left = "" if search.budget.time is None else f" or {duration(search.budget.time)}"
    first = ", ".join(first.name for first in search.enqueued) or "none"
    for line in (
        f"space: {points}; each trial trains seeds {', '.join(map(str, search.seeds))}",
        f"objectives: {objectives};  constraints: {limits}",
        f"budget: {search.budget.trials} completed trials{time_left};  first trials: {first}",
        f"sampler: {call_of(search.sampler.model_dump())};  pruner: {call_of(search.pruner.model_dump())}",
        f"so far: {counts_of(results)}.  search {search.search_id}",
        *(f"note: {note}" for note in search.notes),
    ):
        console.print(line, highlight=False, soft_wrap=True)


def search_status(search: Search, *, json: bool = False) -> None:
    """What `bnnlab status` shows of a search, also while it runs in another terminal."""
    results = search_results(search, Ledger(find_project().ledger))
    if json:
        print_json(_json(search, results))
        return
    console = Console()
    console.print(_trial_table(results, results.trials, f"{search.study}, profile {search.profile}: trials"))
    console.print(f"{counts_of(results)}; {duration(results.seconds)} so far.", highlight=False)


def print_search(search: Search, results: SearchResults) -> None:
    """Front or best trials, the first trials beside them, and which parameters mattered, on stdout."""
    console = Console()
    if search.question:
        console.print(f"\n[bold]{search.question}[/bold]", highlight=False)
    front = results.best
    named = [trial for trial in results.trials if trial.name and trial not in front]
    what = "best trials" if len(search.objectives) == 1 else "front: what no other trial beats in every objective"
    console.print(_trial_table(results, [*front, *named], f"{search.title}: {what}; then the other first trials"))
    if results.importances:
        table = new_table("which parameters decide (share of PED-ANOVA, by objective)")
        table.add_column("parameter")
        metrics = list(results.importances)
        for metric in metrics:
            table.add_column(metric, justify="right")
        for name in results.importances[metrics[0]]:
            table.add_row(name, *(f"{results.importances[metric].get(name, 0.0):.2f}" for metric in metrics))
        console.print(table)
    console.print(f"{counts_of(results)}; {duration(results.seconds)}.  journal {results.journal}", highlight=False)


def _trial_table(results: SearchResults, trials: Any, title: str) -> Any:
    metrics = [objective.metric for objective in results.objectives]
    tested = [name for name in ("test/top1",) if any(name in trial.metrics for trial in trials)]
    table = new_table(title)
    for name in ("trial", "state", *metrics, *tested):
        table.add_column(name, justify="right")
    table.add_column("parameters", overflow="fold")
    for trial in trials:
        values = [_shown(metric, {**trial.metrics, **trial.values}) for metric in (*metrics, *tested)]
        number = f"{trial.number}{'*' if trial.number in results.front else ''}"
        what = f"{trial.name}: {trial.summary}" if trial.name else trial.summary
        table.add_row(number, coloured(trial.state), *values, f"{what}  {trial.why}" if trial.why else what)
    return table


def _shown(metric: str, values: Mapping[str, float]) -> str:
    return describe_metric(metric).value(values[metric]) if metric in values else "–"


def counts_of(results: SearchResults) -> str:
    counts = ", ".join(f"{count} {state}" for state, count in sorted(results.counts().items()))
    return f"{len(results.trials)} trials: {counts}" if counts else "no trials yet"


def call_of(config: Mapping[str, Any]) -> str:
    """ "TPESampler(seed=0, n_startup_trials=10)": a sampler or a pruner as it is built."""
    arguments = ", ".join(f"{name}={value}" for name, value in config.items() if name != "name" and value is not None)
    return f"{config['name']}({arguments})"


def _json(search: Search, results: SearchResults) -> dict[str, Any]:
    """What scripts rely on in `plan` and `status`, and the search itself."""
    ledger = Ledger(find_project().ledger)
    runs: list[dict[str, Any]] = []
    counts: dict[str, int] = {}
    for trial in results.trials:
        labels = search.space.labels(trial.point)
        for seed, key in zip(search.seeds, trial.run_keys, strict=False):
            config = search.config(trial.point, seed)
            assert isinstance(config, RunConfig)  # it has a run key
            record = ledger.directory(key).record(config)
            counts[record.state.value] = counts.get(record.state.value, 0) + 1
            runs.append(
                {
                    "run_key": key,
                    "cell": trial.cell,
                    "seed": seed,
                    "trial": trial.number,
                    "axes": labels,
                    "state": record.state.value,
                    "epoch": len(record.epochs),
                    "epochs": config.training.epochs,
                    "metrics": dict(record.metrics or (record.epochs[-1] if record.epochs else {})),
                    "cause": record.cause,
                    "config": config.model_dump(mode="json"),
                }
            )
    return {
        "study": search.study,
        "profile": search.profile,
        "plan": search.search_id,
        "counts": counts,
        "runs": runs,
        "search": results_json(results),
    }
