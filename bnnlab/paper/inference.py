"""Inference on the mean of n independent replicates: intervals, tests, multiplicity, power. Knows no grid
and no claim.

Every function takes plain numbers and imports scipy.special when it is called, so that a plan
stays quick.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from statistics import fmean, stdev

CONFIDENCE = 0.95
_EXACT_SIGN_FLIPS_TO = 16
_SAMPLED_SIGN_FLIPS = 100_000


def spread(values: Sequence[float]) -> float | None:
    """Standard deviation with n - 1; None for fewer than two values, exactly 0 where they agree to
    rounding."""
    if len(values) < 2:
        return None
    deviation = stdev(values)
    return 0.0 if deviation <= 1e-12 * max(1.0, max(map(abs, values))) else deviation


def t_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> tuple[float, float] | None:
    """Student's t interval of the mean: mean ± t(n - 1) s / √n.

    None where it cannot be given: fewer than two values, or values without any spread.
    Source: Student 1908, "The probable error of a mean"; Casella & Berger 2002, section 9.2.
    """
    from scipy import special

    deviation = spread(values)
    if not deviation:
        return None
    half = float(special.stdtrit(len(values) - 1, (1 + confidence) / 2)) * deviation / math.sqrt(len(values))
    return fmean(values) - half, fmean(values) + half


def t_test(values: Sequence[float], null: float = 0.0) -> tuple[float, float] | None:
    """One-sided p-values of Student's t test of the mean against `null`: (p for "above", p for "below").

    Twice the smaller is the two-sided p. None where `t_interval` is None.
    """
    from scipy import special

    deviation = spread(values)
    if not deviation:
        return None
    statistic = (fmean(values) - null) / (deviation / math.sqrt(len(values)))
    freedom = len(values) - 1
    return float(special.stdtr(freedom, -statistic)), float(special.stdtr(freedom, statistic))


def two_sided_p(values: Sequence[float], null: float = 0.0) -> float | None:
    """Two-sided p of Student's t test of the mean against `null`."""
    tails = t_test(values, null)
    return None if tails is None else min(1.0, 2 * min(tails))


def tost_p(values: Sequence[float], low: float, high: float) -> float | None:
    """p of equivalence by two one-sided tests: the larger of "above low" and "below high".

    Source: Schuirmann 1987, J. Pharmacokinet. Biopharm. 15, 657-680.
    """
    above, below = t_test(values, low), t_test(values, high)
    return None if above is None or below is None else max(above[0], below[1])


def sign_flip_p(values: Sequence[float]) -> float | None:
    """Two-sided permutation p of a zero mean: the share of sign assignments whose |mean| is at least the
    observed one.

    Exact up to 16 values (all 2^n assignments); above that 100,000 sampled assignments, the observed one
    counted among them so that p is never 0. Assumes only that the replicates are symmetric about their
    mean. Source: Fisher 1935, "The Design of Experiments", section 21; Phipson & Smyth 2010, SAGMB 9(1),
    art. 39.
    """
    import numpy as np

    n = len(values)
    if n == 0:
        return None
    observed = np.asarray(values, dtype=float)
    bar = abs(observed.sum()) * (1 - 1e-12)
    if n <= _EXACT_SIGN_FLIPS_TO:
        signs = np.array(list(product((1.0, -1.0), repeat=n)))
        return float(np.mean(np.abs(signs @ observed) >= bar))
    random = np.random.default_rng(0)  # a report made twice from the same ledger has the same bytes
    signs = random.choice((1.0, -1.0), size=(_SAMPLED_SIGN_FLIPS, n))
    return float((1 + np.sum(np.abs(signs @ observed) >= bar)) / (_SAMPLED_SIGN_FLIPS + 1))


def smallest_sign_flip_p(n: int) -> float | None:
    """The smallest two-sided p that n replicates can reach in `sign_flip_p`: 2 of 2^n assignments."""
    if n < 1:
        return None
    return 2.0 ** (1 - n) if n <= _EXACT_SIGN_FLIPS_TO else 1 / (_SAMPLED_SIGN_FLIPS + 1)


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Holm's adjusted p-values, in the order given: reject where one is at most alpha.

    Source: Holm 1979, Scand. J. Statist. 6, 65-70.
    """
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    adjusted = [1.0] * len(p_values)
    so_far = 0.0
    for rank, index in enumerate(order):
        so_far = max(so_far, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = so_far
    return tuple(adjusted)


def holm_levels(p_values: Sequence[float], alpha: float = 1 - CONFIDENCE) -> tuple[float | None, ...]:
    """The level at which Holm's procedure rejects each hypothesis, alpha / (m - rank); None where it does
    not."""
    adjusted = holm(p_values)
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    levels: list[float | None] = [None] * len(p_values)
    for rank, index in enumerate(order):
        if adjusted[index] <= alpha:
            levels[index] = alpha / (len(p_values) - rank)
    return tuple(levels)


def t_test_power(distance: float, deviation: float, n: int, alpha: float = 1 - CONFIDENCE) -> float:
    """Power of the two-sided t test to see, on its own side, a true mean that lies `distance` from the null.

    From the noncentral t distribution with noncentrality √n · distance / deviation.
    Source: Cohen 1988, "Statistical Power Analysis", section 2; Johnson & Welch 1940, Biometrika 31, 362-389.
    """
    from scipy import special

    if n < 2:
        return 0.0
    critical = float(special.stdtrit(n - 1, 1 - alpha / 2))
    noncentrality = math.sqrt(n) * abs(distance) / deviation
    # There the noncentral t lies so far above its critical value that its tail is 1 to rounding, and
    # scipy's is NaN.
    if noncentrality > 37 + critical:
        return 1.0
    return 1 - float(special.nctdtr(n - 1, noncentrality, critical))


def replicates_needed(
    distance: float, deviation: float, alpha: float = 1 - CONFIDENCE, power: float = 0.8, at_most: int = 1000
) -> int | None:
    """How many replicates give the wanted power; None where `at_most` do not, or there is nothing to see."""
    if distance == 0 or deviation <= 0:
        return None
    if t_test_power(distance, deviation, at_most, alpha) < power:
        return None
    low, high = 2, at_most
    while low < high:
        middle = (low + high) // 2
        if t_test_power(distance, deviation, middle, alpha) >= power:
            high = middle
        else:
            low = middle + 1
    return low


def detectable_distance(deviation: float, n: int, alpha: float = 1 - CONFIDENCE, power: float = 0.8) -> float | None:
    """How far from the null a true mean must lie for n replicates to show it with the wanted power."""
    if n < 2 or deviation <= 0:
        return None
    low, high = 0.0, deviation
    while t_test_power(high, deviation, n, alpha) < power:
        high *= 2
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (low, middle) if t_test_power(middle, deviation, n, alpha) >= power else (middle, high)
    return high
