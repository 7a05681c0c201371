"""Blocks of BinaryResNetE. Source: BMXNet-v2-examples, `binary_models/resnet_e.py`, newest commit."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bnnlab.models.layers import activated_conv, average_pool, head, input_norm, network, shortcut_conv
from bnnlab.models.options import Downsampling, Image, Stem
from bnnlab.models.resnet_e import Slices, Variant
from bnnlab.models.stems import stem_layers
from bnnlab.nn.binarization import Binarization


class BlockE1(nn.Module):
    """Sign, 3x3 binary convolution, BatchNorm, plus the shortcut.

    The sum goes to the channels from `first`, as many as the convolution has; the others pass unchanged.
    Shape: (batch, in_channels, height, width) -> (batch, out_channels, ceil(height / stride), ...).
    """

    def __init__(
        self,
        conv: nn.Module,
        out_channels: int,
        *,
        shortcut: nn.Module | None = None,
        first: int | None = None,
    ) -> None:
        super().__init__()
        self.conv = conv
        self.norm = nn.BatchNorm2d(out_channels)
        self.shortcut = nn.Identity() if shortcut is None else shortcut
        self.first = first

    def forward(self, x: Tensor) -> Tensor:
        return add_slice(self.shortcut(x), self.norm(self.conv(x)), self.first)


class BlockE2(nn.Module):
    """BatchNorm, sign, 3x3 binary convolution, plus the shortcut.

    An identity shortcut starts before the BatchNorm, a downsampling one after it. `first` as in `BlockE1`.
    Shape: (batch, in_channels, height, width) -> (batch, out_channels, ceil(height / stride), ...).
    """

    def __init__(
        self,
        conv: nn.Module,
        in_channels: int,
        *,
        shortcut: nn.Module | None = None,
        first: int | None = None,
    ) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(in_channels)
        self.conv = conv
        self.shortcut = shortcut
        self.first = first

    def forward(self, x: Tensor) -> Tensor:
        normed = self.norm(x)
        return add_slice(x if self.shortcut is None else self.shortcut(normed), self.conv(normed), self.first)


def add_slice(x: Tensor, update: Tensor, first: int | None) -> Tensor:
    """x with `update` added to its channels from `first` on; None: to all of them."""
    if first is None:
        return x + update
    last = first + update.shape[1]
    return torch.cat([x[:, :first], x[:, first:last] + update, x[:, last:]], 1)


def downsampling_shortcut(
    in_channels: int,
    out_channels: int,
    *,
    downsampling: Downsampling,
    norm: bool,
    binarization: Binarization | None,
) -> nn.Sequential:
    """Where a stage begins: average pooling halves the image, a 1x1 convolution matches the channels."""
    conv = shortcut_conv(in_channels, out_channels, downsampling=downsampling, binarization=binarization)
    layers = nn.Sequential(average_pool(), conv)
    return layers.append(nn.BatchNorm2d(out_channels)) if norm else layers


def stage(
    convolutions: int,
    in_channels: int,
    out_channels: int,
    *,
    stride: int,
    variant: Variant,
    downsampling: Downsampling,
    slices: int,
    shortcut_norm: bool,
    binarization: Binarization | None,
) -> nn.Sequential:
    """Blocks with one binary convolution each; with `slices`, that many times as many and as much narrower.

    The block that halves the image is never sliced.
    """
    e1 = variant == "e1"
    blocks = nn.Sequential()
    if stride > 1:
        conv = activated_conv(in_channels, out_channels, 3, stride, binarization=binarization)
        shortcut = downsampling_shortcut(
            in_channels,
            out_channels,
            downsampling=downsampling,
            norm=shortcut_norm,
            binarization=binarization,
        )
        blocks.append(
            BlockE1(conv, out_channels, shortcut=shortcut) if e1 else BlockE2(conv, in_channels, shortcut=shortcut)
        )
        convolutions -= 1
    width = out_channels // slices
    for index in range(convolutions * slices):
        first = None if slices == 1 else width * (index % slices)
        conv = activated_conv(out_channels, width, 3, binarization=binarization)
        blocks.append(BlockE1(conv, width, first=first) if e1 else BlockE2(conv, out_channels, first=first))
    return blocks


def resnet_e(
    *,
    convolutions: tuple[int, ...],
    channels: tuple[int, ...],
    image: Image,
    num_classes: int,
    variant: Variant,
    stem: Stem,
    downsampling: Downsampling,
    slices: Slices,
    binarization: Binarization | None,
) -> nn.Sequential:
    """Input BatchNorm, stem, stages of blocks with one binary convolution each, global pool, dense layer.

    `convolutions` and `channels` give the binary convolutions and the channels of each stage.
    Shape: (batch, channels, height, width) -> (batch, num_classes), logits.
    """
    first = nn.Sequential(input_norm(image[0]), *stem_layers(stem, image[0], channels[0]))
    if variant == "e1":
        first.append(nn.BatchNorm2d(channels[0]))
    stages = nn.Sequential()
    in_channels = channels[0]
    for index, (length, out_channels) in enumerate(zip(convolutions, channels, strict=True)):
        stages.append(
            stage(
                length,
                in_channels,
                out_channels,
                stride=1 if index == 0 else 2,
                variant=variant,
                downsampling=downsampling,
                slices=slices,
                shortcut_norm=variant == "e1",
                binarization=binarization,
            )
        )
        in_channels = out_channels
    return network(first, stages, head(in_channels, num_classes, norm=variant == "e2", relu=True))
