"""Where the figures come from: specification, code, machine, and what another study had trained already."""

from __future__ import annotations

from collections import Counter
from typing import Literal

from bnnlab.report import numbers
from bnnlab.report.analysis import Analysis
from bnnlab.report.content import Block, Cell, Column, Line, Section, Table, Text
from bnnlab.report.panel import Panel

MAX_KINDS = 6
"""A fact with more values than this (a time, a checksum) belongs to its run, not to the study."""


class Provenance(Panel):
    """What a reader needs to repeat the study."""

    panel: Literal["provenance"] = "provenance"

    def build(self, analysis: Analysis) -> Section:
        """Facts, reuse, and the specification as it was given."""
        study = analysis.study
        facts = {"study": study.name, "profile": study.profile, "plan": study.plan, **study.provenance}
        facts |= {"seeds": ", ".join(map(str, analysis.seeds))}
        blocks: list[Block] = [_table("provenance", "The study.", [(key, value) for key, value in facts.items()])]
        mixed = _differing(analysis)
        if mixed:
            blocks.append(_table("provenance_runs", "Where the runs are not of one kind.", mixed))
        if study.reused:
            by_study = Counter(study.reused.values())
            told = ", ".join(f"{numbers.plural(count, 'run')} from {name}" for name, count in sorted(by_study.items()))
            blocks.append(Text(f"Trained by other studies and reused here: {told}."))
        if study.spec_text:
            blocks.append(Text(study.spec_text, "code"))
        return Section(self.title or "Where this comes from", tuple(blocks))


def _differing(analysis: Analysis) -> list[tuple[str, str]]:
    """The recorded facts in which the runs differ, each value with its number of runs."""
    seen: dict[str, Counter[str]] = {}
    for run in analysis.study.observations:
        for key, value in ((run.record.provenance if run.record is not None else None) or {}).items():
            seen.setdefault(key, Counter())[str(value)] += 1
    return [
        (key, ", ".join(f"{value} ({numbers.plural(count, 'run')})" for value, count in sorted(values.items())))
        for key, values in sorted(seen.items())
        if 1 < len(values) <= min(MAX_KINDS, values.total() - 1)
    ]


def _table(name: str, caption: str, facts: list[tuple[str, str]]) -> Table:
    lines = tuple(Line((Cell(key), Cell(value))) for key, value in facts)
    return Table(name, caption, (Column("what"), Column("value")), lines)
