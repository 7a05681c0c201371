"""Binary ResNets (He et al. 2016, arXiv:1512.03385 and 1603.05027), as the authors' baseline binarizes them.

Free of torch: the variants' signatures are the options of a configuration. `network` has the layers.
"""

# No `from __future__ import annotations` here: the catalogue reads these annotations.
from typing import TYPE_CHECKING

from bnnlab.models.options import Downsampling, Image, Precision, Stem, Width, concrete_stem, when_binary
from bnnlab.nn.binarization import AUTHORS, Binarization

if TYPE_CHECKING:
    from torch import nn


def resnet_v1_18(
    *,
    image: Image,
    num_classes: int,
    stem: Stem = "auto",
    downsampling: Downsampling = "binary",
    width: Width = 64,
    precision: Precision = "binary",
    binarization: Binarization = AUTHORS,
) -> "nn.Module":
    """Binary ResNet18 v1, a shortcut for two convolutions; for CIFAR-10 11,173,968 parameters in 1.39 MiB."""
    from bnnlab.models.resnet.network import resnet

    return resnet(
        blocks=(2, 2, 2, 2),
        channels=(width, 2 * width, 4 * width, 8 * width),
        image=image,
        num_classes=num_classes,
        variant="v1",
        stem=concrete_stem(stem, image),
        downsampling=downsampling,
        binarization=when_binary(precision, binarization),
    )


def resnet_v1_34(
    *,
    image: Image,
    num_classes: int,
    stem: Stem = "auto",
    downsampling: Downsampling = "binary",
    width: Width = 64,
    precision: Precision = "binary",
    binarization: Binarization = AUTHORS,
) -> "nn.Module":
    """Binary ResNet34 v1, one shortcut for two binary convolutions."""
    from bnnlab.models.resnet.network import resnet

    return resnet(
        blocks=(3, 4, 6, 3),
        channels=(width, 2 * width, 4 * width, 8 * width),
        image=image,
        num_classes=num_classes,
        variant="v1",
        stem=concrete_stem(stem, image),
        downsampling=downsampling,
        binarization=when_binary(precision, binarization),
    )


def resnet_v2_18(
    *,
    image: Image,
    num_classes: int,
    stem: Stem = "auto",
    downsampling: Downsampling = "binary",
    width: Width = 64,
    precision: Precision = "binary",
    binarization: Binarization = AUTHORS,
) -> "nn.Module":
    """Binary ResNet18 v2, one shortcut for two binary convolutions."""
    from bnnlab.models.resnet.network import resnet

    return resnet(
        blocks=(2, 2, 2, 2),
        channels=(width, 2 * width, 4 * width, 8 * width),
        image=image,
        num_classes=num_classes,
        variant="v2",
        stem=concrete_stem(stem, image),
        downsampling=downsampling,
        binarization=when_binary(precision, binarization),
    )


def resnet_v2_34(
    *,
    image: Image,
    num_classes: int,
    stem: Stem = "auto",
    downsampling: Downsampling = "binary",
    width: Width = 64,
    precision: Precision = "binary",
    binarization: Binarization = AUTHORS,
) -> "nn.Module":
    """Binary ResNet34 v2, one shortcut for two binary convolutions."""
    from bnnlab.models.resnet.network import resnet

    return resnet(
        blocks=(3, 4, 6, 3),
        channels=(width, 2 * width, 4 * width, 8 * width),
        image=image,
        num_classes=num_classes,
        variant="v2",
        stem=concrete_stem(stem, image),
        downsampling=downsampling,
        binarization=when_binary(precision, binarization),
    )
