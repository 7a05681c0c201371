"""The error decay estimator of IR-Net."""

from __future__ import annotations

import torch
from torch import Tensor

from bnnlab.nn.sign import sign_with_slope


def error_decay(x: Tensor, *, progress: Tensor) -> Tensor:
    """Binarize to ±1 with the gradient of a tanh that steepens during training.

    Forward: +1 where x >= 0, else -1; never 0.    Backward: dy * k t (1 - tanh²(t x)), where t grows from 0.1
    to 10 log-linearly and k = max(1 / t, 1): first near the identity, in the end near sign.
    Shape: any, `progress` () from 0 at the start of the training to 1 at its end.
    Source: Qin et al. 2020 (arXiv:1909.10788), section 3.3, T_min = 0.1 and T_max = 10.
    """
    t = 10 ** (2 * progress.to(x.dtype) - 1)
    tanh = torch.tanh(t * x.detach())
    # k t = max(1, t)
    return sign_with_slope(x, t.clamp(min=1) * (1 - tanh * tanh))
