"""The answer at the end of a sweep: a row a cell, and what each axis does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import Console

from bnnlab.cli.tables import new_table, per_cent

if TYPE_CHECKING:
    from bnnlab.paper.observation import Observation
    from bnnlab.paper.statistics import CellSummary, Effect, Summary
    from bnnlab.sweep.ledger import Ledger, SavedPlan
    from bnnlab.sweep.plan import Plan
    from bnnlab.tracking.projection import Projection

METRIC = "test/top1"
SHOWN_EFFECTS = 12


def print_results(plan: Plan, ledger: Ledger) -> None:
    """The two tables on stdout."""
    from bnnlab.paper.statistics import summarize_cells

    observations = ledger.observations(plan.runs)
    console = Console()
    if plan.question:
        console.print(f"\n[bold]{plan.question}[/bold]", highlight=False)
    cells = new_table(f"{plan.study} ({plan.profile}): test top-1 in %, mean ± standard deviation over seeds")
    for name in [*plan.axes, "last epoch", "best epoch", "n", "MiB"]:
        cells.add_column(name, justify="left" if name in plan.axes else "right")
    for cell in summarize_cells(observations, [METRIC, f"{METRIC}_best", "model/size_mib"]):
        size = cell.metrics.get("model/size_mib")
        cells.add_row(
            *(cell.axes.get(name, "–") for name in plan.axes),
            mean_std(cell.metrics.get(METRIC)),
            mean_std(cell.metrics.get(f"{METRIC}_best")),
            _count(cell),
            f"{size.mean:.2f}" if size else "–",
        )
    console.print(cells)
    effects = list(axis_effects(plan, observations))
    if not effects:
        return
    table = new_table(
        "what each axis does: difference of test top-1 in points, paired over the other axes and the seed"
    )
    for name, justify in (("axis", "left"), ("level", "left"), ("against", "left"), ("difference", "right"),
                          ("95 % interval", "right"), ("n", "right")):  # fmt: skip
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    for axis, level, control, effect in effects:
        table.add_row(axis, level, control, points(effect.difference), interval(effect), str(effect.n))
    console.print(table)


def axis_effects(plan: Plan | SavedPlan, observations: Sequence[Observation]) -> Iterator[tuple[str, str, str, Effect]]:
    """For each axis: its other levels against its first."""
    from bnnlab.paper.statistics import paired_effect

    for axis, levels in plan.axes.items():
        for level in levels[1:SHOWN_EFFECTS]:
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
    """What the parent run says in MLflow: the question and the effects, as Markdown."""
    plan = projection.plan
    observations = projection.ledger.observations(plan.runs)
    lines = [plan.question, "", "| axis | level | against | points | 95 % interval | n |", "|---|---|---|---|---|---|"]
    lines += [
        f"| {axis} | {level} | {control} | {points(e.difference)} | {interval(e)} | {e.n} |"
        for axis, level, control, e in axis_effects(plan, observations)
    ]
    return "\n".join(lines)
