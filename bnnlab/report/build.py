"""A study's results and a dashboard as a report, in every form that it is read in."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType

from bnnlab.paper.verdicts import Judgement, Verdict
from bnnlab.report import exports, page, terminal
from bnnlab.report.analysis import Analysis
from bnnlab.report.content import Section, Table
from bnnlab.report.dashboard import DEFAULT, Dashboard
from bnnlab.report.numbers import plural
from bnnlab.report.study import StudyResults

if TYPE_CHECKING:
    from bnnlab.sweep.search.results import SearchResults


def build_report(study: StudyResults, dashboard: Dashboard = DEFAULT) -> Report:
    """The report of a study, as a dashboard asks for it. The same results give the same bytes."""
    return Report(Analysis(study), dashboard)


@dataclass(frozen=True)
class Report:
    """A report; each form is made when it is asked for."""

    analysis: Analysis
    dashboard: Dashboard

    @cached_property
    def sections(self) -> tuple[Section, ...]:
        """What the dashboard's panels say."""
        return tuple(panel.build(self.analysis) for panel in self.dashboard.panels)

    @property
    def tables(self) -> tuple[Table, ...]:
        """Every table, in order."""
        return tuple(table for section in self.sections for table in section.tables)

    @property
    def tiles(self) -> list[tuple[str, str]]:
        """What a reader wants to know first: the runs by state, the verdicts by kind."""
        study, states = self.analysis.study, self.analysis.states
        if study.search is not None:
            return _search_tiles(study.search)
        runs = ", ".join(f"{count:,} {state}" for state, count in sorted(states.items()))
        verdicts = [found.verdict for found in self.analysis.judgements]
        counts = [f"{verdicts.count(verdict)} {verdict}" for verdict in Verdict if verdict in verdicts]
        tiles = [("runs", runs or "none"), ("seeds", str(len(self.analysis.seeds)))]
        if counts:
            tiles.append((plural(len(verdicts), "claim") + ":", ", ".join(counts)))
        if study.reused:
            tiles.append(("reused", plural(len(study.reused), "run")))
        return tiles

    def html(self, live: str = "") -> str:
        """One self-contained page. `live`: a script that reloads it while a sweep runs."""
        study = self.analysis.study
        return page.render_page(
            title=f"{study.name}: {self.dashboard.title}",
            question=study.question,
            eyebrow=f"{study.name} · profile {study.profile} · plan {study.plan}",
            tiles=self.tiles,
            sections=self.sections,
            live=live,
        )

    def terminal(self) -> list[RenderableType]:
        """Tables and texts, for `rich.console.Console.print`."""
        study = self.analysis.study
        return list(terminal.render_terminal(study.question or study.name, self.tiles, self.sections))

    def markdown(self) -> str:
        """Tables and texts."""
        study = self.analysis.study
        return exports.to_markdown(study.question or study.name, self.tiles, self.sections)

    def csv(self) -> dict[str, str]:
        """Each table by the name of its file, without the suffix."""
        return {table.name: exports.to_csv(table) for table in self.tables}

    def latex(self) -> dict[str, str]:
        """Each table by the name of its file, without the suffix; run lists and free text are left out."""
        return {table.name: exports.to_latex(table) for table in self.tables if not table.is_long}

    def json(self) -> dict[str, Any]:
        """What scripts rely on; accuracies and differences are fractions."""
        study = self.analysis.study
        found: dict[str, Any] = {
            "study": study.name,
            "profile": study.profile,
            "plan": study.plan,
            "cells": [
                {
                    "axes": dict(cell.summary.axes),
                    "n": cell.summary.n,
                    "planned": cell.summary.planned,
                    "metrics": {
                        name: {"mean": each.mean, "std": each.std, "n": each.n}
                        for name, each in cell.summary.metrics.items()
                    },
                    "runs": list(cell.run_keys),
                }
                for cell in self.analysis.cells
            ],
            "claims": [_claim(judged, study.edited_claims) for judged in self.analysis.judgements],
        }
        if study.search is not None:
            from bnnlab.sweep.search.results import results_json  # Optuna is behind it

            found["search"] = results_json(study.search)
        return found

    @property
    def open_claims(self) -> tuple[Judgement, ...]:
        """The claims that are contradicted or could not be judged: what `--check` fails for."""
        upheld = (Verdict.REPLICATED, Verdict.DIRECTION_ONLY)
        return tuple(found for found in self.analysis.judgements if found.verdict not in upheld)


def _search_tiles(search: SearchResults) -> list[tuple[str, str]]:
    counts = search.counts()
    others = ", ".join(f"{count} {state}" for state, count in sorted(counts.items()) if state != "completed")
    done = f"{counts.get('completed', 0)} of {search.budget} completed"
    tiles = [("trials", f"{done}, {others}" if others else done)]
    tiles.append(("seeds a trial", str(len(search.seeds))))
    tiles += [("objective", f"{objective.direction} {objective.metric}") for objective in search.objectives]
    tiles += [("constraint", constraint.text) for constraint in search.constraints]
    return [*tiles, ("time", f"{search.seconds / 60:.1f} min")]


def _claim(found: Judgement, edited: frozenset[str]) -> dict[str, Any]:
    claim, effect = found.claim, found.effect
    return {
        "id": claim.id,
        "text": claim.text,
        "metric": claim.metric,
        "verdict": found.verdict.value,
        "reason": found.reason,
        "difference": effect.difference,
        "interval": None if effect.low is None or effect.high is None else [effect.low, effect.high],
        "p": found.p,
        "p_holm": found.p_holm,
        "p_exact": effect.p_sign_flip,
        "n": effect.n,
        "seeds_needed": found.seeds_needed(),
        "published": None
        if claim.published is None
        else {
            "kind": "difference" if claim.published.difference is not None else "value",
            "figure": found.published,
            "source": claim.published.source,
            "status": claim.published.status,
            "comparable": not found.why_not_comparable,
            "why_not_comparable": list(found.why_not_comparable),
        },
        "edited": claim.id in edited,
        "runs": list(effect.contrast.run_keys),
    }
