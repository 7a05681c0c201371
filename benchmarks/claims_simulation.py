"""How often the verdicts are wrong, and how often the intervals hold the truth: ledgers with a known answer.

    python benchmarks/claims_simulation.py            # 2,000 ledgers a row, some minutes on one core
    python benchmarks/claims_simulation.py --ledgers 200

A ledger is a 2 x 2 x 2 grid. Its runs have what real ones have: an effect of the axis in question that
differs from cell to cell of the other axes (fixed: the grid is chosen, not drawn), a level for each seed
that all its runs share, a response of each seed to the treatment, and noise of each run (standard deviation
0.3 points).
"""

from __future__ import annotations

import argparse
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from statistics import fmean, stdev

import numpy as np
from pydantic import TypeAdapter
from scipy import stats

from bnnlab.experiment.record import RunRecord, RunState
from bnnlab.paper.claims import Claim
from bnnlab.paper.observation import Observation
from bnnlab.paper.verdicts import Verdict, judge_claims

POINT = 0.01
EFFECTS = (0.0, 0.5, -0.5, 1.0, -1.0, 3.0, -3.0)
SEEDS = (3, 5, 10)
GRID = {"scaling": ("none", "xnor"), "downsampling": ("binary", "fp"), "estimator": ("ste", "approx_sign")}

EXPECTATIONS: dict[str, dict[str, object]] = {
    "increase": {"direction": "increase"},
    "decrease": {"direction": "decrease"},
    "at most 0.5": {"at_most": 0.5},
    "at least 0.5": {"at_least": 0.5},
    "at least 1": {"direction": "increase", "at_least": 1},
    "within 0.5": {"equivalent_within": 0.5},
    "within 1": {"equivalent_within": 1},
}


@dataclass(frozen=True)
class World:
    """What the truth of a ledger looks like beside its effect, in points."""

    name: str
    noise: float = 0.3
    """Spread of a run about its cell and seed."""
    shared: float = 0.3
    """Spread of what all runs of a seed have in common."""
    interaction: float = 0.0
    """Spread of the effect over the cells of the other axes; their mean is the effect exactly."""
    response: float = 0.0
    """Spread of a seed's own response to the treatment, shared by its pairs."""


WORLDS = (
    World("independent runs"),
    World("effects differ by cell", interaction=1.0),
    World("seeds respond alike in all cells", response=0.3),
    World("both", interaction=1.0, response=0.3),
)


def simulate(random: np.random.Generator, effect: float, seeds: int, world: World) -> list[Observation]:
    """A finished ledger whose true effect of scaling is `effect` points, averaged over the other axes."""
    contexts = list(product(GRID["downsampling"], GRID["estimator"]))
    deviations = random.normal(0, world.interaction, len(contexts))
    by_context = dict(zip(contexts, effect + deviations - deviations.mean(), strict=True))
    level = dict(zip(contexts, random.normal(85, 1, len(contexts)), strict=True))
    runs = []
    for seed in range(seeds):
        shared, response = random.normal(0, world.shared), random.normal(0, world.response)
        for scaling, *rest in product(*GRID.values()):
            context = (rest[0], rest[1])
            top1 = level[context] + shared + random.normal(0, world.noise)
            top1 += (by_context[context] + response) if scaling == "xnor" else 0
            axes = dict(zip(GRID, (scaling, *rest), strict=True))
            metrics = {"test/top1": top1 * POINT}
            record = RunRecord("simulated", None, RunState.FINISHED, (), metrics)  # type: ignore[arg-type]
            runs.append(Observation(axes, seed, record))
    return runs


def claims(expectations: dict[str, dict[str, object]] = EXPECTATIONS) -> list[Claim]:
    """One claim for each expectation about the effect of scaling."""
    parser: TypeAdapter[list[Claim]] = TypeAdapter(list[Claim])
    common = {"axis": "scaling", "treatment": "xnor", "control": "none"}
    return parser.validate_python(
        [
            {"id": f"claim_{index}", "text": text, "expect": expect, **common}
            for index, (text, expect) in enumerate(expectations.items())
        ]
    )


def is_wrong(verdict: Verdict, region: tuple[float, float], effect: float) -> bool:
    """Whether a verdict contradicts the truth. On the border of the region a claim neither holds nor
    fails."""
    low, high = region
    holds, fails = low < effect < high, effect < low or effect > high
    if verdict is Verdict.REPLICATED:
        return not holds
    if verdict is Verdict.CONTRADICTED:
        return not fails
    if verdict is Verdict.DIRECTION_ONLY:
        return effect <= 0 if low >= 0 else effect >= 0
    return False


@dataclass
class Tally:
    """Counts over ledgers, for one claim."""

    verdicts: Counter[Verdict]
    wrong: Counter[Verdict]
    covered: int = 0
    ledgers: int = 0


