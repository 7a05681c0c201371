"""The published table beside the study's cells: figures, differences with intervals, and who may be
compared."""

from __future__ import annotations

from typing import Literal

from bnnlab.experiment.record import RunRecord, RunState
from bnnlab.paper.matching import Match
from bnnlab.paper.metrics import describe_metric
from bnnlab.paper.observation import Observation
from bnnlab.paper.published import TABLES, Row
from bnnlab.paper.statistics import Contrast, estimate, paired_effect
from bnnlab.report import numbers
from bnnlab.report.analysis import Analysis, ResultCell
from bnnlab.report.content import Block, Cell, Column, Line, Section, Table, Text
from bnnlab.report.panel import Panel


class PaperTable(Panel):
    """Each cell of the study beside the published row of the same network and method."""

    panel: Literal["paper_table"] = "paper_table"

    def build(self, analysis: Analysis) -> Section:
        """The cells, then the axes' effects, each beside what was published."""
        name = analysis.study.compare_with
        if name is None:
            return Section(self.title or "Published results", (Text("This study names no published table."),))
        table = TABLES[name]
        title = self.title or "Beside the published results"
        blocks: list[Block] = [
            Text(f"Published: {table.title} (table '{table.id}'). {table.note}".strip()),
            _cells(analysis),
        ]
        effects = _effects(analysis)
        blocks += [effects] if effects.lines else []
        untried = _untried(analysis)
        if untried:
            blocks.append(Text(f"Published, and not in this study: {numbers.listing(untried, limit=20)}."))
        reasons = _reasons(analysis)
        if reasons:
            blocks.append(Text(f"Not comparable: {'; '.join(reasons)}.", "warning"))
        return Section(title, tuple(blocks))


def _cells(analysis: Analysis) -> Table:
    axes = tuple(analysis.study.axes)
    lines = tuple(_cell_line(analysis, cell, analysis.published(cell)) for cell in analysis.cells)
    return Table(
        "paper_table",
        "Top-1 accuracy, best epoch where it was recorded; the published figure, ours as mean ± standard deviation "
        "over seeds, and the difference ours - published with its 95 % interval (spread of our seeds only).",
        (
            *(Column(axis) for axis in axes),
            Column("published", "right"),
            Column("comparable"),
            Column("ours", "right"),
            Column("ours - published", "right"),
            Column("95 % interval", "right"),
            Column("seeds", "right"),
            Column("MiB, published / ours", "right"),
        ),
        lines,
    )


def _cell_line(analysis: Analysis, cell: ResultCell, found: Match | None) -> Line:
    accuracy = describe_metric(analysis.accuracy)
    ours = cell.summary.metrics.get(analysis.accuracy)
    row = found.row if found is not None else None
    gap = numbers.NOTHING
    interval = numbers.NOTHING
    if row is not None and row.top1 is not None and ours is not None:
        by_seed = {
            run.seed: value - row.top1 for run in cell.runs if (value := run.value(analysis.accuracy)) is not None
        }
        effect = estimate(Contrast(by_seed), analysis.accuracy)
        gap, interval = numbers.difference(accuracy, effect.difference), numbers.interval(accuracy, effect)
    return Line(
        (
            *(Cell(cell.summary.axes.get(axis, "–")) for axis in analysis.study.axes),
            published_cell(row),
            _comparable(found),
            numbers.summary(accuracy, ours),
            gap,
            interval,
            Cell(f"{cell.summary.n} of {cell.summary.planned}", float(cell.summary.n)),
            _sizes(None if row is None else row.size_mib, cell),
        ),
        cell.run_keys,
    )


def _sizes(published: float | None, cell: ResultCell) -> Cell:
    ours = cell.summary.metrics.get("model/size_mib")
    if published is None and ours is None:
        return numbers.NOTHING
    both = ("–" if value is None else f"{value:.2f}" for value in (published, None if ours is None else ours.mean))
    return Cell(" / ".join(both), None if ours is None else ours.mean)


def published_cell(row: Row | None) -> Cell:
    """A published top-1 accuracy, to its own decimals, with how surely it was read and where."""
    if row is None or row.top1 is None:
        return numbers.NOTHING
    note = row.source + (f". {row.note}" if row.note else "")
    text = f"{100 * row.top1:.1f} %{numbers.STATUS_MARKS[row.status]}"
    return Cell(text, row.top1, note=note)


def _comparable(found: Match | None) -> Cell:
    if found is None:
        return Cell("no such row")
    if found.comparable:
        return Cell("yes", "yes")
    return Cell("no", "no", tone="not comparable", note="; ".join(found.reasons))


def _untried(analysis: Analysis) -> list[str]:
    """The rows of the table that no cell stands beside, with their figures."""
    reached = {id(found.row) for cell in analysis.cells if (found := analysis.published(cell)) is not None}
    rows = TABLES[analysis.study.compare_with or ""].rows
    return [f"{row.label}, {published_cell(row).text}" for row in rows if id(row) not in reached]


def _reasons(analysis: Analysis) -> list[str]:
    reasons: dict[str, None] = {}
    for cell in analysis.cells:
        found = analysis.published(cell)
        if found is not None:
            reasons.update(dict.fromkeys(found.reasons))
    return list(reasons)


def _effects(analysis: Analysis) -> Table:
    """The published effect of each level, over the cells that the study has too, beside the study's own."""
    name = analysis.accuracy
    metric = describe_metric(name)
    rows: list[Observation] = []
    comparable = True
    for cell in analysis.cells:
        found, record = analysis.published(cell), cell.record
        if found is not None and found.row.top1 is not None and record is not None:
            comparable &= found.comparable
            published = RunRecord("published", record.config, RunState.FINISHED, (), {name: found.row.top1})
            rows.append(Observation(cell.summary.axes, 0, published))
    lines = []
    for ours in analysis.effects(name):
        theirs = paired_effect(rows, ours.axis, ours.treatment, ours.control, name)
        # Where the table does not have the axis, both sides of each pair stand beside the same row.
        if theirs.difference is None or not any(theirs.contrast.by_context.values()):
            continue
        inside = "–"
        if ours.effect.low is not None and ours.effect.high is not None:
            inside = "yes" if ours.effect.low <= theirs.difference <= ours.effect.high else "no"
        lines.append(
            Line(
                (
                    Cell(f"{ours.axis}: {ours.treatment} - {ours.control}"),
                    numbers.difference(metric, theirs.difference, decimals=1),
                    Cell(str(theirs.contrast.pairs), float(theirs.contrast.pairs)),
                    numbers.difference(metric, ours.effect.difference),
                    numbers.interval(metric, ours.effect),
                    Cell(inside if comparable else f"{inside} (other protocol)" if inside != "–" else inside),
                ),
                ours.effect.contrast.run_keys,
            )
        )
    return Table(
        "paper_effects",
        "The same differences in the published table: means over the pairs of rows that this study has too.",
        (
            Column("effect"),
            Column("published", "right"),
            Column("pairs", "right"),
            Column("ours", "right"),
            Column("95 % interval", "right"),
            Column("published inside"),
        ),
        tuple(lines),
    )
