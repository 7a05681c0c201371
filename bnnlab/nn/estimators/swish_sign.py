"""The estimator of BNN+."""

from __future__ import annotations

import torch
from torch import Tensor

from bnnlab.nn.sign import sign_with_slope


def swish_sign(x: Tensor, *, beta: float = 5.0) -> Tensor:
    """Binarize to ±1 with the gradient of a shifted Swish function, which is negative far from 0.

    Forward: +1 where x >= 0, else -1; never 0.
    Backward: dy * β (2 - βx tanh(βx / 2)) / (1 + cosh(βx)).
    Shape: any; the output keeps x's shape and dtype.
    Source: Darabi et al. 2018 (arXiv:1812.11800), eq. 4; β = 5 as in Larq.
    """
    z = beta * x.detach()
    # 1 / (1 + cosh z) = sech²(z / 2) / 2, and 1 - tanh² does not overflow where cosh does.
    tanh = torch.tanh(z / 2)
    return sign_with_slope(x, beta * (2 - z * tanh) * (1 - tanh * tanh) / 2)
