"""The mean magnitude of filters, which several rules share."""

from __future__ import annotations

from torch import Tensor


def mean_magnitude(weight: Tensor) -> Tensor:
    """Mean |w| of each filter, shaped to multiply a layer's output.

    Shape: (out, ...) -> (out,) for a linear layer's weight, (out, 1, 1) for a convolution's.
    """
    mean = weight.abs().flatten(1).mean(1)
    return mean.view(-1, *[1] * (weight.dim() - 2))
