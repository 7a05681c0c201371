"""The authors' own runs in MLflow, so that a user's curves lie over theirs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bnnlab.sweep.project import Project
from bnnlab.tracking.projection import flat
from bnnlab.tracking.store import artifact_location, open_client, store_lock

if TYPE_CHECKING:
    from bnnlab.paper.wiki import ReferenceRun


def log_references(project: Project, runs: Sequence[ReferenceRun], experiment: str) -> int:
    """Log the runs that the experiment lacks, and give their number. Raises what MLflow raises."""
    from mlflow.entities import Metric, Param

    client = open_client(project)
    with store_lock(project):
        found = client.get_experiment_by_name(experiment)
        experiment_id = found.experiment_id if found else None
        if experiment_id is None:
            location = artifact_location(project, experiment)
            experiment_id = client.create_experiment(experiment, artifact_location=location)
    known = {
        run.data.tags.get("bnnlab.reference")
        for run in client.search_runs([experiment_id], "tags.`bnnlab.kind` = 'reference'", max_results=1000)
        if run.info.status == "FINISHED"
    }
    new = [run for run in runs if run.id not in known]
    for run in new:
        tags = {"bnnlab.kind": "reference", "bnnlab.reference": run.id, "bnnlab.source": run.folder}
        created = client.create_run(experiment_id, run_name=f"authors: {run.name} {run.id}", tags=tags)
        run_id = created.info.run_id
        start = created.info.start_time
        config = run.config.model_dump(mode="json") if run.config is not None else dict(run.options)
        params = [Param(name, text) for name, text in flat(config)]
        metrics = [
            Metric(name, value, start, epoch.epoch) for epoch in run.epochs for name, value in epoch.metrics.items()
        ]
        last = run.epochs[-1].epoch if run.epochs else 0
        metrics += [Metric(name, value, start, last) for name, value in run.metrics.items()]
        for position in range(0, len(params), 100):
            client.log_batch(run_id, params=params[position : position + 100])
        for position in range(0, len(metrics), 900):
            client.log_batch(run_id, metrics=metrics[position : position + 900])
        client.set_terminated(run_id, "FINISHED")
    return len(new)
