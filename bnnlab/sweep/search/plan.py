"""A search as the ledger remembers it: a plan that grows, so that MLflow and `bnnlab sync` treat it like any other."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence

from bnnlab.experiment.files import replace_file, write_json
from bnnlab.sweep.ledger import Ledger, SavedPlan, plan_manifest
from bnnlab.sweep.plan import PlannedRun, starting_runs
from bnnlab.sweep.search.spec import Search


def search_plan(search: Search, ledger: Ledger, runs: Sequence[PlannedRun]) -> SavedPlan:
    """The plan of the runs of all trials so far."""
    return SavedPlan(
        plan_id=search.search_id,
        study=search.study,
        question=search.question,
        profile=search.profile,
        axes={},
        runs=tuple(runs),
        starts=starting_runs(runs),
        settings=search.settings,
        spec_text=search.spec_text,
        spec_path=search.spec_path,
        first_swept=_first_swept(search, ledger),
    )


def save_search_plan(plan: SavedPlan, ledger: Ledger) -> None:
    folder = ledger.plan_folder(plan.plan_id)
    folder.mkdir(parents=True, exist_ok=True)
    replace_file(folder / "spec.yaml", plan.spec_text.encode())
    write_json(folder / "plan.json", plan_manifest(plan) | {"first_swept": plan.first_swept})


def _first_swept(search: Search, ledger: Ledger) -> float:
    try:
        found = json.loads((ledger.plan_folder(search.search_id) / "plan.json").read_bytes())
        return float(found["first_swept"])
    except (OSError, ValueError, KeyError, TypeError):
        return time.time()
