"""What the panels of a search share: how trials are told apart, and how a metric becomes an axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

import altair as alt

from bnnlab.paper.metrics import describe_metric
from bnnlab.report import charts
from bnnlab.report.analysis import Analysis
from bnnlab.report.content import Text

if TYPE_CHECKING:
    from bnnlab.sweep.search.results import SearchResults, TrialResult

NO_SEARCH = Text("This is a study: its points were given, and no trial was proposed.")
NOT_YET = Text("No trial is completed yet.")

FRONT, BEST, COMPLETED, INFEASIBLE, PUBLISHED = (
    "on the front", "best trial", "completed", "breaks a constraint", "published",
)  # fmt: skip
COLOURS = {
    FRONT: charts.PALETTE[1],
    BEST: charts.PALETTE[1],
    COMPLETED: charts.PALETTE[0],
    INFEASIBLE: charts.PALETTE[7],
    "pruned": charts.PALETTE[7],
    "diverged": charts.PALETTE[6],
    "failed": charts.PALETTE[5],
    "running": charts.PALETTE[4],
    PUBLISHED: charts.PALETTE[2],
}
"""Of what a completed trial is to its search, of what became of any other, and of the networks beside them."""
SHAPES = dict.fromkeys(COLOURS, "circle") | {INFEASIBLE: "cross", PUBLISHED: "diamond"}


@dataclass(frozen=True)
class Scale:
    """A metric as an axis: its title with the unit, and what a recorded value is multiplied by."""

    title: str
    factor: float = 1.0
    format: str = ".4~g"


def scale_of(metric: str) -> Scale:
    """Accuracies in per cent, sizes in MiB, counts in millions."""
    entry = describe_metric(metric)
    if entry.unit == "fraction":
        return Scale(f"{entry.title} (%)", 100.0, ".2f")
    if entry.unit == "MiB":
        return Scale(f"{entry.title} (MiB)", format=".3f")
    if metric.startswith("model/"):
        return Scale(f"{entry.title} (10⁶)", 1e-6)
    return Scale(entry.title)


def short(metric: str) -> str:
    """ "val/top1", "size": where a column or a row has no room for a metric's title."""
    return metric.removeprefix("model/").removesuffix("_mib")


def judged_by(search: SearchResults) -> str:
    """The first objective that training decides, or else the first."""
    metrics = [objective.metric for objective in search.objectives]
    return next((metric for metric in metrics if not metric.startswith("model/")), metrics[0])


def by_epoch(metric: str) -> str:
    """What is recorded after each epoch and heads for a metric of the end."""
    return metric.removesuffix("_best").replace("test/", "val/")


def course_of(analysis: Analysis, trial: TrialResult, metric: str) -> list[tuple[int, float]]:
    """Epochs from 1 on, and the mean of a metric over the trial's runs that got there, in the unit of the figures."""
    runs = [
        run.record.epochs
        for run in analysis.study.observations
        if run.run_key in trial.run_keys and run.record is not None
    ]
    course = []
    for index in range(max((len(run) for run in runs), default=0)):
        values = [run[index][metric] for run in runs if len(run) > index and metric in run[index]]
        if values and all(math.isfinite(value) for value in values):
            course.append((index + 1, scale_of(metric).factor * fmean(values)))
    return course


def kind_of(search: SearchResults, trial: TrialResult) -> str:
    """What a trial is drawn as."""
    if trial.state != "completed":
        return trial.state
    if not trial.is_feasible:
        return INFEASIBLE
    if trial.number in search.front:
        return BEST if len(search.objectives) == 1 else FRONT
    return COMPLETED


def worst_first(search: SearchResults) -> list[TrialResult]:
    """The completed trials in the order in which they are drawn: no dot hides one of the best."""
    order = [INFEASIBLE, COMPLETED, BEST, FRONT]
    return sorted(search.completed, key=lambda trial: order.index(kind_of(search, trial)))


def label_of(trial: TrialResult) -> str:
    """ "trial 3 (small)"."""
    return f"trial {trial.number}" + (f" ({trial.name})" if trial.name else "")


def kind_colour(kinds: Sequence[str]) -> Any:
    """A colour for each kind of trial, the same on every figure."""
    return alt.Color("kind:N", title=None, scale=_scale(COLOURS, kinds))


def kind_shape(kinds: Sequence[str]) -> Any:
    """A shape for each kind, for readers who do not see the colours apart; merged into the legend of the colours."""
    return alt.Shape("kind:N", title=None, scale=_scale(SHAPES, kinds))


def _scale(of_kind: dict[str, str], kinds: Sequence[str]) -> Any:
    present = [kind for kind in of_kind if kind in kinds]
    return alt.Scale(domain=present, range=[of_kind[kind] for kind in present])
