"""scikit-learn's handwritten digits: real images on a machine that has nothing but Python.

Source: E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning
Repository, 1998 (CC BY 4.0): its test part, 1,797 images by 13 writers, which scikit-learn carries in its
package.
"""

from __future__ import annotations

import numpy as np

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
    from sklearn.datasets import load_digits

    raw = load_digits()
    pixels = np.rint(raw.images * (255 / WHITE)).astype(np.uint8)[:, np.newaxis]
    images = in_canonical_order(LabelledImages(pixels, raw.target.astype(np.int64)))
    test, rest = take_per_class(images.labels, TEST_PER_CLASS)
    validation, train = take_per_class(images.labels[rest], VALIDATION_PER_CLASS)
    return Splits(Subset(images, rest[train]), Subset(images, rest[validation]), Subset(images, test))
