"""Blocks of BinaryResNetE. Source: BMXNet-v2-examples, `binary_models/resnet_e.py`, newest commit."""

from __future__ import annotations

from torch import Tensor, nn

from bnnlab.models.initialisation import initialise
from bnnlab.models.options import Downsampling, Image, Stem
from bnnlab.models.resnet_e import Variant
from bnnlab.models.stems import input_norm, stem_layers
from bnnlab.nn.binarization import Binarization
from bnnlab.nn.layers import BinaryConv2d


def shortcut(
    in_channels: int, out_channels: int, downsampling: Downsampling, binarization: Binarization
) -> nn.Sequential:
    """Where a stage begins: average pooling halves the image, a 1x1 convolution matches the channels."""
    # ceil_mode: an odd image, 7 px, becomes 4 px here as it does in the strided 3x3 convolution beside it.
    pool = nn.AvgPool2d(2, stride=2, ceil_mode=True)
    if downsampling == "binary":
        return nn.Sequential(pool, BinaryConv2d(in_channels, out_channels, 1, binarization=binarization))
    return nn.Sequential(pool, nn.Conv2d(in_channels, out_channels, 1, bias=False))


class BlockE1(nn.Module):
    """Sign, 3x3 binary convolution, BatchNorm, plus the shortcut.

    Shape: (batch, in_channels, height, width) -> (batch, out_channels, ceil(height / stride), ...).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        downsampling: Downsampling,
        binarization: Binarization,
    ) -> None:
        super().__init__()
        self.conv = BinaryConv2d(
            in_channels, out_channels, 3, stride=stride, padding=1, binarization=binarization
        )
        self.norm = nn.BatchNorm2d(out_channels)
        self.shortcut: nn.Module = nn.Identity()
        if (in_channels, stride) != (out_channels, 1):
            self.shortcut = shortcut(in_channels, out_channels, downsampling, binarization)
            self.shortcut.append(nn.BatchNorm2d(out_channels))

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.norm(self.conv(x)) + self.shortcut(x)
        return result


class BlockE2(nn.Module):
    """BatchNorm, sign, 3x3 binary convolution, plus the shortcut.

    An identity shortcut starts before the BatchNorm, a downsampling one after it.
    Shape: (batch, in_channels, height, width) -> (batch, out_channels, ceil(height / stride), ...).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        stride: int,
        downsampling: Downsampling,
        binarization: Binarization,
    ) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(in_channels)
        self.conv = BinaryConv2d(
            in_channels, out_channels, 3, stride=stride, padding=1, binarization=binarization
        )
        self.shortcut: nn.Module | None = None
        if (in_channels, stride) != (out_channels, 1):
            self.shortcut = shortcut(in_channels, out_channels, downsampling, binarization)

    def forward(self, x: Tensor) -> Tensor:
        normed = self.norm(x)
        result: Tensor = self.conv(normed) + (x if self.shortcut is None else self.shortcut(normed))
        return result


class ResNetE(nn.Module):
    """Input BatchNorm, stem, stages of blocks with one binary convolution each, global pool, dense layer.

    `convolutions` and `channels` give the binary convolutions and the channels of each stage.
    Shape: (batch, channels, height, width) -> (batch, num_classes), logits.
    """

    def __init__(
        self,
        *,
        convolutions: tuple[int, ...],
        channels: tuple[int, ...],
        image: Image,
        num_classes: int,
        variant: Variant,
        stem: Stem,
        downsampling: Downsampling,
        binarization: Binarization,
    ) -> None:
        super().__init__()
        block = {"e1": BlockE1, "e2": BlockE2}[variant]
        self.stem = nn.Sequential(input_norm(image[0]), *stem_layers(stem, image[0], channels[0]))
        if variant == "e1":
            self.stem.append(nn.BatchNorm2d(channels[0]))
        self.stages = nn.Sequential()
        in_channels = channels[0]
        for stage, (length, out_channels) in enumerate(zip(convolutions, channels, strict=True)):
            strides = [1 if stage == 0 else 2] + [1] * (length - 1)
            blocks = nn.Sequential()
            for stride in strides:
                blocks.append(block(in_channels, out_channels, stride, downsampling, binarization))
                in_channels = out_channels
            self.stages.append(blocks)
        self.head = nn.Sequential(nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        if variant == "e2":
            self.head.insert(0, nn.BatchNorm2d(in_channels))
        self.head.append(nn.Linear(in_channels, num_classes))
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.head(self.stages(self.stem(x)))
        return result
