"""Which data a run sees, as a value. Free of torch.

Everything here decides a result and is part of the run key: which images, how they are split, augmented and
normalised. Where the files lie is not, and stays out.
"""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from bnnlab.values import Frozen


class ImageShape(NamedTuple):
    """Shape of one image as it enters the network."""

    channels: int
    height: int
    width: int


Normalization = Literal["none", "unit", "standard"]
"""none: pixel values 0 to 255 as they are (the authors' code of 2018). unit: scaled to [0, 1]. standard: [0,
1], then the data set's mean subtracted and divided by its standard deviation, per channel."""


class Digits(Frozen):
    """scikit-learn's 1,797 handwritten digits of 8x8 pixels: 1,257 to train, 180 to validate, 360 to test."""

    name: Literal["digits"]
    augmentation: Literal["none", "shift1", "shift2"] = "shift1"
    """shiftN: moved by up to N pixels along each axis, filled with background."""
    normalization: Normalization = "standard"


class Synthetic(Frozen):
    """Random images of separable classes, for tests and benchmarks.

    Each class has a coarse random pattern; an image is its class's pattern plus noise.
    """

    name: Literal["synthetic"]
    channels: int = Field(default=1, ge=1)
    image_size: int = Field(default=8, ge=4)
    classes: int = Field(default=4, ge=2)
    train: int = Field(default=512, ge=2)
    validation: int = Field(default=128, ge=1)
    test: int = Field(default=128, ge=1)
    noise: float = Field(default=0.5, ge=0)
    """Standard deviation of the noise, in units of the pattern's amplitude."""
    instance: int = Field(default=0, ge=0)
    """Which draw of patterns and noise: a property of the data, apart from the run's seed."""
    augmentation: Literal["none", "shift1", "shift2"] = "none"
    normalization: Normalization = "standard"


DataConfig = Annotated[Digits | Synthetic, Field(discriminator="name")]


def image_shape(config: DataConfig) -> ImageShape:
    """Shape of the images that enter the network."""
    match config:
        case Digits():
            return ImageShape(1, 8, 8)
        case Synthetic():
            return ImageShape(config.channels, config.image_size, config.image_size)


def num_classes(config: DataConfig) -> int:
    """Number of classes that the network tells apart."""
    match config:
        case Digits():
            return 10
        case Synthetic():
            return config.classes
