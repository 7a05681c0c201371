"""Bring one plan over to MLflow, whole: what `bnnlab sync` does."""

from __future__ import annotations

from collections.abc import Callable

from bnnlab.experiment.record import RunState
from bnnlab.sweep.ledger import Ledger, SavedPlan
from bnnlab.sweep.plan import Plan
from bnnlab.sweep.project import Project
from bnnlab.tracking.claim import claim
from bnnlab.tracking.projection import Projection
from bnnlab.tracking.store import open_client

Describe = Callable[[Projection], str]


def sync_plan(project: Project, ledger: Ledger, plan: Plan | SavedPlan, describe: Describe) -> int:
    """Make MLflow match the ledger for a plan; gives the number of runs that are in both.

    A run that another process trains at this moment stays RUNNING. Raises PlanIsKept where a sweep of this plan does
    the same at this moment, and what MLflow raises.
    """
    with claim(ledger.plan_folder(plan.plan_id)):
        projection = Projection(open_client(project), project, ledger, plan)
        for run in plan.all_runs:
            projection.bring(run)
        states = [found.state for found in ledger.standings(run.run_key for run in plan.all_runs).values()]
        projection.close_parent(parent_status(states), describe(projection))
    return sum(state is not RunState.PENDING for state in states)


def parent_status(states: list[RunState], *, failed: bool = False) -> str:
    """MLflow's status of a parent.

    FINISHED when every run is or need not be, RUNNING while one is being trained, else FAILED when one failed
    (`failed`: also where no directory says so) and KILLED when there is more to do.
    """
    if all(state in (RunState.FINISHED, RunState.PRUNED) for state in states):
        return "FINISHED"
    if RunState.RUNNING in states:
        return "RUNNING"
    return "FAILED" if failed or RunState.FAILED in states else "KILLED"
