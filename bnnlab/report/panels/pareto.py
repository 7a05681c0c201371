"""Accuracy against deployed size and against operations, with the published networks as reference points."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import altair as alt

from bnnlab.paper.metrics import describe_metric
from bnnlab.paper.observation import cell_label
from bnnlab.paper.published import TABLES, Row
from bnnlab.report import charts, numbers
from bnnlab.report.analysis import Analysis, ResultCell
from bnnlab.report.content import Block, Cell, Column, Figure, Line, Section, Table, Text
from bnnlab.report.panel import Panel

Cost = Literal["size", "ops"]


class Pareto(Panel):
    """What accuracy costs."""

    panel: Literal["pareto"] = "pareto"
    against: tuple[Cost, ...] = ("size", "ops")

    def build(self, analysis: Analysis) -> Section:
        """One figure a cost, and the cells on a front."""
        title = self.title or "Accuracy against cost"
        blocks: list[Block] = []
        points = {cost: _points(analysis, cost) for cost in self.against}
        if not any(points.values()):
            return Section(title, (Text("No finished run has recorded its accuracy and its size yet."),))
        reference = reference_rows(analysis.dataset)
        for cost, found in points.items():
            if found:
                blocks.append(_figure(cost, found, reference))
        if not reference:
            data = f"on {analysis.dataset}" if analysis.dataset else "on several data sets at once"
            blocks.append(Text(f"No published network was measured {data}, so there are no reference points."))
        blocks += [_table(analysis, cost, found) for cost, found in points.items() if found]
        return Section(title, tuple(blocks))


@dataclass(frozen=True)
class _Axis:
    title: str
    scale: float
    of_metrics: Callable[[ResultCell], float | None]
    of_row: Callable[[Row], float | None]


def _size(cell: ResultCell) -> float | None:
    found = cell.summary.metrics.get("model/size_mib")
    return None if found is None else found.mean


def _operations(cell: ResultCell) -> float | None:
    """Full-precision MACs + binary MACs / 64: the paper's measure, with the dense layer."""
    full, binary = (cell.summary.metrics.get(f"model/macs_{kind}") for kind in ("fp", "binary"))
    return None if full is None or binary is None else full.mean + binary.mean / 64


_AXES: dict[Cost, _Axis] = {
    "size": _Axis("deployed size (MiB)", 1.0, _size, lambda row: row.size_mib),
    "ops": _Axis("operations (10⁶, float MACs + binary MACs / 64)", 1e-6, _operations, lambda row: row.ops),
}


@dataclass(frozen=True)
class _Point:
    cell: ResultCell
    cost: float
    top1: float
    on_front: bool


def _points(analysis: Analysis, cost: Cost) -> list[_Point]:
    known = []
    for cell in analysis.cells:
        accuracy, price = cell.summary.metrics.get(analysis.accuracy), _AXES[cost].of_metrics(cell)
        if accuracy is not None and price is not None and price > 0:
            known.append((cell, price, accuracy.mean))
    front = pareto_front([(price, top1) for _, price, top1 in known])
    return [_Point(cell, price, top1, index in front) for index, (cell, price, top1) in enumerate(known)]


def pareto_front(points: Sequence[tuple[float, float]]) -> set[int]:
    """Which (cost, accuracy) pairs no other matches at a lower cost, or beats at the same."""
    front: set[int] = set()
    best = float("-inf")
    for index in sorted(range(len(points)), key=lambda index: (points[index][0], -points[index][1])):
        if points[index][1] > best:
            best = points[index][1]
            front.add(index)
    return front


def reference_rows(dataset: str | None) -> list[Row]:
    """The published networks that were trained and tested on a data set."""
    rows: dict[str, Row] = {}
    for table in TABLES.values():
        for row in table.rows:
            if row.top1 is not None and row.config.get("data.name") == dataset:
                rows.setdefault(f"{row.run_id} {row.label} {row.top1:.2f}", row)
    return list(rows.values())


def _figure(cost: Cost, points: list[_Point], reference: list[Row]) -> Figure:
    axis = _AXES[cost]
    ours = [
        {
            "what": cell_label(point.cell.summary.axes),
            "kind": "this study",
            "cost": axis.scale * point.cost,
            "top1": 100 * point.top1,
            "front": point.on_front,
            "runs": ", ".join(point.cell.run_keys[:3]) + (", …" if len(point.cell.run_keys) > 3 else ""),
        }
        for point in points
    ]
    theirs = [
        {
            "what": row.label + numbers.STATUS_MARKS[row.status],
            "kind": "published",
            "cost": axis.scale * price,
            "top1": 100 * (row.top1 or 0.0),
            "front": False,
        }
        for row in reference
        if (price := axis.of_row(row)) is not None
    ]
    x = alt.X("cost:Q", title=axis.title, scale=alt.Scale(type="log", nice=False, padding=20))
    y = alt.Y("top1:Q", title="top-1 accuracy (%)", scale=alt.Scale(zero=False, padding=15))
    colour = alt.Color(
        "kind:N",
        title=None,
        scale=alt.Scale(domain=["this study", "published"], range=[charts.PALETTE[0], charts.PALETTE[1]]),
    )
    zoom = alt.selection_interval(bind="scales", name="zoom")
    front = sorted((row for row in ours if row["front"]), key=lambda row: float(str(row["cost"])))
    chart = alt.layer(
        alt.Chart(charts.data(front))
        .mark_line(interpolate="step-after", color=charts.PALETTE[0], opacity=0.6)
        .encode(x=x, y=y),
        alt.Chart(charts.data([*theirs, *ours]))
        .mark_point(filled=True, size=70, opacity=0.8)
        .encode(
            x=x,
            y=y,
            color=colour,
            shape=alt.Shape(
                "kind:N", title=None, scale=alt.Scale(domain=["this study", "published"], range=["circle", "diamond"])
            ),
            tooltip=[
                alt.Tooltip("what:N", title="network"),
                alt.Tooltip("kind:N"),
                alt.Tooltip("cost:Q", format=".4~g", title=axis.title),
                alt.Tooltip("top1:Q", format=".2f", title="top-1 (%)"),
                alt.Tooltip("runs:N"),
            ],
        )
        .add_params(zoom),
    )
    return Figure(
        f"pareto_{cost}",
        f"Accuracy against {'deployed size' if cost == 'size' else 'operations'}",
        "Dots: cells of this study, mean over seeds. Diamonds: published networks on the same data. Line: the Pareto "
        "front of this study. The wheel zooms, a drag moves.",
        charts.finish(chart, height=340),
    )


def _table(analysis: Analysis, cost: Cost, points: list[_Point]) -> Table:
    accuracy = describe_metric(analysis.accuracy)
    front = sorted((point for point in points if point.on_front), key=lambda point: point.cost)
    unit = "MiB" if cost == "size" else "million operations"
    return Table(
        f"pareto_{cost}",
        f"The Pareto front by {'deployed size' if cost == 'size' else 'operations'}.",
        (
            *(Column(axis) for axis in analysis.study.axes),
            Column(unit, "right"),
            Column("top-1", "right"),
            Column("seeds", "right"),
        ),
        tuple(
            Line(
                (
                    *(Cell(point.cell.summary.axes.get(axis, "–")) for axis in analysis.study.axes),
                    Cell(f"{_AXES[cost].scale * point.cost:.3g}", point.cost),
                    numbers.summary(accuracy, point.cell.summary.metrics.get(analysis.accuracy)),
                    Cell(str(point.cell.summary.n), float(point.cell.summary.n)),
                ),
                point.cell.run_keys,
            )
            for point in front
        ),
    )
