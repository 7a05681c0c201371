"""From pixel values to what enters the network."""

from __future__ import annotations

import torch
from torch import Tensor

from bnnlab.data.config import DataConfig

# Mean and standard deviation per channel of the training images, in [0, 1].
STATISTICS: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "digits": ((0.3046,), (0.3758,)),
    "synthetic": ((0.5,), (0.25,)),
}


class Normalizer:
    """Images with values in [0, 255] to float32, as `Normalization` names it."""

    def __init__(self, config: DataConfig, channels: int) -> None:
        mean, std = STATISTICS[config.name] if config.normalization == "standard" else ((0.0,), (1.0,))
        unit = 1.0 if config.normalization == "none" else 255.0
        self.scale = (1 / (unit * torch.tensor(std))).expand(channels).reshape(channels, 1, 1).contiguous()
        self.shift = (
            (-torch.tensor(mean) / torch.tensor(std)).expand(channels).reshape(channels, 1, 1).contiguous()
        )

    def __call__(self, images: Tensor) -> Tensor:
        scale, shift = self.scale.to(images.device), self.shift.to(images.device)
        return images.to(torch.float32, copy=True).mul_(scale).add_(shift)
