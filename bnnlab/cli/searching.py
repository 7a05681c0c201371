"""A search on the terminal: what it asks for, how it stands, one session of it, and its answer."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Mapping
from typing import Any

from rich.console import Console

from bnnlab.cli.output import duration, print_json, say
from bnnlab.cli.progress import Progress
from bnnlab.cli.sweeping import Choices
from bnnlab.cli.tables import coloured, new_table
from bnnlab.experiment.config import RunConfig
from bnnlab.paper.metrics import describe_metric
from bnnlab.sweep.engine import Engine, Outcome
from bnnlab.sweep.events import Event
from bnnlab.sweep.ledger import Ledger, SavedPlan
from bnnlab.sweep.project import Project, find_project
from bnnlab.sweep.search.best import write_best
from bnnlab.sweep.search.coordinator import Coordinator
from bnnlab.sweep.search.journal import SearchIsTaken, coordinating, search_folder
from bnnlab.sweep.search.plan import save_search_plan, search_plan
from bnnlab.sweep.search.results import SearchResults, TrialResult, results_json, search_results
from bnnlab.sweep.search.spec import Search
from bnnlab.tracking.projection import Projection
from bnnlab.tracking.store import tracking_uri
from bnnlab.tracking.tracker import Tracker

SHOWN = 12
"""Trials of the answer's table, and parameters of a row."""
COUNTED = 1_000_000


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
        f"sampler: {_call(search.sampler.model_dump())};  pruner: {_call(search.pruner.model_dump())}",
        f"so far: {_counts(results)}.  search {search.search_id}",
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
    console.print(f"{_counts(results)}; {duration(results.seconds)} so far.", highlight=False)


def saved_search_plan(search: Search, ledger: Ledger) -> SavedPlan:
    """The runs of a search so far, for `bnnlab sync`; an empty plan before its first session."""
    saved = [plan for plan in ledger.saved_plans(search.study) if plan.plan_id == search.search_id]
    return saved[0] if saved else search_plan(search, ledger, ())


def run_search(search: Search, choices: Choices) -> int:
    """Go on with a search until its budget is spent, and print its answer. Gives the exit code."""
    try:
        return _run_search(search, choices)
    except SearchIsTaken as error:
        say(f"{error}; `bnnlab status {search.spec_path}` shows how it stands")
        return 1
    except KeyboardInterrupt:
        say(f"interrupted; nothing is lost, the same command goes on:  {_command()}")
        return 130


def _run_search(search: Search, choices: Choices) -> int:
    project = find_project()
    ledger = Ledger(project.ledger)
    folder = search_folder(ledger, search)
    started = time.monotonic()
    if choices.rerun:
        _put_aside(search, ledger)
    for note in search.notes:
        say(f"note: {note}")
    with coordinating(folder):
        coordinator = Coordinator(search, ledger, retry_failed=choices.policy.retry_failed)
        say(
            f"{search.study}, profile {search.profile}: {coordinator.completed} of {search.budget.trials} trials "
            "completed before"
        )
        if coordinator.enumerated:
            say("the space has no more points than the budget has trials: every point is tried, none is sampled")
        if coordinator.is_done and ledger.is_projected(search.search_id, tracking_uri(project)):
            outcome, tracker = Outcome(), None
        else:
            outcome, tracker = _session(search, coordinator, choices, project, ledger)
    results = search_results(search, ledger)
    print_search(search, results)
    for path in write_best(search, results, project.reports / f"{search.study}-{search.profile}" / "best"):
        say(f"  {path}")
    return _last_words(coordinator, outcome, tracker, project, time.monotonic() - started)


def _session(
    search: Search, coordinator: Coordinator, choices: Choices, project: Project, ledger: Ledger
) -> tuple[Outcome, Tracker]:
    executor = choices.executor.open(ledger.root, choices.execution)
    ledger.clear_projected(search.search_id)
    keeper = _PlanKeeper(search, coordinator, ledger)
    keeper.save()
    tracker = Tracker(project, ledger, keeper.plan)
    progress = Progress(keeper.plan, workers=executor.slots)
    progress.total = search.budget.trials * len(search.seeds)
    progress.epochs_total = progress.total * search.epochs
    engine = Engine(ledger, executor, choices.execution, [keeper, progress, tracker], choices.policy)
    tracker.start()
    try:
        with progress:
            outcome = engine.run((), coordinator)
    finally:
        executor.close()
        coordinator.close()
        keeper.save()
        tracker.plan = keeper.plan
        tracker.close(after_search(search))
    if tracker.complete:
        ledger.set_projected(search.search_id, tracking_uri(project))
    return outcome, tracker


class _PlanKeeper:
    """Writes the plan down whenever a trial has brought new runs."""

    def __init__(self, search: Search, coordinator: Coordinator, ledger: Ledger) -> None:
        self.search, self.coordinator, self.ledger = search, coordinator, ledger
        self.plan = search_plan(search, ledger, coordinator.runs)

    def tell(self, event: Event) -> None:
        if len(self.coordinator.runs) != len(self.plan.runs):
            self.save()

    def save(self) -> None:
        self.plan = search_plan(self.search, self.ledger, self.coordinator.runs)
        save_search_plan(self.plan, self.ledger)


