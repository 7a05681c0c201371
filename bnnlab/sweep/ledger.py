"""The ledger: one directory a run, and the plans that asked for them. It is the truth; MLflow is its projection."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from bnnlab.experiment.config import RunConfig
from bnnlab.experiment.directory import RunDirectory
from bnnlab.experiment.files import read_json, replace_file, write_json
from bnnlab.experiment.record import RunRecord, RunState
from bnnlab.paper.observation import Observation
from bnnlab.paper.wiki import ReferenceRun
from bnnlab.sweep.plan import Plan, PlannedRun, starting_runs
from bnnlab.sweep.samples import Sample, samples_of
from bnnlab.sweep.standing import Standing, Standings
from bnnlab.sweep.workload import workload_of

PLANS = ".plans"
REPLACED = ".replaced"
REFERENCES = ".references"
PILOTS = ".pilots.json"
PROJECTED = "projected.json"
LINKS = "links.json"


@dataclass(frozen=True)
class SavedPlan:
    """A plan as the ledger remembers it: enough to project it into MLflow again without its spec."""

    plan_id: str
    study: str
    question: str
    profile: str
    axes: dict[str, tuple[str, ...]]
    runs: tuple[PlannedRun, ...]
    starts: tuple[PlannedRun, ...]
    settings: tuple[str, ...]
    spec_text: str
    spec_path: str
    first_swept: float
    """Seconds since 1970 when this plan was swept for the first time; its claims were fixed then."""

    @property
    def all_runs(self) -> tuple[PlannedRun, ...]:
        """Everything that was to be trained, what others start from first."""
        return self.starts + self.runs


class Ledger:
    """Every run that this project has trained or begun."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._standings = Standings(root)

    def directory(self, run_key: str) -> RunDirectory:
        return RunDirectory(self.root / run_key)

    def state(self, run_key: str) -> RunState:
        return self.directory(run_key).state()

    def standings(self, run_keys: Iterable[str]) -> dict[str, Standing]:
        """Where many runs stand, by key: the way to look at thousands of them."""
        return self._standings.of(run_keys)

    def samples(self) -> dict[str, list[Sample]]:
        """What each kind of work took: in finished runs, or else in pilots."""
        try:
            pilots = TypeAdapter(dict[str, Sample]).validate_python(read_json(self.root / PILOTS) or {})
        except ValidationError:
            pilots = {}
        piloted = {workload: [sample] for workload, sample in pilots.items()}
        return piloted | samples_of(self.standings(self.run_keys()).values())

    def save_pilot(self, config: RunConfig, sample: Sample) -> None:
        """Remember what a pilot of a run took."""
        self.root.mkdir(parents=True, exist_ok=True)
        known = read_json(self.root / PILOTS)
        known = known if isinstance(known, dict) else {}
        write_json(self.root / PILOTS, known | {workload_of(config.as_json()): asdict(sample)})

    def record(self, run: PlannedRun) -> RunRecord:
        return self.directory(run.run_key).record(run.config)

    def run_keys(self) -> list[str]:
        """The keys of all runs that have a directory."""
        if not self.root.is_dir():
            return []
        return sorted(path.name for path in self.root.iterdir() if path.is_dir() and not path.name.startswith("."))

    def observations(self, runs: Sequence[PlannedRun], *, curves: bool = True) -> tuple[Observation, ...]:
        """What is recorded of each planned run, once for each of its places in the study.

        Without `curves` the records have no epochs, and thousands of them are read in a moment.
        """
        standings = self.standings(run.run_key for run in runs)
        records = ((run, self._record(run, standings[run.run_key], curves)) for run in runs)
        return tuple(Observation(axes, run.seed, record) for run, record in records for axes in (run.axes, *run.also))

    def _record(self, run: PlannedRun, standing: Standing, curves: bool) -> RunRecord:
        if curves and standing.epochs:
            return self.record(run)
        provenance = standing.provenance
        return RunRecord(
            run_key=run.run_key,
            config=run.config,
            state=standing.state,
            metrics=standing.metrics,
            cause=standing.cause,
            provenance=None if provenance is None else {name: str(value) for name, value in provenance.items()},
        )

    def put_aside(self, run_key: str) -> Path | None:
        """Make room to train a run again; what was there is kept under `runs/.replaced/`.

        None where there is nothing, or where a process is training the run.
        """
        source = self.root / run_key
        if not source.exists() or self.directory(run_key).is_locked():
            return None
        shelf = self.root / REPLACED
        shelf.mkdir(parents=True, exist_ok=True)
        target = shelf / f"{run_key}-{time.time_ns()}"
        source.rename(target)
        return target

    def save_references(self, runs: Sequence[ReferenceRun]) -> None:
        """Remember runs that others trained and logged; they are shown beside ours and never taken for ours."""
        folder = self.root / REFERENCES
        folder.mkdir(parents=True, exist_ok=True)
        for run in runs:
            record = run.record
            config = record.config.model_dump(mode="json") if record else None
            fields = {
                "id": run.id,
                "name": run.name,
                "source": run.folder,
                "options": dict(run.options),
                "config": config,
                "epochs": [{"epoch": e.epoch, "seconds": e.seconds, "metrics": dict(e.metrics)} for e in run.epochs],
                "metrics": dict(run.metrics),
                "notes": list(run.notes),
            }
            write_json(folder / f"{run.id}.json", fields)

    # -- plans -----------------------------------------------------------------------------------

    def plan_folder(self, plan_id: str) -> Path:
        return self.root / PLANS / plan_id

    def save_plan(self, plan: Plan) -> None:
        """Remember a plan; the first time it is swept is remembered with it."""
        folder = self.plan_folder(plan.plan_id)
        if (folder / "plan.json").exists():
            return
        folder.mkdir(parents=True, exist_ok=True)
        replace_file(folder / "spec.yaml", plan.spec_text.encode())
        write_json(folder / "plan.json", plan_manifest(plan) | {"first_swept": time.time()})

    def is_projected(self, plan_id: str, uri: str) -> bool:
        """Whether all of a plan is known to be in the MLflow store at `uri`, with nothing changed since."""
        found = read_json(self.plan_folder(plan_id) / PROJECTED)
        path = uri.removeprefix("sqlite:///")
        return bool(found == {"uri": uri}) and (path == uri or Path(path).exists())

    def set_projected(self, plan_id: str, uri: str) -> None:
        write_json(self.plan_folder(plan_id) / PROJECTED, {"uri": uri})

    def clear_projected(self, plan_id: str) -> None:
        """Something of a plan is about to change: MLflow no longer has all of it."""
        (self.plan_folder(plan_id) / PROJECTED).unlink(missing_ok=True)

    def links(self, plan_id: str) -> dict[str, str]:
        """Where each run of a plan is to be seen in MLflow, by run key."""
        try:
            found = json.loads((self.plan_folder(plan_id) / LINKS).read_bytes())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def set_links(self, plan_id: str, links: Mapping[str, str]) -> None:
        write_json(self.plan_folder(plan_id) / LINKS, dict(sorted(links.items())))

    def saved_plans(self, study: str | None = None) -> Iterator[SavedPlan]:
        """The plans that were swept, oldest first; those of one study if it is named."""
        found = []
        for path in (self.root / PLANS).glob("*/plan.json"):
            saved = _read_plan(path)
            if saved is not None and study in (None, saved.study):
                found.append(saved)
        return iter(sorted(found, key=lambda saved: (saved.first_swept, saved.plan_id)))


