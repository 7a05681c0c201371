"""Intervals, tests, multiplicity and power, against scipy and against worked examples."""

from __future__ import annotations

import math
from statistics import fmean

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bnnlab.paper import inference

SAMPLE = (0.021, 0.034, 0.012, 0.027, 0.019)

samples = st.lists(st.floats(-1, 1), min_size=2, max_size=9).filter(lambda values: np.std(values) > 1e-6)


@given(values=samples)
@settings(max_examples=40, deadline=None)
def test_interval_and_p_are_scipys(values):
    reference = stats.ttest_1samp(values, 0.0)
    assert inference.two_sided_p(values) == pytest.approx(reference.pvalue, abs=1e-12)
    assert inference.t_interval(values) == pytest.approx(tuple(reference.confidence_interval(0.95)))


@given(values=samples)
@settings(max_examples=40, deadline=None)
def test_p_is_below_five_per_cent_exactly_where_the_interval_leaves_zero_out(values):
    low, high = inference.t_interval(values)
    p = inference.two_sided_p(values)
    if abs(p - 0.05) > 1e-9:
        assert (p < 0.05) == (low > 0 or high < 0)


@pytest.mark.parametrize("n", [2, 3, 5, 8])
def test_sign_flip_p_is_scipys_exact_permutation_test(n):
    values = np.random.default_rng(n).normal(0.4, 1, n)
    reference = stats.permutation_test(
        (values,), lambda x, axis: np.abs(np.mean(x, axis)), permutation_type="samples", alternative="greater"
    )
    assert inference.sign_flip_p(values) == pytest.approx(reference.pvalue)


def test_sampled_sign_flips_agree_with_the_t_test_where_both_apply_and_are_repeatable():
    values = list(np.random.default_rng(0).normal(0.35, 1, 30))
    assert inference.sign_flip_p(values) == inference.sign_flip_p(values)
    assert inference.sign_flip_p(values) == pytest.approx(stats.ttest_1samp(values, 0).pvalue, abs=0.01)


@pytest.mark.parametrize(("n", "p"), [(1, 1.0), (2, 0.5), (3, 0.25), (5, 0.0625), (6, 0.03125), (10, 2 / 1024)])
def test_smallest_p_is_what_all_equal_signs_reach(n, p):
    assert inference.smallest_sign_flip_p(n) == p
    assert inference.sign_flip_p([0.1 + 0.01 * i for i in range(n)]) == p


def test_tost_is_the_larger_of_scipys_two_one_sided_tests():
    above = stats.ttest_1samp(SAMPLE, -0.005, alternative="greater").pvalue
    below = stats.ttest_1samp(SAMPLE, 0.04, alternative="less").pvalue
    assert inference.tost_p(SAMPLE, -0.005, 0.04) == pytest.approx(max(above, below))


def test_tost_rejects_where_the_ninety_per_cent_interval_lies_inside():
    low, high = inference.t_interval(SAMPLE, confidence=0.90)
    assert inference.tost_p(SAMPLE, low - 1e-6, high + 1e-6) < 0.05
    assert inference.tost_p(SAMPLE, low + 1e-6, high + 1e-6) > 0.05


def test_holm_on_a_worked_example():
    # Holm 1979 on p = .01, .04, .03, .005: multipliers 4, 3, 2, 1 down the sorted list, kept monotone.
    assert inference.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx((0.03, 0.06, 0.06, 0.02))


@given(ps=st.lists(st.floats(0, 1), min_size=1, max_size=8))
@settings(max_examples=40, deadline=None)
def test_holm_lies_between_no_correction_and_bonferroni_and_keeps_the_order(ps):
    adjusted = inference.holm(ps)
    assert all(p <= a <= min(1, len(ps) * p) + 1e-15 for p, a in zip(ps, adjusted, strict=True))
    assert all(
        a <= b for (p, a) in zip(ps, adjusted, strict=True) for (q, b) in zip(ps, adjusted, strict=True) if p < q
    )


def test_power_agrees_with_a_simulation():
    rng = np.random.default_rng(7)
    draws = rng.normal(0.5, 0.4, size=(20_000, 5))
    t = draws.mean(1) / (draws.std(1, ddof=1) / math.sqrt(5))
    simulated = np.mean(t > stats.t.ppf(0.975, 4))
    assert inference.t_test_power(0.5, 0.4, 5) == pytest.approx(simulated, abs=0.01)


def test_needed_replicates_are_the_first_with_that_power():
    n = inference.replicates_needed(0.5, 0.4)
    assert inference.t_test_power(0.5, 0.4, n) >= 0.8 > inference.t_test_power(0.5, 0.4, n - 1)
    # Cohen's d = 1.25 in a one-sample t test at 5 %, power 0.8: statsmodels' TTestPower solves n = 7.15.
    assert n == 8


def test_no_number_of_replicates_shows_what_is_not_there():
    assert inference.replicates_needed(0.0, 0.4) is None
    assert inference.replicates_needed(1e-6, 1.0) is None


@pytest.mark.parametrize("distance", [0.01, 1.0, 100.0, 1e6])
def test_power_is_a_probability_for_any_distance(distance):
    assert all(0 <= inference.t_test_power(distance, 0.3, n) <= 1 for n in (2, 3, 10, 1000))


@pytest.mark.parametrize("values", [(), (0.1,), (0.1, 0.1, 0.1), (0.3 - 0.1, 0.2)])
def test_nothing_is_inferred_without_spread(values):
    assert inference.t_interval(values) is None
    assert inference.two_sided_p(values) is None
    assert inference.tost_p(values, -1, 1) is None


def test_rounding_is_not_spread():
    assert inference.spread([0.3 - 0.1, 0.2, fmean([0.2, 0.2])]) == 0
