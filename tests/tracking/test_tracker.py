"""MLflow is the ledger, projected: live, after a crash, after an outage, on a new server."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from little_sweeps import left_behind, new_project, saved_plan, sweep  # first: it says where `little` is

# isort: split
from little import FakeExecutor, die, fail, finish, quick

from bnnlab.experiment.directory import RunDirectory
from bnnlab.experiment.execution import Execution
from bnnlab.sweep.engine import Engine
from bnnlab.sweep.ledger import Ledger
from bnnlab.sweep.plan import Plan
from bnnlab.sweep.project import Project
from bnnlab.tracking.claim import PlanIsKept, claim
from bnnlab.tracking.projection import Projection
from bnnlab.tracking.store import open_client, reason
from bnnlab.tracking.sync import sync_plan
from bnnlab.tracking.tracker import Tracker


@pytest.fixture(scope="module")
def fresh_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty store, made once: that takes seconds."""
    project = Project(tmp_path_factory.mktemp("store"))
    open_client(project)
    return project.mlflow_db


@pytest.fixture
def project(tmp_path: Path, fresh_store: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)  # MLflow makes an empty folder for artefacts where it is
    shutil.copy(fresh_store, tmp_path / "mlflow.db")
    return new_project(tmp_path)


@pytest.fixture
def plan(project: Project) -> Plan:
    return saved_plan(project)


def rows(project: Project) -> Iterator[Any]:
    client = open_client(project)
    experiment = client.get_experiment_by_name("little")
    assert experiment is not None
    yield from client.search_runs([experiment.experiment_id])


def children(project: Project) -> dict[str, Any]:
    """MLflow's runs by run key; each key once."""
    found = [run for run in rows(project) if run.data.tags["bnnlab.kind"] == "run"]
    by_key = {run.data.tags["bnnlab.run_key"]: run for run in found}
    assert len(by_key) == len(found)
    return by_key


def is_parent(run: Any) -> bool:
    return bool(run.data.tags["bnnlab.kind"] == "sweep")


def statuses(project: Project) -> set[str]:
    return {run.info.status for run in rows(project)}


def assert_equal_to_the_ledger(project: Project, plan: Plan) -> None:
    """Row by row, and once more with the names written out that scripts rely on."""
    assert left_behind(project, plan) == []
    client = open_client(project)
    found = children(project)
    finished = {run.run_key: run for run in plan.runs if Ledger(project.ledger).directory(run.run_key).result()}
    assert found.keys() == finished.keys()
    for key, child in found.items():
        directory = RunDirectory(project.ledger / key)
        result = directory.result()
        assert result is not None
        assert child.info.status == "FINISHED"
        expected = [(epoch.index + 1, epoch.metrics["val/loss"]) for epoch in directory.epochs()]
        history = client.get_metric_history(child.info.run_id, "val/loss")
        assert sorted((metric.step, metric.value) for metric in history) == expected
        for name, value in result["metrics"].items():
            assert [metric.value for metric in client.get_metric_history(child.info.run_id, name)] == [value]
        assert child.data.params["training.optimizer.lr"] == "0.01"
        assert child.data.params["model.binarization.scaling"] == finished[key].axes["scaling"]
        assert child.data.tags["bnnlab.axis.scaling"] == finished[key].axes["scaling"]
        assert child.data.tags["bnnlab.cell"] == finished[key].cell


def test_a_finished_sweep_is_in_mlflow_as_in_the_ledger(project: Project, plan: Plan) -> None:
    _, tracker = sweep(project, plan)
    assert tracker.complete
    assert_equal_to_the_ledger(project, plan)
    parents = [run for run in rows(project) if run.data.tags["bnnlab.kind"] == "sweep"]
    assert [(p.info.status, p.data.tags["mlflow.note.content"]) for p in parents] == [("FINISHED", "done")]


def test_projecting_twice_changes_nothing(project: Project, plan: Plan) -> None:
    sweep(project, plan)
    sync_plan(project, Ledger(project.ledger), plan, lambda projection: "again")
    assert_equal_to_the_ledger(project, plan)


def test_what_a_killed_coordinator_left_running_is_closed_by_the_same_command(project: Project, plan: Plan) -> None:
    def stop_halfway(directory: RunDirectory) -> None:
        directory.add_epoch(_epoch(0))
        raise KeyboardInterrupt

    ledger = Ledger(project.ledger)
    tracker = Tracker(project, ledger, plan)
    engine = Engine(ledger, FakeExecutor({plan.runs[1].run_key: [stop_halfway]}), Execution(), [tracker], quick())
    with pytest.raises(KeyboardInterrupt):
        engine.run(plan.all_runs)
    with ledger.directory(plan.runs[1].run_key).locked():  # its worker lives when MLflow hears of it last
        tracker._bring_over()
    assert tracker._claim is not None
    tracker._claim.close()
    assert "RUNNING" in statuses(project)

    sweep(project, plan)

    assert statuses(project) == {"FINISHED"}
    assert_equal_to_the_ledger(project, plan)