def plan_manifest(plan: Plan | SavedPlan) -> dict[str, Any]:
    """A plan as plain data."""
    return {
        "plan": plan.plan_id,
        "study": plan.study,
        "question": plan.question,
        "profile": plan.profile,
        "axes": {name: list(levels) for name, levels in plan.axes.items()},
        "settings": list(plan.settings),
        "spec": plan.spec_path,
        "runs": [
            {
                "run_key": run.run_key,
                "cell": run.cell,
                "seed": run.seed,
                "axes": dict(run.axes),
                "also": [dict(axes) for axes in run.also],
                "tags": dict(run.tags),
                "config": run.config.model_dump(mode="json"),
            }
            for run in plan.runs
        ],
    }


def _read_plan(path: Path) -> SavedPlan | None:
    """A saved plan; None where it cannot be read, or where its runs have other keys under today's numerics."""
    try:
        found = json.loads(path.read_bytes())
        runs = tuple(
            PlannedRun(RunConfig.model_validate(r["config"]), r["axes"], tuple(r["also"]), r["tags"])
            for r in found["runs"]
        )
        if [run.run_key for run in runs] != [r["run_key"] for r in found["runs"]]:
            return None
        return SavedPlan(
            plan_id=found["plan"],
            study=found["study"],
            question=found["question"],
            profile=found["profile"],
            axes={name: tuple(levels) for name, levels in found["axes"].items()},
            runs=runs,
            starts=starting_runs(runs),
            settings=tuple(found["settings"]),
            spec_text=(path.parent / "spec.yaml").read_text(encoding="utf-8"),
            spec_path=found["spec"],
            first_swept=found["first_swept"],
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
