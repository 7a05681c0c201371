"""Which data a run sees, as a value. Free of torch."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from bnnlab.values import Frozen


class ImageShape(NamedTuple):
    """Shape of one image as it enters the network."""

    channels: int
    height: int
    width: int


class Digits(Frozen):
    """scikit-learn's 1,797 handwritten digits of 8x8 pixels."""

    name: Literal["digits"]


class Synthetic(Frozen):
    """Random images of separable classes, for tests and benchmarks."""

    name: Literal["synthetic"]


DataConfig = Annotated[Digits | Synthetic, Field(discriminator="name")]
