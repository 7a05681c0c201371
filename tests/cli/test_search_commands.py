"""The commands on a search: `plan` and `status` start nothing, `sweep` trains, answers and goes on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
SPEC = """\
name: tiny
question: How wide?
base:
  model: {name: resnet_e18, width: 16}
  data: {name: synthetic, train: 64, validation: 32, test: 32}
  training: {epochs: 2, batch_size: 32, optimizer: {name: adam}, schedule: {name: cosine}}
search:
  space:
    model.width: {int: [16, 64], step: 16}
  objectives: {val/top1: maximize, model/size_mib: minimize}
  constraints: {model/size_mib: {at_most: 1.5}}
  budget: {trials: TRIALS}
  enqueue: {small: {width: 16}}
"""


def bnnlab(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "BNNLAB_PROJECT": str(folder), "COLUMNS": "160"}
    command = [sys.executable, "-m", "bnnlab", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_a_plan_shows_the_search_and_imports_no_torch(tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text(SPEC.replace("TRIALS", "2"))
    shown = bnnlab(tmp_path, "plan", "spec.yaml")
    assert shown.returncode == 0
    assert "16 to 64 in steps of 16" in shown.stdout
    assert "space: 4 points; each trial trains seeds 0" in shown.stdout
    assert "objectives: maximize val/top1, minimize model/size_mib;  constraints: model/size_mib ≤ 1.5" in shown.stdout
    assert "budget: 2 completed trials;  first trials: small" in shown.stdout
    assert bnnlab(tmp_path, "sweep", "spec.yaml", "--dry-run").stdout == shown.stdout
    found = json.loads(bnnlab(tmp_path, "plan", "spec.yaml", "--json").stdout)
    assert (found["study"], found["profile"], found["runs"]) == ("tiny", "default", [])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["spec.yaml"]
    code = "import sys; sys.argv = ['bnnlab', 'plan', 'spec.yaml']\nfrom bnnlab.cli import app\n"
    code += "app(standalone_mode=False)\nassert 'torch' not in sys.modules, 'torch'"
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "BNNLAB_PROJECT": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""


@pytest.mark.slow
def test_a_search_trains_answers_and_goes_on_with_a_larger_budget(tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text(SPEC.replace("TRIALS", "2"))
    done = bnnlab(tmp_path, "sweep", "spec.yaml", "--workers", "2")
    assert done.returncode == 0, done.stderr
    assert "2 runs trained, 0 found in the ledger" in done.stderr
    assert "the search is over: 2 of 2 trials are completed" in done.stderr
    assert "How wide?" in done.stdout
    (tmp_path / "spec.yaml").write_text(SPEC.replace("TRIALS", "9"))
    done = bnnlab(tmp_path, "sweep", "spec.yaml", "--workers", "2")
    assert done.returncode == 0, done.stderr
    assert "every point is tried, none is sampled" in done.stderr
    assert "the search is over: every point of the space has been tried, with 3 trials completed" in done.stderr
    found = json.loads(bnnlab(tmp_path, "status", "spec.yaml", "--json").stdout)
    assert found["counts"] == {"finished": 3}
    assert found["search"]["counts"] == {"completed": 3, "refused": 1}
    assert sorted(run["axes"]["width"] for run in found["runs"]) == ["16", "32", "48"]
    files = sorted(path.name for path in (tmp_path / "reports/tiny-default/best").iterdir())
    assert "trial_000.yaml" in files or "front.yaml" in files
    assert bnnlab(tmp_path, "plan", f"reports/tiny-default/best/{files[0]}").returncode == 0
    assert "3 runs are in MLflow as in the ledger" in bnnlab(tmp_path, "sync", "spec.yaml").stderr
    page = tmp_path / "reports/tiny-default/report.html"
    swept = page.read_bytes()
    page.unlink()
    report = bnnlab(tmp_path, "report", "spec.yaml", "--json")
    assert report.returncode == 0, report.stderr
    assert page.read_bytes() == swept
    found = json.loads(report.stdout)
    assert sorted(cell["axes"]["width"] for cell in found["cells"]) == ["16", "32", "48"]
    assert found["search"]["counts"] == {"completed": 3, "refused": 1}
    artifacts = {path.name for path in (tmp_path / "mlartifacts").rglob("*") if path.is_file()}
    assert {"report.html", "report.md", files[0]} <= artifacts
    shown = bnnlab(tmp_path, "report", "spec.yaml", "--check")
    assert shown.returncode == 0
    assert "3 of 9 completed, 1 refused" in shown.stdout
