"""The straight-through estimator."""

from __future__ import annotations

from torch import Tensor

from bnnlab.nn.sign import sign_with_slope


def ste(x: Tensor, *, window: float | None = 1.0) -> Tensor:
    """Binarize to ±1 and pass the gradient straight through.

    Forward: +1 where x >= 0, else -1; never 0.    Backward: dy where |x| <= window, else 0; None: dy.
    Shape: any; the output keeps x's shape and dtype.
    Source: Bengio et al. 2013 (arXiv:1308.3432); the window Hubara et al. 2016 (arXiv:1602.02830), eq. 4.
    """
    return sign_with_slope(x, None if window is None else x.detach().abs() <= window)
