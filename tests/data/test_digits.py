"""The embedded digits: what they are, and the split that every run of every machine shares."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from bnnlab.data.config import Digits, image_shape, num_classes
from bnnlab.data.digits import digits
from bnnlab.data.normalization import STATISTICS

# SHA-256 of labels, then pixels. A change moves images between the parts: raise NUMERICS_VERSION with it.
CHECKSUMS = {
    "train": "263e93cc6afbb843d271714ba973783c5f053ea7cea306d3d5dc2465b64d2625",
    "validation": "c71cb7540fdc018cbbbc244200b5c4bdbf9d5977089e0bd58e45b38c6ebcafab",
    "test": "154e27c75e9feade32ab3e18dea699756e1bccaad9c799ca142fc0078bbc3429",
}


def content(part):
    """Pixels and labels of a part."""
    return part.images.pixels[part.chosen], part.images.labels[part.chosen]


@pytest.mark.parametrize("part", CHECKSUMS)
def test_the_split_is_the_one_that_was_published(part):
    pixels, labels = content(getattr(digits(), part))
    assert hashlib.sha256(labels.tobytes() + pixels.tobytes()).hexdigest() == CHECKSUMS[part]


def test_every_image_of_scikit_learn_is_in_exactly_one_part():
    from sklearn.datasets import load_digits

    parts = [digits().train, digits().validation, digits().test]
    ours = sorted((int(y), x.tobytes()) for part in parts for x, y in zip(*content(part), strict=True))
    raw = load_digits()
    scaled = np.rint(raw.images * 255 / 16).astype(np.uint8)
    assert ours == sorted((int(y), x.tobytes()) for x, y in zip(scaled, raw.target, strict=True))


def test_validation_and_test_have_the_same_count_of_each_class():
    splits = digits()
    assert np.bincount(content(splits.validation)[1]).tolist() == [18] * 10
    assert np.bincount(content(splits.test)[1]).tolist() == [36] * 10
    assert len(splits.train) == 1257


def test_the_standard_normalization_is_that_of_the_training_images():
    unit = content(digits().train)[0] / 255
    (mean,), (std,) = STATISTICS["digits"]
    assert unit.mean() == pytest.approx(mean, abs=5e-5)
    assert unit.std() == pytest.approx(std, abs=5e-5)


def test_the_plan_knows_the_shape_without_loading_anything():
    assert image_shape(Digits(name="digits")) == (1, 8, 8)
    assert num_classes(Digits(name="digits")) == 10
