"""Judge the claims of a study by what is recorded: a verdict, its reason in a phrase, and what would decide
it.

One rule reads every verdict. A claim says in which region the difference lies; the 95 % interval, widened by
Holm's procedure over the claims of the study, lies inside that region (replicated), outside of it
(contradicted), on the claimed side of zero without being shown to reach the margin (direction only), or
across the border (inconclusive). For equivalence this asks for the 95 % interval where Schuirmann's two
one-sided tests at 5 % ask for the 90 % one: stricter, and the same rule for all.

Where it cannot be judged there is no decision: a missing run or a NaN is incomplete; one seed, or seeds
that do not differ at all, is inconclusive; a target in another protocol is not comparable.

Sources: Holm 1979 (Scand. J. Statist. 6, 65-70) for the family, Shaffer 1980 (Ann. Statist. 8, 1342-1348) for
directional decisions after it; ICH E9 (1998), section 3.3.2, for margins read off two-sided 95 % intervals;
Schuirmann 1987 (J. Pharmacokinet. Biopharm. 15, 657-680) for equivalence.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from bnnlab.paper import inference
from bnnlab.paper.claims import BoundClaim, Claim
from bnnlab.paper.evidence import Evidence, Measured, measure, weigh
from bnnlab.paper.metrics import describe_metric
from bnnlab.paper.observation import Observation
from bnnlab.paper.statistics import Effect

ALPHA = 1 - inference.CONFIDENCE


class Verdict(StrEnum):
    """What the recorded runs say about a claim."""

    REPLICATED = "replicated"
    DIRECTION_ONLY = "direction only"
    CONTRADICTED = "contradicted"
    INCONCLUSIVE = "inconclusive"
    INCOMPLETE = "incomplete"
    NOT_COMPARABLE = "not comparable"


DECIDED = (Verdict.REPLICATED, Verdict.DIRECTION_ONLY, Verdict.CONTRADICTED)


@dataclass(frozen=True)
class Judgement:
    """A claim and what became of it."""

    claim: Claim
    verdict: Verdict
    reason: str
    measured: Measured
    p: float | None = None
    """Two-sided, of the strongest statement about the claim; None where no test applies."""
    p_holm: float | None = None
    """`p` adjusted over the claims of the study; a decision needs at most 0.05."""
    alpha: float = ALPHA
    """The level of the hardest test that Holm's procedure may ask of this claim: 0.05 / tests in the
    study."""
    why_not_comparable: tuple[str, ...] = ()
    """What sets these runs apart from the published ones: the published figure is then context, not a
    target."""

    @property
    def effect(self) -> Effect:
        """The difference (for a bound: the mean; for an ordering: its weakest step)."""
        return self.measured.effect

    @property
    def published(self) -> float | None:
        """The published difference or value, in the unit of records."""
        return self.claim.published_figure()

    def seeds_needed(self, power: float = 0.8) -> int | None:
        """Seeds in all that would decide with this power, were the true difference and spread the observed
        ones.

        None where it is decided, or cannot be said, or takes more than 1,000. A spread from three seeds is
        itself uncertain (its 95 % interval runs from half to six times the estimate), and so is this
        number.
        """
        effect = self.effect
        if self.verdict is not Verdict.INCONCLUSIVE or effect.difference is None or not effect.spread:
            return None
        limits = [limit for limit in self.claim.region() if math.isfinite(limit)]
        distance = min(abs(effect.difference - limit) for limit in limits)
        return inference.replicates_needed(distance, effect.spread, self.alpha, power)

    def detectable(self, power: float = 0.8) -> float | None:
        """The distance from a limit that these seeds show with this power, by the observed spread."""
        return inference.detectable_distance(self.effect.spread or 0.0, self.effect.n, self.alpha, power)


def judge_claims(
    claims: Sequence[Claim],
    observations: Sequence[Observation],
    not_comparable: Mapping[str, Sequence[str]] | None = None,
) -> list[Judgement]:
    """Judge every claim of a study, in the study's order.

    The family is all claims that need a test, judged or not: no verdict improves because another claim's runs
    are missing.

    Args:
        not_comparable: for claims by id, what sets the study's runs apart from the published protocol.
    """
    apart = not_comparable or {}
    judgements = [
        Judgement(
            claim,
            Verdict.INCONCLUSIVE,
            "",
            measure(claim, observations),
            why_not_comparable=tuple(apart.get(claim.id, ())),
        )
        for claim in claims
    ]
    tested = [index for index, found in enumerate(judgements) if not _is_exact(found)]
    evidence = {index: weigh(judgements[index].claim, judgements[index].measured) for index in tested}
    p_values = [1.0 if (p := evidence[index].strongest) is None else p for index in tested]
    adjusted, levels = inference.holm(p_values), inference.holm_levels(p_values)
    for index, p_holm, level in zip(tested, adjusted, levels, strict=True):
        p = evidence[index].strongest
        judgements[index] = replace(
            judgements[index], p=p, p_holm=None if p is None else p_holm, alpha=ALPHA / len(tested)
        )
        judgements[index] = _decide(judgements[index], evidence[index], level)
    return [_decide_exact(found) if _is_exact(found) else found for found in judgements]


def _is_exact(judgement: Judgement) -> bool:
    return all(part.exact for part in judgement.measured.parts)


def _cannot_be_judged(judgement: Judgement) -> Judgement | None:
    if judgement.claim.expect.around == "published" and judgement.why_not_comparable:
        reason = "; ".join(judgement.why_not_comparable)
        return replace(judgement, verdict=Verdict.NOT_COMPARABLE, reason=reason)
    if judgement.measured.gap is not None:
        return replace(judgement, verdict=Verdict.INCOMPLETE, reason=judgement.measured.gap)
    return None


def _decide(judgement: Judgement, evidence: Evidence, level: float | None) -> Judgement:
    unjudged = _cannot_be_judged(judgement)
    if unjudged is not None:
        return unjudged
    effect = judgement.effect
    if effect.n == 1:
        return replace(judgement, reason="one seed")
    if judgement.p is None or effect.spread is None:
        return replace(judgement, reason="the seeds do not differ, so there is no spread to judge by")
    verdict = _read(evidence, level, is_ordering=bool(judgement.measured.steps))
    if verdict is Verdict.INCONCLUSIVE:
        return replace(judgement, reason=_why_open(judgement))
    return replace(judgement, verdict=verdict, reason=_why_decided(judgement, verdict))


def _read(evidence: Evidence, level: float | None, is_ordering: bool) -> Verdict:
    """The strongest statement at a level.

    A shown direction outranks a missed margin, for it says more; but one step that goes the wrong way
    breaks an ordering, wherever its ends lie.
    """
    p_values = {
        Verdict.REPLICATED: evidence.inside,
        Verdict.DIRECTION_ONLY: evidence.direction,
        Verdict.CONTRADICTED: evidence.outside,
    }
    order = [Verdict.REPLICATED, Verdict.DIRECTION_ONLY, Verdict.CONTRADICTED]
    if is_ordering:
        order = [Verdict.REPLICATED, Verdict.CONTRADICTED, Verdict.DIRECTION_ONLY]
    for verdict in order:
        p = p_values[verdict]
        if level is not None and p is not None and p <= level:
            return verdict
    return Verdict.INCONCLUSIVE


def _decide_exact(judgement: Judgement) -> Judgement:
    """A size or a count is what it is: no seed changes it and no test is needed."""
    unjudged = _cannot_be_judged(judgement)
    if unjudged is not None:
        return unjudged
    low, high = judgement.claim.region()
    strict = judgement.claim.expect.direction is not None
    values = [part.difference or 0.0 for part in judgement.measured.parts]
    if all(low <= value <= high and not (strict and value == 0) for value in values):
        verdict = Verdict.REPLICATED
    elif len(values) == 1 and values[0] * (1 if low >= 0 else -1 if high <= 0 else 0) > 0:
        verdict = Verdict.CONTRADICTED if isinstance(judgement.claim, BoundClaim) else Verdict.DIRECTION_ONLY
    else:
        verdict = Verdict.CONTRADICTED
    return replace(judgement, verdict=verdict, reason=_why_decided(judgement, verdict))


def _say(claim: Claim, value: float) -> str:
    metric = describe_metric(claim.metric)
    if isinstance(claim, BoundClaim):
        return metric.value(value)
    return "0" if value == 0 else metric.difference(value)


def _region(claim: Claim) -> str:
    low, high = claim.region()
    if math.isinf(low):
        return f"below {_say(claim, high)}"
    return f"above {_say(claim, low)}" if math.isinf(high) else f"between {_say(claim, low)} and {_say(claim, high)}"


def _why_decided(judgement: Judgement, verdict: Verdict) -> str:
    claim = judgement.claim
    each = "each step is" if judgement.measured.steps else "it is"
    if verdict is Verdict.REPLICATED:
        return f"{each} {_region(claim)}"
    if verdict is Verdict.CONTRADICTED:
        return f"{'a step is' if judgement.measured.steps else 'it is'} not {_region(claim)}"
    if judgement.measured.steps:
        return "the last lies beyond the first as claimed, but not every step is shown"
    side = "an increase" if claim.region()[0] >= 0 else "a decrease"
    return f"{side} is shown, but not {_region(claim)}"


def _why_open(judgement: Judgement) -> str:
    claim, effect = judgement.claim, judgement.effect
    low, high = effect.low, effect.high
    if low is None or high is None:
        return "no interval can be given"
    for limit in claim.region():
        if low < limit < high:
            return f"the interval holds both sides of {_say(claim, limit)}"
    return "decided alone, but not beside the study's other claims (Holm)"