def _put_aside(search: Search, ledger: Ledger) -> None:
    with coordinating(search_folder(ledger, search)):
        runs = [key for trial in search_results(search, ledger).trials for key in trial.run_keys]
        moved = [path for key in runs if (path := ledger.put_aside(key))]
        (search_folder(ledger, search) / "journal.log").replace(
            search_folder(ledger, search) / f"journal.{time.time_ns()}.replaced"
        )
        (search_folder(ledger, search) / "clock.json").unlink(missing_ok=True)
    say(f"the search begins anew; put aside {len(moved)} run directories, they lie in {ledger.root / '.replaced'}")


def _last_words(
    coordinator: Coordinator, outcome: Outcome, tracker: Tracker | None, project: Project, seconds: float
) -> int:
    say(f"{len(outcome.trained)} runs trained, {len(outcome.reused)} found in the ledger; {duration(seconds)}")
    if tracker is not None and tracker.problem is not None:
        say(f"MLflow at {tracking_uri(project)} could not be written ({tracker.problem}).")
        say("Nothing is lost, the ledger is complete: `bnnlab sync` brings it over.")
    if outcome.interrupted:
        say(f"interrupted; the same command goes on:  {_command()}")
        return 130
    if outcome.stopped:
        say(f"ended before its time: {outcome.stopped}")
        return 1
    say(f"the search is over: {coordinator.ended}")
    if outcome.failed:
        say(f"trials failed; after mending the cause, try them again:  {_command()} --retry-failed")
        return 1
    return 0


# -- the answer ------------------------------------------------------------------------------------


def print_search(search: Search, results: SearchResults) -> None:
    """Front or best trials, the first trials beside them, and which parameters mattered, on stdout."""
    console = Console()
    if search.question:
        console.print(f"\n[bold]{search.question}[/bold]", highlight=False)
    front = [results.trial(number) for number in results.front]
    if len(search.objectives) == 1:
        sign, metric = search.objectives[0].sign, search.objectives[0].metric
        best = [trial for trial in results.completed if trial.is_feasible]
        front = sorted(best, key=lambda trial: sign * trial.values[metric])[:SHOWN]
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
    console.print(f"{_counts(results)}; {duration(results.seconds)}.  journal {results.journal}", highlight=False)


def after_search(search: Search) -> Any:
    """What the parent run says in MLflow: the question and the front, as Markdown."""

    def describe(projection: Projection) -> str:
        results = search_results(search, projection.ledger)
        metrics = [objective.metric for objective in search.objectives]
        lines = [search.question, "", f"| trial | {' | '.join(metrics)} | |", "|---" * (len(metrics) + 2) + "|"]
        for number in results.front:
            trial = results.trial(number)
            cells = [describe_metric(metric).value(trial.values[metric]) for metric in metrics]
            lines.append(f"| {number} | {' | '.join(cells)} | {trial.name or _point(trial)} |")
        return "\n".join([*lines, "", f"{_counts(results)}; budget {results.budget} completed trials."])

    return describe


def _trial_table(results: SearchResults, trials: Any, title: str) -> Any:
    metrics = [objective.metric for objective in results.objectives]
    tested = [name for name in ("test/top1",) if any(name in trial.metrics for trial in trials)]
    table = new_table(title)
    for name in ("trial", "state", *metrics, *tested):
        table.add_column(describe_metric(name).title if "/" in name else name, justify="right")
    table.add_column("parameters", overflow="fold")
    for trial in trials:
        values = [_shown(metric, {**trial.metrics, **trial.values}) for metric in (*metrics, *tested)]
        number = f"{trial.number}{'*' if trial.number in results.front else ''}"
        what = f"{trial.name}: {_point(trial)}" if trial.name else _point(trial)
        table.add_row(number, coloured(trial.state), *values, f"{what}  {trial.why}" if trial.why else what)
    return table


def _shown(metric: str, values: Mapping[str, float]) -> str:
    return describe_metric(metric).value(values[metric]) if metric in values else "–"


def _point(trial: TrialResult) -> str:
    """ "growth_rate=16 blocks=2-2-2-2": the elements of a list together."""
    shown: dict[str, list[str]] = {}
    for name, value in trial.point.items():
        whole = re.sub(r"_\d+$", "", name)
        text = f"{value:.4g}" if isinstance(value, float) else str(value)
        shown.setdefault(whole if f"{whole}_1" in trial.point else name, []).append(text)
    return " ".join(f"{name}={'-'.join(texts)}" for name, texts in shown.items())


def _counts(results: SearchResults) -> str:
    counts = ", ".join(f"{count} {state}" for state, count in sorted(results.counts().items()))
    return f"{len(results.trials)} trials: {counts}" if counts else "no trials yet"


def _call(config: Mapping[str, Any]) -> str:
    arguments = ", ".join(f"{name}={value}" for name, value in config.items() if name != "name" and value is not None)
    return f"{config['name']}({arguments})"


def _command() -> str:
    return " ".join(["bnnlab", *sys.argv[1:]])


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
