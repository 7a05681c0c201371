"""Bi-Real Net's magnitude-aware sign of weights."""

from __future__ import annotations

from torch import Tensor

from bnnlab.nn.estimators.ste import ste
from bnnlab.nn.scaling.magnitude import mean_magnitude


def magnitude_aware(weight: Tensor, *, window: float | None = None) -> Tensor:
    """Binarize filters to ± their mean |w|; the mean is not differentiated.

    Forward: sign(w) times the mean |w| of the filter.    Backward: dy times that mean where |w| <= window.
    Shape: (out, ...); the output keeps the weight's shape and dtype.
    Source: Liu et al. 2018 (arXiv:1808.00278), section 3.3; Larq's `magnitude_aware_sign`. A layer with it
    computes what one with plain weights and the scaling `xnor_weight` does, gradients included.
    """
    magnitude = mean_magnitude(weight.detach())
    return ste(weight, window=window) * magnitude.view(-1, *[1] * (weight.dim() - 1))
