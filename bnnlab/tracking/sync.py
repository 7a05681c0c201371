"""Bring one plan over to MLflow, whole: what `bnnlab sync` does."""

from __future__ import annotations

from collections.abc import Callable

from bnnlab.experiment.record import RunState
from bnnlab.sweep.ledger import Ledger, SavedPlan
from bnnlab.sweep.plan import Plan
from bnnlab.sweep.project import Project
from bnnlab.tracking.projection import Projection
from bnnlab.tracking.store import open_client

Describe = Callable[[Projection], str]


def sync_plan(project: Project, ledger: Ledger, plan: Plan | SavedPlan, describe: Describe) -> int:
    """Make MLflow match the ledger for a plan; gives the number of runs that are in both.

    A run that another process trains at this moment stays RUNNING. Raises what MLflow raises.
    """
    projection = Projection(open_client(project), project, ledger, plan)
    states = {}
    for run in plan.all_runs:
        states[run.run_key] = ledger.state(run.run_key)
        projection.bring(run, ended=states[run.run_key] is not RunState.RUNNING)
    projection.close_parent(parent_status(list(states.values())), describe(projection))
    return sum(state is not RunState.PENDING for state in states.values())


def parent_status(states: list[RunState]) -> str:
    """MLflow's status of a parent: FINISHED when every run is, FAILED when one failed, RUNNING or KILLED else."""
    if all(state is RunState.FINISHED for state in states):
        return "FINISHED"
    if RunState.RUNNING in states:
        return "RUNNING"
    return "FAILED" if RunState.FAILED in states else "KILLED"
