"""Pruning for several objectives, which Optuna's pruners do not offer: a trial that cannot reach the front is ended.

At each rung (after `min_epochs`, then `reduction_factor` times as many epochs, and so on) a trial is given the most
that it can hope for. What the configuration decides (a size, MACs) is known and stays. For each other objective the
hope is its value now plus the largest gain that a completed trial made from this rung to its end, or the
`gain_quantile` of these gains. If a completed trial that meets all constraints is at least as good in every
objective, and better in one, than this hope, then the trial cannot reach the front any more.

With `gain_quantile` 1 a trial is only wrongly ended if it gains more than any of the completed ones did.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bnnlab.sweep.search.front import dominates
from bnnlab.sweep.search.objectives import Objective, is_cost
from bnnlab.sweep.search.samplers import Front


@dataclass(frozen=True)
class Course:
    """How a completed trial went."""

    number: int
    curves: Mapping[str, Sequence[float]]
    """Of its first seed: each objective after each epoch."""
    values: Mapping[str, float]
    """What it came to, as the mean over its seeds."""
    feasible: bool = True


def is_rung(rule: Front, epochs: int) -> bool:
    """Whether trials are judged after so many epochs.

    >>> [n for n in range(1, 30) if is_rung(Front(name="FrontPruner", min_epochs=3), n)]
    [3, 6, 12, 24]
    """
    rung = rule.min_epochs
    while rung < epochs:
        rung *= rule.reduction_factor
    return rung == epochs


def out_of_reach(
    rule: Front,
    objectives: Sequence[Objective],
    curves: Mapping[str, Sequence[float]],
    costs: Mapping[str, float],
    epochs: int,
    completed: Sequence[Course],
) -> Course | None:
    """A completed trial that a trial after `epochs` epochs cannot escape; None while it has hope."""
    if len(completed) < rule.n_startup_trials or not is_rung(rule, epochs):
        return None
    hope = []
    for objective in objectives:
        if is_cost(objective.metric):
            hope.append(objective.sign * costs[objective.metric])
            continue
        gains = [
            objective.sign * (course.curves[objective.metric][epochs - 1] - course.curves[objective.metric][-1])
            for course in completed
            if len(course.curves[objective.metric]) > epochs
        ]
        if not gains:
            return None
        gain = max(0.0, _quantile(sorted(gains), rule.gain_quantile))
        hope.append(objective.sign * curves[objective.metric][epochs - 1] - gain)
    for course in completed:
        if course.feasible and dominates([o.sign * course.values[o.metric] for o in objectives], hope):
            return course
    return None


def _quantile(ascending: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of them do not exceed."""
    return ascending[max(0, math.ceil(share * len(ascending)) - 1)]
