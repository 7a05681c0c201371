"""Scaling of weights that is differentiated."""

from __future__ import annotations

from torch import Tensor

from bnnlab.nn.scaling.magnitude import mean_magnitude


def bireal(y: Tensor, *, weight: Tensor) -> Tensor:
    """y * α: α the mean |w| of each filter.

    Gradient: flows through α into the latent weights, dα/dw = sign(w) / n with n the size of a filter.
    Source: BMXNet-v2, approximation "binet", its reading of Bi-Real Net (Liu et al. 2018, arXiv:1808.00278).
    """
    return y * mean_magnitude(weight)
