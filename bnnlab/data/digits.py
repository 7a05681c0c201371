"""scikit-learn's handwritten digits: real images on a machine that has nothing but Python.

Source: E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning
Repository, 1998 (CC BY 4.0): its test part, 1,797 images by 13 writers, which scikit-learn carries in its
package.
"""

from __future__ import annotations

import gzip
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bnnlab.data.splits import LabelledImages, Splits, Subset, in_canonical_order, take_per_class

TEST_PER_CLASS = 36
VALIDATION_PER_CLASS = 18
WHITE = 16
"""The largest pixel value: each pixel counts the set bits of a 4x4 block of the scan."""


def digits() -> Splits[LabelledImages]:
    """1,257 training, 180 validation and 360 test images, the last two with the same count of each class.

    The split follows the images' content (`in_canonical_order`), so it needs no random numbers. The writers
    appear in all three parts.
    """
    rows = _rows()
    pixels = np.rint(rows[:, :-1].reshape(-1, 1, 8, 8) * (255 / WHITE)).astype(np.uint8)
    images = in_canonical_order(LabelledImages(pixels, rows[:, -1].astype(np.int64)))
    test, rest = take_per_class(images.labels, TEST_PER_CLASS)
    validation, train = take_per_class(images.labels[rest], VALIDATION_PER_CLASS)
    return Splits(Subset(images, rest[train]), Subset(images, rest[validation]), Subset(images, test))


def _rows() -> npt.NDArray[np.float64]:
    """64 pixel values and a label an image, from the file that scikit-learn's load_digits reads.

    Not by that function: to import it takes most of a second, in the process of every run.
    """
    package = find_spec("sklearn")
    assert package is not None, "scikit-learn is a dependency"
    assert package.origin is not None
    with gzip.open(Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz") as file:
        return np.loadtxt(file, delimiter=",")
