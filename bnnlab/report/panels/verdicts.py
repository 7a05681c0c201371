"""The claims of the study: what is said of each, by which numbers, beside what was published."""

from __future__ import annotations

import math
from typing import Any, Literal

import altair as alt

from bnnlab.paper.claims import BoundClaim
from bnnlab.paper.metrics import describe_metric
from bnnlab.paper.verdicts import Judgement, Verdict
from bnnlab.report import charts, numbers
from bnnlab.report.analysis import Analysis
from bnnlab.report.content import Block, Cell, Column, Figure, Line, Section, Table, Text
from bnnlab.report.panel import Panel

FEW_SEEDS = 3


class Verdicts(Panel):
    """A verdict for each claim, with its interval and what would decide it."""

    panel: Literal["verdicts"] = "verdicts"

    def build(self, analysis: Analysis) -> Section:
        """The claims as a table and their intervals as a figure."""
        judgements = analysis.judgements
        if not judgements:
            return Section(self.title or "Verdicts", (Text("This study states no claims."),))
        edited = analysis.study.edited_claims
        blocks: list[Block] = [
            Table(
                "verdicts",
                "Differences are treatment - control, averaged over the other axes; the replicate is the seed. "
                "Intervals are 95 % t intervals; p is two-sided and corrected over the study's claims (Holm).",
                (
                    Column("claim"),
                    Column("verdict"),
                    Column("because"),
                    Column("measured", "right"),
                    Column("95 % interval", "right"),
                    Column("p (Holm)", "right"),
                    Column("seeds", "right"),
                    Column("published", "right"),
                ),
                tuple(_line(found, found.claim.id in edited) for found in judgements),
            )
        ]
        figure = _forest([found for found in judgements if not isinstance(found.claim, BoundClaim)])
        blocks += [figure] if figure is not None else []
        blocks += [Text(warning, "warning") for warning in _warnings(judgements, edited)]
        return Section(self.title or "Verdicts", tuple(blocks))


def _line(found: Judgement, is_edited: bool) -> Line:
    claim, effect = found.claim, found.effect
    metric = describe_metric(claim.metric)
    is_bound = isinstance(claim, BoundClaim)
    show = numbers.value if is_bound else numbers.difference
    text = f"{claim.text} (edited after the first run)" if is_edited else claim.text
    return Line(
        (
            Cell(text, claim.id, note=f"{claim.id}: {metric.title}"),
            Cell(found.verdict.value, tone=found.verdict.value),
            Cell(found.reason),
            show(metric, effect.difference),
            numbers.interval(metric, effect, as_value=is_bound),
            numbers.p_value(found.p_holm),
            Cell(str(effect.n), float(effect.n)),
            published(found),
        ),
        effect.contrast.run_keys,
    )


def published(found: Judgement) -> Cell:
    """The published figure with its status, and whether these runs may be held against it."""
    claim = found.claim
    if claim.published is None or found.published is None:
        return numbers.NOTHING
    stated = claim.published
    figure = f"{stated.figure:g}" if stated.value is not None else f"{stated.figure:+g}"
    text = f"{figure} {stated.unit or claim.expect.unit}{numbers.STATUS_MARKS[stated.status]}"
    if found.why_not_comparable:
        text += ", other protocol"
    note = claim.published.source
    if found.why_not_comparable:
        note += f". Not comparable: {'; '.join(found.why_not_comparable)}"
    return Cell(text, found.published, note=note)


