"""Training curves: a metric by epoch, averaged over the seeds of a cell, or over a level where cells are
many."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from statistics import fmean
from typing import Any, Literal

import altair as alt

from bnnlab.experiment.record import RunRecord
from bnnlab.paper.metrics import describe_metric
from bnnlab.paper.observation import cell_label
from bnnlab.report import charts
from bnnlab.report.analysis import Analysis
from bnnlab.report.content import Block, Figure, Section, Text
from bnnlab.report.panel import Panel

MAX_LINES = 10
"""Cells that one figure tells apart; with more, each axis gets a figure of its own."""
MAX_LEVELS = 24


class Curves(Panel):
    """Metrics by epoch."""

    panel: Literal["curves"] = "curves"
    metrics: tuple[str, ...] = ("val/top1", "train/top1")

    def build(self, analysis: Analysis) -> Section:
        """One figure a metric, or one a metric and axis."""
        blocks = [block for metric in self.metrics for block in epoch_figures(analysis, metric)]
        return Section(
            self.title or "Training curves", tuple(blocks or [Text("No run has logged an epoch of these metrics yet.")])
        )


def epoch_figures(analysis: Analysis, metric: str) -> list[Block]:
    """The figures of one metric by epoch; none where no run logged it."""
    cells = [cell for cell in analysis.cells if any(_logged(run.record, metric) for run in cell.runs)]
    if len(cells) <= MAX_LINES:
        groups = {
            cell_label(cell.summary.axes): [run.record for run in cell.runs if run.record is not None] for cell in cells
        }
        return [_figure(metric, "cell", groups)] if groups else []
    figures: list[Block] = []
    for axis, levels in analysis.study.axes.items():
        if 1 < len(levels) <= MAX_LEVELS:
            of_level: dict[str, list[RunRecord]] = {level: [] for level in levels}
            for cell in cells:
                if axis in cell.summary.axes:
                    of_level[cell.summary.axes[axis]] += [run.record for run in cell.runs if run.record is not None]
            figures.append(_figure(metric, axis, of_level))
    everything = [run.record for cell in cells for run in cell.runs if run.record is not None]
    return figures or [_figure(metric, "runs", {"all runs": everything})]


def _logged(record: RunRecord | None, metric: str) -> bool:
    return record is not None and any(metric in epoch for epoch in record.epochs)


def _figure(metric: str, what: str, groups: dict[str, list[RunRecord]]) -> Figure:
    entry = describe_metric(metric)
    scale = 100 if entry.unit == "fraction" else 1
    unit = " (%)" if entry.unit == "fraction" else ""
    rows = [{what: label, **row} for label, records in groups.items() for row in _average(records, metric, scale)]
    chosen = alt.selection_point(fields=[what], bind="legend", name="chosen")
    base = alt.Chart(charts.data(rows)).encode(
        x=alt.X("epoch:Q", title="epoch", scale=alt.Scale(nice=False)),
        color=alt.Color(f"{what}:N", title=what, sort=list(groups)),
        opacity=alt.condition(chosen, alt.value(1), alt.value(0.12)),
    )
    title = f"{entry.title}{unit}"
    chart = alt.layer(
        base.mark_area(opacity=0.15).encode(
            y=alt.Y("low:Q", title=title, scale=alt.Scale(zero=False)),
            y2="high:Q",
            opacity=alt.condition(chosen, alt.value(0.18), alt.value(0.02)),
        ),
        base.mark_line(strokeWidth=2).encode(
            y=alt.Y("mean:Q", title=title),
            tooltip=[
                alt.Tooltip(f"{what}:N"),
                alt.Tooltip("epoch:Q"),
                alt.Tooltip("mean:Q", format=".4~g"),
                alt.Tooltip("low:Q", format=".4~g", title="lowest run"),
                alt.Tooltip("high:Q", format=".4~g", title="highest run"),
                alt.Tooltip("runs:Q"),
            ],
        ),
    ).add_params(chosen)
    return Figure(
        f"curves_{metric.replace('/', '_')}_{what}",
        f"{entry.title} by epoch" + ("" if what == "cell" else f", by {what}"),
        "Line: mean over the runs. Band: from the lowest to the highest run. A click on the legend picks a line out.",
        charts.finish(chart, height=300),
    )


def _average(records: Sequence[RunRecord], metric: str, scale: float) -> list[dict[str, Any]]:
    values: dict[int, list[float]] = defaultdict(list)
    for record in records:
        for number, epoch in enumerate(record.epochs, 1):
            if metric in epoch and abs(epoch[metric]) != float("inf") and epoch[metric] == epoch[metric]:
                values[number].append(scale * epoch[metric])
    epochs = sorted(values)
    return [
        {
            "epoch": epochs[index],
            "mean": fmean(values[epochs[index]]),
            "low": min(values[epochs[index]]),
            "high": max(values[epochs[index]]),
            "runs": len(values[epochs[index]]),
        }
        for index in charts.thin(len(epochs))
    ]
