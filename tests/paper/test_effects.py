"""Effects and cell summaries from the runs of a grid."""

from __future__ import annotations

from statistics import fmean, stdev

import pytest
from ledgers import GRID, ledger, observe
from scipy import stats

from bnnlab.experiment.record import RunState
from bnnlab.paper.statistics import (
    contrast_cells,
    contrast_of_contrasts,
    estimate,
    mean_of_cell,
    paired_effect,
    summarize_cells,
)

NOISE = {0: 0.002, 1: -0.001, 2: 0.003}


def penalty(axes: dict[str, str], seed: int) -> float:
    """Scaling costs 1 point, 3 with the straight-through estimator; each seed adds noise to scaled runs."""
    if axes["scaling"] == "none":
        return 0.85
    return 0.85 - (0.03 if axes["estimator"] == "ste" else 0.01) + NOISE[seed]


def test_the_effect_is_the_mean_over_the_other_axes_with_seeds_as_replicates():
    effect = paired_effect(ledger(penalty), "scaling", "xnor", "none", "test/top1")
    per_seed = [-0.02 + noise for noise in NOISE.values()]
    reference = stats.ttest_1samp(per_seed, 0)
    assert effect.values == pytest.approx(per_seed)
    assert effect.n == 3
    assert effect.difference == pytest.approx(fmean(per_seed))
    assert effect.spread == pytest.approx(stdev(per_seed))
    assert (effect.low, effect.high) == pytest.approx(tuple(reference.confidence_interval()))
    assert effect.p == pytest.approx(reference.pvalue)
    assert effect.smallest_p == 0.25


def test_within_looks_at_a_part_of_the_grid():
    effect = paired_effect(ledger(penalty), "scaling", "xnor", "none", "test/top1", within={"estimator": "ste"})
    assert effect.difference == pytest.approx(-0.03 + fmean(NOISE.values()))
    assert effect.contrast.by_context == pytest.approx(
        {f"downsampling={level}, estimator=ste": effect.difference for level in GRID["downsampling"]}
    )


def test_an_interaction_is_a_difference_of_differences_seed_by_seed():
    runs = ledger(penalty)
    ste, approx = (
        contrast_cells(runs, {"scaling": "xnor"}, {"scaling": "none"}, "test/top1", {"estimator": level})
        for level in ("ste", "approx_sign")
    )
    interaction = estimate(contrast_of_contrasts(ste, approx), "test/top1")
    assert interaction.difference == pytest.approx(-0.02)
    assert interaction.spread == 0, "the seeds' noise is shared by both sides and cancels"
    assert interaction.p is None


def test_a_seed_with_a_gap_does_not_count_and_the_gap_is_named():
    runs = ledger(penalty)
    gap = next(i for i, run in enumerate(runs) if run.axes["scaling"] == "xnor" and run.seed == 1)
    runs[gap] = observe(runs[gap].axes, 1, state=RunState.FAILED)
    effect = paired_effect(runs, "scaling", "xnor", "none", "test/top1")
    assert list(effect.contrast.by_seed) == [0, 2]
    assert effect.missing == ("scaling=xnor, downsampling=binary, estimator=ste, seed 1: failed",)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_value_that_is_no_number_is_a_gap(value):
    runs = ledger(penalty)
    runs[-1] = observe(runs[-1].axes, runs[-1].seed, test__top1=value)
    effect = paired_effect(runs, "scaling", "xnor", "none", "test/top1")
    assert effect.n == 2
    assert effect.missing == (f"scaling=xnor, downsampling=fp, estimator=approx_sign, seed 2: test/top1 is {value}",)


def test_cells_whose_partner_is_excluded_from_the_plan_do_not_take_part():
    runs = [run for run in ledger(penalty) if run.axes != dict(zip(GRID, ("xnor", "fp", "ste"), strict=True))]
    effect = paired_effect(runs, "scaling", "xnor", "none", "test/top1")
    assert effect.contrast.unpaired == ("downsampling=fp, estimator=ste",)
    assert effect.missing == ()
    assert effect.difference == pytest.approx(-0.05 / 3 + fmean(NOISE.values()))


def test_one_seed_gives_a_difference_and_no_interval():
    effect = paired_effect(ledger(penalty, seeds=[0]), "scaling", "xnor", "none", "test/top1")
    assert effect.difference == pytest.approx(-0.018)
    assert (effect.low, effect.high, effect.p, effect.spread) == (None,) * 4
    assert (effect.n, effect.smallest_p, effect.p_sign_flip) == (1, 1.0, 1.0)


def test_an_unknown_level_gives_no_estimate():
    effect = paired_effect(ledger(penalty), "scaling", "binet", "none", "test/top1")
    assert (effect.difference, effect.n, effect.p, effect.p_sign_flip) == (None, 0, None, None)


def test_a_size_needs_no_second_seed():
    runs = [
        observe({"downsampling": level}, 0, model__size_mib=size) for level, size in (("binary", 3.36), ("fp", 4.0))
    ]
    effect = paired_effect(runs, "downsampling", "fp", "binary", "model/size_mib")
    assert effect.exact
    assert (effect.low, effect.high) == (effect.difference, effect.difference)
    assert effect.difference == pytest.approx(0.64)


def test_cells_are_compared_over_the_axes_they_do_not_name():
    best = {"scaling": "none", "estimator": "ste"}
    worst = {"scaling": "xnor", "estimator": "ste"}
    contrast = contrast_cells(ledger(penalty), best, worst, "test/top1")
    assert contrast.by_seed == pytest.approx({seed: 0.03 - noise for seed, noise in NOISE.items()})
    assert contrast.pairs == 6
    assert len(contrast.run_keys) == 12


def test_the_mean_of_a_cell_is_taken_per_seed():
    contrast = mean_of_cell(ledger(penalty), {"scaling": "xnor", "estimator": "ste"}, "test/top1")
    assert contrast.by_seed == pytest.approx({seed: 0.82 + noise for seed, noise in NOISE.items()})


def test_cells_are_summarized_in_the_order_of_the_plan():
    runs = ledger(penalty)
    runs[0] = observe(runs[0].axes, 0, state=RunState.RUNNING)
    cells = summarize_cells(runs)
    assert [cell.axes for cell in cells[:2]] == [runs[0].axes, runs[3].axes]
    assert (cells[0].planned, cells[0].n) == (3, 2)
    scaled = cells[-1].metrics["test/top1"]
    assert (scaled.mean, scaled.std, scaled.n) == pytest.approx(
        (0.84 + fmean(NOISE.values()), stdev(NOISE.values()), 3)
    )
