"""Where the figures come from: specification, code, machine, and what another study had trained already."""

from __future__ import annotations

from collections import Counter
from typing import Literal

from bnnlab.report import numbers
from bnnlab.report.analysis import Analysis
from bnnlab.report.content import Block, Cell, Column, Line, Section, Table, Text
from bnnlab.report.panel import Panel

PER_RUN = ("started", "finished", "pid")
"""What differs from run to run and tells a reader of the study nothing."""


class Provenance(Panel):
    """What a reader needs to repeat the study."""

    panel: Literal["provenance"] = "provenance"

    def build(self, analysis: Analysis) -> Section:
        """Facts, reuse, and the specification as it was given."""
        study = analysis.study
        facts = {"study": study.name, "profile": study.profile, "plan": study.plan, **study.provenance}
        facts |= {"seeds": ", ".join(map(str, analysis.seeds))}
        blocks: list[Block] = [_table("provenance", "The study.", [(key, value) for key, value in facts.items()])]
        seen: Counter[tuple[str, str]] = Counter()
        for run in study.observations:
            if run.record is not None and run.record.provenance is not None:
                seen.update((key, value) for key, value in run.record.provenance.items() if key not in PER_RUN)
        common = [(key, f"{value} ({numbers.plural(count, 'run')})") for (key, value), count in sorted(seen.items())]
        if common and len(common) <= 60:
            blocks.append(
                _table("provenance_runs", "What the runs recorded of the code and machines that trained them.", common)
            )
        if study.reused:
            by_study = Counter(study.reused.values())
            told = ", ".join(f"{numbers.plural(count, 'run')} from {name}" for name, count in sorted(by_study.items()))
            blocks.append(Text(f"Trained by other studies and reused here: {told}."))
        if study.spec_text:
            blocks.append(Text(study.spec_text, "code"))
        return Section(self.title or "Where this comes from", tuple(blocks))


def _table(name: str, caption: str, facts: list[tuple[str, str]]) -> Table:
    lines = tuple(Line((Cell(key), Cell(value))) for key, value in facts)
    return Table(name, caption, (Column("what"), Column("value")), lines)