def test_an_interrupted_sweep_leaves_nothing_running(project: Project, plan: Plan) -> None:
    outcome, _ = sweep(project, plan, {plan.runs[0].run_key: [fail("exception", "it broke")]}, fail_fast=True)
    assert outcome.stopped
    assert "RUNNING" not in statuses(project)
    (parent,) = [run for run in rows(project) if run.data.tags["bnnlab.kind"] == "sweep"]
    assert parent.info.status == "FAILED"


def test_a_failure_is_told_with_its_cause_and_forgotten_once_mended(project: Project, plan: Plan) -> None:
    key = plan.runs[0].run_key
    sweep(project, plan, {key: [fail("diverged", "the training loss is nan in epoch 2, step 1")]})
    child = children(project)[key]
    assert child.info.status == "FAILED"
    assert child.data.tags["bnnlab.failure"] == "diverged"
    assert child.data.tags["mlflow.note.content"] == "Failed: the training loss is nan in epoch 2, step 1"

    sweep(project, plan, retry_failed=True)

    assert not {"bnnlab.failure", "bnnlab.cause", "mlflow.note.content"} & children(project)[key].data.tags.keys()
    assert_equal_to_the_ledger(project, plan)


def test_a_run_that_died_for_good_has_failed_in_mlflow_too(project: Project, plan: Plan) -> None:
    key = plan.runs[0].run_key
    sweep(project, plan, {key: [die] * 9}, retries=1)
    child = children(project)[key]
    assert child.info.status == "FAILED"
    assert child.data.tags["bnnlab.cause"] == "its process was killed by SIGKILL; 2 attempts in a row failed"


def test_a_run_that_is_trained_again_replaces_the_old_one(project: Project, plan: Plan) -> None:
    sweep(project, plan)
    key = plan.runs[0].run_key
    before = children(project)[key].info.run_id
    Ledger(project.ledger).put_aside(key)

    def finish_better(directory: RunDirectory) -> object:
        exit_ = finish(directory)
        text = directory.result_file.read_text().replace('"test/top1": 0.5', '"test/top1": 0.75')
        directory.result_file.write_text(text)
        return exit_

    sweep(project, plan, {key: [finish_better]})  # type: ignore[list-item]

    child = children(project)[key]
    assert child.info.run_id != before
    assert child.data.metrics["test/top1"] == 0.75
    assert_equal_to_the_ledger(project, plan)


