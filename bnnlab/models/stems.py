"""The full-precision first layers of every family."""

from __future__ import annotations

from torch import nn

from bnnlab.models.options import Stem


def stem_layers(stem: Stem, in_channels: int, out_channels: int) -> nn.Sequential:
    """The layers that turn an image into `out_channels` feature maps.

    Source: BMXNet-v2-examples, `binary_models/common_layers.py`.
    Raises: ValueError for `auto`, which stands for one of the others.
    """
    match stem:
        case "imagenet":
            return nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 7, stride=2, padding=3, bias=False),
                nn.BatchNorm2d(out_channels),
                nn.ReLU(),
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


def input_norm(in_channels: int) -> nn.BatchNorm2d:
    """BatchNorm of the raw image with a scale fixed at 1: it absorbs pixels of any range.

    The fixed scale is still a parameter, since the authors' counts include it.
    """
    norm = nn.BatchNorm2d(in_channels, eps=2e-5)
    norm.weight.requires_grad_(False)
    return norm
