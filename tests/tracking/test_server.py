"""Many users on one tracking server on PostgreSQL, and what is left when it, or its database, goes away."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest
from little_sweeps import left_behind, new_project, saved_plan, sweep
from servers import MlflowServer, Postgres, missing
from writers import write

# isort: split
from little import finish

from bnnlab.experiment.directory import RunDirectory
from bnnlab.sweep.executor import Exit
from bnnlab.sweep.ledger import Ledger
from bnnlab.sweep.plan import Plan
from bnnlab.sweep.project import Project
from bnnlab.tracking.comparison import differences
from bnnlab.tracking.projection import Projection
from bnnlab.tracking.store import open_client
from bnnlab.tracking.sync import sync_plan

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(missing() is not None, reason=str(missing())),
]

WRITERS = 16
WRITING_S = float(os.environ.get("BNNLAB_WRITING_SECONDS", "20"))
"""How long they write; CI takes two minutes."""


@pytest.fixture(scope="module")
def database() -> Iterator[Postgres]:
    postgres = Postgres()
    try:
        postgres.start()
        yield postgres
    finally:
        postgres.close()


@pytest.fixture(scope="module")
def server(database: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    mlflow = MlflowServer(database.uri, tmp_path_factory.mktemp("mlflow"), workers=2)
    try:
        mlflow.start()
        yield mlflow
    finally:
        mlflow.kill()


@pytest.fixture
def project(
    tmp_path: Path, server: MlflowServer, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Project:
    """A study of its own for each test; a server that stays away is noticed at once."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setattr("bnnlab.tracking.tracker.EVERY_S", 0.1)
    monkeypatch.setattr("bnnlab.tracking.tracker.RETRY_S", 0.5)
    return new_project(tmp_path, request.node.name[:60])


@pytest.fixture
def plan(project: Project) -> Plan:
    return saved_plan(project)


def synced(project: Project, plan: Plan) -> list[str]:
    """What MLflow has otherwise than the ledger after `bnnlab sync`."""
    sync_plan(project, Ledger(project.ledger), plan, lambda projection: "synced")
    return left_behind(project, plan)


