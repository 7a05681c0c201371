"""How a layer binarizes, as a value. Free of torch, so that a plan can be checked without it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from bnnlab.nn.catalogue import ESTIMATORS, SCALINGS, WEIGHT_ESTIMATORS
from bnnlab.values import Frozen

if TYPE_CHECKING:
    EstimatorName = str
    WeightEstimatorName = str
    ScalingName = str
else:  # the catalogue says what is allowed; a type checker cannot read it
    EstimatorName = Literal[tuple(ESTIMATORS)]
    WeightEstimatorName = Literal[tuple(WEIGHT_ESTIMATORS)]
    ScalingName = Literal[tuple(SCALINGS)]


class Binarization(Frozen):
    """Every choice a binary layer makes; the defaults are the authors' (BMXNet-v2, 2018 runs)."""

    estimator: EstimatorName = "ste"
    """Gradient estimator of the sign of the activations."""
    window: float | None = Field(default=1.0, gt=0)
    """The gradient of the activations' sign passes where |x| <= window (inclusive). None: everywhere.
    Read by ste and approx_sign; the other estimators have a support of their own."""
    weight_estimator: WeightEstimatorName = "ste"
    """Gradient estimator of the sign of the weights."""
    weight_window: float | None = Field(default=None, gt=0)
    """As `window`, for the weights. None: everywhere, as in the authors' code."""
    weight_clip: float | None = Field(default=None, gt=0)
    """Latent weights are clipped to ± this after each step of the optimizer. None: never."""
    scaling: ScalingName = "none"
    """What multiplies the output of the binary convolution."""
    padding_value: Literal[-1, 0, 1] = -1
    """What the binarized input is padded with: the authors' -1, Larq's 0."""
    output: Literal["popcount", "signed"] = "popcount"
    """Output without scaling: popcount is the authors' (y + N) / 2 in 0..N, signed the plain sum in -N..N.
    A scaled output is always the signed sum times its scale."""

    def canonical(self) -> Binarization:
        """This value with every choice that no layer would read set to one spelling.

        Two binarizations that compute the same have equal canonical forms.
        """
        changes: dict[str, Any] = {}
        if "window" not in ESTIMATORS[self.estimator].reads:
            changes["window"] = None
        if "window" not in WEIGHT_ESTIMATORS[self.weight_estimator].reads:
            changes["weight_window"] = None
        if self.scaling != "none":
            changes["output"] = "signed"
        return self.model_copy(update=changes)


AUTHORS = Binarization()
"""How the paper's authors binarize."""
