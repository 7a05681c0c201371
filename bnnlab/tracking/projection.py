"""One plan of the ledger as MLflow shows it: an experiment, a parent run, a child a planned run.

Everything here makes MLflow match the ledger and may be repeated at will: live during a sweep, after a crash, on a
new server. What MLflow has already is looked up once and never logged twice.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bnnlab.experiment.directory import Epoch, RunDirectory
from bnnlab.experiment.failure import Failure
from bnnlab.experiment.record import RunState
from bnnlab.paper.matching import paper_metrics
from bnnlab.sweep.ledger import Ledger, SavedPlan, plan_manifest
from bnnlab.sweep.plan import Plan, PlannedRun
from bnnlab.sweep.project import Project
from bnnlab.tracking.owner import ledger_id, user_name
from bnnlab.tracking.store import artifact_location, store_lock, tracking_uri, ui_address

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Run

BATCH = 900
"""Metrics in one request; MLflow takes at most 1,000."""
LOG_TAIL = 3000
"""Characters of a log's end that a description gets; MLflow takes at most 8,000 in a tag."""
BEGUN_TAG, FAILURE_TAG, CAUSE_TAG = "bnnlab.begun", "bnnlab.failure", "bnnlab.cause"
NOTE_TAG = "mlflow.note.content"
TERMINAL = {
    RunState.FINISHED: "FINISHED",
    RunState.FAILED: "FAILED",
    RunState.INTERRUPTED: "KILLED",
    RunState.PRUNED: "KILLED",
}


@dataclass
class _Child:
    run_id: str
    status: str
    epochs: int
    """Epochs that MLflow has."""
    begun: str | None = None
    """Which training of the run this is: see `_begun`."""
    failure: str | None = None
    """The cause that is logged."""
    described: bool = False
    """Whether its parameters are known to be logged."""


