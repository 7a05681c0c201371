"""The completed trials by each parameter in turn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import altair as alt

from bnnlab.report import charts, numbers
from bnnlab.report.analysis import Analysis
from bnnlab.report.content import Figure, Section, Text
from bnnlab.report.panel import Panel
from bnnlab.report.panels.search import (
    NO_SEARCH,
    NOT_YET,
    by_epoch,
    course_of,
    judged_by,
    kind_colour,
    kind_of,
    kind_shape,
    label_of,
    scale_of,
    worst_first,
)

if TYPE_CHECKING:
    from bnnlab.sweep.search.results import Searched, SearchResults, TrialResult


class Slices(Panel):
    """A small figure a parameter."""

    panel: Literal["slices"] = "slices"
    metric: str | None = None
    """Up the figures; the first objective that training decides where it is left out."""

    def build(self, analysis: Analysis) -> Section:
        """The figures, in the order of the space."""
        search = analysis.study.search
        title = self.title or "By each parameter"
        if search is None:
            return Section(title, (NO_SEARCH,))
        if not search.completed:
            return Section(title, (NOT_YET,))
        metric = self.metric or judged_by(search)
        ended = [
            (trial, course[-1][1])
            for trial in search.trials
            if trial.state == "pruned" and (course := course_of(analysis, trial, by_epoch(metric)))
        ]
        figures = [_figure(search, parameter, metric, ended) for parameter in search.parameters]
        shown = [figure for figure in figures if figure is not None]
        if not shown:
            return Section(title, (Text(f"No completed trial has recorded {metric}."),))
        text = (
            f"{scale_of(metric).title.capitalize()} of {numbers.plural(len(search.completed), 'completed trial')} by "
            "one parameter at a time, the others being what they were. A sampler looks longer where it was good: dense "
            "dots say where it looked, not that it is better there."
        )
        if ended:
            text += (
                f" Grey: {numbers.plural(len(ended), 'pruned trial')}, where each stood when it was ended; the rest of "
                "its training might have raised it."
            )
        return Section(title, (Text(text), *shown))


def _figure(
    search: SearchResults, parameter: Searched, metric: str, ended: Sequence[tuple[TrialResult, float]]
) -> Figure | None:
    scale = scale_of(metric)
    known = [(trial, scale.factor * v) for trial in worst_first(search) if (v := trial.value(metric)) is not None]
    rows: list[dict[str, Any]] = [
        {"what": label_of(trial), "kind": kind_of(search, trial), "x": trial.point[parameter.name], "y": value}
        for trial, value in (*ended, *known)
        if parameter.name in trial.point
    ]
    if not rows:
        return None
    kinds = [row["kind"] for row in rows]
    if parameter.choices:
        x = alt.X("x:N", title=parameter.name, sort=list(parameter.choices), axis=alt.Axis(labelAngle=-30))
    else:
        kind = {"type": "log"} if parameter.log else {"zero": False}
        how = alt.Scale(**kind, nice=False, padding=12)
        whole = {"tickMinStep": 1} if all(isinstance(row["x"], int) for row in rows) else {}
        form = alt.Axis(tickCount=5, labelOverlap=True, **({"format": "~g"} if parameter.log else whole))
        x = alt.X("x:Q", title=parameter.name + (" (log)" if parameter.log else ""), scale=how, axis=form)
    chart = (
        alt.Chart(charts.data(rows))
        .mark_point(filled=True, size=45, opacity=0.75)
        .encode(
            x=x,
            y=alt.Y("y:Q", title=scale.title, scale=alt.Scale(zero=False, padding=8), axis=alt.Axis(tickCount=5)),
            color=kind_colour(kinds).legend(None),
            shape=kind_shape(kinds).legend(None),
            tooltip=[
                alt.Tooltip("what:N", title="trial"),
                alt.Tooltip("x:N", title=parameter.name),
                alt.Tooltip("y:Q", format=scale.format, title=scale.title),
            ],
        )
    )
    description = f"{scale.title} by {parameter.name}: {numbers.plural(len(rows), 'trial')}."
    spec = charts.finish(chart, height=180)
    return Figure(f"slice_{parameter.name}", parameter.name, description, spec, is_small=True)
