"""Parallel coordinates: each trial is one line through all its values.

Drawn from top to bottom, a row a parameter: names and values stay readable on a narrow window, however many there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import log
from typing import TYPE_CHECKING, Any, Literal

import altair as alt

from bnnlab.report import charts, numbers
from bnnlab.report.analysis import Analysis
from bnnlab.report.content import Figure, Section
from bnnlab.report.panel import Panel
from bnnlab.report.panels.search import (
    NO_SEARCH,
    NOT_YET,
    kind_colour,
    kind_of,
    label_of,
    scale_of,
    short,
    worst_first,
)

if TYPE_CHECKING:
    from bnnlab.sweep.search.results import Searched, SearchResults

ROW_PX = 46
BESIDE: dict[str, dict[str, Any]] = {
    "before": {"align": "right", "dx": -7},
    "after": {"align": "left", "dx": 7},
    "above": {"align": "center", "dy": -9},
}
"""Where a value is written, so that no line runs through it."""


class Parallel(Panel):
    """Which values go together."""

    panel: Literal["parallel"] = "parallel"

    def build(self, analysis: Analysis) -> Section:
        """One figure: the parameters, then the objectives."""
        search = analysis.study.search
        title = self.title or "All parameters together"
        if search is None:
            return Section(title, (NO_SEARCH,))
        if not search.completed:
            return Section(title, (NOT_YET,))
        return Section(title, (_figure(search),))


@dataclass(frozen=True)
class _Row:
    """One row of the figure: where a value stands between 0 and 1, and what is written there."""

    title: str
    low: float = 0.0
    high: float = 1.0
    is_log: bool = False
    choices: tuple[str, ...] = ()

    def place(self, value: float | str) -> float:
        if self.choices:
            return (self.choices.index(str(value)) + 0.5) / len(self.choices)
        low, high, at = (log(x) if self.is_log else x for x in (self.low, self.high, float(value)))
        return 0.5 if high == low else (at - low) / (high - low)

    def marks(self) -> Iterable[tuple[float, str]]:
        if self.choices:
            return [(self.place(choice), choice) for choice in self.choices]
        ends = (self.low,) if self.low == self.high else (self.low, self.high)
        return [(self.place(end), f"{end:.4g}") for end in ends]


def _of_parameter(parameter: Searched) -> _Row:
    if parameter.choices:
        return _Row(parameter.name, choices=parameter.choices)
    title = parameter.name + (" (log)" if parameter.log else "")
    return _Row(title, parameter.low or 0.0, parameter.high or 0.0, parameter.log)


def _of_objective(search: SearchResults, metric: str) -> _Row:
    scale = scale_of(metric)
    values = [scale.factor * trial.values[metric] for trial in search.completed]
    # The full title of a metric would leave a narrow window no room for the lines.
    unit = scale.title.rpartition(" (")[2].rstrip(")") if scale.title.endswith(")") else ""
    return _Row(f"{short(metric)} ({unit})" if unit else short(metric), min(values), max(values))


def _figure(search: SearchResults) -> Figure:
    found: dict[str, _Row] = {parameter.name: _of_parameter(parameter) for parameter in search.parameters}
    found |= {objective.metric: _of_objective(search, objective.metric) for objective in search.objectives}
    titles = [row.title for row in found.values()]
    points = [point for trial in worst_first(search) for point in _line(search, trial, found)]
    marks = [
        {"row": row.title, "at": at, "text": text, "place": "before" if at == 0 else "after" if at == 1 else "above"}
        for row in found.values()
        for at, text in row.marks()
    ]
    y = alt.Y("row:N", sort=titles, title=None, axis=alt.Axis(grid=True, ticks=False, domain=False))
    x = alt.X("at:Q", axis=None, scale=alt.Scale(domain=[0, 1], padding=42))
    kinds = [str(point["kind"]) for point in points]
    chosen = alt.selection_point(fields=["kind"], bind="legend", name="chosen_kind")
    layers: list[Any] = [
        alt.Chart(charts.data(points))
        .mark_line(strokeWidth=1.8)
        .encode(
            x=x,
            y=y,
            order="order:Q",
            detail="what:N",
            color=kind_colour(kinds),
            opacity=alt.condition(chosen, alt.value(0.7), alt.value(0.06)),
            tooltip=[alt.Tooltip("what:N", title="trial"), alt.Tooltip("row:N", title="of"), alt.Tooltip("value:N")],
        )
        .add_params(chosen)
    ]
    for place, shift in BESIDE.items():
        if texts := [mark for mark in marks if mark["place"] == place]:
            words = alt.Chart(charts.data(texts)).mark_text(color="currentColor", fontSize=11, **shift)
            layers.append(words.encode(x=x, y=y, text="text:N"))
    return Figure(
        "parallel",
        "Every completed trial as a line",
        f"{numbers.plural(len(search.completed), 'completed trial')}. Each row is a parameter over the whole range "
        "that was searched, the last ones are the objectives over the range that was reached. A line that "
        "skips a row has no such parameter. A click on the legend picks lines out.",
        charts.finish(alt.layer(*layers), height=ROW_PX * len(found)),
    )


def _line(search: SearchResults, trial: Any, found: Mapping[str, _Row]) -> Iterable[dict[str, Any]]:
    for order, (name, row) in enumerate(found.items()):
        value = trial.point.get(name)
        if name in trial.values:
            value = scale_of(name).factor * trial.values[name]
        if value is not None:
            yield {
                "what": label_of(trial),
                "kind": kind_of(search, trial),
                "row": row.title,
                "order": order,
                "at": row.place(value),
                "value": f"{value:.4g}" if isinstance(value, float) else str(value),
            }
