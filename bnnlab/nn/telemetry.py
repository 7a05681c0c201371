"""What only a binary network shows while it trains: flips, and gradients that do not pass."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from bnnlab.nn.latent import binary_layers, latent_weights
from bnnlab.nn.layers import Sign


def weight_signs(module: nn.Module) -> dict[str, Tensor]:
    """The binary weights of each layer, +1 as True, to be compared with later ones."""
    return {name: weight.detach() >= 0 for name, weight in latent_weights(module).items()}


def flip_ratio(before: dict[str, Tensor], after: dict[str, Tensor]) -> float:
    """Share of the binary weights whose sign differs between two snapshots."""
    flips = sum(int((before[name] != after[name]).sum()) for name in before)
    return flips / sum(signs.numel() for signs in before.values())


@torch.no_grad()
def share_outside_window(module: nn.Module) -> float:
    """Share of the latent weights beyond their window, |w| > window; 1 stands in for no window."""
    outside = total = 0
    for _, layer in binary_layers(module):
        window = layer.binarization.weight_window or 1.0
        outside += int((layer.weight.abs() > window).sum())
        total += layer.weight.numel()
    return outside / total


def activation_signs(module: nn.Module, images: Tensor) -> dict[str, tuple[float, float]]:
    """For each binary layer: mean sign of its input, and the share of it whose gradient the estimator stops.

    The network sees the images in evaluation mode and is left as it was.
    """
    seen: dict[str, tuple[float, float]] = {}

    def look(name: str, sign: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        with torch.enable_grad():
            x = inputs[0].detach().requires_grad_()
            assert isinstance(sign, Sign)
            (slope,) = torch.autograd.grad(sign.forward(x).sum(), x)
        seen[name] = (output.mean().item(), (slope == 0).float().mean().item())

    handles = [
        layer.sign_input.register_forward_hook(partial(look, name)) for name, layer in binary_layers(module)
    ]
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        with torch.no_grad():
            module(images)
    finally:
        for part, training in modes:
            part.training = training
        for handle in handles:
            handle.remove()
    return seen


class Telemetry:
    """Metrics of a network from one measurement to the next, an epoch apart.

    `images` is a small fixed batch that the network looks at; 32 images cost about half a training step.
    """

    def __init__(self, module: nn.Module, images: Tensor) -> None:
        self.module = module
        self.images = images
        self.signs = weight_signs(module)

    def measure(self) -> dict[str, float]:
        """Shares in [0, 1] and mean signs in [-1, 1]; nothing for a network without binary layers.

        flip_ratio: binary weights that changed since the last measurement. latent_outside_window: latent
        weights. activations_masked: of the binary layers' inputs, mean over layers. mean_sign/LAYER: of the
        layer's input.
        """
        if not self.signs:
            return {}
        signs = weight_signs(self.module)
        flips = flip_ratio(self.signs, signs)
        self.signs = signs
        activations = activation_signs(self.module, self.images)
        return {
            "flip_ratio": flips,
            "latent_outside_window": share_outside_window(self.module),
            "activations_masked": sum(masked for _, masked in activations.values()) / len(activations),
            **{f"mean_sign/{name}": mean for name, (mean, _) in activations.items()},
        }
