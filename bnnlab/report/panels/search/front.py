"""The front that a search found: its trials by their objectives, the published networks beside them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import altair as alt

from bnnlab.report import charts, numbers
from bnnlab.report.analysis import Analysis
from bnnlab.report.content import Block, Figure, Section, Text
from bnnlab.report.panel import Panel
from bnnlab.report.panels.pareto import reference_rows
from bnnlab.report.panels.search import (
    NO_SEARCH,
    NOT_YET,
    PUBLISHED,
    judged_by,
    kind_colour,
    kind_of,
    kind_shape,
    label_of,
    scale_of,
    worst_first,
)

if TYPE_CHECKING:
    from bnnlab.sweep.search.results import SearchResults, TrialResult

SIZE = "model/size_mib"


class Front(Panel):
    """What a search traded for what."""

    panel: Literal["front"] = "front"

    def build(self, analysis: Analysis) -> Section:
        """A figure of each other objective against the accuracy; for one objective, of the size."""
        search = analysis.study.search
        title = self.title or "What the search found"
        if search is None:
            return Section(title, (NO_SEARCH,))
        if not search.completed:
            return Section(title, (NOT_YET,))
        blocks: list[Block] = []
        up = judged_by(search)
        for across in [o.metric for o in search.objectives if o.metric != up] or [SIZE]:
            blocks += _against(analysis, search, across, up)
        return Section(title, tuple(blocks))


def _against(analysis: Analysis, search: SearchResults, across: str, up: str) -> list[Block]:
    known = [t for t in worst_first(search) if t.value(across) is not None and t.value(up) is not None]
    values = {trial.value(across) for trial in known}
    if len(search.objectives) == 1 and len(values) < 2:
        what = scale_of(across).title.partition(" (")[0]
        same = next((f" of {value:.2f} MiB" for value in values if value is not None), "")
        return [Text(f"All completed trials have the same {what}{same}: there is nothing to weigh against it.")]
    reference = _published(analysis.dataset, across, up)
    blocks: list[Block] = [_figure(search, known, across, up, reference)]
    if reference:
        blocks.append(
            Text(
                f"Published accuracies are those of the test split, each marked where it is not confirmed; the trials "
                f"stand at their {scale_of(up).title.removesuffix(' (%)')}, mean over {_seeds(search)}. The search "
                "chose among them by it, so the best of them look better than they are."
            )
        )
    elif across == SIZE:
        data = f"on {analysis.dataset}" if analysis.dataset else "on these data"
        blocks.append(Text(f"No published network was measured {data}, so there are no reference points."))
    return blocks


def _seeds(search: SearchResults) -> str:
    return numbers.plural(len(search.seeds), "seed")


def _published(dataset: str | None, across: str, up: str) -> list[dict[str, Any]]:
    """The published networks, where the figure is of accuracy against size."""
    if across != SIZE or not up.removesuffix("_best").endswith("top1"):
        return []
    return [
        {
            "what": row.label + numbers.STATUS_MARKS[row.status],
            "kind": PUBLISHED,
            "x": row.size_mib,
            "y": 100 * row.top1,
            "from": row.source,
        }
        for row in reference_rows(dataset)
        if row.size_mib is not None and row.top1 is not None
    ]


def _figure(
    search: SearchResults, trials: Sequence[TrialResult], across: str, up: str, reference: list[dict[str, Any]]
) -> Figure:
    wide, high = scale_of(across), scale_of(up)
    rows: list[dict[str, Any]] = [
        {
            "what": label_of(trial),
            "kind": kind_of(search, trial),
            "x": wide.factor * (trial.value(across) or 0.0),
            "y": high.factor * (trial.value(up) or 0.0),
            "from": trial.summary,
            "name": trial.name or "",
            "front": len(search.objectives) > 1 and trial.number in search.front,
        }
        for trial in trials
    ]
    positive = all(row["x"] > 0 for row in [*rows, *reference])
    x = alt.X("x:Q", title=wide.title, scale=alt.Scale(type="log" if positive else "linear", nice=False, padding=24))
    y = alt.Y("y:Q", title=high.title, scale=alt.Scale(zero=False, padding=18))
    kinds = [row["kind"] for row in [*rows, *reference]]
    layers = [
        alt.Chart(charts.data([*reference, *rows]))
        .mark_point(filled=True, size=70, opacity=0.85)
        .encode(
            x=x,
            y=y,
            color=kind_colour(kinds),
            shape=kind_shape(kinds),
            tooltip=[
                alt.Tooltip("what:N", title="network"),
                alt.Tooltip("kind:N", title="is"),
                alt.Tooltip("x:Q", format=wide.format, title=wide.title),
                alt.Tooltip("y:Q", format=high.format, title=high.title),
                alt.Tooltip("from:N", title="from"),
            ],
        )
        .add_params(alt.selection_interval(bind="scales", name=f"zoom_{across.replace('/', '_')}"))
    ]
    front = sorted((row for row in rows if row["front"]), key=lambda row: row["x"])
    if len(search.objectives) == 2 and len(front) > 1:
        line = alt.Chart(charts.data(front)).mark_line(color=charts.PALETTE[1], opacity=0.6, interpolate=_steps(search))
        layers.insert(0, line.encode(x=x, y=y))
    if named := [row for row in rows if row["name"]]:
        words = alt.Chart(charts.data(named)).mark_text(color="currentColor", dy=-11, fontSize=11)
        layers.append(words.encode(x=x, y=y, text="name:N"))
    return Figure(
        f"front_{across.replace('/', '_')}",
        f"{high.title.partition(' (')[0].capitalize()} against {wide.title.partition(' (')[0]}",
        f"{numbers.plural(len(trials), 'completed trial')}, each the mean over {_seeds(search)}; those that were given "
        "first have their names."
        + (" Line: the front, which no other trial beats in every objective." if len(front) > 1 else "")
        + (" Diamonds: published networks on the same data." if reference else "")
        + " The wheel zooms, a drag moves.",
        charts.finish(alt.layer(*layers), height=360),
    )


def _steps(search: SearchResults) -> Literal["step-after", "step-before"]:
    """A front holds from each of its trials to the next worse one across: a larger size, or a lower accuracy."""
    across = next(o for o in search.objectives if o.metric != judged_by(search))
    return "step-after" if across.direction == "minimize" else "step-before"
