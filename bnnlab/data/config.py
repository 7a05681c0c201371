"""Which data a run sees, as a value. Free of torch.

Everything here decides a result and is part of the run key: which images, how they are split, augmented and
normalised. Where the files lie is not, and stays out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

from pydantic import Field, model_validator

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


Root = Annotated[Path | None, Field(exclude=True)]
"""Where this machine has the files, if not in one of the usual places. It decides no result: `model_dump`
leaves it out, and so does the run key."""


class FashionMNIST(Frozen):
    """60,000 training and 10,000 test images of clothes, 28x28 grey pixels."""

    name: Literal["fashion_mnist"]
    root: Root = None
    augmentation: Literal["none", "shift2", "shift2_mirror"] = "shift2_mirror"
    normalization: Normalization = "standard"
    validation_per_class: int = Field(default=500, ge=1)
    """Training images of each class held out under `evaluation: holdout`."""


CifarAugmentation = Literal["none", "level1", "level2", "level3", "pad4_mirror"]
"""level1, level2, level3: the authors' of 2018. 1 mirrors; 2 also moves hue by up to 36, saturation and
lightness by up to 50 (8-bit units); 3 also rotates by up to 10 degrees, shears by up to 0.1 and changes the
aspect ratio by up to 0.25. pad4_mirror: their newest, a random crop after padding by 4 and a mirror."""


class CIFAR10(Frozen):
    """50,000 training and 10,000 test images of 10 classes, 32x32 colour pixels."""

    name: Literal["cifar10"]
    root: Root = None
    augmentation: CifarAugmentation = "pad4_mirror"
    normalization: Normalization = "standard"
    validation_per_class: int = Field(default=500, ge=1)
    """Training images of each class held out under `evaluation: holdout`."""


class CIFAR100(Frozen):
    """50,000 training and 10,000 test images of 100 classes, 32x32 colour pixels."""

    name: Literal["cifar100"]
    root: Root = None
    augmentation: CifarAugmentation = "pad4_mirror"
    normalization: Normalization = "standard"
    validation_per_class: int = Field(default=50, ge=1)
    """Training images of each class held out under `evaluation: holdout`."""


PhotoAugmentation = Literal["none", "low", "medium", "high"]
"""The authors' levels for ImageNet. low: a random crop and a mirror. medium: a random part (8 to 100 % of the
area, aspect ratio 3/4 to 4/3) and a mirror. high: also brightness, contrast and saturation by up to 0.4 and
PCA noise of 0.1. none: as in validation, the shorter side resized to `resize` and the centre taken."""


class ImageNet(Frozen):
    """ILSVRC 2012: 1,281,167 training and 50,000 validation photographs of 1,000 classes.

    Its validation set is used as the test set, as everywhere; the true test labels are not public.
    """

    name: Literal["imagenet"]
    root: Root = None
    image_size: int = Field(default=224, ge=8)
    resize: int = Field(default=256, ge=8)
    """Pixels of the shorter side before a crop."""
    augmentation: PhotoAugmentation = "medium"
    normalization: Normalization = "standard"
    validation_per_class: int = Field(default=50, ge=1)
    """Training images of each class held out under `evaluation: holdout`."""
    max_damaged: float = Field(default=1e-4, ge=0, le=1)
    """The run fails when more than this share of a split's images cannot be decoded."""

    @model_validator(mode="after")
    def _crop_fits(self) -> ImageNet:
        return _crop_fits(self)


class Folder(Frozen):
    """Any tree with one folder of images for each class.

    Either `train/CLASS/...` beside `val/` or `test/` or both, or just `CLASS/...`, which is then split by the
    digests of the images' names. What lies in the folder decides the result, so its fingerprint and its
    number of classes are part of the configuration; both are filled in from `root` where they are not given.
    """

    name: Literal["folder"]
    root: Root = None
    fingerprint: str = Field(pattern="^[0-9a-f]{16}$")
    """First digits of the SHA-256 of all images' names and contents."""
    classes: int = Field(ge=2)
    channels: Literal[1, 3] = 3
    image_size: int = Field(default=224, ge=8)
    resize: int = Field(default=256, ge=8)
    """Pixels of the shorter side before a crop."""
    augmentation: PhotoAugmentation = "medium"
    normalization: Normalization = "standard"
    """standard: with ImageNet's statistics; for grey images, their mean over the channels."""
    validation_share: float = Field(default=0.1, gt=0, lt=1)
    """Share of the training images of each class held out where the tree has no validation folder of its
    own."""
    test_share: float = Field(default=0.2, gt=0, lt=1)
    """Share of the images of each class held out for the test where the tree has no test folder of its
    own."""
    max_damaged: float = Field(default=1e-4, ge=0, le=1)
    """The run fails when more than this share of a split's images cannot be decoded."""

    @model_validator(mode="before")
    @classmethod
    def _read_folder(cls, given: Any) -> Any:
        if not isinstance(given, dict) or not given.get("root") or {"fingerprint", "classes"} <= given.keys():
            return given
        from bnnlab.data.class_folders import describe
        from bnnlab.data.errors import DataError

        try:
            found = describe(Path(given["root"]).expanduser())
        except DataError as error:
            raise ValueError(str(error)) from error
        return {"fingerprint": found.fingerprint, "classes": found.classes, **given}

    @model_validator(mode="after")
    def _augmentation_has_colour(self) -> Folder:
        if self.channels == 1 and self.augmentation == "high":
            raise ValueError("augmentation high varies colours; with channels: 1 use medium")
        return _crop_fits(self)


Photos = TypeVar("Photos", ImageNet, Folder)


def _crop_fits(config: Photos) -> Photos:
    if config.resize < config.image_size:
        raise ValueError(
            f"resize {config.resize} is smaller than image_size {config.image_size}, which is cut out of it"
        )
    return config


DataConfig = Annotated[
    Digits | Synthetic | FashionMNIST | CIFAR10 | CIFAR100 | ImageNet | Folder, Field(discriminator="name")
]


def image_shape(config: DataConfig) -> ImageShape:
    """Shape of the images that enter the network."""
    match config:
        case Digits():
            return ImageShape(1, 8, 8)
        case Synthetic():
            return ImageShape(config.channels, config.image_size, config.image_size)
        case FashionMNIST():
            return ImageShape(1, 28, 28)
        case CIFAR10() | CIFAR100():
            return ImageShape(3, 32, 32)
        case ImageNet():
            return ImageShape(3, config.image_size, config.image_size)
        case Folder():
            return ImageShape(config.channels, config.image_size, config.image_size)


def num_classes(config: DataConfig) -> int:
    """Number of classes that the network tells apart."""
    match config:
        case Digits() | FashionMNIST() | CIFAR10():
            return 10
        case CIFAR100():
            return 100
        case ImageNet():
            return 1000
        case Synthetic() | Folder():
            return config.classes
