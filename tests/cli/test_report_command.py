"""`bnnlab report` and `bnnlab paper` on what is recorded; nothing is trained here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bnnlab.cli import app
from bnnlab.cli.reporting import edited_claims, find_dashboard
from bnnlab.sweep.ledger import Ledger
from bnnlab.sweep.mistakes import SpecError
from bnnlab.sweep.plan import read_plan

SPEC = """\
name: small
question: Does width help?
base:
  model: {name: resnet_e18}
  data: {name: digits}
  training: {epochs: 2, batch_size: 64, optimizer: {name: adam}, schedule: {name: cosine}}
axes:
  model.width: [16, 32]
seeds: [0, 1]
claims:
  - {id: wide, text: Wider is better., axis: width, treatment: 32, control: 16, expect: {direction: increase}}
  - {id: near, text: By a point., axis: width, treatment: 32, control: 16, expect: {at_least: 1}}
"""


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BNNLAB_PROJECT", str(tmp_path))
    path = tmp_path / "small.yaml"
    path.write_text(SPEC)
    return path


def test_missing_runs_never_uphold_a_claim(spec: Path) -> None:
    done = CliRunner().invoke(app, ["report", "small.yaml", "--check"])
    assert done.exit_code == 3
    assert "incomplete" in done.output


def test_report_as_json_keeps_its_contract(spec: Path) -> None:
    done = CliRunner().invoke(app, ["report", "small.yaml", "--json"])
    assert done.exit_code == 0
    found = json.loads(done.stdout)
    assert {"study", "profile", "cells", "claims"} <= found.keys()
    assert [cell["n"] for cell in found["cells"]] == [0, 0]
    for claim in found["claims"]:
        assert {"id", "verdict", "difference", "interval", "p", "n", "published"} <= claim.keys()
        assert claim["verdict"] == "incomplete"


def test_the_page_and_the_tables_are_written(spec: Path) -> None:
    assert CliRunner().invoke(app, ["report", "small.yaml"]).exit_code == 0
    folder = spec.parent / "reports" / "small-default"
    assert "Does width help?" in (folder / "report.html").read_text()
    assert (folder / "report.md").exists()
    assert list((folder / "tables").glob("*.csv"))
    assert list((folder / "tables").glob("*.tex"))


def test_a_claim_that_changes_after_the_first_sweep_is_shown_as_edited(spec: Path) -> None:
    plan = read_plan(spec)
    ledger = Ledger(spec.parent / "runs")
    assert edited_claims(plan, ledger) == frozenset()
    ledger.save_plan(plan)
    assert edited_claims(plan, ledger) == frozenset()
    spec.write_text(SPEC.replace("at_least: 1", "at_least: 0.1"))
    changed = read_plan(spec)
    assert changed.plan_id == plan.plan_id
    assert edited_claims(changed, ledger) == {"near"}


def test_an_unknown_dashboard_names_the_nearest(spec: Path) -> None:
    spec.write_text(f"dashboard: ablaton\n{SPEC}")
    with pytest.raises(SpecError) as error:
        find_dashboard(read_plan(spec))
    assert "unknown dashboard 'ablaton'" in str(error.value)
    assert "Did you mean 'ablation'?" in str(error.value)


def test_published_tables_carry_status_and_source(spec: Path) -> None:
    found = json.loads(CliRunner().invoke(app, ["paper", "--table", "cifar10_ablation", "--json"]).stdout)
    (table,) = found
    assert len(table["rows"]) == 8
    for row in table["rows"]:
        assert row["status"] == "confirmed"
        assert row["source"]
        assert 0 < row["top1"] < 1


def test_the_authors_runs_are_imported_once(spec: Path) -> None:
    log = "model,dataset,lr,optimizer,epoch,time,exp_folder_name,val_acc,val_acc_top_k_5,train_acc,train_acc_top_k_5\n"
    log += "".join(f"resnet18_e2,cifar10,0.01,adam,{epoch}, 60.5,x,0.8{epoch},0.99,0.9,0.99\n" for epoch in (1, 2))
    folder = spec.parent / "wiki" / "experiment" / "mnes" / "0123456789abcdef0123456789abcdef"
    folder.mkdir(parents=True)
    (folder / "post_process.csv").write_text(log)
    (folder.parent / "broken").mkdir()
    first = CliRunner().invoke(app, ["paper", "import", "wiki", "--into", "small"])
    assert first.exit_code == 0, first.output
    assert "1 runs of the authors are in the ledger; 1 are new in MLflow experiment 'small'" in first.output
    assert "skipped experiment/mnes/broken" in first.output
    again = CliRunner().invoke(app, ["paper", "import", "wiki", "--into", "small"])
    assert "0 are new" in again.output
    assert CliRunner().invoke(app, ["paper", "import", "nowhere"]).exit_code == 2
