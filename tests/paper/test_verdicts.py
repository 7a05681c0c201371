"""Verdicts: what is decided, what is left open and why, and that nothing passes which cannot be judged."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ledgers import GRID, ledger, observe
from pydantic import TypeAdapter

from bnnlab.experiment.record import RunState
from bnnlab.paper.claims import Claim
from bnnlab.paper.verdicts import DECIDED, Verdict, judge_claims

PARSER: TypeAdapter[list[Claim]] = TypeAdapter(list[Claim])
AXIS = {"axis": "scaling", "treatment": "xnor", "control": "none"}


def claims(*written):
    return PARSER.validate_python(
        [{"id": f"claim_{index}", "text": "A claim."} | claim for index, claim in enumerate(written)]
    )


def judge(runs, *written, **options):
    return judge_claims(claims(*written), runs, **options)


def scaled_by(points, spread=0.1, interaction=0.0):
    """Scaling adds `points`, a little more or less with each seed, and differently with each estimator."""

    def top1(axes, seed):
        if axes["scaling"] == "none":
            return 0.85
        by_estimator = interaction if axes["estimator"] == "ste" else -interaction
        return 0.85 + (points + spread * (-1) ** seed * (1 + seed // 2) + by_estimator) / 100

    return top1


@pytest.mark.parametrize(
    ("points", "expect", "verdict", "reason"),
    [
        (3, {"direction": "increase"}, "replicated", "it is above 0"),
        (-3, {"direction": "increase"}, "contradicted", "it is not above 0"),
        (0.02, {"direction": "increase"}, "inconclusive", "the interval holds both sides of 0"),
        (-2.2, {"at_most": 0.5}, "replicated", "it is below +0.50 points"),
        (3, {"at_most": 0.5}, "contradicted", "it is not below +0.50 points"),
        (0.55, {"at_most": 0.5}, "inconclusive", "the interval holds both sides of +0.50 points"),
        (3, {"at_least": 2}, "replicated", "it is above +2.00 points"),
        (1, {"at_least": 2}, "direction only", "an increase is shown, but not above +2.00 points"),
        (-1, {"at_most": -2}, "direction only", "a decrease is shown, but not below -2.00 points"),
        (-1, {"at_least": 2}, "contradicted", "it is not above +2.00 points"),
        (0.01, {"equivalent_within": 1}, "replicated", "it is between -1.00 points and +1.00 points"),
        (2, {"equivalent_within": 1}, "contradicted", "it is not between -1.00 points and +1.00 points"),
        (1, {"equivalent_within": 1}, "inconclusive", "the interval holds both sides of +1.00 points"),
    ],
)
def test_five_seeds_decide_an_effect(points, expect, verdict, reason):
    (judgement,) = judge(ledger(scaled_by(points), seeds=range(5)), AXIS | {"expect": expect})
    assert (judgement.verdict, judgement.reason) == (verdict, reason)
    assert (judgement.p_holm <= 0.05) == (judgement.verdict in DECIDED)


def test_an_effect_that_depends_on_the_other_axes_is_decided_within_and_as_an_interaction():
    runs = ledger(scaled_by(-2, interaction=-1), seeds=range(5))
    within = {"within": {"estimator": "ste"}, "expect": {"at_most": -2.5}}
    interaction = {
        "interaction_with": {"axis": "estimator", "levels": ["ste", "approx_sign"]},
        "expect": {"direction": "decrease"},
    }
    found = judge(runs, AXIS | within, AXIS | interaction)
    assert found[0].verdict is Verdict.REPLICATED
    assert found[0].effect.difference == pytest.approx(-0.0294)
    # Every seed shifts both estimators alike, so their difference has no spread at all: no test can be made.
    assert (found[1].verdict, found[1].effect.difference) == (Verdict.INCONCLUSIVE, pytest.approx(-0.02))
    assert found[1].reason == "the seeds do not differ, so there is no spread to judge by"


def test_cells_bounds_and_orderings_are_judged():
    def top1(axes, seed):
        height = 0.02 - 0.01 * (axes["estimator"] == "approx_sign") - 0.03 * (axes["scaling"] == "xnor")
        return 0.85 + height + 0.001 * ((seed * 7 + sum(map(len, axes.values()))) % 5)

    cells = [
        {"estimator": estimator, "scaling": scaling} for scaling in ("none", "xnor") for estimator in GRID["estimator"]
    ]
    found = judge(
        ledger(top1, seeds=range(5)),
        {"treatment": cells[0], "control": cells[3], "expect": {"at_least": 3}},
        {"cell": {"scaling": "none"}, "expect": {"at_least": 85, "unit": "percent"}},
        {"cell": {"scaling": "none"}, "expect": {"at_most": 85, "unit": "percent"}},
        {"order": cells, "expect": {"direction": "decrease"}},
        {"order": [cells[1], cells[0], cells[3]], "expect": {"direction": "decrease"}},
        {
            "order": [
                {"downsampling": "fp", **cells[0]},
                {"downsampling": "binary", **cells[0]},
                {"downsampling": "fp", **cells[3]},
            ],
            "expect": {"direction": "decrease"},
        },
    )
    assert [judgement.verdict for judgement in found] == [
        "replicated",
        "replicated",
        "contradicted",
        "replicated",
        "contradicted",
        "direction only",
    ]
    assert found[1].reason == "it is above 85.00 %"
    assert found[3].reason == "each step is below 0"
    assert [name for name, _ in found[4].measured.steps] == [
        "estimator=approx_sign, scaling=none -> estimator=ste, scaling=none",
        "estimator=ste, scaling=none -> estimator=approx_sign, scaling=xnor",
    ]


def test_a_size_is_judged_without_seeds_and_without_a_test():
    sizes = {"binary": 3.36, "fp": 4.0}
    runs = [observe({"downsampling": level}, 0, model__size_mib=size) for level, size in sizes.items()]
    axis = {"axis": "downsampling", "treatment": "fp", "control": "binary", "metric": "model/size_mib"}
    found = judge(
        runs,
        axis | {"expect": {"at_least": 0.5, "unit": "MiB"}},
        axis | {"expect": {"at_least": 1, "unit": "MiB"}},
        axis | {"expect": {"direction": "decrease"}},
        {
            "cell": {"downsampling": "fp"},
            "metric": "model/size_mib",
            "expect": {"at_most": 4, "unit": "MiB"},
        },
    )
    assert [judgement.verdict for judgement in found] == [
        "replicated",
        "direction only",
        "contradicted",
        "replicated",
    ]
    assert all(judgement.p is None for judgement in found)


# ---- what cannot be judged never passes ------------------------------

EVERY_KIND = (
    AXIS | {"expect": {"direction": "increase"}},
    AXIS | {"expect": {"at_most": 0.5}},
    AXIS | {"expect": {"equivalent_within": 5}},
    AXIS | {"within": {"estimator": "ste"}, "expect": {"direction": "increase"}},
    AXIS
    | {
        "interaction_with": {"axis": "estimator", "levels": ["ste", "approx_sign"]},
        "expect": {"direction": "increase"},
    },
    {"treatment": {"scaling": "xnor"}, "control": {"scaling": "none"}, "expect": {"direction": "increase"}},
    {"cell": {}, "expect": {"at_least": 1, "unit": "percent"}},
    {"order": [{"scaling": "none"}, {"scaling": "xnor"}], "expect": {"direction": "increase"}},
)


def test_one_seed_decides_nothing():
    found = judge(ledger(scaled_by(9), seeds=[0]), *EVERY_KIND)
    assert {(judgement.verdict, judgement.reason) for judgement in found} == {("inconclusive", "one seed")}


def test_seeds_that_do_not_differ_decide_nothing():
    found = judge(ledger(scaled_by(9, spread=0), seeds=range(5)), *EVERY_KIND)
    assert {judgement.verdict for judgement in found} == {"inconclusive"}


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (lambda run: observe(run.axes, run.seed, state=RunState.FAILED), "failed"),
        (lambda run: observe(run.axes, run.seed, state=RunState.PRUNED), "pruned"),
        (lambda run: observe(run.axes, run.seed, test__top1=float("nan")), "test/top1 is nan"),
        (lambda run: observe(run.axes, run.seed, test__top5=0.9), "did not log test/top1"),
        (lambda run: type(run)(run.axes, run.seed, None), "not started"),
    ],
)
def test_one_gap_leaves_a_claim_without_a_verdict(broken, reason):
    runs = ledger(scaled_by(9), seeds=range(5))
    at = next(i for i, run in enumerate(runs) if "ste" in run.axes.values() and "xnor" in run.axes.values())
    runs[at] = broken(runs[at])
    found = judge(runs, *EVERY_KIND)
    assert {judgement.verdict for judgement in found} == {Verdict.INCOMPLETE}
    assert {judgement.reason for judgement in found} == {
        f"scaling=xnor, downsampling=binary, estimator=ste, seed 0: {reason}"
    }


def test_a_study_without_runs_has_no_verdicts():
    assert {judgement.verdict for judgement in judge([], *EVERY_KIND)} == {Verdict.INCOMPLETE}


def test_a_claim_about_an_axis_that_the_runs_do_not_have_is_incomplete():
    runs = [observe({"width": "64"}, seed, test__top1=0.8 + seed / 100) for seed in range(5)]
    (judgement,) = judge(runs, EVERY_KIND[0])
    assert (judgement.verdict, judgement.reason) == (
        "incomplete",
        "the plan holds no runs to compare for this claim",
    )


def test_a_target_in_another_protocol_is_not_comparable():
    claim = AXIS | {
        "expect": {"equivalent_within": 1, "around": "published"},
        "published": {"difference": -2.2, "source": "arXiv 1906.08637"},
    }
    runs = ledger(scaled_by(-2.2), seeds=range(5))
    (judgement,) = judge(runs, claim, not_comparable={"claim_0": ["data is digits, not cifar10"]})
    assert (judgement.verdict, judgement.reason) == ("not comparable", "data is digits, not cifar10")
    (judgement,) = judge(runs, claim)
    assert judgement.verdict is Verdict.REPLICATED


values = st.one_of(st.floats(0, 1), st.just(float("nan")), st.just(float("inf")), st.none())


@given(data=st.data(), seeds=st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_whatever_is_recorded_nothing_crashes_and_gaps_never_pass(data, seeds):
    runs = []
    for run in ledger(lambda axes, seed: 0.0, seeds=range(seeds)):
        value = data.draw(values)
        finished = {} if value is None else {"test/top1": value}
        state = data.draw(st.sampled_from([RunState.FINISHED, RunState.FINISHED, RunState.RUNNING]))
        runs.append(observe(run.axes, run.seed, state, **finished))
    for judgement in judge(runs, *EVERY_KIND):
        if judgement.verdict in DECIDED:
            assert not judgement.measured.gap
            assert judgement.effect.n >= 2
            assert judgement.p_holm <= 0.05
        assert judgement.reason


# ---- several claims, and how many seeds ------------------------------


def test_the_family_is_every_claim_of_the_study():
    runs = ledger(scaled_by(0.55, spread=0.15), seeds=range(3))
    claim = AXIS | {"expect": {"direction": "increase"}}
    (alone,) = judge(runs, claim)
    assert (alone.verdict, alone.p_holm) == (Verdict.REPLICATED, alone.p)
    beside, *_ = judge(runs, claim, *[AXIS | {"expect": {"at_most": 0.6}}] * 2)
    assert (beside.p, beside.p_holm) == (alone.p, pytest.approx(3 * alone.p))
    assert (beside.verdict, beside.reason) == (
        "inconclusive",
        "decided alone, but not beside the study's other claims (Holm)",
    )


def test_an_incomplete_claim_stays_in_the_family():
    runs = ledger(scaled_by(0.55, spread=0.15), seeds=range(3))
    missing = {"cell": {"width": "64"}, "expect": {"at_least": 1, "unit": "percent"}}
    beside, _ = judge(runs, AXIS | {"expect": {"direction": "increase"}}, missing)
    assert beside.p_holm == pytest.approx(2 * beside.p)


def test_an_open_claim_says_how_many_seeds_would_decide_it():
    (few,) = judge(ledger(scaled_by(0.15, spread=0.2), seeds=range(3)), AXIS | {"expect": {"direction": "increase"}})
    assert few.verdict is Verdict.INCONCLUSIVE
    needed = few.seeds_needed()
    # Power 0.8 for a true difference of 0.283 points at a spread of 0.306 (0.927 standard deviations).
    assert needed == 12
    assert few.effect.n < needed
    assert few.detectable() > abs(few.effect.difference)


def test_a_decided_claim_needs_no_more_seeds():
    (judgement,) = judge(ledger(scaled_by(3), seeds=range(5)), AXIS | {"expect": {"direction": "increase"}})
    assert judgement.seeds_needed() is None
