"""Which parameter decides the result of a search: PED-ANOVA, with how much it is worth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import altair as alt

from bnnlab.paper.metrics import describe_metric
from bnnlab.report import charts, numbers
from bnnlab.report.content import Block, Cell, Column, Figure, Line, Section, Table, Text

if TYPE_CHECKING:
    from bnnlab.sweep.search.results import SearchResults

TRIALS_TO_TRUST = 50
"""So that the best tenth, which PED-ANOVA compares with the rest, holds the five trials that Optuna asks for."""


def parameter_importance(search: SearchResults, title: str) -> Section:
    """A figure and a table, the most important parameter first, by objective."""
    count = len(search.completed)
    if not search.importances:
        return Section(title, (Text(f"{_completed(count)}: PED-ANOVA needs ten to say which parameter decides."),))
    metrics = list(search.importances)
    names = sorted(
        {name for shares in search.importances.values() for name in shares},
        key=lambda name: (-sum(search.importances[metric].get(name, 0.0) for metric in metrics), name),
    )
    caption = (
        f"Share of each parameter in what sets the best tenth of {_completed(count)} apart from all of them "
        "(PED-ANOVA, Watanabe et al. 2023, arXiv:2304.10255, as Optuna computes it), for each objective by itself. "
        "It says that a parameter matters, not which value is good."
    )
    titles = {metric: describe_metric(metric).title for metric in metrics}
    blocks: list[Block] = [
        _figure(search, names, titles, caption),
        Table(
            "importance",
            f"The same in numbers, over {_completed(count)}.",
            (Column("parameter"), *(Column(f"{titles[metric]} (%)", "right") for metric in metrics)),
            tuple(Line((Cell(name), *(_share(search, metric, name) for metric in metrics))) for name in names),
        ),
    ]
    if count < TRIALS_TO_TRUST:
        top = -(-count // 10)
        blocks.insert(
            0,
            Text(
                f"Read with care: the best tenth of {_completed(count)} is {numbers.plural(top, 'trial')}, and shares "
                f"settle from about {TRIALS_TO_TRUST} completed trials on.",
                "warning",
            ),
        )
    return Section(title, tuple(blocks))


def _completed(count: int) -> str:
    return numbers.plural(count, "completed trial")


def _share(search: SearchResults, metric: str, name: str) -> Cell:
    share = search.importances[metric].get(name)
    return numbers.NOTHING if share is None else Cell(f"{100 * share:.1f}", share)


def _figure(search: SearchResults, names: list[str], titles: dict[str, str], caption: str) -> Figure:
    rows = [
        {"parameter": name, "objective": titles[metric], "share": 100 * share}
        for metric, shares in search.importances.items()
        for name, share in shares.items()
    ]
    chart = (
        alt.Chart(charts.data(rows))
        .mark_bar()
        .encode(
            y=alt.Y("parameter:N", sort=names, title=None),
            yOffset=alt.YOffset("objective:N", sort=list(titles.values())),
            x=alt.X("share:Q", title="share (%)", scale=alt.Scale(domainMin=0), axis=alt.Axis(tickCount=8)),
            color=alt.Color("objective:N", title=None, sort=list(titles.values()), legend=alt.Legend(columns=1)),
            tooltip=[
                alt.Tooltip("parameter:N"),
                alt.Tooltip("objective:N"),
                alt.Tooltip("share:Q", format=".1f", title="share (%)"),
            ],
        )
    )
    height = len(names) * (14 + 14 * len(titles))
    return Figure("importance", "Importance of each parameter", caption, charts.finish(chart, height=height))
