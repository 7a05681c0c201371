"""Claims as they are written in a study, and the mistakes that are found before anything runs."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import TypeAdapter, ValidationError

from bnnlab.paper.claims import Claim, Mistake, check_claims

AXES = {"scaling": ("none", "xnor"), "downsampling": ("binary", "fp"), "growth_rate": ("64", "128")}
METRICS = ("test/top1", "test/top1_best", "model/size_mib")
PARSER: TypeAdapter[list[Claim]] = TypeAdapter(list[Claim])


def effect(**changes):
    claim = {"id": "penalty", "text": "Scaling costs accuracy.", "axis": "scaling", "treatment": "xnor"}
    return claim | {"control": "none", "expect": {"direction": "decrease"}} | changes


def parse(*claims):
    return PARSER.validate_python(list(claims))


def mistakes(*claims):
    return check_claims(parse(*claims), AXES, METRICS)


def test_the_four_kinds_are_told_apart_by_their_keys():
    common = {"text": "t", "expect": {"at_least": 1, "unit": "percent"}}
    claims = parse(
        effect(),
        {"id": "b", "treatment": {"scaling": "xnor"}, "control": {"scaling": "none"}} | common,
        {"id": "c", "cell": {"scaling": "none"}} | common,
        {
            "id": "d",
            "text": "t",
            "order": [{"growth_rate": 64}, {"growth_rate": 128}],
            "expect": {"direction": "increase"},
        },
    )
    assert [claim.kind for claim in claims] == ["effect", "cells", "bound", "order"]
    assert check_claims(claims, AXES, METRICS) == []


def test_claims_survive_a_round_trip_through_json():
    claims = parse(effect(within={"growth_rate": 64}, published={"difference": -2.2, "source": "arXiv 1906.08637"}))
    assert PARSER.validate_json(PARSER.dump_json(claims)) == claims


@pytest.mark.parametrize(
    ("expect", "region"),
    [
        ({"direction": "increase"}, (0, float("inf"))),
        ({"direction": "decrease"}, (float("-inf"), 0)),
        ({"at_most": 0.5, "unit": "points"}, (float("-inf"), 0.005)),
        ({"direction": "increase", "at_least": 2, "unit": "points"}, (0.02, float("inf"))),
        ({"equivalent_within": 0.01, "unit": "fraction"}, (-0.01, 0.01)),
        ({"equivalent_within": 1, "around": "published"}, (-0.032, -0.012)),
    ],
)
def test_an_expectation_is_an_interval_in_fractions(expect, region):
    (claim,) = parse(effect(expect=expect, published={"difference": -2.2, "source": "arXiv 1906.08637"}))
    assert claim.region() == pytest.approx(region)


@pytest.mark.parametrize(
    ("claim", "message"),
    [
        (effect(expect={}), "expect needs a direction, at_least, at_most or equivalent_within"),
        (
            effect(expect={"direction": "decrease", "at_least": 1}),
            (
                "nothing can meet this expectation: limits apply to the signed difference "
                "treatment - control, so 'falls by at least 1' is written at_most: -1"
            ),
        ),
        (
            effect(expect={"direction": "decrease", "equivalent_within": 1}),
            "equivalent_within stands alone: it has no direction and no other limit",
        ),
        (
            effect(expect={"equivalent_within": 1, "around": "published"}),
            "expect is around the published figure, and the claim gives no 'published'",
        ),
        (
            effect(published={"source": "arXiv 1906.08637"}),
            "published gives either a difference or a value, and one of them",
        ),
        (
            {"id": "a", "text": "t", "cell": {}, "expect": {"direction": "increase"}},
            "a bound has no direction: give at_least or at_most",
        ),
        (
            {"id": "a", "text": "t", "order": [{"x": "a"}, {"x": "b"}], "expect": {"at_least": 1}},
            "an ordering expects a direction (increase or decrease along the list) and no limits",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused_with_what_to_write(claim, message):
    with pytest.raises(ValidationError) as error:
        parse(claim)
    assert [found["msg"].removeprefix("Value error, ") for found in error.value.errors()] == [message]


@pytest.mark.parametrize(
    ("changes", "mistake"),
    [
        (
            {"axis": "scalling"},
            Mistake(("claims", 0, "axis"), "unknown axis 'scalling'", tuple(AXES), "scaling"),
        ),
        (
            {"treatment": "xnorr"},
            Mistake(("claims", 0, "treatment"), "unknown level of axis scaling 'xnorr'", ("none", "xnor"), "xnor"),
        ),
        (
            {"control": "xnor"},
            Mistake(("claims", 0, "control"), "treatment and control are the same level 'xnor'", ("none", "xnor")),
        ),
        (
            {"metric": "test/top_1"},
            Mistake(("claims", 0, "metric"), "unknown metric 'test/top_1'", tuple(sorted(METRICS)), "test/top1"),
        ),
        (
            {"metric": "model/size_mib", "expect": {"at_most": 1, "unit": "points"}},
            Mistake(("claims", 0, "expect", "unit"), "model/size_mib is not measured in points", ("MiB",)),
        ),
        (
            {"within": {"growth_rate": [64, 1280]}},
            Mistake(
                ("claims", 0, "within", "growth_rate"),
                "unknown level of axis growth_rate '1280'",
                ("64", "128"),
                "128",
            ),
        ),
        (
            {"within": {"scaling": "xnor"}},
            Mistake(("claims", 0, "within", "scaling"), "the claim is about axis scaling and cannot fix it"),
        ),
        (
            {"interaction_with": {"axis": "downsampling", "levels": ["fp", "fp32"]}},
            Mistake(
                ("claims", 0, "interaction_with", "levels", 1),
                "unknown level of axis downsampling 'fp32'",
                ("binary", "fp"),
                "fp",
            ),
        ),
        (
            {"interaction_with": {"axis": "scaling", "levels": ["none", "xnor"]}},
            Mistake(
                ("claims", 0, "interaction_with", "axis"),
                "axis scaling is fixed or compared by this claim already",
                ("downsampling", "growth_rate"),
            ),
        ),
    ],
)
def test_a_mistake_names_its_place_what_is_allowed_and_the_nearest(changes, mistake):
    assert mistakes(effect(**changes)) == [mistake]


def test_all_mistakes_come_at_once():
    found = mistakes(effect(axis="size", metric="loss"), effect(treatment="x"), effect(id="other", control="y"))
    assert [mistake.path[1:] for mistake in found] == [
        (0, "metric"),
        (0, "axis"),
        (1, "id"),
        (1, "treatment"),
        (2, "control"),
    ]


def test_compared_cells_name_the_same_axes():
    claim = {
        "id": "a",
        "text": "t",
        "treatment": {"scaling": "xnor"},
        "control": {"scaling": "none", "downsampling": "fp"},
        "expect": {"direction": "increase"},
    }
    assert mistakes(claim) == [
        Mistake(
            ("claims", 0, "control"),
            "compared cells name the same axes: scaling, and here scaling, downsampling",
            ("scaling",),
        )
    ]


def test_claims_and_statistics_cost_a_plan_no_heavy_import():
    code = (
        "import sys, bnnlab.paper.claims, bnnlab.paper.statistics\n"
        "print([m for m in ('torch', 'scipy', 'numpy', 'mlflow', 'altair') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
