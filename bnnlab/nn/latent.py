"""Latent weights: the real-valued weights of binary layers, which the optimizer updates."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

from bnnlab.nn.layers import BinaryLayer


def binary_layers(module: nn.Module) -> Iterator[tuple[str, BinaryLayer]]:
    """Every binary layer of a module with its name, in the order of definition."""
    for name, layer in module.named_modules():
        if isinstance(layer, BinaryLayer):
            yield name, layer


def latent_weights(module: nn.Module) -> dict[str, nn.Parameter]:
    """The latent weights by the name of their layer."""
    return {name: layer.weight for name, layer in binary_layers(module)}


def split_parameters(module: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """The trained parameters: latent weights, and all others."""
    latent = {id(weight) for weight in latent_weights(module).values()}
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    return (
        [parameter for parameter in trained if id(parameter) in latent],
        [parameter for parameter in trained if id(parameter) not in latent],
    )


@torch.no_grad()
def clip_latent_weights_(module: nn.Module) -> None:
    """Clip latent weights, in place, where the layer's `binarization.weight_clip` asks for it.

    To be called after each step of the optimizer. Source: the kernel constraint `weight_clip` of Larq.
    """
    for _, layer in binary_layers(module):
        clip = layer.binarization.weight_clip
        if clip is not None:
            layer.weight.clamp_(-clip, clip)
