"""The numerics contract, over every estimator, scaling rule, padding value and window."""

import pytest
import torch
from implementations import SCALES, SLOPES, implementation

from bnnlab.nn.catalogue import ESTIMATORS, SCALINGS
from bnnlab.nn.contract import CONTRACT, Implementation, compiled_is_eager

CASES = [
    *(implementation(estimator, scale) for estimator in SLOPES for scale in SCALES),
    *(implementation("ste", scale, padding_value=p) for scale in ("popcount", "xnor") for p in (0, 1)),
    *(implementation(e, window=window) for e in ("ste", "approx_sign") for window in (0.5, 1.3, None)),
    *(implementation("ste", "bireal", weight_estimator=e, weight_window=0.5) for e in SLOPES),
]

# One of each method; a compilation takes seconds.
COMPILED = [
    *(implementation(estimator, "popcount") for estimator in SLOPES),
    *(implementation("ste", scale) for scale in SCALES if scale != "popcount"),
]


def test_every_method_of_the_catalogue_is_under_contract() -> None:
    assert set(SLOPES) == set(ESTIMATORS)
    assert set(SCALES) == {*SCALINGS, "popcount"}


@pytest.mark.parametrize("check", [name for name in CONTRACT if name != compiled_is_eager.__name__])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_contract(case: Implementation, check: str) -> None:
    CONTRACT[check](case)


@pytest.mark.slow
# PyTorch's own compiler does what PyTorch deprecates: instances of autograd.Function, torch.jit.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("case", COMPILED, ids=lambda case: case.name)
def test_compiled_is_eager(case: Implementation) -> None:
    compiled_is_eager(case)


def _broken(**changes: object) -> Implementation:
    fields = implementation("ste", "none").__dict__
    return Implementation(**{**fields, **changes})


@pytest.mark.parametrize(
    ("broken", "fails"),
    [
        (_broken(sign=lambda x: x.sign()), "sign_of_both_zeros_is_plus_one"),
        (_broken(sign=lambda x: x / x.abs().clamp(min=0.1)), "outputs_are_exactly_plus_or_minus_one"),
        (_broken(sign=lambda x: x + 1), "binarizing_twice_changes_nothing"),
        (_broken(sign=lambda x: (x >= 0).to(x.dtype) * 2 - 1), "nan_surfaces"),
        (_broken(slope=lambda x: (x.abs() < 1).to(x.dtype)), "gradient_is_the_formula_at_its_edges"),
        (_broken(slope=lambda x: (x.abs() <= 1.1).to(x.dtype)), "gradient_is_the_formula"),
        (_broken(padding_value=0), "output_is_the_formula"),
        (_broken(scale=SCALES["popcount"]), "output_is_the_formula"),
        (_broken(weight_slope=torch.zeros_like), "gradients_of_the_layer_are_the_formula"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_contract_notices_a_broken_implementation(broken: Implementation, fails: str) -> None:
    with pytest.raises(AssertionError):
        CONTRACT[fails](broken)
