"""Layers of BinaryDenseNet. Source: BMXNet-v2-examples, `densenet.py` and `basenet_dense.py`."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bnnlab.models.binary_densenet import Transition
from bnnlab.models.layers import activated_conv, average_pool, head, max_pool, network
from bnnlab.models.options import Image, Stem
from bnnlab.models.stems import stem_layers
from bnnlab.nn.binarization import Binarization


class DenseLayer(nn.Module):
    """BatchNorm, sign, 3x3 binary convolution, concatenated after the input.

    Shape: (batch, in_channels, height, width) -> (batch, in_channels + growth_rate, height, width).
    """

    def __init__(self, in_channels: int, growth_rate: int, *, dilation: int, binarization: Binarization | None) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(in_channels)
        self.conv = activated_conv(in_channels, growth_rate, 3, dilation=dilation, binarization=binarization)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.conv(self.norm(x))], 1)


def reduced_channels(channels: int, reduction: float) -> int:
    """Channels after a transition: divided, then rounded to a multiple of 32, ties to the even multiple.

    Never 0: a network far smaller than the authors' keeps 32.
    """
    return max(32, round(channels // reduction / 32) * 32)


def transition_layers(
    in_channels: int,
    out_channels: int,
    *,
    transition: Transition,
    pool: bool,
    binarization: Binarization | None,
) -> nn.Sequential:
    """BatchNorm, then the layers that `transition` names; `pool` is False where the next stage is dilated."""
    norm = nn.BatchNorm2d(in_channels)
    match transition:
        case "pool_relu_fp":
            fp = nn.Conv2d(in_channels, out_channels, 1, bias=False)
            return nn.Sequential(norm, *([max_pool()] if pool else []), nn.ReLU(), fp)
        case "fp_pool":
            layers = nn.Sequential(norm, nn.Conv2d(in_channels, out_channels, 1, bias=False))
        case "relu_fp_pool":
            layers = nn.Sequential(norm, nn.ReLU(), nn.Conv2d(in_channels, out_channels, 1, bias=False))
        case "binary_pool":
            layers = nn.Sequential(norm, activated_conv(in_channels, out_channels, 1, binarization=binarization))
    return layers.append(average_pool()) if pool else layers


def binary_densenet(
    *,
    blocks: tuple[int, ...],
    growth_rate: int,
    init_features: int,
    reduction: tuple[float, ...],
    transition: Transition,
    dilation: tuple[int, ...],
    image: Image,
    num_classes: int,
    stem: Stem,
    binarization: Binarization | None,
) -> nn.Sequential:
    """Stem, stages of dense layers with transitions between them, BatchNorm, ReLU, global pool, dense layer.

    Shape: (batch, channels, height, width) -> (batch, num_classes), logits.
    """
    stages = nn.Sequential()
    channels = init_features
    for index, length in enumerate(blocks):
        stage = nn.Sequential()
        if index > 0:
            entering = reduced_channels(channels, reduction[index - 1])
            stage.append(
                transition_layers(
                    channels,
                    entering,
                    transition=transition,
                    pool=dilation[index] == 1,
                    binarization=binarization,
                )
            )
            channels = entering
        for _ in range(length):
            stage.append(DenseLayer(channels, growth_rate, dilation=dilation[index], binarization=binarization))
            channels += growth_rate
        stages.append(stage)
    first = stem_layers(stem, image[0], init_features)
    return network(first, stages, head(channels, num_classes, norm=True, relu=True))
