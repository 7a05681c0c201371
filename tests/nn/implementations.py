"""Our layers as implementations of the contract: the formulas here are written from the papers, once more."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from bnnlab.nn.binarization import Binarization
from bnnlab.nn.contract import Geometry, Implementation
from bnnlab.nn.layers import BinaryConv2d, Sign

SLOPES: dict[str, Callable[[Tensor, float | None], Tensor]] = {
    "ste": lambda x, t: (x.abs() <= (t or math.inf)).to(x.dtype),
    "approx_sign": lambda x, t: torch.where(x.abs() <= (t or math.inf), 2 - 2 * x.abs(), 0),
    "polynomial": lambda x, t: torch.where(x.abs() <= 1, 2 - 2 * x.abs(), 0),
    "swish_sign": lambda x, t: 5 * (2 - 5 * x * torch.tanh(5 * x / 2)) / (1 + torch.cosh(5 * x)),
    # at the start of the training, where a new buffer stands: t = 0.1, k = 10
    "error_decay": lambda x, t: 10 * 0.1 * (1 - torch.tanh(0.1 * x) ** 2),
}


def _alpha(weight: Tensor) -> Tensor:
    return weight.abs().mean((1, 2, 3)).view(-1, 1, 1)


def _k_map(x: Tensor, geometry: Geometry) -> Tensor:
    """Mean |x| over the channels of a group and the kernel's window, by explicit patches; zeros outside."""
    kernel, groups = geometry.kernel_size, geometry.groups
    maps = []
    for group in x.chunk(groups, 1):
        magnitude = F.pad(group.abs().mean(1, keepdim=True), [geometry.padding] * 4, value=0)
        patches = F.unfold(magnitude, kernel, geometry.dilation, 0, geometry.stride).mean(1)
        reach = geometry.dilation * (kernel - 1) + 1
        rows = (magnitude.shape[-2] - reach) // geometry.stride + 1
        field = patches.view(x.shape[0], 1, rows, -1)
        maps.append(field.expand(-1, geometry.out_channels // groups, -1, -1))
    return torch.cat(maps, 1)


SCALES: dict[str, Callable[[Tensor, Tensor, Tensor, Geometry], Tensor]] = {
    "popcount": lambda y, x, weight, geometry: (y + geometry.terms) / 2,
    "none": lambda y, x, weight, geometry: y,
    "xnor_weight": lambda y, x, weight, geometry: y * _alpha(weight.detach()),
    "xnor": lambda y, x, weight, geometry: y * _alpha(weight.detach()) * _k_map(x.detach(), geometry),
    "bireal": lambda y, x, weight, geometry: y * _alpha(weight),
    "learned": lambda y, x, weight, geometry: y,  # a new scale is 1
}


def implementation(
    estimator: str = "ste",
    scale: str = "none",
    *,
    window: float | None = 1.0,
    weight_estimator: str = "ste",
    weight_window: float | None = None,
    padding_value: int = -1,
) -> Implementation:
    """Our layer with the given choices."""
    binarization = Binarization.model_validate(
        {
            "estimator": estimator,
            "window": window,
            "weight_estimator": weight_estimator,
            "weight_window": weight_window,
            "scaling": "none" if scale == "popcount" else scale,
            "output": "popcount" if scale == "popcount" else "signed",
            "padding_value": padding_value,
        }
    )

    def conv(geometry: Geometry) -> BinaryConv2d:
        return BinaryConv2d(*geometry, binarization=binarization)

    return Implementation(
        name=f"{estimator}-{scale}",
        sign=Sign(estimator, window=window),
        slope=lambda x: SLOPES[estimator](x, window),
        conv=conv,
        weight_slope=lambda w: SLOPES[weight_estimator](w, weight_window),
        padding_value=padding_value,
        scale=SCALES[scale],
        edges=() if window is None else (window,),
        exact=scale in ("none", "popcount", "learned"),
    )