def test_an_outage_costs_nothing_but_a_sync(project: Project, plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    outcome, tracker = sweep(project, plan)
    assert len(outcome.trained) == 4
    assert not tracker.complete
    assert tracker.problem == "connection refused: no server listens there"

    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert sync_plan(project, Ledger(project.ledger), plan, lambda projection: "synced") == 4
    assert_equal_to_the_ledger(project, plan)
    assert statuses(project) == {"FINISHED"}


def test_one_process_at_a_time_keeps_a_plan(project: Project, plan: Plan) -> None:
    ledger = Ledger(project.ledger)
    with claim(ledger.plan_folder(plan.plan_id)):
        with pytest.raises(PlanIsKept):
            sync_plan(project, ledger, plan, lambda projection: "")
        outcome, tracker = sweep(project, plan)
    # The sweep trained, left MLflow to the other, and does not claim that MLflow has it all.
    assert len(outcome.trained) == 4
    assert (tracker.problem, tracker.complete) == (None, False)


def test_a_child_that_was_made_twice_is_deleted(project: Project, plan: Plan) -> None:
    sweep(project, plan)
    client = open_client(project)
    twin = next(iter(children(project).values()))
    tags = {name: value for name, value in twin.data.tags.items() if name.startswith(("bnnlab", "mlflow.parent"))}
    client.create_run(twin.info.experiment_id, tags=tags)

    Projection(client, project, Ledger(project.ledger), plan)
    assert len(children(project)) == 4


def test_an_earlier_plan_that_a_killed_coordinator_left_running_is_closed_by_the_next_sweep_of_its_study(
    project: Project, plan: Plan
) -> None:
    ledger = Ledger(project.ledger)
    directory = ledger.directory(plan.runs[1].run_key)
    directory.create(plan.runs[1].config)
    projection = Projection(open_client(project), project, ledger, plan)
    projection.open_parent()
    with directory.locked():  # its worker lives when MLflow hears of it last
        directory.add_epoch(_epoch(0))
        projection.bring(plan.runs[1])
    assert left_behind(project, plan) != []

    later = saved_plan(project, "training.optimizer.lr=0.02")
    sweep(project, later)

    assert "RUNNING" not in statuses(project)
    assert left_behind(project, plan) == left_behind(project, later) == []
    states = {run.data.tags["bnnlab.plan"]: run.info.status for run in rows(project) if is_parent(run)}
    assert states == {plan.plan_id: "KILLED", later.plan_id: "FINISHED"}


def test_an_earlier_plan_that_is_still_kept_is_left_alone(project: Project, plan: Plan) -> None:
    ledger = Ledger(project.ledger)
    with claim(ledger.plan_folder(plan.plan_id)):  # as the coordinator does that sweeps it at this moment
        Projection(open_client(project), project, ledger, plan).open_parent()
        sweep(project, saved_plan(project, "training.optimizer.lr=0.02"))
    (parent,) = [run for run in rows(project) if is_parent(run) and run.data.tags["bnnlab.plan"] == plan.plan_id]
    assert parent.info.status == "RUNNING"


def test_a_plan_of_another_ledger_is_left_alone(
    project: Project, plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{project.mlflow_db}")
    other = new_project(tmp_path / "other")
    Projection(open_client(other), other, Ledger(other.ledger), saved_plan(other)).open_parent()

    sweep(project, saved_plan(project, "training.optimizer.lr=0.02"))

    assert [run.info.status for run in rows(project) if run.data.tags["bnnlab.plan"] == plan.plan_id] == ["RUNNING"]


def test_two_users_of_one_store_have_a_parent_each_and_all_of_their_own_runs(
    project: Project, plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{project.mlflow_db}")
    other = new_project(tmp_path / "other")
    assert saved_plan(other).plan_id == plan.plan_id

    for _ in range(2):  # and neither replaces the other's when both come again
        for user in (project, other):
            sweep(user, plan)

    assert left_behind(project, plan) == left_behind(other, plan) == []
    assert len([run for run in rows(project) if is_parent(run)]) == 2
    assert len(list(rows(project))) == 2 * (1 + 4)


def test_runs_that_were_logged_before_ledgers_had_names_stay_the_ledgers_own(project: Project, plan: Plan) -> None:
    sweep(project, plan)
    client = open_client(project)
    for run in rows(project):
        client.delete_tag(run.info.run_id, "bnnlab.ledger")

    sync_plan(project, Ledger(project.ledger), plan, lambda projection: "again")

    assert len(children(project)) == 4
    assert len([run for run in rows(project) if is_parent(run)]) == 1


@pytest.mark.parametrize(
    ("uri", "problem"),
    [
        (
            "htp://tracking:5000",
            "no such kind of store (allowed: http, https, sqlite, postgresql, mysql, mssql); did you mean http://?",
        ),
        ("http://127.0.0.1:9", "connection refused: no server listens there"),
        (
            "file:///home/me/mlruns",
            "MLflow no longer writes to folders; a file in that folder is sqlite:////home/me/mlruns/mlflow.db",
        ),
        ("sqlite:////proc/nowhere/mlflow.db", "[Errno 2] No such file or directory: '/proc/nowhere'"),
    ],
)
def test_an_address_that_is_none_costs_a_line_and_no_run(
    project: Project, plan: Plan, monkeypatch: pytest.MonkeyPatch, uri: str, problem: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    outcome, tracker = sweep(project, plan)
    assert len(outcome.trained) == 4
    assert (tracker.problem, tracker.complete) == (problem, False)

    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    sync_plan(project, Ledger(project.ledger), plan, lambda projection: "synced")
    assert_equal_to_the_ledger(project, plan)


def test_a_database_that_does_not_answer_is_not_tried_for_minutes(
    project: Project, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("psycopg2", reason="the driver of PostgreSQL is not installed")
    pauses: list[float] = []
    monkeypatch.setattr("mlflow.store.db.utils.time.sleep", pauses.append)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "postgresql+psycopg2://me@127.0.0.1:9/mlflow")
    with pytest.raises(Exception, match="Connection refused") as caught:
        open_client(project)
    assert reason(caught.value) == "connection refused: no server listens there"
    assert sum(pauses) < 2


def test_half_of_a_store_that_a_kill_left_is_no_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / ".mlflow.db.new").write_bytes(b"half of a store")
    client = open_client(Project(tmp_path))
    assert [experiment.name for experiment in client.search_experiments()] == ["Default"]
    assert [path.name for path in tmp_path.glob(".mlflow.db*")] == []


def _epoch(index: int) -> Any:
    from bnnlab.experiment.directory import Epoch

    return Epoch(index, 1e9, 0.1, {"val/loss": 1.0, "val/top1": 0.5})