def tally(effect: float, seeds: int, world: World, ledgers: int, together: bool, seed: int = 0) -> dict[str, Tally]:
    """Judge simulated ledgers.

    Args:
        together: all claims as one study, corrected for their number; else each as a study of its own,
            the harder case for the error rates.
    """
    random = np.random.default_rng((seed, seeds, round(100 * effect) + 1000))
    all_claims = claims()
    counts = {claim.text: Tally(Counter(), Counter()) for claim in all_claims}
    for _ in range(ledgers):
        runs = simulate(random, effect, seeds, world)
        studies: Sequence[Sequence[Claim]] = [all_claims] if together else [[claim] for claim in all_claims]
        for judged in (found for study in studies for found in judge_claims(study, runs)):
            count = counts[judged.claim.text]
            count.ledgers += 1
            count.verdicts[judged.verdict] += 1
            count.wrong[judged.verdict] += is_wrong(judged.verdict, judged.claim.region(), effect * POINT)
            low, high = judged.effect.low, judged.effect.high
            count.covered += low is not None and high is not None and low <= effect * POINT <= high
    return counts


# ---- the choice of the replicate
# ------------------------------------------------------------------------------


def by_seed(pairs: np.ndarray) -> tuple[float, float]:
    """bnnlab's choice: average over the cells, the seed is the replicate."""
    return _interval(pairs.mean(1).tolist())


def by_pair(pairs: np.ndarray) -> tuple[float, float]:
    """Every pair of runs as a replicate."""
    return _interval(pairs.ravel().tolist())


def by_residual(pairs: np.ndarray) -> tuple[float, float]:
    """Pooled spread within the cells: cells x (seeds - 1) degrees of freedom, pairs of a seed as
    independent."""
    seeds, cells = pairs.shape
    freedom = cells * (seeds - 1)
    spread = math.sqrt(((pairs - pairs.mean(0)) ** 2).sum() / freedom)
    half = stats.t.ppf(0.975, freedom) * spread / math.sqrt(pairs.size)
    return pairs.mean() - half, pairs.mean() + half


METHODS: dict[str, Callable[[np.ndarray], tuple[float, float]]] = {
    "seed": by_seed,
    "pair": by_pair,
    "residual": by_residual,
}


def _interval(values: list[float]) -> tuple[float, float]:
    half = float(stats.t.ppf(0.975, len(values) - 1)) * stdev(values) / math.sqrt(len(values))
    return fmean(values) - half, fmean(values) + half


def coverage(world: World, seeds: int, ledgers: int) -> Iterator[tuple[str, float, float]]:
    """For each choice of the replicate: the share of intervals that hold the truth, and their mean width."""
    random = np.random.default_rng((1, seeds))
    held, widths = Counter[str](), Counter[str]()
    for _ in range(ledgers):
        deviations = random.normal(0, world.interaction, 4)
        truth = deviations - deviations.mean() + 1.0
        noise = random.normal(0, world.noise * math.sqrt(2), (seeds, 4))
        pairs = truth + random.normal(0, world.response, (seeds, 1)) + noise
        for name, method in METHODS.items():
            low, high = method(pairs)
            held[name] += low <= 1.0 <= high
            widths[name] += high - low
    for name in METHODS:
        yield name, held[name] / ledgers, widths[name] / ledgers


def print_replicates(ledgers: int) -> None:
    """Table 1: what the choice of the replicate does to the intervals."""
    print(f"1. What is the replicate? Coverage of 95 % intervals (mean width in points), {ledgers:,} ledgers\n")
    print(f"{'world':34} {'seeds':>5}  " + "".join(f"{name:>18}" for name in METHODS))
    for world, seeds in product(WORLDS, SEEDS):
        cells = (f"{share:10.1%} ({width:.2f})" for _, share, width in coverage(world, seeds, ledgers))
        print(f"{world.name:34} {seeds:5}  " + "".join(f"{cell:>18}" for cell in cells))


def print_verdicts(ledgers: int, together: bool) -> None:
    """Table 2: wrong verdicts and coverage of what bnnlab does."""
    family = "seven claims of one study (Holm)" if together else "each claim a study of its own"
    print(f"\n2. Verdicts in the world '{WORLDS[-1].name}', {family}, {ledgers:,} ledgers a row,")
    print("   rates of the worst claim\n")
    print("effect seeds  false replicated  false contradicted  false direction  coverage  decided")
    kinds = (Verdict.REPLICATED, Verdict.CONTRADICTED, Verdict.DIRECTION_ONLY)
    worst = dict.fromkeys(kinds, 0.0)
    for effect, seeds in product(EFFECTS, SEEDS):
        counts = tally(effect, seeds, WORLDS[-1], ledgers, together).values()
        rates = {kind: max(count.wrong[kind] / count.ledgers for count in counts) for kind in kinds}
        worst = {kind: max(worst[kind], rates[kind]) for kind in kinds}
        held = fmean(count.covered / count.ledgers for count in counts)
        decided = fmean(1 - count.verdicts[Verdict.INCONCLUSIVE] / count.ledgers for count in counts)
        replicated, contradicted, direction = rates.values()
        print(
            f"{effect:+6.1f} {seeds:5}  {replicated:16.2%}  {contradicted:18.2%}  {direction:15.2%}"
            f"  {held:8.1%}  {decided:7.1%}"
        )
    print("worst: " + ", ".join(f"{kind} {rate:.2%}" for kind, rate in worst.items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ledgers", type=int, default=2000, help="simulated ledgers for each row")
    ledgers = parser.parse_args().ledgers
    print_replicates(5 * ledgers)
    print_verdicts(ledgers, together=False)
    print_verdicts(ledgers, together=True)


if __name__ == "__main__":
    main()
