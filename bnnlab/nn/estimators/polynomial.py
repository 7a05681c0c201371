"""The estimator that differentiates Bi-Real Net's piecewise polynomial."""

from __future__ import annotations

from torch import Tensor

from bnnlab.nn.sign import sign_with_slope


def polynomial(x: Tensor) -> Tensor:
    """Binarize to ±1 with the gradient of a piecewise polynomial that saturates at ±1.

    Forward: +1 where x >= 0, else -1; never 0.    Backward: dy * (2 - 2|x|) where |x| <= 1, else 0.
    Shape: any; the output keeps x's shape and dtype.
    Source: Liu et al. 2018 (arXiv:1808.00278), eq. 5. `approx_sign` at a window of 1 is the same; this one
    ends at 1 whatever the window.
    """
    return sign_with_slope(x, (2 - 2 * x.detach().abs()).clamp(min=0))
