"""BinaryDenseNet (Bethge et al. 2019, arXiv:1906.08637): binary layers that add channels to what came before.

Free of torch: the variants' signatures are the options of a configuration. `network` has the layers.
"""

# No `from __future__ import annotations` here: the catalogue reads these annotations.
from typing import TYPE_CHECKING, Literal

from bnnlab.models.options import (
    Blocks,
    Dilation,
    GrowthRate,
    Image,
    InitFeatures,
    Precision,
    Reduction,
    Stem,
    concrete_stem,
    when_binary,
)
from bnnlab.nn.binarization import AUTHORS, Binarization

if TYPE_CHECKING:
    from torch import nn

Transition = Literal["pool_relu_fp", "fp_pool", "relu_fp_pool", "binary_pool"]
"""Layers between two stages, after a BatchNorm, in their order. pool_relu_fp, of the final models: max pool,
ReLU, full-precision 1x1 convolution. Those of 2018 end in an average pool: after a full-precision
convolution, after ReLU and such a convolution, or after a binary convolution."""


def binary_densenet28(
    *,
    image: Image,
    num_classes: int,
    stem: Stem = "auto",
    growth_rate: GrowthRate = 64,
    init_features: InitFeatures = 64,
    transition: Transition = "pool_relu_fp",
    dilation: Dilation = (1, 1, 1, 1),
    precision: Precision = "binary",
    binarization: Binarization = AUTHORS,
) -> "nn.Module":
    """BinaryDenseNet28: for ImageNet 5,131,496 parameters, 4,202,496 of them binary, in 4.04 MiB."""
    from bnnlab.models.binary_densenet.network import binary_densenet

    return binary_densenet(
        blocks=(6, 6, 6, 5),
        growth_rate=growth_rate,
        init_features=init_features,
        reduction=(2.7, 2.7, 2.2),
        transition=transition,
        dilation=dilation,
        image=image,
        num_classes=num_classes,
        stem=concrete_stem(stem, image),
        binarization=when_binary(precision, binarization),
    )


def binary_densenet37(
    *,
    image: Image,
    num_classes: int,
    stem: Stem = "auto",
    growth_rate: GrowthRate = 64,
    init_features: InitFeatures = 64,
    transition: Transition = "pool_relu_fp",
    dilation: Dilation = (1, 1, 1, 1),
    precision: Precision = "binary",
    binarization: Binarization = AUTHORS,
) -> "nn.Module":
    """BinaryDenseNet37: for ImageNet 8,702,248 parameters, 7,593,984 of them binary, in 5.13 MiB."""
    from bnnlab.models.binary_densenet.network import binary_densenet

    return binary_densenet(
        blocks=(6, 8, 12, 6),
        growth_rate=growth_rate,
        init_features=init_features,
        reduction=(3.3, 3.3, 4),
        transition=transition,
        dilation=dilation,
        image=image,
        num_classes=num_classes,
        stem=concrete_stem(stem, image),
        binarization=when_binary(precision, binarization),
    )


def binary_densenet37_dilated(
    *,
    image: Image,
    num_classes: int,
    stem: Stem = "auto",
    growth_rate: GrowthRate = 64,
    init_features: InitFeatures = 64,
    transition: Transition = "pool_relu_fp",
    dilation: Dilation = (1, 1, 2, 4),
    precision: Precision = "binary",
    binarization: Binarization = AUTHORS,
) -> "nn.Module":
    """BinaryDenseNet37 whose stages 2 to 4 see 28x28 pixels of an image of 224: as many parameters."""
    from bnnlab.models.binary_densenet.network import binary_densenet

    return binary_densenet(
        blocks=(6, 8, 12, 6),
        growth_rate=growth_rate,
        init_features=init_features,
        reduction=(3.3, 3.3, 4),
        transition=transition,
        dilation=dilation,
        image=image,
        num_classes=num_classes,
        stem=concrete_stem(stem, image),
        binarization=when_binary(precision, binarization),
    )


def binary_densenet45(
    *,
    image: Image,
    num_classes: int,
    stem: Stem = "auto",
    growth_rate: GrowthRate = 64,
    init_features: InitFeatures = 64,
    transition: Transition = "pool_relu_fp",
    dilation: Dilation = (1, 1, 1, 1),
    precision: Precision = "binary",
    binarization: Binarization = AUTHORS,
) -> "nn.Module":
    """BinaryDenseNet45: for ImageNet 13,889,512 parameters, 12,349,440 of them binary, in 7.35 MiB."""
    from bnnlab.models.binary_densenet.network import binary_densenet

    return binary_densenet(
        blocks=(6, 12, 14, 8),
        growth_rate=growth_rate,
        init_features=init_features,
        reduction=(2.7, 3.3, 4),
        transition=transition,
        dilation=dilation,
        image=image,
        num_classes=num_classes,
        stem=concrete_stem(stem, image),
        binarization=when_binary(precision, binarization),
    )


def binary_densenet_flex(
    *,
    image: Image,
    num_classes: int,
    stem: Stem = "auto",
    blocks: Blocks = (2, 2, 2, 2),
    growth_rate: GrowthRate = 128,
    init_features: InitFeatures = 64,
    reduction: Reduction = (1, 1.4, 1.4),
    transition: Transition = "binary_pool",
    dilation: Dilation = (1, 1, 1, 1),
    precision: Precision = "binary",
    binarization: Binarization = AUTHORS,
) -> "nn.Module":
    """A BinaryDenseNet by its numbers; by default the authors' densenet21 of 2018 with binary transitions.

    Their densenet13 and densenet37 split the same channels otherwise: 1 layer a stage that adds 256, 4 that
    add 64. With full-precision transitions (fp_pool or relu_fp_pool) they reduce by 2, 2, 2.
    """
    from bnnlab.models.binary_densenet.network import binary_densenet

    return binary_densenet(
        blocks=blocks,
        growth_rate=growth_rate,
        init_features=init_features,
        reduction=reduction,
        transition=transition,
        dilation=dilation,
        image=image,
        num_classes=num_classes,
        stem=concrete_stem(stem, image),
        binarization=when_binary(precision, binarization),
    )
