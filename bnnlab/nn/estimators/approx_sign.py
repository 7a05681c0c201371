"""The estimator that differentiates a piecewise quadratic in place of sign."""

from __future__ import annotations

from torch import Tensor

from bnnlab.nn.sign import sign_with_slope


def approx_sign(x: Tensor, *, window: float | None = 1.0) -> Tensor:
    """Binarize to ±1 with a triangular gradient.

    Forward: +1 where x >= 0, else -1; never 0.    Backward: dy * (2 - 2|x|) where |x| <= window, else 0.
    Shape: any; the output keeps x's shape and dtype.
    Source: Liu et al. 2018 (arXiv:1808.00278), whose window is 1. As in BMXNet-v2 the window is a
    gate's and not the triangle's: beyond 1, with a wider window or none (the authors' weights), the slope is
    negative.
    """
    magnitude = x.detach().abs()
    slope = 2 - 2 * magnitude
    return sign_with_slope(x, slope if window is None else slope * (magnitude <= window))
