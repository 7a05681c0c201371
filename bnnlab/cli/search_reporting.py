"""What is recorded of a search, as its report and MLflow show it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from bnnlab.cli.reporting import make_report, origins, provenance
from bnnlab.cli.search_tables import call_of, counts_of
from bnnlab.experiment.config import RunConfig
from bnnlab.paper.metrics import describe_metric
from bnnlab.report.study import StudyResults
from bnnlab.sweep.ledger import Ledger, SavedPlan
from bnnlab.sweep.mistakes import SpecError
from bnnlab.sweep.plan import PlannedRun
from bnnlab.sweep.reading import read_spec
from bnnlab.sweep.search.best import best_studies, study_file
from bnnlab.sweep.search.plan import search_plan
from bnnlab.sweep.search.results import SearchResults, search_results
from bnnlab.sweep.search.spec import Search
from bnnlab.tracking.projection import Projection

TRIAL = "trial"


def search_as_study(search: Search, ledger: Ledger) -> StudyResults:
    """The trials with their runs; a run's place in the grid is its trial, and beside it the trial's values."""
    results = search_results(search, ledger)
    observations = ledger.observations(tuple(_runs(search, results)))
    folder = f"reports/{search.study}-{search.profile}/best"
    return StudyResults(
        name=search.study,
        question=search.question,
        profile=search.profile,
        plan=search.search_id,
        axes={TRIAL: tuple(dict.fromkeys(observation.axes[TRIAL] for observation in observations))},
        observations=observations,
        compare_with=search.compare_with,
        spec_text=search.spec_text,
        links=ledger.links(search.search_id),
        reused=origins(search.study, observations),
        search=results,
        commands={trial.number: f"bnnlab sweep {folder}/{study_file(trial)}" for trial in results.best},
        provenance=provenance(search.spec_path, search.settings, observations)
        | {
            "sampler": call_of(search.sampler.model_dump()),
            "pruner": call_of(search.pruner.model_dump()),
            "journal": results.journal,
        },
    )


def _runs(search: Search, results: SearchResults) -> Iterator[PlannedRun]:
    """The runs of each trial that trained; of a trial that was tried again, once."""
    for trial in {trial.cell: trial for trial in results.trials if trial.cell is not None}.values():
        labels = {TRIAL: str(trial.number), **search.space.labels(trial.point)}
        for seed in search.seeds:
            config = search.config(trial.point, seed)
            assert isinstance(config, RunConfig)  # it was trained
            yield PlannedRun(config, labels)


def describe_search(search: Search, projection: Projection) -> str:
    """What belongs to the parent run: the report and the best trials' studies as artefacts; its description."""
    ledger = projection.ledger
    ledger.set_links(search.search_id, projection.links())
    report = make_report(search, ledger)
    projection.attach("report.html", report.html())
    projection.attach("report.md", report.markdown())
    results = search_results(search, ledger)
    for name, text in best_studies(search, results).items():
        projection.attach(f"best/{name}", text)
    metrics = [objective.metric for objective in search.objectives]
    lines = [search.question, "", f"| trial | {' | '.join(metrics)} | |", "|---" * (len(metrics) + 2) + "|"]
    for trial in results.best:
        cells = [describe_metric(metric).value(trial.values[metric]) for metric in metrics]
        lines.append(f"| {trial.number} | {' | '.join(cells)} | {trial.name or trial.summary} |")
    lines += ["", f"{counts_of(results)}; budget {results.budget} completed trials."]
    return "\n".join(
        [*lines, "", "The report is the artifact report.html; best/ has a study for each of these trials."]
    )


def saved_search_plan(search: Search, ledger: Ledger) -> SavedPlan:
    """The runs of a search so far, for `bnnlab sync`; an empty plan before its first session."""
    saved = [plan for plan in ledger.saved_plans(search.study) if plan.plan_id == search.search_id]
    return saved[0] if saved else search_plan(search, ledger, ())


def saved_search(plan: SavedPlan, ledger: Ledger) -> Search | None:
    """The search that a plan of the ledger came from; None for a study's, or where its copy reads differently now."""
    try:
        profile = None if plan.profile == "default" else plan.profile
        found = read_spec(ledger.plan_folder(plan.plan_id) / "spec.yaml", profile=profile, settings=plan.settings)
    except (SpecError, OSError):
        return None
    if not isinstance(found, Search) or found.search_id != plan.plan_id:
        return None
    return replace(found, spec_path=plan.spec_path)
