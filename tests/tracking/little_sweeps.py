"""Sweeps that train nothing and are projected into MLflow: what the tests of the tracker share."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "sweep"))

from little import Act, FakeExecutor, quick

from bnnlab.experiment.execution import Execution
from bnnlab.sweep.engine import Engine, Outcome
from bnnlab.sweep.ledger import Ledger
from bnnlab.sweep.plan import Plan, read_plan
from bnnlab.sweep.project import Project
from bnnlab.tracking.comparison import differences
from bnnlab.tracking.store import open_client
from bnnlab.tracking.tracker import Tracker

SPEC = """\
name: {name}
question: Does it matter?
base:
  model: {{name: binary_densenet_flex, blocks: [1, 1, 1, 1], reduction: [1, 1, 1], growth_rate: 8, init_features: 16}}
  data: {{name: synthetic, train: 64, validation: 16, test: 16}}
  training: {{epochs: {epochs}, batch_size: 16, optimizer: {{name: adam}}, schedule: {{name: cosine}}}}
axes:
  model.binarization.scaling: [none, xnor]
seeds: [0, 1]
"""


def new_project(root: Path, name: str = "little", *, epochs: int = 3) -> Project:
    """A folder with one study of four runs."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "study.yaml").write_text(SPEC.format(name=name, epochs=epochs))
    return Project(root)


def saved_plan(project: Project, *settings: str) -> Plan:
    """The plan of the project's study, as `bnnlab sweep` saves it."""
    plan = read_plan(project.root / "study.yaml", settings=settings)
    Ledger(project.ledger).save_plan(plan)
    return plan


def sweep(
    project: Project,
    plan: Plan,
    scripts: dict[str, list[Act]] | None = None,
    *,
    killed: bool = False,
    live: bool = False,
    slots: int = 2,
    **policy: Any,
) -> tuple[Outcome, Tracker]:
    """Sweep; `killed`: the coordinator ends before it could close anything in MLflow; `live`: MLflow is kept up to
    date meanwhile, and not only brought there at the end."""
    ledger = Ledger(project.ledger)
    tracker = Tracker(project, ledger, plan)
    if live:
        tracker.start()
    outcome = Engine(ledger, FakeExecutor(scripts, slots), Execution(), [tracker], quick(**policy)).run(plan.all_runs)
    if killed:
        tracker._bring_over()
        assert tracker._claim is not None
        tracker._claim.close()
    else:
        tracker.close(lambda projection: "done")
    return outcome, tracker


def left_behind(project: Project, plan: Plan) -> list[str]:
    """What MLflow has otherwise than the ledger."""
    return differences(open_client(project), Ledger(project.ledger), plan)
