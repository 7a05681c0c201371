"""Random images of separable classes."""

from __future__ import annotations

import numpy as np

from bnnlab.data.config import Synthetic
from bnnlab.data.randomness import stable_seed
from bnnlab.data.splits import LabelledImages, Splits, Subset, whole

GREY, AMPLITUDE = 127.5, 48.0
PATTERN_SIZE = 4
"""Patterns are coarse, so that convolutions and a shift by a pixel keep them apart."""


def synthetic(config: Synthetic) -> Splits[LabelledImages]:
    """The three parts, drawn from the same classes."""
    random = np.random.Generator(np.random.PCG64(stable_seed("synthetic", config.instance)))
    coarse = random.standard_normal((config.classes, config.channels, PATTERN_SIZE, PATTERN_SIZE))
    cell = np.arange(config.image_size) * PATTERN_SIZE // config.image_size
    patterns = coarse[:, :, cell[:, np.newaxis], cell]

    def draw(count: int) -> LabelledImages:
        labels = random.permutation(np.arange(count, dtype=np.int64) % config.classes)
        noise = random.standard_normal((count, *patterns.shape[1:])) * config.noise
        pixels = np.clip(np.rint(GREY + AMPLITUDE * (patterns[labels] + noise)), 0, 255).astype(np.uint8)
        return LabelledImages(pixels, labels)

    parts = [draw(count) for count in (config.train, config.validation)]
    both = LabelledImages(
        np.concatenate([part.pixels for part in parts]), np.concatenate([part.labels for part in parts])
    )
    train, validation = np.split(np.arange(len(both), dtype=np.int64), [config.train])
    return Splits(Subset(both, train), Subset(both, validation), whole(draw(config.test)))
