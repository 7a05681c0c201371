"""Augmentation of colour. Images are RGB with values in [0, 255]."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

LUMA = (0.299, 0.587, 0.114)
"""ITU-R BT.601 weights of red, green and blue."""


@dataclass(frozen=True)
class HueSaturationLightness:
    """Random offsets in HLS space, in the 8-bit units of OpenCV: hue 0 to 180, saturation and lightness to
    255.

    Offsets are cut to whole numbers, and a hue that leaves its range stops at the end instead of going round.
    Source: Apache MXNet, src/io/image_aug_default.cc.
    """

    hue: int
    saturation: int
    lightness: int

    draws = 3

    def __call__(self, images: Tensor, uniform: Tensor) -> Tensor:
        hue, saturation, lightness = ((2 * uniform - 1).T[:, :, None, None]).unbind(0)
        hls = rgb_to_hls(images.float())
        h = (hls[:, 0] + (hue * self.hue).trunc()).clamp(0, 180)
        li = (hls[:, 1] + (lightness * self.lightness).trunc()).clamp(0, 255)
        s = (hls[:, 2] + (saturation * self.saturation).trunc()).clamp(0, 255)
        return hls_to_rgb(torch.stack([h, li, s], 1))


@dataclass(frozen=True)
class BrightnessContrastSaturation:
    """Each scaled by a factor in 1 ± strength, in this order: all pixels; the distance from the image's mean
    grey; the distance from each pixel's own grey.

    Source: Apache MXNet, gluon vision transforms `RandomColorJitter` (which shuffles the order).
    """

    strength: float

    draws = 3

    def __call__(self, images: Tensor, uniform: Tensor) -> Tensor:
        brightness, contrast, saturation = (1 + self.strength * (2 * uniform - 1)).T[:, :, None, None, None]
        images = images.float() * brightness
        mean = _grey(images).mean((1, 2, 3), keepdim=True)
        images = mean + contrast * (images - mean)
        grey = _grey(images)
        return torch.clamp(grey + saturation * (images - grey), 0, 255)


@dataclass(frozen=True)
class PCANoise:
    """Colour shifted along the principal components of ImageNet's pixels, by normal amounts.

    Source: Krizhevsky et al. 2012, section 4.1; components as in Apache MXNet, gluon `RandomLighting`.
    """

    strength: float

    draws = 3
    EIGENVALUES = (55.46, 4.794, 1.148)
    EIGENVECTORS = ((-0.5675, 0.7192, 0.4009), (-0.5808, -0.0045, -0.8140), (-0.5836, -0.6948, 0.4203))

    def __call__(self, images: Tensor, uniform: Tensor) -> Tensor:
        normal = torch.special.ndtri(uniform.clamp(1e-6, 1 - 1e-6)) * self.strength
        components = torch.tensor(self.EIGENVECTORS) * torch.tensor(self.EIGENVALUES)
        shift = normal @ components.T.to(images.device)
        return torch.clamp(images.float() + shift[:, :, None, None], 0, 255)


def _grey(images: Tensor) -> Tensor:
    return (images * torch.tensor(LUMA, device=images.device)[:, None, None]).sum(1, keepdim=True)


def rgb_to_hls(rgb: Tensor) -> Tensor:
    """Shape: (n, 3, H, W). Units: whole numbers; hue to 180, the others to 255, as OpenCV's 8-bit HLS."""
    red, green, blue = (rgb / 255).unbind(1)
    high, low = torch.amax(rgb, 1) / 255, torch.amin(rgb, 1) / 255
    total, span = high + low, high - low
    divisor = torch.where(span > 0, span, 1)
    sector = torch.where(
        high == red,
        (green - blue) / divisor,
        torch.where(high == green, 2 + (blue - red) / divisor, 4 + (red - green) / divisor),
    )
    saturation = span / torch.where(span > 0, torch.where(total < 1, total, 2 - total), 1)
    return torch.stack([(sector * 30) % 180, total / 2 * 255, saturation * 255], 1).round_()


def hls_to_rgb(hls: Tensor) -> Tensor:
    """The inverse of `rgb_to_hls`. Units: whole numbers in [0, 255]."""
    hue, lightness, saturation = hls[:, 0] / 30, hls[:, 1] / 255, hls[:, 2] / 255
    reach = saturation * torch.minimum(lightness, 1 - lightness)
    channels = []
    for offset in (0, 8, 4):  # red, green, blue around the circle of twelve half-sectors
        k = (offset + 2 * hue) % 12
        channels.append(lightness - reach * torch.minimum(k - 3, 9 - k).clamp(-1, 1))
    return (torch.stack(channels, 1) * 255).round_().clamp_(0, 255)
