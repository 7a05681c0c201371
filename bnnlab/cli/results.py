"""The answer at the end of a sweep: a row a cell, what each axis does, the verdicts; and the page in full."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import Console

from bnnlab.cli.output import say
from bnnlab.cli.reporting import judgements_of, keep_report, make_report, study_results
from bnnlab.cli.tables import new_table, per_cent
from bnnlab.sweep.plan import Plan
from bnnlab.sweep.project import find_project

if TYPE_CHECKING:
    from bnnlab.paper.observation import Observation
    from bnnlab.paper.statistics import CellSummary, Effect, Summary
    from bnnlab.paper.verdicts import Judgement
    from bnnlab.sweep.ledger import Ledger
    from bnnlab.tracking.projection import Projection

METRIC = "test/top1"
SHOWN_CELLS = 200
SHOWN_LEVELS = 12
"""Levels of one axis that the terminal compares; the page has them all."""


def print_results(plan: Plan, ledger: Ledger) -> None:
    """The tables on stdout, and where the page is."""
    results = study_results(plan, ledger, curves=False)
    observations = results.observations
    console = Console()
    if plan.question:
        console.print(f"\n[bold]{plan.question}[/bold]", highlight=False)
    _print_cells(console, plan, observations)
    _print_effects(console, plan, observations)
    _print_verdicts(console, judgements_of(results))
    say(f"the page: {keep_report(plan, ledger, find_project())}")


def _print_cells(console: Console, plan: Plan, observations: Sequence[Observation]) -> None:
    from bnnlab.paper.statistics import summarize_cells

    table = new_table(f"{plan.study} ({plan.profile}): test top-1 in %, mean ± standard deviation over seeds")
    for name in [*plan.axes, "last epoch", "best epoch", "n", "MiB"]:
        table.add_column(name, justify="left" if name in plan.axes else "right")
    cells = summarize_cells(observations, [METRIC, f"{METRIC}_best", "model/size_mib"])
    for cell in cells[:SHOWN_CELLS]:
        size = cell.metrics.get("model/size_mib")
        table.add_row(
            *(cell.axes.get(name, "–") for name in plan.axes),
            mean_std(cell.metrics.get(METRIC)),
            mean_std(cell.metrics.get(f"{METRIC}_best")),
            _count(cell),
            f"{size.mean:.2f}" if size else "–",
        )
    console.print(table)
    if len(cells) > SHOWN_CELLS:
        console.print(f"… and {len(cells) - SHOWN_CELLS:,} more cells; the page has them all", highlight=False)


def _print_effects(console: Console, plan: Plan, observations: Sequence[Observation]) -> None:
    effects = list(axis_effects(plan, observations))
    if not effects:
        return
    table = new_table("what each axis does: test top-1 in points, paired over the other axes and the seed")
    for name in ("axis", "level", "against"):
        table.add_column(name)
    for name in ("difference", "95 % interval", "n"):
        table.add_column(name, justify="right")
    for axis, level, control, effect in effects:
        table.add_row(axis, level, control, points(effect.difference), interval(effect), str(effect.n))
    console.print(table)


def _print_verdicts(console: Console, judgements: Sequence[Judgement]) -> None:
    if not judgements:
        return
    table = new_table("claims")
    for name in ("claim", "verdict", "why"):
        table.add_column(name, overflow="fold")
    for found in judgements:
        table.add_row(found.claim.text, str(found.verdict), found.reason)
    console.print(table)


def axis_effects(plan: Plan, observations: Sequence[Observation]) -> Iterator[tuple[str, str, str, Effect]]:
    """For each axis: its other levels against its first."""
    from bnnlab.paper.statistics import paired_effect

    for axis, levels in plan.axes.items():
        for level in levels[1:SHOWN_LEVELS]:
            yield axis, level, levels[0], paired_effect(observations, axis, level, levels[0], METRIC)


def mean_std(summary: Summary | None) -> str:
    """A mean and its spread in per cent; no spread where there is one seed."""
    if summary is None or not summary.n:
        return "–"
    spread = "" if summary.std is None else f" ± {100 * summary.std:.2f}"
    return f"{per_cent(summary.mean, 2)}{spread}"


def points(difference: float | None) -> str:
    return "–" if difference is None else f"{100 * difference:+.2f}"


def interval(effect: Effect) -> str:
    if effect.low is None or effect.high is None:
        return "–"
    return f"[{100 * effect.low:+.2f}, {100 * effect.high:+.2f}]"


def _count(cell: CellSummary) -> str:
    return str(cell.n) if cell.n == cell.planned else f"{cell.n} of {cell.planned}"


def after_sweep(projection: Projection) -> str:
    """What belongs to the parent run: the report as an artefact, the verdicts as its description (Markdown)."""
    plan = projection.plan
    projection.ledger.set_links(plan.plan_id, projection.links())
    if not isinstance(plan, Plan):
        from bnnlab.cli.search_reporting import describe_search, saved_search

        search = saved_search(plan, projection.ledger)
        return plan.question if search is None else describe_search(search, projection)
    report = make_report(plan, projection.ledger)
    projection.attach("report.html", report.html())
    projection.attach("report.md", report.markdown())
    lines = [plan.question, "", f"{len(plan.runs)} runs, profile {plan.profile}."]
    judgements = report.analysis.judgements
    if judgements:
        lines += ["", "| claim | verdict | why |", "|---|---|---|"]
        lines += [f"| {found.claim.text} | **{found.verdict}** | {found.reason} |" for found in judgements]
    return "\n".join([*lines, "", "The report is the artifact report.html."])
