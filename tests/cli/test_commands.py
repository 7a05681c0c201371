"""The command line as a user and a script meet it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

STUDIES = Path(__file__).parents[2] / "studies"
COMMANDS = ("sweep", "plan", "status", "sync", "models", "schema", "ui", "doctor", "data", "paper", "report")
SMALL = """\
name: small
question: Does it run?
base:
  model: {name: resnet_e18, width: 16}
  data: {name: synthetic, train: 32, validation: 8, test: 16}
  training: {epochs: 2, batch_size: 16, optimizer: {name: adam}, schedule: {name: cosine}}
axes:
  model.binarization.scaling: [none, xnor]
seeds: [0, 1]
"""


def bnnlab(*arguments: object, at: Path, code: int = 0, **environment: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "bnnlab", *map(str, arguments)],
        cwd=at,
        env={**os.environ, "BNNLAB_PROJECT": str(at), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done


@pytest.mark.parametrize("command", COMMANDS)
def test_help_ends_with_a_line_to_paste(command: str, tmp_path: Path) -> None:
    shown = bnnlab(command, "--help", at=tmp_path, COLUMNS="200").stdout
    assert f"Example: bnnlab {command}" in shown.strip().splitlines()[-1]


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["sweep", "--help"], ["plan", STUDIES / "scaling_ablation.yaml"], ["plan", "missing.yaml"]],
    ids=["help", "sweep help", "plan", "spec error"],
)
def test_what_needs_no_network_imports_none(arguments: list[object], tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from bnnlab.cli import main\n"
        f"sys.argv = ['bnnlab', *{[str(a) for a in arguments]}]\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'pytorch_lightning', 'mlflow', 'optuna', 'scipy', 'sklearn', 'altair'} & sys.modules.keys()\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_plan_as_json_keeps_its_contract(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(SMALL)
    plan = json.loads(bnnlab("plan", "small.yaml", "--json", at=tmp_path).stdout)
    assert {"study", "profile", "plan", "runs"} <= plan.keys()
    assert len(plan["runs"]) == 4
    for run in plan["runs"]:
        assert {"run_key", "cell", "seed", "axes", "state", "config"} <= run.keys()
        assert run["state"] == "pending"
    assert not (tmp_path / "runs").exists()


def test_models_as_json_keeps_its_contract(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = json.loads(bnnlab("models", "resnet_e18", "--json", at=tmp_path).stdout)
    assert len(rows) == 1
    row = rows[0]
    assert row["params"] == 11_689_646
    assert round(row["size_mib"], 2) == 4.00
    contract = "name family params params_binary params_fp size_mib float_size_mib macs_binary macs_fp ops_combined"
    assert {*contract.split(), "published"} <= row.keys()
    assert all({"dataset", "top1", "top5", "source", "status"} <= figure.keys() for figure in row["published"])


def test_an_unknown_model_names_the_nearest(tmp_path: Path) -> None:
    told = bnnlab("models", "resnet_e81", at=tmp_path, code=2).stderr
    assert "unknown model 'resnet_e81'" in told
    assert "Did you mean 'resnet_e18'?" in told


def test_the_schema_accepts_every_shipped_study(tmp_path: Path) -> None:
    from jsonschema import Draft202012Validator
    from ruamel.yaml import YAML

    schema = json.loads(bnnlab("schema", at=tmp_path).stdout)
    Draft202012Validator.check_schema(schema)
    for study in STUDIES.glob("*.yaml"):
        errors = list(Draft202012Validator(schema).iter_errors(YAML(typ="safe").load(study)))
        assert not errors, (study.name, errors[0].message)


def test_the_schema_refuses_an_unknown_field(tmp_path: Path) -> None:
    from jsonschema import Draft202012Validator

    schema = json.loads(bnnlab("schema", at=tmp_path).stdout)
    spec = {"base": {"training": {"epoch": 3}}}
    assert list(Draft202012Validator(schema).iter_errors(spec))
    assert not list(Draft202012Validator(schema).iter_errors({"base": {"training": {"epochs": 3}}}))


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which the small study has been swept."""
    project = tmp_path_factory.mktemp("project")
    (project / "small.yaml").write_text(SMALL)
    done = bnnlab("sweep", "small.yaml", at=project)
    assert "4 trained, 0 finished before" in done.stderr
    return project


def test_a_sweep_answers_with_cells_and_effects(swept: Path) -> None:
    done = bnnlab("sweep", "small.yaml", at=swept, COLUMNS="200")
    assert "nothing to train: every run of this plan is finished" in done.stderr
    assert "Does it run?" in done.stdout
    assert "xnor" in done.stdout
    assert "95 % interval" in done.stdout


def test_status_after_a_sweep_keeps_its_contract(swept: Path) -> None:
    status = json.loads(bnnlab("status", "small.yaml", "--json", at=swept).stdout)
    assert status["counts"] == {"finished": 4}
    for run in status["runs"]:
        assert {"run_key", "axes", "seed", "state", "epoch", "metrics", "cause"} <= run.keys()
        assert run["epoch"] == 2
        assert 0 <= run["metrics"]["test/top1"] <= 1


