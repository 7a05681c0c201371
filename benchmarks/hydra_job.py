"""One run as a Hydra job: what `engine_vs_hydra.py` gives Hydra's multirun to do.

The training is bnnlab's own, to the last call; the job then logs to MLflow what bnnlab logs of a run, into the same
kind of store, as jobs do that have no coordinator: each for itself.
"""

from __future__ import annotations

import os
from pathlib import Path

import hydra
from omegaconf import DictConfig


@hydra.main(version_base=None, config_path=None, config_name=None)
def job(config: DictConfig) -> None:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param

    from bnnlab.experiment.directory import RunDirectory
    from bnnlab.experiment.execution import Execution
    from bnnlab.experiment.run import train
    from bnnlab.sweep.plan import read_plan
    from bnnlab.tracking.projection import flat

    planned = read_plan(Path(os.environ["BENCHMARK_SPEC"])).runs[config.run]
    directory = RunDirectory(Path(os.environ["BENCHMARK_PROJECT"]) / "runs" / planned.run_key)
    directory.create(planned.config)
    failure = train(directory.path, Execution())
    if failure is not None:
        raise RuntimeError(failure.cause)

    client = MlflowClient(os.environ["MLFLOW_TRACKING_URI"])
    run = client.create_run("0", run_name=planned.label)
    params = [Param(name, text) for name, text in flat(planned.config.model_dump(mode="json"))]
    client.log_batch(run.info.run_id, params=params)
    for epoch in directory.epochs():
        when = round(epoch.time * 1000)
        metrics = [Metric(name, value, when, epoch.index) for name, value in epoch.metrics.items()]
        client.log_batch(run.info.run_id, metrics=metrics)
    final = (directory.result() or {})["metrics"]
    client.log_batch(run.info.run_id, metrics=[Metric(name, value, when, 0) for name, value in final.items()])
    client.set_terminated(run.info.run_id)


if __name__ == "__main__":
    job()
