"""What each axis does: every level against the axis' first, with the seeds as points."""

from __future__ import annotations

from typing import Any, Literal

import altair as alt

from bnnlab.paper.metrics import describe_metric
from bnnlab.report import charts, numbers
from bnnlab.report.analysis import Analysis, AxisEffect
from bnnlab.report.content import Block, Cell, Column, Figure, Line, Section, Table, Text
from bnnlab.report.panel import Panel

MAX_LEVELS = 60
"""Contrasts that a figure shows; a search has one for each value that it tried."""


class Effects(Panel):
    """The effect of each axis on a metric, averaged over the other axes."""

    panel: Literal["effects"] = "effects"
    metric: str | None = None
    """None: the metric that the study's claims are about."""

    def build(self, analysis: Analysis) -> Section:
        """A figure and a table of all effects."""
        name = self.metric or analysis.metric
        metric = describe_metric(name)
        effects = analysis.effects(name)
        title = self.title or f"Effects on {metric.title}"
        found = [effect for effect in effects if effect.effect.difference is not None]
        if not found:
            why = "no axis has two levels" if not effects else "no pair of runs is finished on any seed"
            return Section(title, (Text(f"No effect can be estimated yet: {why}."),))
        blocks: list[Block] = [_figure(name, found[:MAX_LEVELS])] if metric.unit == "fraction" else []
        blocks.append(
            Table(
                f"effects_{name.replace('/', '_')}",
                "Treatment - control, paired over the other axes and the seed. The exact test flips the signs of the "
                "seeds' differences; its smallest possible p is what that many seeds can reach at best.",
                (
                    Column("axis"),
                    Column("treatment"),
                    Column("control"),
                    Column("difference", "right"),
                    Column("95 % interval", "right"),
                    Column("p (t)", "right"),
                    Column("p (exact)", "right"),
                    Column("smallest p", "right"),
                    Column("seeds", "right"),
                ),
                tuple(_line(name, effect) for effect in effects),
            )
        )
        gaps = [gap for effect in found for gap in effect.effect.missing]
        if gaps:
            listed = numbers.listing(list(dict.fromkeys(gaps)))
            blocks.append(Text(f"Seeds with missing runs are left out. Missing: {listed}.", "warning"))
        return Section(title, tuple(blocks))


def _line(name: str, found: AxisEffect) -> Line:
    metric, effect = describe_metric(name), found.effect
    return Line(
        (
            Cell(found.axis),
            Cell(found.treatment),
            Cell(found.control),
            numbers.difference(metric, effect.difference),
            numbers.interval(metric, effect),
            numbers.p_value(effect.p),
            numbers.p_value(effect.p_sign_flip),
            numbers.p_value(effect.smallest_p),
            Cell(str(effect.n), float(effect.n)),
        ),
        effect.contrast.run_keys,
    )


def _figure(name: str, effects: list[AxisEffect]) -> Figure:
    rows: list[dict[str, Any]] = []
    points: list[dict[str, Any]] = []
    for found in effects:
        effect = found.effect
        label = f"{found.axis}: {found.treatment} vs {found.control}"
        row = {"effect": label, "difference": 100 * (effect.difference or 0.0), "seeds": effect.n}
        if effect.low is not None and effect.high is not None:
            row |= {"low": 100 * effect.low, "high": 100 * effect.high}
        rows.append(row)
        points += [
            {"effect": label, "seed": str(seed), "value": 100 * value}
            for seed, value in effect.contrast.by_seed.items()
        ]
    order = [row["effect"] for row in rows]
    y = alt.Y("effect:N", sort=order, title=None)
    title = "difference (points of accuracy)"
    base = alt.Chart(charts.data(rows)).encode(y=y)
    chart = alt.layer(
        alt.Chart(charts.data([{"zero": 0}])).mark_rule(color="currentColor", opacity=0.5).encode(x="zero:Q"),
        base.mark_rule(strokeWidth=3, color=charts.PALETTE[0]).encode(x=alt.X("low:Q", title=title), x2="high:Q"),
        alt.Chart(charts.data(points))
        .mark_circle(size=40, opacity=0.75, color=charts.PALETTE[1])
        .encode(
            y=y,
            x=alt.X("value:Q", title=title),
            tooltip=[alt.Tooltip("effect:N"), alt.Tooltip("seed:N"), alt.Tooltip("value:Q", format="+.2f")],
        ),
        base.mark_tick(thickness=3, size=18, color=charts.PALETTE[0]).encode(
            x=alt.X("difference:Q", title=title, scale=alt.Scale(zero=True)),
            tooltip=[
                alt.Tooltip("effect:N"),
                alt.Tooltip("difference:Q", format="+.2f", title="mean (points)"),
                alt.Tooltip("low:Q", format="+.2f", title="from"),
                alt.Tooltip("high:Q", format="+.2f", title="to"),
                alt.Tooltip("seeds:Q"),
            ],
        ),
    )
    return Figure(
        f"effects_{name.replace('/', '_')}",
        "Effect of each axis",
        "Bar: 95 % interval, with the mean across it. Dots: one for each seed, averaged over the other axes.",
        charts.finish(chart, height=36 * len(rows)),
    )