def test_mlflow_shows_one_parent_and_a_child_a_run(swept: Path) -> None:
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{swept / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("small")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    parents = [run for run in runs if run.data.tags["bnnlab.kind"] == "sweep"]
    children = [run for run in runs if run.data.tags["bnnlab.kind"] == "run"]
    assert len(parents) == 1
    assert len(children) == 4
    assert {run.info.status for run in runs} == {"FINISHED"}
    artifacts = {file.path for file in client.list_artifacts(parents[0].info.run_id)}
    assert {"spec.yaml", "plan.json"} <= artifacts
    plan = json.loads(bnnlab("plan", "small.yaml", "--json", at=swept).stdout)
    planned = {run["run_key"]: run for run in plan["runs"]}
    assert parents[0].data.tags["bnnlab.plan"] == plan["plan"]
    for child in children:
        tags, run = child.data.tags, planned[child.data.tags["bnnlab.run_key"]]
        assert tags["mlflow.parentRunId"] == parents[0].info.run_id
        assert (tags["bnnlab.cell"], tags["bnnlab.seed"]) == (run["cell"], str(run["seed"]))
        assert tags["bnnlab.axis.scaling"] == run["axes"]["scaling"]
        assert "bnnlab.reused_from" not in tags
        assert child.data.params["training.optimizer.lr"] == "0.01"
        wanted = "train/loss train/top1 val/loss val/top1 lr flip_ratio test/top1 test/top5 test/top1_best"
        wanted += " model/size_mib model/params_binary model/params_fp model/macs_binary model/macs_fp"
        assert set(wanted.split()) <= child.data.metrics.keys()
        history = client.get_metric_history(child.info.run_id, "val/top1")
        assert [point.step for point in history] == [1, 2]


def test_another_study_reuses_what_is_trained_and_says_from_where(swept: Path) -> None:
    (swept / "other.yaml").write_text(SMALL.replace("name: small\n", "name: other\n", 1))
    done = bnnlab("sweep", "other.yaml", at=swept)
    assert "0 trained, 4 finished before" in done.stderr
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{swept / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("other")
    assert experiment is not None
    children = client.search_runs([experiment.experiment_id], "tags.`bnnlab.kind` = 'run'")
    assert [run.data.tags["bnnlab.reused_from"] for run in children] == ["small"] * 4


def test_a_store_that_is_gone_is_made_again_from_the_ledger(swept: Path) -> None:
    store = f"sqlite:///{swept / 'elsewhere.db'}"
    told = bnnlab("sync", "small.yaml", at=swept, MLFLOW_TRACKING_URI=store).stderr
    assert "4 runs are in MLflow as in the ledger" in told


def test_a_run_that_diverges_fails_alone_and_is_not_tried_again_unasked(tmp_path: Path) -> None:
    text = SMALL.replace("  model.binarization.scaling: [none, xnor]\n", "  training.optimizer.lr: [0.01, 1.0e+30]\n")
    (tmp_path / "nan.yaml").write_text(text)
    done = bnnlab("sweep", "nan.yaml", "--seeds", 1, at=tmp_path, code=1)
    assert "1 trained, 0 finished before, 1 failed" in done.stderr
    status = json.loads(bnnlab("status", "nan.yaml", "--seeds", 1, "--json", at=tmp_path).stdout)
    assert status["counts"] == {"finished": 1, "failed": 1}
    (failed,) = [run for run in status["runs"] if run["state"] == "failed"]
    assert "loss is nan" in failed["cause"]
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("small")
    assert experiment is not None
    (run,) = client.search_runs(
        [experiment.experiment_id], "attributes.status = 'FAILED' and tags.`bnnlab.kind` = 'run'"
    )
    assert failed["cause"] in run.data.tags["mlflow.note.content"]
    assert "1 failed" in bnnlab("sweep", "nan.yaml", "--seeds", 1, at=tmp_path, code=1).stderr
    attempts = (tmp_path / "runs" / failed["run_key"] / "attempts.jsonl").read_text().count("\n")
    assert attempts == 1
    bnnlab("sweep", "nan.yaml", "--seeds", 1, "--retry-failed", at=tmp_path, code=1)
    assert (tmp_path / "runs" / failed["run_key"] / "attempts.jsonl").read_text().count("\n") == 2


def test_a_tracking_server_that_is_down_costs_nothing_but_a_sync(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(SMALL)
    down = "http://127.0.0.1:9"
    done = bnnlab("sweep", "small.yaml", "--seeds", 1, at=tmp_path, MLFLOW_TRACKING_URI=down)
    assert "2 trained" in done.stderr
    assert "Nothing is lost, the ledger is complete: `bnnlab sync` brings it over." in done.stderr
    assert "cannot be written" in bnnlab("sync", at=tmp_path, code=1, MLFLOW_TRACKING_URI=down).stderr
    assert "2 runs are in MLflow as in the ledger" in bnnlab("sync", at=tmp_path).stderr