def test_sixteen_writers_lose_nothing(tmp_path: Path, server: MlflowServer, database: Postgres) -> None:
    """Two users a study: their plans are the same, their ledgers are not."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["mlflow", "bnnlab.tracking.tracker", "writers"])
    writers: list[ForkServerProcess] = []
    for number in range(WRITERS):
        words = (tmp_path / str(number), f"writers-{number // 2}", server.uri, WRITING_S)
        writers.append(context.Process(target=write, args=words))
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0] * WRITERS

    # The rows themselves, read from the database: nothing can be hidden by the server.
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", database.uri)
        patch.chdir(tmp_path)  # MLflow makes an empty folder for artefacts where it is
        client = open_client(Project(tmp_path))
    plans, wrong, shown = 0, [], 0
    for number in range(WRITERS):
        ledger = Ledger(tmp_path / str(number) / "runs")
        for saved in ledger.saved_plans():
            plans += 1
            wrong += differences(client, ledger, saved)
    for experiment in client.search_experiments(filter_string="name LIKE 'writers-%'"):
        page = client.search_runs([experiment.experiment_id], max_results=10_000)
        assert page.token is None
        assert {run.info.status for run in page} == {"FINISHED"}
        shown += len(page)
    assert wrong == []
    assert plans >= WRITERS
    assert shown == plans * (1 + 4)


def test_a_report_can_be_fetched_from_the_server(project: Project, plan: Plan, tmp_path: Path) -> None:
    _, tracker = sweep(project, plan)
    assert tracker.complete
    client = open_client(project)

    def attach(projection: Projection) -> str:
        projection.attach("report.html", "<h1>Does it matter? – ja</h1>")
        return "done"

    sync_plan(project, Ledger(project.ledger), plan, attach)

    experiment = client.get_experiment_by_name(plan.study)
    assert experiment is not None
    assert experiment.artifact_location.startswith("mlflow-artifacts:")
    (parent,) = client.search_runs([experiment.experiment_id], "tags.`bnnlab.kind` = 'sweep'")
    assert {file.path for file in client.list_artifacts(parent.info.run_id)} == {
        "spec.yaml",
        "plan.json",
        "report.html",
    }
    fetched = client.download_artifacts(parent.info.run_id, "report.html", str(tmp_path))
    assert Path(fetched).read_text(encoding="utf-8") == "<h1>Does it matter? – ja</h1>"


def test_a_server_that_was_away_from_the_start(project: Project, plan: Plan, server: MlflowServer) -> None:
    server.kill()
    try:
        outcome, tracker = sweep(project, plan, live=True)
    finally:
        server.start()
    assert len(outcome.trained) == 4
    assert tracker.problem == "connection refused: no server listens there"
    assert synced(project, plan) == []


def test_a_server_whose_database_stops_in_the_middle(project: Project, plan: Plan, database: Postgres) -> None:
    def stop_database(directory: RunDirectory) -> Exit:
        _until_shown(project, 1)
        database.stop()
        return finish(directory)

    try:
        outcome, tracker = sweep(project, plan, {plan.runs[2].run_key: [stop_database]}, live=True)
    finally:
        database.start()
    assert len(outcome.trained) == 4
    assert tracker.problem == "the server answers with error 503; is its database up?"
    assert synced(project, plan) == []


def test_a_server_that_is_killed_and_comes_back_while_the_sweep_runs(
    project: Project, plan: Plan, server: MlflowServer
) -> None:
    def kill(directory: RunDirectory) -> Exit:
        _until_shown(project, 1)
        server.kill()
        return finish(directory)

    def restart(directory: RunDirectory) -> Exit:
        server.start()
        _until_shown(project, 3)  # the tracker took it up by itself
        return finish(directory)

    scripts = {plan.runs[1].run_key: [kill], plan.runs[3].run_key: [restart]}
    outcome, tracker = sweep(project, plan, scripts, live=True, slots=1)
    assert len(outcome.trained) == 4
    assert (tracker.problem, tracker.complete) == (None, True)
    assert left_behind(project, plan) == []


def test_a_server_killed_in_the_middle_of_a_sweep_costs_nothing_but_a_sync(
    tmp_path: Path, server: MlflowServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command itself, with real training."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
    project = new_project(tmp_path, "killed-server", epochs=30)

    def bnnlab(*words: str) -> subprocess.Popen[str]:
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
        environment["BNNLAB_PROJECT"] = str(project.root)
        command = [sys.executable, "-m", "bnnlab", *words]
        return subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True)

    try:
        with bnnlab("sweep", "study.yaml", "--workers", "1") as process:
            _until(lambda: len(list(project.ledger.glob("*/metrics.jsonl"))) == 2 or process.poll() is not None)
            server.kill()
            _, said = process.communicate(timeout=300)
    finally:
        server.start()
    # All was trained, which is what a sweep is for: MLflow's absence is told, and no failure.
    assert process.returncode == 0, said
    assert "4 trained" in said
    assert f"MLflow at {server.uri} could not be written (connection refused: no server listens there)." in said
    assert "`bnnlab sync` brings it over" in said
    plan = saved_plan(project)
    assert left_behind(project, plan) != []

    for words, code, last in (
        (("--check",), 1, "`bnnlab sync` brings over what MLflow lacks."),
        ((), 0, "4 runs are in MLflow as in the ledger"),
        (("--check",), 0, "no differences"),
    ):
        with bnnlab("sync", "study.yaml", *words) as process:
            _, said = process.communicate(timeout=300)
        assert (process.returncode, said.splitlines()[-1].endswith(last)) == (code, True), said

    assert left_behind(project, plan) == []
    client = open_client(project)
    experiment = client.get_experiment_by_name(plan.study)
    assert experiment is not None
    (parent,) = client.search_runs([experiment.experiment_id], "tags.`bnnlab.kind` = 'sweep'")
    page = client.download_artifacts(parent.info.run_id, "report.html", str(tmp_path))
    assert "Does it matter?" in Path(page).read_text(encoding="utf-8")


def _until_shown(project: Project, count: int) -> None:
    """Wait until MLflow has so many runs of the study that are finished."""
    client = open_client(project)

    def shown() -> bool:
        experiment = client.get_experiment_by_name(saved_plan(project).study)
        if experiment is None:
            return False
        finished = "tags.`bnnlab.kind` = 'run' AND attributes.status = 'FINISHED'"
        return len(client.search_runs([experiment.experiment_id], finished)) >= count

    _until(shown)


def _until(condition: Callable[[], bool], patience_s: float = 120) -> None:
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
