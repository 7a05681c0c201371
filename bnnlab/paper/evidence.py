"""From a claim and the runs to the numbers that speak for and against it. Decides nothing.

All p-values are two-sided, margins included: each is the smallest alpha at which the (1 - alpha) t interval
would support the statement, so that one interval and every p-value say the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bnnlab.paper import inference
from bnnlab.paper.claims import BoundClaim, CellsClaim, Claim, EffectClaim, OrderClaim
from bnnlab.paper.observation import Observation, cell_label
from bnnlab.paper.statistics import (
    Contrast,
    Effect,
    contrast_cells,
    contrast_of_contrasts,
    estimate,
    mean_of_cell,
)


@dataclass(frozen=True)
class Evidence:
    """The p-values of the statements that can be made about a claim; None where there is nothing to test."""

    inside: float | None = None
    """The difference lies in the claimed region."""
    outside: float | None = None
    """The difference lies outside of it."""
    direction: float | None = None
    """The difference has the claimed sign. None where the region takes no side."""

    @property
    def strongest(self) -> float | None:
        """The smallest of them, what Holm's procedure is applied to."""
        known = [p for p in (self.inside, self.outside, self.direction) if p is not None]
        return min(1.0, *known) if known else None


@dataclass(frozen=True)
class Measured:
    """A claim's difference as the runs have it."""

    effect: Effect
    """The difference; for a bound the mean; for an ordering its weakest step."""
    steps: tuple[tuple[str, Effect], ...] = ()
    """For an ordering: each step, "from -> to", as later - earlier."""

    @property
    def parts(self) -> tuple[Effect, ...]:
        """The effects that must all be there for the claim to be judged."""
        return tuple(step for _, step in self.steps) or (self.effect,)

    @property
    def gap(self) -> str | None:
        """What is missing, in a phrase; None where every planned run is there."""
        missing = list(dict.fromkeys(gap for part in self.parts for gap in part.missing))
        if missing:
            return missing[0] if len(missing) == 1 else f"{len(missing)} runs are missing, such as {missing[0]}"
        if any(part.n == 0 for part in self.parts):
            return "the plan holds no runs to compare for this claim"
        return None


def measure(claim: Claim, observations: Sequence[Observation]) -> Measured:
    """The effect that a claim is about."""
    match claim:
        case OrderClaim():
            steps = tuple(
                (
                    f"{cell_label(earlier)} -> {cell_label(later)}",
                    estimate(contrast_cells(observations, later, earlier, claim.metric, claim.within), claim.metric),
                )
                for earlier, later in zip(claim.order, claim.order[1:], strict=False)
            )
            return Measured(_weakest(claim, [effect for _, effect in steps]), steps)
        case BoundClaim():
            return Measured(estimate(mean_of_cell(observations, claim.cell, claim.metric), claim.metric))
        case CellsClaim():
            contrast = contrast_cells(observations, claim.treatment, claim.control, claim.metric, claim.within)
            return Measured(estimate(contrast, claim.metric))
        case EffectClaim():
            return Measured(estimate(_contrast_of_axis(claim, observations), claim.metric))


def weigh(claim: Claim, measured: Measured) -> Evidence:
    """What the measured difference says for and against a claim. Empty where a run or all spread is
    missing."""
    if measured.gap is not None or any(not part.spread for part in measured.parts):
        return Evidence()
    region = claim.region()
    if not measured.steps:
        return weigh_region(measured.effect.values, region, has_sign=not isinstance(claim, BoundClaim))
    steps = [weigh_region(step.values, region, has_sign=False) for _, step in measured.steps]
    inside = [step.inside for step in steps if step.inside is not None]
    outside = [step.outside for step in steps if step.outside is not None]
    first_to_last = [sum(values) for values in zip(*(step.values for _, step in measured.steps), strict=True)]
    return Evidence(
        # Each step must hold: an intersection-union test, at no cost (Berger 1982, Technometrics 24,
        # 295-300).
        inside=max(inside),
        # One broken step is enough: Bonferroni over the steps.
        outside=min(1.0, len(outside) * min(outside)),
        direction=weigh_region(first_to_last, region, has_sign=True).direction if len(steps) > 1 else None,
    )


def weigh_region(values: Sequence[float], region: tuple[float, float], has_sign: bool) -> Evidence:
    """The evidence of replicates about an open interval.

    Args:
        has_sign: whether being on one side of zero means something (for a difference; not for an accuracy).
    """
    low, high = region
    inside: list[float] = []
    outside: list[float] = []
    for limit, is_lower in ((low, True), (high, False)):
        tails = None if math.isinf(limit) else inference.t_test(values, limit)
        if tails is not None:
            above, below = tails
            inside.append(2 * (above if is_lower else below))
            outside.append(2 * (below if is_lower else above))
    tails = inference.t_test(values)
    direction = None
    if tails is not None and has_sign and (low >= 0 or high <= 0):
        direction = 2 * (tails[0] if low >= 0 else tails[1])
    return Evidence(max(inside, default=None), min(outside, default=None), direction)


def _contrast_of_axis(claim: EffectClaim, observations: Sequence[Observation]) -> Contrast:
    treatment, control = {claim.axis: claim.treatment}, {claim.axis: claim.control}
    other = claim.interaction_with
    if other is None:
        return contrast_cells(observations, treatment, control, claim.metric, claim.within)
    first, second = (
        contrast_cells(observations, treatment, control, claim.metric, {**claim.within, other.axis: (level,)})
        for level in other.levels
    )
    return contrast_of_contrasts(first, second)


def _weakest(claim: OrderClaim, steps: Sequence[Effect]) -> Effect:
    """The step that says least for the ordering: one with a gap, else the one that reaches furthest against
    it."""
    sign = 1 if claim.expect.direction == "increase" else -1

    def strength(step: Effect) -> float:
        if step.missing or step.difference is None:
            return -math.inf
        limit = step.low if sign > 0 else step.high
        return sign * (step.difference if limit is None else limit)

    return min(steps, key=strength)