class Projection:
    """A plan's parent and children in one MLflow store.

    They belong to one ledger (tag `bnnlab.ledger`): where two users sweep one study into one server, each has a parent
    of their own, and neither's runs stand for, or replace, the other's.
    """

    def __init__(self, client: MlflowClient, project: Project, ledger: Ledger, plan: Plan | SavedPlan) -> None:
        self.client = client
        self.project = project
        self.ledger = ledger
        self.plan = plan
        self.ledger_id = ledger_id(ledger.root)
        self._own_keys = {run.run_key for run in plan.runs}
        with store_lock(project):
            self.experiment_id = self._experiment()
            self.parent_id = self._parent()
        self.children = self._known_children()

    # -- runs ------------------------------------------------------------------------------------

    def bring(self, run: PlannedRun, failure: Failure | None = None) -> None:
        """Make the child of one planned run match its directory, as it is at this moment.

        `failure` is why the run failed, for a run whose directory cannot say so itself.
        """
        directory = self.ledger.directory(run.run_key)
        state = directory.state()
        if failure is not None and state not in (RunState.FINISHED, RunState.RUNNING):
            state = RunState.FAILED
        elif state is RunState.FAILED:
            failure = directory.failure()
        epochs = directory.epochs()
        child = self._current(run, _begun(epochs))
        if state is RunState.PENDING:
            if child is not None:  # nothing of it is in the ledger, or not any more
                self.client.delete_run(child.run_id)
                del self.children[run.run_key]
            return
        child = child or self._create(run, directory, epochs)
        status = TERMINAL.get(state, "RUNNING")
        if state is RunState.FINISHED:
            if child.status != status:
                self._log_epochs(child, run, epochs)
                self._finish(child, directory, len(epochs))
        else:
            self._log_epochs(child, run, epochs)
            self._log_failure(child, failure if state is RunState.FAILED else None)
            if status != child.status:
                self._set_status(child, status)
            if state is RunState.PRUNED:
                self.client.set_tag(child.run_id, NOTE_TAG, f"Pruned: {directory.pruned()}")
        child.status = status

    def _current(self, run: PlannedRun, begun: str | None) -> _Child | None:
        """The child, unless it shows an earlier training of the run than the ledger has: that one is deleted."""
        child = self.children.get(run.run_key)
        if child is None or begun is None or child.begun in (None, begun):
            return child
        self.client.delete_run(child.run_id)
        del self.children[run.run_key]
        return None

    def _create(self, run: PlannedRun, directory: RunDirectory, epochs: Sequence[Epoch]) -> _Child:
        provenance = (directory.result() or {"provenance": {}})["provenance"]
        started = epochs[0].time - epochs[0].seconds if epochs else provenance.get("started")
        created = self.client.create_run(
            self.experiment_id,
            start_time=round(started * 1000) if started else None,
            tags=self._tags(run, provenance),
            run_name=run.label,
        )
        child = _Child(created.info.run_id, "RUNNING", 0)
        self.children[run.run_key] = child
        self._describe(child, run)
        return child

    def _describe(self, child: _Child, run: PlannedRun) -> None:
        from mlflow.entities import Param

        params = [Param(name, text) for name, text in flat(run.config.model_dump(mode="json"))]
        for start in range(0, len(params), 100):
            self.client.log_batch(child.run_id, params=params[start : start + 100])
        child.described = True

    def _tags(self, run: PlannedRun, provenance: Mapping[str, Any]) -> dict[str, str]:
        tags = {
            "mlflow.parentRunId": self.parent_id,
            "bnnlab.kind": "run" if run.axes or run.run_key in self._own_keys else "start",
            "bnnlab.run_key": run.run_key,
            "bnnlab.cell": run.cell,
            "bnnlab.seed": str(run.seed),
            "bnnlab.study": self.plan.study,
            "bnnlab.profile": self.plan.profile,
            "bnnlab.plan": self.plan.plan_id,
            "bnnlab.ledger": self.ledger_id,
            "mlflow.user": user_name(),
            **{f"bnnlab.axis.{axis}": level for axis, level in run.axes.items()},
            **run.tags,
        }
        origin = str(provenance.get("study") or "")
        if origin and (origin, provenance.get("plan")) != (self.plan.study, self.plan.plan_id):
            tags["bnnlab.reused_from"] = origin
        return tags

    def _finish(self, child: _Child, directory: RunDirectory, epochs: int) -> None:
        from mlflow.entities import Metric, RunTag

        result = directory.result()
        if result is None:
            return
        provenance = result["provenance"]
        stamp = round(float(provenance["finished"]) * 1000)
        tags = [RunTag(f"bnnlab.{name}", str(provenance[name])) for name in PROVENANCE_TAGS if name in provenance]
        metrics = result["metrics"] | paper_metrics(directory.config(), result["metrics"])
        finals = [Metric(name, float(value), stamp, epochs) for name, value in metrics.items()]
        self._log_failure(child, None)
        self.client.log_batch(child.run_id, metrics=finals, tags=tags)
        self.client.set_terminated(child.run_id, "FINISHED", stamp)

    def _log_failure(self, child: _Child, failure: Failure | None) -> None:
        cause = failure.cause if failure is not None else None
        if cause == child.failure:
            return
        if failure is not None:
            tail = f"\n\n```\n{failure.log_tail[-LOG_TAIL:]}\n```" if failure.log_tail else ""
            self.client.set_tag(child.run_id, FAILURE_TAG, failure.kind)
            self.client.set_tag(child.run_id, CAUSE_TAG, failure.cause[:LOG_TAIL])
            self.client.set_tag(child.run_id, NOTE_TAG, f"Failed: {failure.cause[:LOG_TAIL]}{tail}")
        else:
            for tag in (FAILURE_TAG, CAUSE_TAG, NOTE_TAG):
                self.client.delete_tag(child.run_id, tag)
        child.failure = cause

    def _set_status(self, child: _Child, status: str) -> None:
        if status == "RUNNING":
            self.client.update_run(child.run_id, status=status)
        else:
            self.client.set_terminated(child.run_id, status)

    def _log_epochs(self, child: _Child, run: PlannedRun, epochs: Sequence[Epoch]) -> None:
        """Log what MLflow lacks. An epoch goes over whole, so that one that is there at all is there in full."""
        from mlflow.entities import Metric, RunTag

        if not child.described:
            self._describe(child, run)
        missing = epochs[child.epochs :]
        if not missing:
            return
        begun = _begun(epochs)
        batches: list[list[Metric]] = [[]]
        for epoch in missing:
            stamp, step = round(epoch.time * 1000), epoch.index + 1
            metrics = [Metric(name, value, stamp, step) for name, value in epoch.metrics.items()]
            if len(batches[-1]) + len(metrics) > BATCH:
                batches.append([])
            batches[-1] += metrics
        for batch in batches:
            self.client.log_batch(child.run_id, metrics=batch, tags=[RunTag(BEGUN_TAG, str(begun))])
        child.begun, child.epochs = begun, len(epochs)

    # -- what MLflow has -------------------------------------------------------------------------

    def _experiment(self) -> str:
        from mlflow.exceptions import MlflowException

        found = self.client.get_experiment_by_name(self.plan.study)
        if found is None:
            location = artifact_location(self.project, self.plan.study)
            try:
                return str(self.client.create_experiment(self.plan.study, artifact_location=location))
            except MlflowException as error:
                found = self.client.get_experiment_by_name(self.plan.study)
                if found is None or error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise  # not because another user of the server was faster
        if found.lifecycle_stage == "deleted":
            self.client.restore_experiment(found.experiment_id)
        return str(found.experiment_id)

    def search(self, condition: str) -> Iterator[Run]:
        """The runs of the study's experiment that fulfil a condition in MLflow's language."""
        token = None
        while True:
            page = self.client.search_runs([self.experiment_id], condition, max_results=1000, page_token=token)
            yield from page
            token = page.token
            if not token:
                return

    def _parent(self) -> str:
        condition = f"tags.`bnnlab.kind` = 'sweep' AND tags.`bnnlab.plan` = '{self.plan.plan_id}'"
        found = [run for run in self.search(condition) if run.data.tags.get("bnnlab.ledger") in (None, self.ledger_id)]
        if found:
            oldest, *twins = sorted(found, key=lambda run: (run.info.start_time, run.info.run_id))
            for twin in twins:  # a request was sent twice, because its first answer was lost
                self.client.delete_run(twin.info.run_id)
            if "bnnlab.ledger" not in oldest.data.tags:  # it was made before ledgers had names
                self.client.set_tag(oldest.info.run_id, "bnnlab.ledger", self.ledger_id)
            return str(oldest.info.run_id)
        created = self.client.create_run(
            self.experiment_id,
            run_name=f"{self.plan.study} ({self.plan.profile}{_runs(len(self.plan.runs))})",
            tags={
                "bnnlab.kind": "sweep",
                "bnnlab.study": self.plan.study,
                "bnnlab.profile": self.plan.profile,
                "bnnlab.plan": self.plan.plan_id,
                "bnnlab.ledger": self.ledger_id,
                "mlflow.user": user_name(),
                NOTE_TAG: self.plan.question,
            },
        )
        run_id = str(created.info.run_id)
        self.client.log_text(run_id, self.plan.spec_text, "spec.yaml")
        self.client.log_text(run_id, json.dumps(plan_manifest(self.plan), indent=2), "plan.json")
        return run_id

    def _known_children(self) -> dict[str, _Child]:
        children: dict[str, _Child] = {}
        for run in self.search(f"tags.`mlflow.parentRunId` = '{self.parent_id}'"):
            tags = run.data.tags
            key = tags.get("bnnlab.run_key")
            if key is None:
                continue
            if key in children:  # a request was sent twice, because its first answer was lost
                self.client.delete_run(run.info.run_id)
                continue
            children[key] = _Child(
                run.info.run_id, run.info.status, self._epochs_of(run), tags.get(BEGUN_TAG), tags.get(CAUSE_TAG)
            )
        return children

    def _epochs_of(self, run: Run) -> int:
        if run.info.status == "FINISHED":
            return 0  # never looked at again
        if "val/loss" not in run.data.metrics:
            return 0
        history = self.client.get_metric_history(run.info.run_id, "val/loss")
        return max((metric.step for metric in history), default=0)

    # -- the parent ------------------------------------------------------------------------------

    def open_parent(self) -> None:
        self.client.update_run(self.parent_id, status="RUNNING")

    def close_parent(self, status: str, note: str = "") -> None:
        """Close the parent as FINISHED, FAILED or KILLED, with `note` (Markdown) as its description."""
        if note:
            self.client.set_tag(self.parent_id, NOTE_TAG, note)
        if status == "RUNNING":
            self.client.update_run(self.parent_id, status=status)
        else:
            self.client.set_terminated(self.parent_id, status)

    def links(self) -> dict[str, str]:
        """Where MLflow's UI shows each child, by run key."""
        base = ui_address(tracking_uri(self.project))
        return {
            key: f"{base}/#/experiments/{self.experiment_id}/runs/{child.run_id}"
            for key, child in self.children.items()
        }

    def attach(self, name: str, text: str) -> None:
        """Log a text as an artefact of the parent."""
        self.client.log_text(self.parent_id, text, name)


def _begun(epochs: Sequence[Epoch]) -> str | None:
    """What tells one training of a run from another, from the first epoch: its time. A run that goes on from a
    checkpoint keeps it; one that starts again (`--rerun`, a damaged checkpoint) gets a new one."""
    return str(round(epochs[0].time * 1000)) if epochs else None


PROVENANCE_TAGS = ("code", "torch", "pytorch_lightning", "host", "device", "threads", "evaluation", "weights_sha256")


def flat(value: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """A configuration as dotted paths and texts; every number in its one canonical spelling.

    >>> dict(flat({"training": {"lr": 0.010, "milestones": [75, 100]}, "fp": True, "window": None}))
    {'training.lr': '0.01', 'training.milestones': '[75, 100]', 'fp': 'true', 'window': 'null'}
    """
    if isinstance(value, Mapping):
        for key, child in value.items():
            yield from flat(child, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, value if isinstance(value, str) else json.dumps(value)


def _runs(count: int) -> str:
    return f", {count} runs" if count else ""  # a search does not know how many there will be
