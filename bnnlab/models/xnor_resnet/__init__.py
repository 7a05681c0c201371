"""XNOR-ResNets (Rastegari et al. 2016, arXiv:1603.05279), in the authors' form: binary ResNets that scale.

Free of torch: the variants' signatures are the options of a configuration.
"""

# No `from __future__ import annotations` here: the catalogue reads these annotations.
from typing import TYPE_CHECKING, Literal

from bnnlab.models.options import Downsampling, Image, Precision, Stem, Width, concrete_stem, when_binary
from bnnlab.nn.binarization import Binarization

if TYPE_CHECKING:
    from torch import nn

Variant = Literal["v1", "v2"]
"""Which ResNet it is."""

SCALED = Binarization(scaling="xnor", output="signed")


def xnor_resnet18(
    *,
    image: Image,
    num_classes: int,
    variant: Variant = "v1",
    stem: Stem = "auto",
    downsampling: Downsampling = "binary",
    width: Width = 64,
    precision: Precision = "binary",
    binarization: Binarization = SCALED,
) -> "nn.Module":
    """Binary ResNet18, v1 or v2, with the scaling of XNOR-Net."""
    from bnnlab.models.resnet.network import resnet

    return resnet(
        blocks=(2, 2, 2, 2),
        channels=(width, 2 * width, 4 * width, 8 * width),
        image=image,
        num_classes=num_classes,
        variant=variant,
        stem=concrete_stem(stem, image),
        downsampling=downsampling,
        binarization=when_binary(precision, binarization),
    )


def xnor_resnet34(
    *,
    image: Image,
    num_classes: int,
    variant: Variant = "v1",
    stem: Stem = "auto",
    downsampling: Downsampling = "binary",
    width: Width = 64,
    precision: Precision = "binary",
    binarization: Binarization = SCALED,
) -> "nn.Module":
    """Binary ResNet34, v1 or v2, with the scaling of XNOR-Net."""
    from bnnlab.models.resnet.network import resnet

    return resnet(
        blocks=(3, 4, 6, 3),
        channels=(width, 2 * width, 4 * width, 8 * width),
        image=image,
        num_classes=num_classes,
        variant=variant,
        stem=concrete_stem(stem, image),
        downsampling=downsampling,
        binarization=when_binary(precision, binarization),
    )
