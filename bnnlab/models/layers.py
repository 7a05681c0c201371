"""The layers that the families share."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from bnnlab.models.options import Downsampling
from bnnlab.nn.binarization import Binarization
from bnnlab.nn.layers import BinaryConv2d


class ReluConv2d(nn.Conv2d):
    """ReLU and a float convolution: what stands for a binary convolution in the full-precision twin."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(F.relu(input))


def activated_conv(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    stride: int = 1,
    *,
    dilation: int = 1,
    binarization: Binarization | None,
) -> nn.Module:
    """A binary convolution, or its full-precision twin; it keeps the size of the image, but for the stride.

    Both have one parameter, called `weight`, so that one can start from the other's.
    """
    padding = dilation * (kernel_size - 1) // 2
    shape = (in_channels, out_channels, kernel_size, stride, padding, dilation)
    if binarization is None:
        return ReluConv2d(*shape, bias=False)
    return BinaryConv2d(*shape, binarization=binarization)


def shortcut_conv(
    in_channels: int,
    out_channels: int,
    *,
    stride: int = 1,
    downsampling: Downsampling,
    binarization: Binarization | None,
) -> nn.Module:
    """The 1x1 convolution of a shortcut or a transition."""
    if downsampling == "fp":
        return nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False)
    return activated_conv(in_channels, out_channels, 1, stride, binarization=binarization)


def average_pool() -> nn.AvgPool2d:
    """Halve the image by averages.

    An odd image, 7 px, becomes 4 px as in the strided 3x3 convolution beside it; the last mean is of fewer.
    """
    return nn.AvgPool2d(2, stride=2, ceil_mode=True)


def max_pool() -> nn.MaxPool2d:
    """Halve the image by maxima; an odd image is rounded up as by `average_pool`."""
    return nn.MaxPool2d(2, stride=2, ceil_mode=True)


def input_norm(in_channels: int) -> nn.BatchNorm2d:
    """BatchNorm of the raw image with a scale fixed at 1: it absorbs pixels of any range.

    The fixed scale is still a parameter, since the authors' counts include it.
    """
    norm = nn.BatchNorm2d(in_channels, eps=2e-5)
    norm.weight.requires_grad_(False)
    return norm


def head(channels: int, num_classes: int, *, norm: bool, relu: bool) -> nn.Sequential:
    """BatchNorm and ReLU if asked, global average pool, dense layer.

    Shape: (batch, channels, height, width) -> (batch, num_classes), logits.
    """
    layers = nn.Sequential()
    if norm:
        layers.append(nn.BatchNorm2d(channels))
    if relu:
        layers.append(nn.ReLU())
    return layers.extend([nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, num_classes)])


def network(stem: nn.Module, stages: nn.Module, head: nn.Module) -> nn.Sequential:
    """The whole network, with the authors' initial weights."""
    whole = nn.Sequential()
    for name, part in {"stem": stem, "stages": stages, "head": head}.items():
        whole.add_module(name, part)
    initialise(whole)
    return whole


def initialise(module: nn.Module) -> None:
    """Draw convolutions and dense layers from a normal of variance 2 / fan-in; biases 0, BatchNorm 1 and 0.

    Source: "gaussian" in BMXNet-v2-examples, `image_classification.py` (He et al. 2015, fan-in).
    """
    for layer in module.modules():
        if isinstance(layer, BinaryConv2d | nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        if isinstance(layer, nn.Conv2d | nn.Linear) and layer.bias is not None:
            nn.init.zeros_(layer.bias)