def _warnings(judgements: list[Judgement], edited: frozenset[str]) -> list[str]:
    warnings = []
    judged = [found for found in judgements if not found.effect.exact and found.effect.n > 0]
    few = min((found.effect.n for found in judged), default=None)
    if few is not None and few <= FEW_SEEDS:
        reachable = f"an exact sign-flip test cannot go below p = {2.0 ** (1 - few):g}"
        warnings.append(
            f"With {numbers.plural(few, 'seed')} little can be decided: {reachable}, and an interval is "
            f"{'not to be had' if few == 1 else 'wide'}. More seeds are the cure."
        )
    for found in judged:
        needed = found.seeds_needed()
        if needed is not None:
            warnings.append(
                f"{found.claim.id}: about {needed} seeds would decide it with 80 % power, if the difference and the "
                f"spread of these {found.effect.n} seeds were the true ones."
            )
    known = {found.claim.id for found in judgements}
    if edited & known:
        names = ", ".join(sorted(edited & known))
        warnings.append(f"Edited after the first run had started, so not fixed in advance: {names}.")
    return warnings


def _forest(judgements: list[Judgement]) -> Figure | None:
    """Each claim's difference and interval, its margins and the published figure; accuracies only."""
    rows: list[dict[str, Any]] = []
    margins: list[dict[str, Any]] = []
    for found in judgements:
        effect = found.effect
        if describe_metric(found.claim.metric).unit != "fraction" or effect.difference is None:
            continue
        row: dict[str, Any] = {
            "claim": found.claim.id,
            "verdict": found.verdict.value,
            "difference": 100 * effect.difference,
        }
        if effect.low is not None and effect.high is not None:
            row |= {"low": 100 * effect.low, "high": 100 * effect.high}
        if found.published is not None:
            row["published"] = 100 * found.published
        rows.append(row)
        margins += [
            {"claim": found.claim.id, "limit": 100 * limit} for limit in found.claim.region() if math.isfinite(limit)
        ]
    if not rows:
        return None
    order = [row["claim"] for row in rows]
    y = alt.Y("claim:N", sort=order, title=None)
    base = alt.Chart(charts.data(rows)).encode(y=y)
    tip = [
        alt.Tooltip("claim:N"),
        alt.Tooltip("verdict:N"),
        alt.Tooltip("difference:Q", format="+.2f", title="difference (points)"),
        alt.Tooltip("low:Q", format="+.2f", title="from"),
        alt.Tooltip("high:Q", format="+.2f", title="to"),
        alt.Tooltip("published:Q", format="+.2f"),
    ]
    title = "difference (points of accuracy)"
    x = alt.X("difference:Q", title=title, scale=alt.Scale(zero=True))
    colour = alt.Color(
        "verdict:N",
        title=None,
        scale=alt.Scale(domain=[verdict.value for verdict in Verdict], range=list(VERDICT_COLOURS.values())),
        legend=None,
    )
    chart = alt.layer(
        alt.Chart(charts.data([{"zero": 0}])).mark_rule(color="currentColor", opacity=0.5).encode(x="zero:Q"),
        alt.Chart(charts.data(margins))
        .mark_tick(color="currentColor", thickness=2, size=22, opacity=0.55)
        .encode(y=y, x=alt.X("limit:Q", title=title)),
        base.mark_rule(strokeWidth=3).encode(x=alt.X("low:Q", title=title), x2="high:Q", color=colour),
        base.mark_point(filled=True, size=90, opacity=1).encode(x=x, color=colour, tooltip=tip),
        base.mark_point(shape="diamond", size=80, color="currentColor", filled=False).encode(
            x=alt.X("published:Q", title=title), tooltip=tip
        ),
    )
    return Figure(
        "verdict_intervals",
        "Where each difference lies",
        "Dot and bar: measured difference and 95 % interval. Bars across: the limits that the claim sets. "
        "Open diamond: the published difference.",
        charts.finish(chart, height=34 * len(rows)),
    )


VERDICT_COLOURS = {
    Verdict.REPLICATED.value: "#228833",
    Verdict.DIRECTION_ONLY.value: "#999933",
    Verdict.CONTRADICTED.value: "#cc3311",
    Verdict.INCONCLUSIVE.value: "#888888",
    Verdict.INCOMPLETE.value: "#888888",
    Verdict.NOT_COMPARABLE.value: "#4477aa",
}
