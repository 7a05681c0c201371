"""One sweep from plan to answer, as the terminal sees it."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from bnnlab.cli.interrupts import same_command, until_interrupted
from bnnlab.cli.output import duration, say
from bnnlab.cli.progress import Progress
from bnnlab.cli.results import after_sweep, print_results
from bnnlab.experiment.execution import Execution
from bnnlab.experiment.fingerprint import code_fingerprint
from bnnlab.experiment.record import RunState
from bnnlab.sweep.engine import Engine, Outcome, Policy
from bnnlab.sweep.executors import ExecutorChoice
from bnnlab.sweep.ledger import Ledger
from bnnlab.sweep.plan import Plan
from bnnlab.sweep.project import Project, find_project
from bnnlab.sweep.standing import Standing
from bnnlab.tracking.store import tracking_uri
from bnnlab.tracking.tracker import Tracker


@dataclass(frozen=True)
class Choices:
    """How a sweep was asked for, apart from its plan."""

    executor: ExecutorChoice
    execution: Execution
    policy: Policy
    rerun: bool


def run_sweep(plan: Plan, choices: Choices) -> int:
    """Sweep a plan and print its answer. Gives the exit code."""
    return until_interrupted(lambda: _run_sweep(plan, choices))


def _run_sweep(plan: Plan, choices: Choices) -> int:
    project = find_project()
    ledger = Ledger(project.ledger)
    ledger.save_plan(plan)
    standings = ledger.standings(run.run_key for run in plan.all_runs)
    finished = sum(standing.state is RunState.FINISHED for standing in standings.values())
    say(f"{plan.study}, profile {plan.profile}: {len(plan.all_runs)} runs, {finished} finished before")
    if finished and not choices.rerun:
        _report_other_code(standings.values())
    if (
        finished == len(plan.all_runs)
        and not choices.rerun
        and ledger.is_projected(plan.plan_id, tracking_uri(project))
    ):
        print_results(plan, ledger)
        say("nothing to train: every run of this plan is finished")
        return 0
    return _sweep(plan, choices, project, ledger)


def _sweep(plan: Plan, choices: Choices, project: Project, ledger: Ledger) -> int:
    # First of all: where there is no place to train, nothing is started and nothing put aside.
    executor = choices.executor.open(ledger.root, choices.execution)
    if choices.rerun:
        put_aside = [path for run in plan.all_runs if (path := ledger.put_aside(run.run_key))]
        say(f"put aside {len(put_aside)} run directories; they lie in {project.ledger / '.replaced'}")
    started = time.monotonic()
    ledger.clear_projected(plan.plan_id)
    tracker = Tracker(project, ledger, plan)
    progress = Progress(plan, workers=executor.slots)
    engine = Engine(ledger, executor, choices.execution, [progress, tracker], choices.policy)
    tracker.start()
    try:
        with progress:
            outcome = engine.run(plan.all_runs)
    finally:
        executor.close()
        tracker.close(after_sweep)
    if tracker.complete:
        ledger.set_projected(plan.plan_id, tracking_uri(project))
    if outcome.trained or not outcome.interrupted:
        print_results(plan, ledger)
    return _last_words(plan, outcome, tracker, project, ledger, time.monotonic() - started)


def _last_words(
    plan: Plan, outcome: Outcome, tracker: Tracker, project: Project, ledger: Ledger, seconds: float
) -> int:
    trained, reused, failed = len(outcome.trained), len(outcome.reused), len(outcome.failed)
    parts = [f"{trained} trained", f"{reused} finished before"] + ([f"{failed} failed"] if failed else [])
    say(f"{', '.join(parts)}; {duration(seconds)}")
    if tracker.problem is not None:
        say(f"MLflow at {tracking_uri(project)} could not be written ({tracker.problem}).")
        say("Nothing is lost, the ledger is complete: `bnnlab sync` brings it over.")
    elif not tracker.complete:
        say("MLflow is kept up to date by another sweep of this plan, which is still running.")
    standings = ledger.standings(run.run_key for run in plan.all_runs)
    for run in plan.all_runs:
        if damaged := (standings[run.run_key].provenance or {}).get("damaged_images"):
            say(f"  {run.label}: {damaged} images of its data set could not be decoded:  bnnlab why {run.run_key}")
        if run.run_key in outcome.failed:
            say(f"  failed: {run.label} ({run.run_key}): {outcome.failed[run.run_key].cause}")
    left = len(plan.all_runs) - trained - reused - failed
    if outcome.stopped:
        say(f"ended with {left} runs to go: {outcome.stopped}")
    if outcome.interrupted:
        say(f"interrupted with {left} runs to go; the same command goes on:  {same_command()}")
        return 130
    if failed:
        say(f"after mending the cause, try them again:  {same_command('--retry-failed')}")
        return 1
    return 0


def _report_other_code(standings: Iterable[Standing]) -> None:
    """Say so where finished runs were trained by another version of the code that decides results."""
    codes = Counter(str((s.provenance or {}).get("code")) for s in standings if s.state is RunState.FINISHED)
    mine = code_fingerprint()
    if others := {code: n for code, n in codes.items() if code != mine}:
        counts = ", ".join(f"{n} by code {code}" for code, n in sorted(others.items()))
        say(f"reused runs were trained by other code than today's {mine}: {counts}")
        say(f"to train them again:  {' '.join(['bnnlab', *sys.argv[1:], '--rerun'])}")
