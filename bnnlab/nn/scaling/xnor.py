"""XNOR-Net's scaling of weights and inputs."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from bnnlab.nn.scaling.magnitude import mean_magnitude


@torch.no_grad()
def _scale(x: Tensor, weight: Tensor, box: Callable[[Tensor], Tensor]) -> Tensor:
    return mean_magnitude(weight) * box(x.abs())


def xnor(y: Tensor, *, x: Tensor, weight: Tensor, box: Callable[[Tensor], Tensor]) -> Tensor:
    """y * α * K: α the mean |w| of each filter, K the mean |x| of each receptive field, zeros where padded.

    Gradient: none flows through α or K, as in the authors' scaled runs.
    Source: Rastegari et al. 2016 (arXiv:1603.05279), section 3.2; BMXNet-v2 for the gradient.
    """
    return y * _scale(x, weight, box)
