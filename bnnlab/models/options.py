"""What the variants' arguments may be: the words that the families share. Free of torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from bnnlab.nn.binarization import Binarization

Image = tuple[int, int, int]
"""Shape of an image: (channels, height, width)."""

Stem = Literal["auto", "imagenet", "thumbnail", "grouped"]
"""The full-precision first layers; auto is thumbnail for images under 50 px and imagenet for others."""

Downsampling = Literal["fp", "binary"]
"""The 1x1 convolution where the network halves the image: full precision or binary."""

Precision = Literal["binary", "full"]
"""full is the full-precision twin: ReLU in place of sign, float convolutions that pad with 0."""

# Multiples of 16, because the grouped stem has 8 groups of half the channels.
Width = Annotated[int, Field(ge=16, multiple_of=16, description="Channels of the first stage, in the paper 64.")]
InitFeatures = Annotated[int, Field(ge=16, multiple_of=16, description="Channels of the stem.")]
GrowthRate = Annotated[int, Field(ge=8, multiple_of=8, description="Channels that a dense layer adds.")]

_Count = Annotated[int, Field(ge=1)]
_Divisor = Annotated[float, Field(ge=1)]
_Dilation = Literal[1, 2, 4, 8]

Blocks = tuple[_Count, _Count, _Count, _Count]
"""Layers or blocks of each stage."""

Reduction = tuple[_Divisor, _Divisor, _Divisor]
"""Divisor of the channels in each transition."""

Dilation = tuple[_Dilation, _Dilation, _Dilation, _Dilation]
"""Dilation of each stage; a transition into a dilated stage does not pool."""

THUMBNAIL_BELOW = 50
"""Images smaller than this, in pixels, enter through a thumbnail stem (the authors' rule)."""


def concrete_stem(stem: Stem, image: Image) -> Stem:
    """The stem that `auto` stands for."""
    if stem != "auto":
        return stem
    return "thumbnail" if min(image[1:]) < THUMBNAIL_BELOW else "imagenet"


def when_binary(precision: Precision, binarization: Binarization) -> Binarization | None:
    """What the layers of a network get: its binarization, or None in the full-precision twin."""
    return binarization if precision == "binary" else None
