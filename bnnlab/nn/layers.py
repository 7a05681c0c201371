"""Binary convolution and linear layers."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bnnlab.nn.binarization import Binarization
from bnnlab.nn.catalogue import SCALINGS, WEIGHT_ESTIMATORS


class Sign(nn.Module):
    """A gradient estimator as a layer: ±1 out, its own gradient back."""

    def __init__(self, estimator: str, *, window: float | None) -> None:
        super().__init__()
        method = WEIGHT_ESTIMATORS[estimator]
        self.estimator = estimator
        self.window = window
        self.function = method.load(estimator)
        if "window" in method.reads:
            self.function = partial(self.function, window=window)
        self.scheduled = "progress" in method.reads
        if self.scheduled:
            # A buffer, so that a run that goes on from a checkpoint goes on with its schedule.
            self.register_buffer("progress", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.function(x, progress=self.progress) if self.scheduled else self.function(x)
        return result

    def extra_repr(self) -> str:
        return f"{self.estimator}, window={self.window}"


class BinaryLayer(nn.Module):
    """What binary layers share: latent weights, two estimators, one scaling rule."""

    def __init__(self, weight_shape: tuple[int, ...], binarization: Binarization) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(weight_shape))
        self.binarization = binarization
        self.sign_input = Sign(binarization.estimator, window=binarization.window)
        self.sign_weight = Sign(binarization.weight_estimator, window=binarization.weight_window)
        method = SCALINGS[binarization.scaling]
        self.scaling = method.load(binarization.scaling)
        self.scaling_reads = method.reads
        if "scale" in method.reads:
            self.scale = nn.Parameter(torch.ones(weight_shape[0], *[1] * (len(weight_shape) - 2)))
        self.popcount = binarization.scaling == "none" and binarization.output == "popcount"
        nn.init.kaiming_normal_(self.weight, nonlinearity="relu")  # variance 2 / fan-in, the authors' "gaussian"

    @property
    def terms(self) -> int:
        """How many products each output sums: N in the popcount output (y + N) / 2."""
        return self.weight[0].numel()

    def box(self, magnitude: Tensor) -> Tensor:
        """Mean of a non-negative input over each receptive field, as the scaling rules use it."""
        raise NotImplementedError

    def scaled(self, y: Tensor, x: Tensor) -> Tensor:
        """The signed sum y of the input x, scaled by the layer's rule."""
        if self.binarization.scaling == "none":
            return y
        ingredients: dict[str, Any] = {name: x if name == "x" else getattr(self, name) for name in self.scaling_reads}
        result: Tensor = self.scaling(y, **ingredients)
        return result


class BinaryConv2d(BinaryLayer):
    """A convolution of signs: real-valued input in, its sign and the sign of the latent weights convolved.

    No bias, no activation function. The binarized input is padded with `binarization.padding_value`.
    Shape: (batch, in_channels, height, width) -> (batch, out_channels, height', width').
    Raises: ValueError if `groups` does not divide the channels.
    Source: BMXNet-v2, `binary_layers.py`; the XNOR scaling as in its `scaling` option.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        padding: int = 0,
        dilation: int = 1,
        groups: int = 1,
        *,
        binarization: Binarization,
    ) -> None:
        if in_channels % groups or out_channels % groups:
            raise ValueError(f"groups={groups} must divide the channels, {in_channels} in and {out_channels} out")
        super().__init__((out_channels, in_channels // groups, kernel_size, kernel_size), binarization)
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = kernel_size
        self.stride = stride
        self.padding = padding
        self.dilation = dilation
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        y = binary_conv2d(
            self.sign_input(x),
            self.sign_weight(self.weight),
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            groups=self.groups,
            padding_value=self.binarization.padding_value,
            popcount=self.popcount,
        )
        return self.scaled(y, x)

    def box(self, magnitude: Tensor) -> Tensor:
        """Mean of |x| over channels (of each group) and kernel window, zero outside the image.

        Shape: (batch, in_channels, height, width) -> (batch, 1 or out_channels, height', width').
        """
        if self.groups == 1:
            mean = magnitude.mean(1, keepdim=True)
        else:
            mean = magnitude.view(len(magnitude), self.groups, -1, *magnitude.shape[2:]).mean(2)
        mean = F.pad(mean, [self.padding] * 4)
        if self.dilation == 1:  # two to six times faster than a convolution
            field = F.avg_pool2d(mean, self.kernel_size, self.stride)
        else:
            kernel = mean.new_full((self.groups, 1, *[self.kernel_size] * 2), self.kernel_size**-2)
            field = F.conv2d(mean, kernel, None, self.stride, 0, self.dilation, self.groups)
        return field if self.groups == 1 else field.repeat_interleave(self.out_channels // self.groups, 1)

    def extra_repr(self) -> str:
        return (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"padding={self.padding}, dilation={self.dilation}, groups={self.groups}, {self.binarization!r}"
        )


class BinaryLinear(BinaryLayer):
    """A dense layer of signs, without bias.

    Shape: (..., in_features) -> (..., out_features).
    """

    def __init__(self, in_features: int, out_features: int, *, binarization: Binarization) -> None:
        super().__init__((out_features, in_features), binarization)
        self.in_features = in_features
        self.out_features = out_features

    def forward(self, x: Tensor) -> Tensor:
        y = F.linear(self.sign_input(x), self.sign_weight(self.weight))
        return self.scaled(y * 0.5 + self.terms / 2 if self.popcount else y, x)

    def box(self, magnitude: Tensor) -> Tensor:
        """Mean of |x| over the features. Shape: (..., in_features) -> (..., 1)."""
        return magnitude.mean(-1, keepdim=True)

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}, {self.binarization!r}"


def binary_conv2d(
    signs: Tensor,
    weight: Tensor,
    *,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
    groups: int = 1,
    padding_value: int = -1,
    popcount: bool = False,
) -> Tensor:
    """Convolve signs with binary weights: the signed sum y, or (y + N) / 2 if `popcount`.

    Shape: as `torch.nn.functional.conv2d`. Exact in float32 for sums below 2^24.
    """
    half = 0.5 if popcount else 1.0
    offset = weight[0].numel() / 2 if popcount else 0.0
    pads = padding > 0 and padding_value != 0
    if pads and _computes_in_half_precision(signs):
        # The sum of a filter's weights, below, need not be a number of that precision.
        signs = F.pad(signs, [padding] * 4, value=padding_value)
        y = F.conv2d(signs, weight, None, stride, 0, dilation, groups)
        return y * half + offset if popcount else y
    bias = None
    if pads:
        # s padded with p is (s - p) padded with 0, plus p: conv0(s - p) + p Σw. The convolution pads with
        # zeros anyway, so p costs one subtraction in place of a copy into a larger image.
        signs = signs - padding_value
        bias = weight.sum((1, 2, 3)) * (padding_value * half) + offset
    elif popcount:
        bias = weight.new_full((weight.shape[0],), offset)
    return F.conv2d(signs, weight * half if popcount else weight, bias, stride, padding, dilation, groups)


def _computes_in_half_precision(x: Tensor) -> bool:
    if x.dtype.itemsize < 4:
        return True
    return x.device.type != "meta" and torch.is_autocast_enabled(x.device.type)
