"""Earlier plans of a study that MLflow still shows as RUNNING because their coordinator was killed.

Nobody may ever sweep such a plan again (its spec has changed since), so that the next sweep of the study closes it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from bnnlab.experiment.record import RunState
from bnnlab.sweep.ledger import SavedPlan
from bnnlab.tracking.claim import PlanIsKept, claim
from bnnlab.tracking.projection import Projection
from bnnlab.tracking.sync import parent_status

if TYPE_CHECKING:
    from mlflow.entities import Run


def close_stale_plans(current: Projection) -> int:
    """Bring the study's other plans that are RUNNING in MLflow and that no process keeps; gives their number.

    Costs one request where there is none. Only plans of this very ledger are touched, and of these only runs that
    MLflow does not show as finished. Raises what MLflow raises.
    """
    stale = {str(run.data.tags.get("bnnlab.plan")): run for run in _running_parents(current)}
    if not stale:
        return 0
    saved = {plan.plan_id: plan for plan in current.ledger.saved_plans(current.plan.study) if plan.plan_id in stale}
    closed = 0
    for plan_id, parent in stale.items():
        folder = current.ledger.plan_folder(plan_id)
        if not folder.is_dir():
            continue  # deleted by hand: whether someone keeps it cannot be known
        try:
            with claim(folder):
                closed += _close(current, parent, saved.get(plan_id))
        except (PlanIsKept, OSError):
            continue
    return closed


def _running_parents(current: Projection) -> Iterator[Run]:
    mine = f"tags.`bnnlab.kind` = 'sweep' AND tags.`bnnlab.ledger` = '{current.ledger_id}'"
    for run in current.search(f"{mine} AND attributes.status = 'RUNNING'"):
        if run.info.run_id != current.parent_id:
            yield run


def _close(current: Projection, parent: Run, plan: SavedPlan | None) -> bool:
    if plan is None:  # of an older numerics version, or damaged: what became of its runs can no longer be told
        for left in current.search(f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'"):
            if left.info.status == "RUNNING":
                current.client.set_terminated(left.info.run_id, "KILLED")
        current.client.set_terminated(parent.info.run_id, "KILLED")
        return True
    projection = Projection(current.client, current.project, current.ledger, plan)
    for run in plan.all_runs:
        child = projection.children.get(run.run_key)
        if child is None or child.status != "FINISHED":
            projection.bring(run)
    standings = current.ledger.standings(run.run_key for run in plan.all_runs)
    status = parent_status([standing.state for standing in standings.values()])
    projection.close_parent(status)
    return status != RunState.RUNNING.name
