"""What the panels of a report share, computed once: judgements, cells, effects, and published rows beside
them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from bnnlab.experiment.record import RunRecord, RunState
from bnnlab.paper.matching import Match, match, why_not_comparable
from bnnlab.paper.observation import Observation
from bnnlab.paper.statistics import CellSummary, Effect, paired_effect, summarize_cells
from bnnlab.paper.verdicts import Judgement, judge_claims
from bnnlab.report.study import StudyResults


@dataclass(frozen=True)
class AxisEffect:
    """One level of an axis against its first level."""

    axis: str
    treatment: str
    control: str
    effect: Effect


@dataclass(frozen=True)
class ResultCell:
    """One cell of the grid: its runs and their summary."""

    summary: CellSummary
    runs: tuple[Observation, ...]

    @property
    def run_keys(self) -> tuple[str, ...]:
        """The finished runs that the summary comes from."""
        finished = (run for run in self.runs if run.record is not None and run.record.metrics is not None)
        return tuple(run.record.run_key for run in finished if run.record is not None)

    @property
    def record(self) -> RunRecord | None:
        """One of its records, for what does not depend on the seed."""
        return next((run.record for run in self.runs if run.record is not None), None)


class Analysis:
    """A study's results, looked at once."""

    def __init__(self, study: StudyResults) -> None:
        self.study = study

    @cached_property
    def judgements(self) -> list[Judgement]:
        """The study's claims, judged."""
        table = self.study.compare_with
        apart = {
            claim.id: why_not_comparable(claim, self.study.observations, table)
            for claim in self.study.claims
            if table is not None and claim.published is not None
        }
        return judge_claims(self.study.claims, self.study.observations, apart)

    @cached_property
    def cells(self) -> list[ResultCell]:
        """Every cell, in the order of the plan."""
        runs: dict[tuple[tuple[str, str], ...], list[Observation]] = {}
        for observation in self.study.observations:
            runs.setdefault(tuple(observation.axes.items()), []).append(observation)
        summaries = summarize_cells(self.study.observations)
        return [ResultCell(summary, tuple(found)) for summary, found in zip(summaries, runs.values(), strict=True)]

    @cached_property
    def states(self) -> Counter[str]:
        """How many runs are in each state."""
        return Counter(
            RunState.PENDING.value if run.record is None else run.record.state.value for run in self.study.observations
        )

    @cached_property
    def metric(self) -> str:
        """The metric that the study asks about: that of most claims, else the best epoch's accuracy."""
        asked = Counter(claim.metric for claim in self.study.claims if not claim.metric.startswith("model/"))
        return asked.most_common(1)[0][0] if asked else self.accuracy

    @cached_property
    def accuracy(self) -> str:
        """The accuracy that the published tables have: the best epoch's, or the last one's where no run has
        it."""
        logged = {name for cell in self.cells for name in cell.summary.metrics}
        return "test/top1" if "test/top1" in logged and "test/top1_best" not in logged else "test/top1_best"

    @cached_property
    def dataset(self) -> str | None:
        """The data set of the runs; None where there are several or no run is recorded."""
        names = {run.record.config.data.name for run in self.study.observations if run.record is not None}
        return names.pop() if len(names) == 1 else None

    def effects(self, metric: str) -> list[AxisEffect]:
        """Each level of each axis against the axis' first level."""
        return [
            AxisEffect(axis, level, levels[0], paired_effect(self.study.observations, axis, level, levels[0], metric))
            for axis, levels in self.study.axes.items()
            for level in levels[1:]
        ]

    def published(self, cell: ResultCell) -> Match | None:
        """The row of the study's table that a cell stands beside."""
        record = cell.record
        if record is None or self.study.compare_with is None:
            return None
        return match(record.config, self.study.compare_with)

    @cached_property
    def seeds(self) -> Sequence[int]:
        """The seeds of the plan."""
        return sorted({run.seed for run in self.study.observations})
