"""One session of a search, from the journal to the answer."""

from __future__ import annotations

import time

from bnnlab.cli.interrupts import same_command, until_interrupted
from bnnlab.cli.output import duration, say
from bnnlab.cli.progress import Progress
from bnnlab.cli.reporting import make_report, write_report
from bnnlab.cli.search_reporting import describe_search
from bnnlab.cli.search_tables import print_search
from bnnlab.cli.sweeping import Choices
from bnnlab.sweep.engine import Engine, Outcome
from bnnlab.sweep.events import Event
from bnnlab.sweep.ledger import Ledger
from bnnlab.sweep.project import Project, find_project
from bnnlab.sweep.search.best import write_best
from bnnlab.sweep.search.coordinator import Coordinator
from bnnlab.sweep.search.journal import SearchIsTaken, coordinating, search_folder
from bnnlab.sweep.search.plan import save_search_plan, search_plan
from bnnlab.sweep.search.results import search_results
from bnnlab.sweep.search.spec import Search
from bnnlab.tracking.store import tracking_uri
from bnnlab.tracking.tracker import Tracker


def run_search(search: Search, choices: Choices) -> int:
    """Go on with a search until its budget is spent, and print its answer. Gives the exit code."""
    try:
        return until_interrupted(lambda: _run_search(search, choices))
    except SearchIsTaken as error:
        say(f"{error}; `bnnlab status {search.spec_path}` shows how it stands")
        return 1


def _run_search(search: Search, choices: Choices) -> int:
    project = find_project()
    ledger = Ledger(project.ledger)
    folder = search_folder(ledger, search)
    started = time.monotonic()
    if choices.rerun:
        # First of all: where there is no place to train, nothing is put aside.
        choices.executor.open(ledger.root, choices.execution).close()
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
    _answer(search, ledger, project)
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
        tracker.close(lambda projection: describe_search(search, projection))
    if tracker.complete:
        ledger.set_projected(search.search_id, tracking_uri(project))
    return outcome, tracker


def _answer(search: Search, ledger: Ledger, project: Project) -> None:
    """The tables, the best trials as studies, and the page."""
    results = search_results(search, ledger)
    print_search(search, results)
    for path in write_best(search, results, project.reports / f"{search.study}-{search.profile}" / "best"):
        say(f"  {path}")
    say(f"the page: {write_report(make_report(search, ledger), project, search)}")


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
        journal = search_folder(ledger, search) / "journal.log"
        if journal.exists():
            journal.replace(journal.with_name(f"journal.{time.time_ns()}.replaced"))
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
        say(f"interrupted; the same command goes on:  {same_command()}")
        return 130
    if outcome.stopped:
        say(f"ended before its time: {outcome.stopped}")
        return 1
    say(f"the search is over: {coordinator.ended}")
    if outcome.failed:
        say(f"trials failed; after mending the cause, try them again:  {same_command('--retry-failed')}")
        return 1
    return 0
