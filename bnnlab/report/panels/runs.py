"""Every run: where it stands, what it reached, where to look at it."""

from __future__ import annotations

from typing import Literal

from bnnlab.experiment.record import RunState
from bnnlab.paper.metrics import METRICS, describe_metric
from bnnlab.paper.observation import Observation
from bnnlab.report import numbers
from bnnlab.report.analysis import Analysis
from bnnlab.report.content import Cell, Column, Line, Section, Table
from bnnlab.report.panel import Panel


class Runs(Panel):
    """The list of runs, each with a link where the study knows one."""

    panel: Literal["runs"] = "runs"

    def build(self, analysis: Analysis) -> Section:
        """One line a run, in the order of the plan."""
        axes = list(analysis.study.axes)
        table = Table(
            "runs",
            "Every planned run. Its key names its directory in the ledger.",
            (
                *(Column(axis) for axis in axes),
                Column("seed", "right"),
                Column("state"),
                Column("epochs", "right"),
                Column("top-1, last", "right"),
                Column("top-1, best", "right"),
                Column("size", "right"),
                Column("trained by"),
                Column("run"),
            ),
            tuple(_line(analysis, axes, run) for run in analysis.study.observations),
            is_long=True,
        )
        return Section(self.title or "Runs", (table,))


def _line(analysis: Analysis, axes: list[str], run: Observation) -> Line:
    record, study = run.record, analysis.study
    state = RunState.PENDING if record is None else record.state
    key = run.run_key or ""
    last, best, size = (run.value(name) for name in ("test/top1", "test/top1_best", "model/size_mib"))
    accuracy = describe_metric("test/top1")
    return Line(
        (
            *(Cell(run.axes.get(axis, "–")) for axis in axes),
            Cell(str(run.seed), float(run.seed)),
            Cell(state.value, tone=state.value, note=(record.cause or "") if record is not None else ""),
            Cell(str(len(record.epochs)) if record is not None else "0"),
            numbers.value(accuracy, last),
            numbers.value(accuracy, best),
            numbers.value(METRICS["model/size_mib"], size),
            Cell(study.reused.get(key, "this study" if record is not None else "–")),
            Cell(key or "–", key, href=study.links.get(key)),
        )
    )
