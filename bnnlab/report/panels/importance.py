"""What decides the result: of a study the share of the variance that an axis explains, of a search PED-ANOVA."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from statistics import fmean
from typing import Literal

import altair as alt

from bnnlab.paper.metrics import describe_metric
from bnnlab.paper.observation import Observation
from bnnlab.report import charts
from bnnlab.report.analysis import Analysis
from bnnlab.report.content import Cell, Column, Figure, Line, Section, Table, Text
from bnnlab.report.panel import Panel
from bnnlab.report.panels.search.importance import parameter_importance


class Importance(Panel):
    """PED-ANOVA of each parameter where there is a search, else omega squared of each axis."""

    panel: Literal["importance"] = "importance"
    metric: str | None = None

    def build(self, analysis: Analysis) -> Section:
        """A figure and a table, the most important first."""
        title = self.title or "What decides the result"
        name = self.metric or analysis.metric
        if analysis.study.search is not None:
            return parameter_importance(analysis.study.search, title)
        shares = axis_shares(analysis.study.observations, name)
        if not shares:
            return Section(title, (Text("No axis has two finished runs on two of its levels yet."),))
        ordered = sorted(shares.items(), key=lambda item: (-item[1], item[0]))
        caption = (
            f"Share of the variance of {describe_metric(name).title} between runs that the levels of each axis "
            "explain by themselves (omega squared, Hays 1963); the rest is interaction and seeds."
        )
        keys = tuple(run.run_key for run in analysis.study.observations if run.value(name) is not None and run.run_key)
        table = Table(
            "importance",
            caption,
            (Column("axis"), Column("share (%)", "right")),
            tuple(Line((Cell(axis), Cell(f"{100 * share:.1f}", share)), keys) for axis, share in ordered),
        )
        rows = [{"axis": axis, "share": 100 * share} for axis, share in ordered]
        chart = (
            alt.Chart(charts.data(rows))
            .mark_bar(color=charts.PALETTE[0])
            .encode(
                y=alt.Y("axis:N", sort=[axis for axis, _ in ordered], title=None),
                x=alt.X("share:Q", title="share (%)", scale=alt.Scale(domainMin=0)),
                tooltip=[alt.Tooltip("axis:N"), alt.Tooltip("share:Q", format=".1f", title="share (%)")],
            )
        )
        figure = Figure("importance", "Importance of each axis", caption, charts.finish(chart, height=30 * len(rows)))
        return Section(title, (figure, table))


def axis_shares(observations: Sequence[Observation], metric: str) -> dict[str, float]:
    """Omega squared of each axis by itself: (SS_between - df MS_within) / (SS_total + MS_within), at least 0.

    Less biased than the plain share SS_between / SS_total, which grows with the number of levels.
    Source: Hays 1963, "Statistics for Psychologists", section 12.
    """
    values = [(run, value) for run in observations if (value := run.value(metric)) is not None]
    shares = {}
    for axis in dict.fromkeys(axis for run, _ in values for axis in run.axes):
        groups: dict[str, list[float]] = defaultdict(list)
        for run, value in values:
            if axis in run.axes:
                groups[run.axes[axis]].append(value)
        everything = [value for group in groups.values() for value in group]
        inside = len(everything) - len(groups)
        if len(groups) < 2 or inside < 1:
            continue
        mean = fmean(everything)
        total = sum((value - mean) ** 2 for value in everything)
        between = sum(len(group) * (fmean(group) - mean) ** 2 for group in groups.values())
        noise = (total - between) / inside
        if total > 0:
            shares[axis] = max(0.0, (between - (len(groups) - 1) * noise) / (total + noise))
    return shares
