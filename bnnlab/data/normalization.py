"""From pixel values to what enters the network."""

from __future__ import annotations

import torch
from torch import Tensor

from bnnlab.data.config import DataConfig, image_shape

IMAGENET = ((123.68 / 255, 116.779 / 255, 103.939 / 255), (58.393 / 255, 57.12 / 255, 57.375 / 255))

STATISTICS: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    # Mean and standard deviation of each channel over the training images, in [0, 1].
    "digits": ((0.3046,), (0.3758,)),
    "synthetic": ((0.5,), (0.25,)),
    "fashion_mnist": ((0.2860,), (0.3530,)),
    # BMXNet-v2-examples, datasets/cifar10.py. Its deviations are means over images; over all pixels they
    # would be 0.2470, 0.2435, 0.2616.
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
    "cifar100": ((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
    # BMXNet-v2-examples, datasets/imagenet.py.
    "imagenet": IMAGENET,
    "folder": IMAGENET,
}


class Normalizer:
    """Images with values in [0, 255] to float32, as `Normalization` names it."""

    def __init__(self, config: DataConfig) -> None:
        channels = image_shape(config).channels
        mean, std = STATISTICS[config.name] if config.normalization == "standard" else ((0.0,), (1.0,))
        if len(mean) > channels:
            mean, std = (sum(mean) / len(mean),), (sum(std) / len(std),)
        unit = 1.0 if config.normalization == "none" else 255.0
        self._scale = (1 / (unit * torch.tensor(std))).expand(channels).reshape(channels, 1, 1)
        self._shift = (-torch.tensor(mean) / torch.tensor(std)).expand(channels).reshape(channels, 1, 1)

    def __call__(self, images: Tensor) -> Tensor:
        """Shape: (n, C, H, W), uint8 or float32; the result is new memory."""
        if images.device != self._scale.device:
            self._scale, self._shift = self._scale.to(images.device), self._shift.to(images.device)
        return images.to(torch.float32, copy=True).mul_(self._scale).add_(self._shift)
