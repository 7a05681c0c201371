"""XNOR-Net's scaling of weights alone."""

from __future__ import annotations

from torch import Tensor

from bnnlab.nn.scaling.magnitude import mean_magnitude


def xnor_weight(y: Tensor, *, weight: Tensor) -> Tensor:
    """y * α: α the mean |w| of each filter.

    Gradient: none flows through α.
    Source: Rastegari et al. 2016 (arXiv:1603.05279), section 3.1 (BWN).
    """
    return y * mean_magnitude(weight.detach())
