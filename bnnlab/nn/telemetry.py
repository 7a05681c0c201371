"""What only a binary network shows while it trains: flips, and gradients that do not pass."""

from __future__ import annotations

from functools import partial
from typing import Self

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

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


class ActivationWatch:
    """While it is entered, looks at what the binary layers of a module are given.

    `seen` has, by layer, the mean sign of its last input and the share of that input whose gradient the
    estimator stops. `images` is how many images of a batch are looked at.
    """

    def __init__(self, module: nn.Module, images: int = 32) -> None:
        self.module = module
        self.images = images
        self.seen: dict[str, tuple[float, float]] = {}
        self._handles: list[RemovableHandle] = []

    def __enter__(self) -> Self:
        self._handles = [
            layer.sign_input.register_forward_hook(partial(self._look, name))
            for name, layer in binary_layers(self.module)
        ]
        return self

    def __exit__(self, *exception: object) -> None:
        for handle in self._handles:
            handle.remove()

    def _look(self, name: str, sign: Sign, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        x = inputs[0][: self.images].detach().requires_grad_()
        with torch.enable_grad():
            (slope,) = torch.autograd.grad(sign.forward(x).sum(), x)
        masked = 1 - int(torch.count_nonzero(slope)) / x.numel()
        self.seen[name] = (output[: self.images].detach().mean().item(), masked)


class Telemetry:
    """Metrics of a network from one measurement to the next, an epoch apart.

    Activations are those of forward passes under `watch`; one batch an epoch is enough, and any will do that
    the network sees anyway.
    """

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.watch = ActivationWatch(module)
        self.signs = weight_signs(module)

    def measure(self) -> dict[str, float]:
        """Shares in [0, 1] and mean signs in [-1, 1]; nothing for a network without binary layers.

        flip_ratio: binary weights that changed since the last measurement. latent_outside_window: latent
        weights. If a forward pass was watched, activations_masked: of the binary layers' inputs, mean over
        layers; mean_sign/LAYER: of the layer's input.
        """
        if not self.signs:
            return {}
        signs = weight_signs(self.module)
        metrics = {
            "flip_ratio": flip_ratio(self.signs, signs),
            "latent_outside_window": share_outside_window(self.module),
        }
        self.signs = signs
        if seen := self.watch.seen:
            metrics["activations_masked"] = sum(masked for _, masked in seen.values()) / len(seen)
            metrics |= {f"mean_sign/{name}": mean for name, (mean, _) in seen.items()}
        return metrics
