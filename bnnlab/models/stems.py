"""The full-precision first layers of every family. Source: BMXNet-v2-examples, `common_layers.py`."""

from __future__ import annotations

from torch import nn

from bnnlab.models.options import Stem


def stem_layers(stem: Stem, in_channels: int, out_channels: int, *, relu: bool = True) -> nn.Sequential:
    """The layers that turn an image into `out_channels` feature maps.

    `relu` is whether the imagenet stem ends in one before its pooling.
    Raises: ValueError for `auto`, which stands for one of the others.
    """
    match stem:
        case "imagenet":
            return nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 7, stride=2, padding=3, bias=False),
                nn.BatchNorm2d(out_channels),
                *([nn.ReLU()] if relu else []),
                nn.MaxPool2d(3, stride=2, padding=1),
            )
        case "grouped":
            middle = out_channels // 2
            return nn.Sequential(
                nn.Conv2d(in_channels, middle, 3, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(middle),
                nn.ReLU(),
                nn.Conv2d(middle, middle, 3, padding=1, groups=4, bias=False),
                nn.BatchNorm2d(middle),
                nn.ReLU(),
                nn.Conv2d(middle, out_channels, 3, padding=1, groups=8, bias=False),
                nn.BatchNorm2d(out_channels),
                nn.ReLU(),
                nn.MaxPool2d(3, stride=2, padding=1),
            )
        case "thumbnail":
            return nn.Sequential(nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False))
        case "auto":
            raise ValueError("stem 'auto' depends on the image; resolve it with `concrete_stem` first")
