"""From a plan and the ledger to a report, wherever a command needs one."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from bnnlab.experiment.files import read_json, write_json
from bnnlab.experiment.fingerprint import source_fingerprint
from bnnlab.report.analysis import Analysis
from bnnlab.report.build import Report, build_report
from bnnlab.report.dashboard import DEFAULT, SEARCH, Dashboard, read_dashboard
from bnnlab.report.study import StudyResults
from bnnlab.sweep.ledger import Ledger
from bnnlab.sweep.mistakes import Mistake, Source, SpecError, nearest
from bnnlab.sweep.plan import Plan, read_plan
from bnnlab.sweep.project import Project, find_project

if TYPE_CHECKING:
    from bnnlab.paper.observation import Observation
    from bnnlab.paper.verdicts import Judgement
    from bnnlab.sweep.search.spec import Search

SHIPPED = Path(__file__).parents[2] / "dashboards"
MADE_FROM = ".made_from.json"


def make_report(plan: Plan | Search, ledger: Ledger) -> Report:
    """The report of a study or a search as its dashboard asks for it. Raises SpecError for a mistake in that."""
    if isinstance(plan, Plan):
        return build_report(study_results(plan, ledger), find_dashboard(plan))
    from bnnlab.cli.search_reporting import search_as_study

    return build_report(search_as_study(plan, ledger), find_dashboard(plan))


def study_results(plan: Plan, ledger: Ledger, *, curves: bool = True) -> StudyResults:
    """What is recorded of a plan; without `curves` no more of each run than its end."""
    observations = ledger.observations(plan.runs, curves=curves)
    return StudyResults(
        name=plan.study,
        question=plan.question,
        profile=plan.profile,
        plan=plan.plan_id,
        axes=plan.axes,
        observations=observations,
        claims=plan.claims,
        compare_with=plan.compare_with,
        spec_text=plan.spec_text,
        edited_claims=edited_claims(plan, ledger),
        links=ledger.links(plan.plan_id),
        reused=origins(plan.study, observations),
        provenance=provenance(plan.spec_path, plan.settings, observations),
    )


def judgements_of(results: StudyResults) -> Sequence[Judgement]:
    """The verdicts on a study's claims."""
    return Analysis(results).judgements


def find_dashboard(plan: Plan | Search) -> Dashboard:
    """The dashboard that a spec names: of its own project, or one that is shipped. Raises SpecError."""
    if plan.dashboard is None:
        return DEFAULT if isinstance(plan, Plan) else SEARCH
    project = find_project()
    folders = dict.fromkeys([project.root / "dashboards", Path(plan.spec_path).parent / "../dashboards", SHIPPED])
    for folder in folders:
        path = folder / f"{plan.dashboard}.yaml"
        if path.exists():
            return read_dashboard(path)
    allowed = tuple(sorted({path.stem for folder in folders for path in folder.glob("*.yaml")}))
    text = f"unknown dashboard '{plan.dashboard}'"
    close = nearest(plan.dashboard, allowed)
    raise SpecError([Mistake(Source(plan.spec_path), None, "dashboard", text, allowed, close)])


def edited_claims(plan: Plan, ledger: Ledger) -> frozenset[str]:
    """Ids of the claims that are not as they were when this plan was first swept."""
    saved = ledger.plan_folder(plan.plan_id) / "spec.yaml"
    if not saved.exists() or saved.read_text(encoding="utf-8") == plan.spec_text:
        return frozenset()
    try:
        profile = None if plan.profile == "default" else plan.profile
        first = {claim.id: claim for claim in read_plan(saved, profile=profile, settings=plan.settings).claims}
    except SpecError:
        return frozenset(claim.id for claim in plan.claims)
    return frozenset(claim.id for claim in plan.claims if first.get(claim.id) != claim)


def keep_report(plan: Plan, ledger: Ledger, project: Project) -> Path:
    """The page of a plan's report; made again only where something that it is made from has changed."""
    folder = _report_folder(project, plan)
    sources = _sources(plan, ledger)
    page = folder / "report.html"
    if page.exists() and read_json(folder / MADE_FROM) == sources:
        return page
    (folder / MADE_FROM).unlink(missing_ok=True)
    write_report(make_report(plan, ledger), project, plan)
    write_json(folder / MADE_FROM, sources)
    return page


def _sources(plan: Plan, ledger: Ledger) -> dict[str, str]:
    """Fingerprints of everything that a report is made from: equal ones make equal pages."""
    standings = ledger.standings(run.run_key for run in plan.runs)
    runs = [[key, s.state, s.epochs, s.stamp, s.cause, dict(s.last or {})] for key, s in standings.items()]
    saved = ledger.plan_folder(plan.plan_id) / "spec.yaml"
    given = {
        "spec": [plan.spec_path, plan.spec_text, plan.settings, plan.profile],
        "first spec": saved.read_text(encoding="utf-8") if saved.exists() else "",
        "dashboard": repr(find_dashboard(plan)),
        "links": ledger.links(plan.plan_id),
        "runs": runs,
        "code": source_fingerprint(("paper", "report", "cli")),
    }
    return {name: hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16] for name, value in given.items()}


def write_report(report: Report, project: Project, plan: Plan | Search) -> Path:
    """Write every form of a report under `reports/`; gives the path of the page."""
    folder = _report_folder(project, plan)
    tables = folder / "tables"
    tables.mkdir(parents=True, exist_ok=True)
    page = folder / "report.html"
    page.write_text(report.html(), encoding="utf-8")
    (folder / "report.md").write_text(report.markdown(), encoding="utf-8")
    for suffix, texts in (("csv", report.csv()), ("tex", report.latex())):
        for name, text in texts.items():
            (tables / f"{name}.{suffix}").write_text(text, encoding="utf-8")
    return page


def _report_folder(project: Project, plan: Plan | Search) -> Path:
    return project.reports / f"{plan.study}-{plan.profile}"


def origins(study: str, observations: tuple[Observation, ...]) -> Mapping[str, str]:
    """The study that trained each run which is not of this one, by run key."""
    found = {}
    for observation in observations:
        record = observation.record
        origin = (record.provenance or {}).get("study") if record else None
        if record and origin and origin != study:
            found[record.run_key] = origin
    return found


def provenance(spec_path: str, settings: Sequence[str], observations: tuple[Observation, ...]) -> dict[str, str]:
    """Which code trained the runs, on which machines, when; read off the runs, so that it stays as it is."""
    runs = [o.record.provenance for o in observations if o.record is not None and o.record.provenance]
    facts = {"spec": spec_path, "settings": ", ".join(settings) or "none"}
    for title, key in (
        ("code", "code"), ("bnnlab", "bnnlab"), ("torch", "torch"), ("Lightning", "pytorch_lightning"),
        ("Python", "python"), ("host", "host"), ("machine", "machine"), ("device", "device"), ("threads", "threads"),
        ("evaluation", "evaluation"),
    ):  # fmt: skip
        counts = Counter(str(run[key]) for run in runs if key in run)
        if len(counts) == 1:
            facts[title] = next(iter(counts))
        elif counts:
            facts[title] = ", ".join(f"{value} ({count} runs)" for value, count in sorted(counts.items()))
    if runs:
        facts["first run started"] = _day(min(float(run["started"]) for run in runs))
        facts["last run finished"] = _day(max(float(run["finished"]) for run in runs))
        facts["training time"] = f"{sum(float(run['training_seconds']) for run in runs) / 3600:.2f} hours of one slot"
    return facts


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
