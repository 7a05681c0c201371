"""Estimates and published figures as cells of a table."""

from __future__ import annotations

from collections.abc import Sequence

from bnnlab.paper.metrics import Metric
from bnnlab.paper.statistics import Effect, Summary
from bnnlab.report.content import Cell

NOTHING = Cell("–", "")
STATUS_MARKS = {
    "confirmed": "",
    "partly": " (partly confirmed)",
    "recalled": " (recalled)",
    None: " (status not stated)",
}
"""What follows a published figure, so that none is taken for surer than it is."""


def difference(metric: Metric, value: float | None) -> Cell:
    """A signed difference: "-2.20 points"."""
    return NOTHING if value is None else Cell(metric.difference(value), value)


def value(metric: Metric, value: float | None) -> Cell:
    """A value: "87.20 %"."""
    return NOTHING if value is None else Cell(metric.value(value), value)


def summary(metric: Metric, found: Summary | None) -> Cell:
    """Mean ± standard deviation."""
    if found is None:
        return NOTHING
    if metric.exact or found.std is None:
        return Cell(metric.value(found.mean), found.mean)
    spread = f"{100 * found.std:.2f}" if metric.unit == "fraction" else f"{found.std:.3g}"
    number, _, unit = metric.value(found.mean).rpartition(" ")
    return Cell(f"{number} ± {spread} {unit}" if number else f"{unit} ± {spread}", found.mean)


def interval(metric: Metric, effect: Effect, as_value: bool = False) -> Cell:
    """The 95 % interval, in the unit of the estimate beside it: "-2.90 to -1.50"."""
    if effect.low is None or effect.high is None:
        return NOTHING
    show = metric.value if as_value else metric.difference
    if effect.exact:
        return Cell("exact", effect.difference)
    low, high = (shown.rpartition(" ")[0] or shown for shown in (show(effect.low), show(effect.high)))
    return Cell(f"{low} to {high}", f"{effect.low:.6g} {effect.high:.6g}")


def p_value(p: float | None) -> Cell:
    """A p-value with as many digits as it deserves."""
    if p is None:
        return NOTHING
    return Cell("< 0.0001" if p < 0.0001 else f"{p:.4f}" if p < 0.01 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}", p)


def plural(count: int, noun: str) -> str:
    """ "1 seed", "3 seeds"."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def listing(items: Sequence[str], limit: int = 4) -> str:
    """The first few of a list, and how many more there are."""
    more = len(items) - limit
    return "; ".join(items[:limit]) + (f"; and {more} more" if more > 0 else "")
