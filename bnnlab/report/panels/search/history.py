"""How a search went: the best value so far, or for several objectives the hypervolume of the front so far."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import altair as alt

from bnnlab.paper.metrics import describe_metric
from bnnlab.report import charts, numbers
from bnnlab.report.analysis import Analysis
from bnnlab.report.content import Figure, Section, Text
from bnnlab.report.panel import Panel
from bnnlab.report.panels.search import (
    NO_SEARCH,
    kind_colour,
    kind_of,
    kind_shape,
    label_of,
    scale_of,
)

if TYPE_CHECKING:
    from bnnlab.sweep.search.results import SearchResults


class History(Panel):
    """Whether more trials would still have helped."""

    panel: Literal["history"] = "history"

    def build(self, analysis: Analysis) -> Section:
        """One figure over the trials, in the order in which they were proposed."""
        search = analysis.study.search
        title = self.title or "How the search went"
        if search is None:
            return Section(title, (NO_SEARCH,))
        if not search.history:
            return Section(title, (Text("No trial that meets every constraint is completed yet."),))
        if len(search.objectives) == 1:
            return Section(title, (_best_so_far(search),))
        return Section(title, (_hypervolume(search),))


def _best_so_far(search: SearchResults) -> Figure:
    (objective,) = search.objectives
    scale = scale_of(objective.metric)
    rows = [
        {
            "what": label_of(trial),
            "kind": kind_of(search, trial),
            "trial": trial.number,
            "value": scale.factor * trial.values[objective.metric],
            "from": trial.summary,
        }
        for trial in search.completed
    ]
    best = [{"trial": number, "value": scale.factor * value} for number, value in search.history]
    kinds = [str(row["kind"]) for row in rows]
    x, y = _trial_axis(), alt.Y("value:Q", title=scale.title, scale=alt.Scale(zero=False, padding=12))
    chart = alt.layer(
        alt.Chart(charts.data(best))
        .mark_line(interpolate="step-after", strokeWidth=2, color=charts.PALETTE[0])
        .encode(x=x, y=y),
        alt.Chart(charts.data(rows))
        .mark_point(filled=True, size=60, opacity=0.85)
        .encode(
            x=x,
            y=y,
            color=kind_colour(kinds),
            shape=kind_shape(kinds),
            tooltip=[
                alt.Tooltip("what:N", title="trial"),
                alt.Tooltip("value:Q", format=scale.format, title=scale.title),
                alt.Tooltip("from:N"),
            ],
        ),
    )
    return Figure(
        "history",
        "Best value so far",
        f"Dots: {numbers.plural(len(rows), 'completed trial')}, each the mean over "
        f"{numbers.plural(len(search.seeds), 'seed')}. Line: the best so far. {_others(search)}",
        charts.finish(chart, height=300),
    )


def _hypervolume(search: SearchResults) -> Figure:
    total = search.history[-1][1]
    rows: list[dict[str, Any]] = [
        {"trial": number, "share": 100 * value / total if total > 0 else 0.0} for number, value in search.history
    ]
    corner = ", ".join(describe_metric(metric).value(value) for metric, value in search.worst.items())
    chart = (
        alt.Chart(charts.data(rows))
        .mark_line(interpolate="step-after", strokeWidth=2, color=charts.PALETTE[0], point={"size": 40})
        .encode(
            x=_trial_axis(),
            y=alt.Y("share:Q", title="hypervolume (% of that at the end)", scale=alt.Scale(domain=[0, 100])),
            tooltip=[alt.Tooltip("trial:Q"), alt.Tooltip("share:Q", format=".1f", title="hypervolume (%)")],
        )
    )
    return Figure(
        "history",
        "Hypervolume of the front so far",
        f"What the front dominates after each of {numbers.plural(len(rows), 'completed trial')} that met the "
        f"constraints, measured from the worst value of each objective among them ({corner}). A line that is still "
        f"rising at its end asks for a larger budget. {_others(search)}",
        charts.finish(chart, height=300),
    )


def _trial_axis() -> Any:
    return alt.X("trial:Q", title="number of the trial", axis=alt.Axis(tickMinStep=1, format="d"))


def _others(search: SearchResults) -> str:
    counts = {state: count for state, count in sorted(search.counts().items()) if state != "completed"}
    told = ", ".join(f"{count} {state}" for state, count in counts.items())
    return f"The numbers between are trials without a result: {told}." if told else "Every trial came to a result."
