"""MeliusNet (Bethge et al. 2020, arXiv:2001.05936): dense layers, each followed by one that improves it.

Free of torch: the variants' signatures are the options of a configuration. `network` has the layers.
"""

# No `from __future__ import annotations` here: the catalogue reads these annotations.
from typing import TYPE_CHECKING

from bnnlab.models.options import (
    Dilation,
    GrowthRate,
    Image,
    InitFeatures,
    Precision,
    Stem,
    concrete_stem,
    when_binary,
)
from bnnlab.nn.binarization import AUTHORS, Binarization

if TYPE_CHECKING:
    from torch import nn


def meliusnet22(
    *,
    image: Image,
    num_classes: int,
    stem: Stem = "auto",
    growth_rate: GrowthRate = 64,
    init_features: InitFeatures = 64,
    dilation: Dilation = (1, 1, 1, 1),
    precision: Precision = "binary",
    binarization: Binarization = AUTHORS,
) -> "nn.Module":
    """MeliusNet22: for ImageNet 6,948,392 parameters in 3.89 MiB."""
    from bnnlab.models.meliusnet.network import meliusnet

    return meliusnet(
        blocks=(4, 5, 4, 4),
        growth_rate=growth_rate,
        init_features=init_features,
        reduction=(2.2, 2.2, 2),
        transition_groups=1,
        dilation=dilation,
        image=image,
        num_classes=num_classes,
        stem=concrete_stem(stem, image),
        binarization=when_binary(precision, binarization),
    )


def meliusnet29(
    *,
    image: Image,
    num_classes: int,
    stem: Stem = "auto",
    growth_rate: GrowthRate = 64,
    init_features: InitFeatures = 64,
    dilation: Dilation = (1, 1, 1, 1),
    precision: Precision = "binary",
    binarization: Binarization = AUTHORS,
) -> "nn.Module":
    """MeliusNet29: for ImageNet 11,332,136 parameters in 5.08 MiB."""
    from bnnlab.models.meliusnet.network import meliusnet

    return meliusnet(
        blocks=(4, 6, 8, 6),
        growth_rate=growth_rate,
        init_features=init_features,
        reduction=(2.7, 2.7, 2.7),
        transition_groups=1,
        dilation=dilation,
        image=image,
        num_classes=num_classes,
        stem=concrete_stem(stem, image),
        binarization=when_binary(precision, binarization),
    )


def meliusnet42(
    *,
    image: Image,
    num_classes: int,
    stem: Stem = "auto",
    growth_rate: GrowthRate = 64,
    init_features: InitFeatures = 64,
    dilation: Dilation = (1, 1, 1, 1),
    precision: Precision = "binary",
    binarization: Binarization = AUTHORS,
) -> "nn.Module":
    """MeliusNet42: for ImageNet, with the grouped stem, 26,825,544 parameters in 10.10 MiB."""
    from bnnlab.models.meliusnet.network import meliusnet

    return meliusnet(
        blocks=(5, 8, 14, 10),
        growth_rate=growth_rate,
        init_features=init_features,
        reduction=(2.2, 2.7, 2.7),
        transition_groups=1,
        dilation=dilation,
        image=image,
        num_classes=num_classes,
        stem=concrete_stem(stem, image),
        binarization=when_binary(precision, binarization),
    )


def meliusnet59(
    *,
    image: Image,
    num_classes: int,
    stem: Stem = "auto",
    growth_rate: GrowthRate = 64,
    init_features: InitFeatures = 64,
    dilation: Dilation = (1, 1, 1, 1),
    precision: Precision = "binary",
    binarization: Binarization = AUTHORS,
) -> "nn.Module":
    """MeliusNet59: for ImageNet, with the grouped stem, 55,555,336 parameters in 17.39 MiB."""
    from bnnlab.models.meliusnet.network import meliusnet

    return meliusnet(
        blocks=(6, 12, 24, 12),
        growth_rate=growth_rate,
        init_features=init_features,
        reduction=(2.5, 3, 3.5),
        transition_groups=1,
        dilation=dilation,
        image=image,
        num_classes=num_classes,
        stem=concrete_stem(stem, image),
        binarization=when_binary(precision, binarization),
    )


def meliusnet_a(
    *,
    image: Image,
    num_classes: int,
    stem: Stem = "auto",
    growth_rate: GrowthRate = 64,
    init_features: InitFeatures = 64,
    dilation: Dilation = (1, 1, 1, 1),
    precision: Precision = "binary",
    binarization: Binarization = AUTHORS,
) -> "nn.Module":
    """MeliusNetA: for ImageNet, with the grouped stem, 9,238,984 parameters in 4.05 MiB."""
    from bnnlab.models.meliusnet.network import meliusnet

    return meliusnet(
        blocks=(4, 5, 5, 6),
        growth_rate=growth_rate,
        init_features=init_features,
        reduction=(2, 2, 2),
        transition_groups=4,
        dilation=dilation,
        image=image,
        num_classes=num_classes,
        stem=concrete_stem(stem, image),
        binarization=when_binary(precision, binarization),
    )


def meliusnet_b(
    *,
    image: Image,
    num_classes: int,
    stem: Stem = "auto",
    growth_rate: GrowthRate = 64,
    init_features: InitFeatures = 64,
    dilation: Dilation = (1, 1, 1, 1),
    precision: Precision = "binary",
    binarization: Binarization = AUTHORS,
) -> "nn.Module":
    """MeliusNetB: for ImageNet, with the grouped stem, 12,239,176 parameters in 5.00 MiB."""
    from bnnlab.models.meliusnet.network import meliusnet

    return meliusnet(
        blocks=(4, 6, 8, 6),
        growth_rate=growth_rate,
        init_features=init_features,
        reduction=(2.2, 2.4, 2.4),
        transition_groups=2,
        dilation=dilation,
        image=image,
        num_classes=num_classes,
        stem=concrete_stem(stem, image),
        binarization=when_binary(precision, binarization),
    )


def meliusnet_c(
    *,
    image: Image,
    num_classes: int,
    stem: Stem = "auto",
    growth_rate: GrowthRate = 64,
    init_features: InitFeatures = 64,
    dilation: Dilation = (1, 1, 1, 1),
    precision: Precision = "binary",
    binarization: Binarization = AUTHORS,
) -> "nn.Module":
    """MeliusNetC: for ImageNet, with the grouped stem, 12,240,264 parameters in 4.46 MiB."""
    from bnnlab.models.meliusnet.network import meliusnet

    return meliusnet(
        blocks=(3, 5, 10, 6),
        growth_rate=growth_rate,
        init_features=init_features,
        reduction=(2, 2.4, 3),
        transition_groups=4,
        dilation=dilation,
        image=image,
        num_classes=num_classes,
        stem=concrete_stem(stem, image),
        binarization=when_binary(precision, binarization),
    )
