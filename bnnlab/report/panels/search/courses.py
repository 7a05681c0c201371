"""How each trial's training went, and where pruned ones were ended."""

from __future__ import annotations

from typing import Any, Literal

import altair as alt

from bnnlab.report import charts, numbers
from bnnlab.report.analysis import Analysis
from bnnlab.report.content import Figure, Section, Text
from bnnlab.report.panel import Panel
from bnnlab.report.panels.search import (
    NO_SEARCH,
    by_epoch,
    course_of,
    judged_by,
    kind_colour,
    kind_of,
    label_of,
    scale_of,
)

MAX_POINTS = 4000
"""Of the whole figure: more are not told apart, and make the page slow."""


class Courses(Panel):
    """A line a trial, epoch by epoch."""

    panel: Literal["courses"] = "courses"
    metric: str | None = None
    """Recorded by epoch; what the search judges trials by where it is left out."""

    def build(self, analysis: Analysis) -> Section:
        """One figure of all trials that have trained."""
        search = analysis.study.search
        title = self.title or "Training of the trials"
        if search is None:
            return Section(title, (NO_SEARCH,))
        metric = self.metric or by_epoch(judged_by(search))
        keep = max(2, MAX_POINTS // max(1, len(search.trials)))
        rows: list[dict[str, Any]] = []
        for trial in search.trials:
            course = course_of(analysis, trial, metric)
            for index in charts.thin(len(course), keep):
                epoch, value = course[index]
                rows.append({"what": label_of(trial), "kind": kind_of(search, trial), "epoch": epoch, "value": value})
        if not rows:
            return Section(title, (Text(f"No run has logged {metric} yet."),))
        return Section(title, (_figure(rows, metric),))


def _figure(rows: list[dict[str, Any]], metric: str) -> Figure:
    scale = scale_of(metric)
    kinds = [row["kind"] for row in rows]
    ends = [row for at, row in enumerate(rows) if at + 1 == len(rows) or rows[at + 1]["what"] != row["what"]]
    last = max(row["epoch"] for row in rows)
    ticks = [index + 1 for index in charts.thin(last, 13)]
    x = alt.X("epoch:Q", title="epoch", axis=alt.Axis(values=ticks, format="d"), scale=alt.Scale(nice=False))
    y = alt.Y("value:Q", title=scale.title, scale=alt.Scale(zero=False))
    chosen = alt.selection_point(fields=["kind"], bind="legend", name="chosen_course")
    tip = [
        alt.Tooltip("what:N", title="trial"),
        alt.Tooltip("kind:N", title="is"),
        alt.Tooltip("epoch:Q"),
        alt.Tooltip("value:Q", format=scale.format, title=scale.title),
    ]
    opacity = alt.condition(chosen, alt.value(0.7), alt.value(0.06))
    chart = alt.layer(
        alt.Chart(charts.data(rows))
        .mark_line(strokeWidth=1.6)
        .encode(x=x, y=y, detail="what:N", color=kind_colour(kinds), opacity=opacity, tooltip=tip)
        .add_params(chosen),
        alt.Chart(charts.data(ends))
        .mark_point(filled=True, size=36)
        .encode(x=x, y=y, color=kind_colour(kinds), opacity=opacity, tooltip=tip),
    )
    pruned = sum(row["kind"] == "pruned" for row in ends)
    return Figure(
        "courses",
        f"{scale.title.partition(' (')[0].capitalize()} by epoch",
        f"{numbers.plural(len(ends), 'trial')} that trained, each the mean over its seeds; "
        f"{pruned} of them were pruned. A dot marks where a line ends. "
        "A click on the legend picks lines out.",
        charts.finish(chart, height=320),
    )
