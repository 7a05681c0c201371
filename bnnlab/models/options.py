"""What the variants' arguments may be: the words that every family shares. Free of torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

Image = tuple[int, int, int]
"""Shape of an image: (channels, height, width)."""

Stem = Literal["auto", "imagenet", "thumbnail", "grouped"]
"""The full-precision first layers; auto is thumbnail for images under 50 px and imagenet for others."""

Downsampling = Literal["fp", "binary"]
"""The 1x1 convolution where the network halves the image: full precision or binary."""

Width = Annotated[
    int, Field(ge=8, multiple_of=8, description="Channels of the first stage; 64 in the paper.")
]

THUMBNAIL_BELOW = 50
"""Images smaller than this, in pixels, enter through a thumbnail stem (the authors' rule)."""


def concrete_stem(stem: Stem, image: Image) -> Stem:
    """The stem that `auto` stands for."""
    if stem != "auto":
        return stem
    return "thumbnail" if min(image[1:]) < THUMBNAIL_BELOW else "imagenet"
