"""Whether MLflow has a plan as the ledger has it, row by row: written without the projection, which it is to check."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING

from bnnlab.experiment.record import RunState
from bnnlab.paper.matching import paper_metrics
from bnnlab.sweep.ledger import Ledger, SavedPlan
from bnnlab.sweep.plan import Plan, PlannedRun
from bnnlab.tracking.owner import ledger_id
from bnnlab.tracking.projection import TERMINAL, flat

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

Rows = list[tuple[int, int, float]]
"""The history of one metric: step, milliseconds since 1970, value."""


def differences(client: MlflowClient, ledger: Ledger, plan: Plan | SavedPlan) -> list[str]:
    """What differs between MLflow and the ledger for a plan, in sentences; [] where nothing does.

    Compared are the parent, and of every run its number of children, status, parameters, tags that say what it is,
    and every value of every metric with its step and time. Raises what MLflow raises.
    """
    experiment = client.get_experiment_by_name(plan.study)
    if experiment is None:
        return [f"MLflow has no experiment {plan.study}"]
    mine = f"tags.`bnnlab.plan` = '{plan.plan_id}' AND tags.`bnnlab.ledger` = '{ledger_id(ledger.root)}'"
    children: dict[str, list[Run]] = defaultdict(list)
    parents = []
    for row in _search(client, experiment.experiment_id, mine):
        if row.data.tags.get("bnnlab.kind") == "sweep":
            parents.append(row)
        else:
            children[row.data.tags["bnnlab.run_key"]].append(row)
    wrong = [] if len(parents) == 1 else [f"MLflow has {len(parents)} parents of plan {plan.plan_id}"]
    planned = {run.run_key: run for run in plan.all_runs}
    wrong += [f"run {key} is in MLflow and not in the plan" for key in children.keys() - planned.keys()]
    states = set()
    for key, run in planned.items():
        state = ledger.state(key)
        states.add(state)
        expected = 0 if state is RunState.PENDING else 1
        if len(children[key]) != expected:
            wrong.append(f"run {key} is {state.value} and {len(children[key])} times in MLflow")
        for child in children[key]:
            if parents and child.data.tags.get("mlflow.parentRunId") != parents[0].info.run_id:
                wrong.append(f"run {key}: it is not under its parent")
            wrong += [f"run {key}: {text}" for text in _differences_of(client, ledger, run, state, child)]
    if RunState.RUNNING not in states:
        wrong += [f"the parent of plan {plan.plan_id} is RUNNING" for run in parents if run.info.status == "RUNNING"]
    return wrong


def _differences_of(
    client: MlflowClient, ledger: Ledger, run: PlannedRun, state: RunState, child: Run
) -> Iterator[str]:
    status = TERMINAL.get(state, "RUNNING")
    if child.info.status != status:
        yield f"its status is {child.info.status} in MLflow, not {status}"
    if child.data.params != dict(flat(run.config.model_dump(mode="json"))):
        yield "its parameters differ"
    tags = {"bnnlab.cell": run.cell, "bnnlab.seed": str(run.seed)} | {
        f"bnnlab.axis.{a}": v for a, v in run.axes.items()
    }
    for name, value in tags.items():
        if child.data.tags.get(name) != value:
            yield f"its tag {name} is {child.data.tags.get(name)!r} in MLflow, not {value!r}"
    expected = _rows(ledger, run)
    for name in sorted(expected.keys() | child.data.metrics.keys()):
        history = client.get_metric_history(child.info.run_id, name)
        found = sorted((metric.step, metric.timestamp, metric.value) for metric in history)
        rows = expected.get(name, [])
        if found != rows:
            yield f"{name} has {len(found)} rows in MLflow, which are not the {len(rows)} of the ledger"


def _rows(ledger: Ledger, run: PlannedRun) -> dict[str, Rows]:
    """All that the ledger has measured of a run, by metric."""
    directory = ledger.directory(run.run_key)
    epochs, result = directory.epochs(), directory.result()
    rows: dict[str, Rows] = defaultdict(list)
    for epoch in epochs:
        for name, value in epoch.metrics.items():
            rows[name].append((epoch.index + 1, round(epoch.time * 1000), value))
    if result is not None:
        stamp = round(float(result["provenance"]["finished"]) * 1000)
        for name, value in (result["metrics"] | paper_metrics(run.config, result["metrics"])).items():
            rows[name].append((len(epochs), stamp, float(value)))
    return rows


def _search(client: MlflowClient, experiment_id: str, condition: str) -> Iterator[Run]:
    token = None
    while True:
        page = client.search_runs([experiment_id], condition, max_results=1000, page_token=token)
        yield from page
        token = page.token
        if not token:
            return
