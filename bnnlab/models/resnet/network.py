"""Blocks of binary ResNet v1 and v2. Source: BMXNet-v2-examples, `binary_models/resnet.py`."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from bnnlab.models.layers import activated_conv, head, input_norm, network, shortcut_conv
from bnnlab.models.options import Downsampling, Image, Stem
from bnnlab.models.stems import stem_layers
from bnnlab.nn.binarization import Binarization


class BlockV1(nn.Module):
    """Twice sign, 3x3 binary convolution and BatchNorm, plus the shortcut. No activation after the sum.

    Shape: (batch, in_channels, height, width) -> (batch, out_channels, ceil(height / stride), ...).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        stride: int,
        downsampling: Downsampling,
        binarization: Binarization | None,
    ) -> None:
        super().__init__()
        self.body = nn.Sequential(
            activated_conv(in_channels, out_channels, 3, stride, binarization=binarization),
            nn.BatchNorm2d(out_channels),
            activated_conv(out_channels, out_channels, 3, binarization=binarization),
            nn.BatchNorm2d(out_channels),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1:
            conv = shortcut_conv(
                in_channels, out_channels, stride=stride, downsampling=downsampling, binarization=binarization
            )
            self.shortcut = nn.Sequential(conv, nn.BatchNorm2d(out_channels))

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.body(x) + self.shortcut(x)
        return result


class BlockV2(nn.Module):
    """BatchNorm, sign, convolution, BatchNorm, sign, convolution, plus the shortcut.

    A downsampling shortcut shares the first BatchNorm, an identity starts before it.
    Shape: (batch, in_channels, height, width) -> (batch, out_channels, ceil(height / stride), ...).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        stride: int,
        downsampling: Downsampling,
        binarization: Binarization | None,
    ) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(in_channels)
        self.body = nn.Sequential(
            activated_conv(in_channels, out_channels, 3, stride, binarization=binarization),
            nn.BatchNorm2d(out_channels),
            activated_conv(out_channels, out_channels, 3, binarization=binarization),
        )
        self.shortcut: nn.Module | None = None
        if stride > 1:
            self.shortcut = shortcut_conv(
                in_channels, out_channels, stride=stride, downsampling=downsampling, binarization=binarization
            )

    def forward(self, x: Tensor) -> Tensor:
        normed = self.norm(x)
        result: Tensor = self.body(normed) + (x if self.shortcut is None else self.shortcut(normed))
        return result


def resnet(
    *,
    blocks: tuple[int, ...],
    channels: tuple[int, ...],
    image: Image,
    num_classes: int,
    variant: Literal["v1", "v2"],
    stem: Stem,
    downsampling: Downsampling,
    binarization: Binarization | None,
) -> nn.Sequential:
    """Input BatchNorm, stem, stages of blocks with two binary convolutions each, global pool, dense layer.

    Shape: (batch, channels, height, width) -> (batch, num_classes), logits.
    """
    first = nn.Sequential(input_norm(image[0]), *stem_layers(stem, image[0], channels[0]))
    if variant == "v1":
        first.append(nn.BatchNorm2d(channels[0]))
    block = {"v1": BlockV1, "v2": BlockV2}[variant]
    stages = nn.Sequential()
    in_channels = channels[0]
    for index, (length, out_channels) in enumerate(zip(blocks, channels, strict=True)):
        stage = nn.Sequential()
        for position in range(length):
            stride = 2 if index > 0 and position == 0 else 1
            stage.append(
                block(
                    in_channels,
                    out_channels,
                    stride=stride,
                    downsampling=downsampling,
                    binarization=binarization,
                )
            )
            in_channels = out_channels
        stages.append(stage)
    return network(first, stages, head(in_channels, num_classes, norm=variant == "v2", relu=True))
