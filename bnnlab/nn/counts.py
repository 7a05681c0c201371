"""Parameters, sizes and operations of a network, by the authors' rule, from one traced forward pass."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bnnlab.nn.layers import BinaryConv2d, BinaryLayer, BinaryLinear

BINARY_MACS_PER_OPERATION = 64
"""1-bit multiply-accumulates that count as one operation: a 64-bit XNOR and popcount."""

MIB_BITS = 8 * 2**20


@dataclass(frozen=True)
class LayerCounts:
    """One layer that has parameters, in the order of the forward pass."""

    name: str
    kind: str
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    params_binary: int
    params_fp: int
    macs_binary: int
    macs_fp: int


@dataclass(frozen=True)
class Counts:
    """What a network costs. MACs are multiply-accumulates of convolutions and dense layers for one image."""

    params_binary: int
    """Weights that are deployed as one bit."""
    params_fp: int
    """All other parameters, at 32 bits. Of a BatchNorm: scale and shift, not the statistics."""
    macs_binary: int
    macs_fp: int
    ops_binary: int
    """`macs_binary` of the convolutions alone, as in the authors' tables."""
    ops_fp: int
    """`macs_fp` of the convolutions alone, as in the authors' tables."""
    layers: tuple[LayerCounts, ...]

    @property
    def params(self) -> int:
        """All parameters."""
        return self.params_binary + self.params_fp

    @property
    def size_mib(self) -> float:
        """Size as deployed, in MiB."""
        return (self.params_binary + 32 * self.params_fp) / MIB_BITS

    @property
    def float_size_mib(self) -> float:
        """Size with every parameter at 32 bits, in MiB."""
        return 32 * self.params / MIB_BITS

    @property
    def ops_combined(self) -> float:
        """The authors' cost of the convolutions: float operations + binary operations / 64."""
        return self.ops_fp + self.ops_binary / BINARY_MACS_PER_OPERATION


def count(module: nn.Module, image: tuple[int, int, int]) -> Counts:
    """Count a module built from any layers, for images of shape (channels, height, width).

    One forward pass of a batch of no images is traced: nothing is computed, nothing of the module changes.
    Raises: ValueError if a parameter belongs to no layer that the forward pass reaches.
    Source: BMXNet-v2, `visualization.py`.
    """
    layers: list[LayerCounts] = []
    convolution_macs = [0, 0]  # binary, float

    def record(name: str, layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        own = sum(p.numel() for p in layer.parameters(recurse=False))
        binary = layer.weight.numel() if isinstance(layer, BinaryLayer) else 0
        macs = _macs(layer, output)
        if isinstance(layer, BinaryConv2d | nn.Conv2d):
            convolution_macs[0 if binary else 1] += macs
        layers.append(
            LayerCounts(
                name=name,
                kind=type(layer).__name__,
                input_shape=tuple(inputs[0].shape[1:]),
                output_shape=tuple(output.shape[1:]),
                params_binary=binary,
                params_fp=own - binary,
                macs_binary=macs if binary else 0,
                macs_fp=0 if binary else macs,
            )
        )

    handles = [
        layer.register_forward_hook(lambda layer, inputs, output, name=name: record(name, layer, inputs, output))
        for name, layer in module.named_modules()
        if any(True for _ in layer.parameters(recurse=False))
    ]
    # An empty batch runs through the real kernels, which return at once; the meta device traces through Python
    # and takes ten times as long (BinaryDenseNet28: 15 ms against 150).
    device = next((parameter.device for parameter in module.parameters()), None)
    modes = [(layer, layer.training) for layer in module.modules()]
    module.eval()  # a BatchNorm in training mode refuses a batch without images
    try:
        with torch.no_grad():
            module(torch.empty(0, *image, device=device))
    finally:
        for handle in handles:
            handle.remove()
        for layer, training in modes:
            layer.training = training

    total = sum(parameter.numel() for parameter in module.parameters())
    counted = sum(layer.params_binary + layer.params_fp for layer in layers)
    if counted != total:
        raise ValueError(
            f"the forward pass reaches layers with {counted:,} parameters, but the module has {total:,}; "
            "a layer is unused, used twice, or shares its parameters"
        )
    return Counts(
        params_binary=sum(layer.params_binary for layer in layers),
        params_fp=sum(layer.params_fp for layer in layers),
        macs_binary=sum(layer.macs_binary for layer in layers),
        macs_fp=sum(layer.macs_fp for layer in layers),
        ops_binary=convolution_macs[0],
        ops_fp=convolution_macs[1],
        layers=tuple(layers),
    )


def _macs(layer: nn.Module, output: Tensor) -> int:
    """Multiply-accumulates of one layer for one image."""
    if isinstance(layer, BinaryConv2d | nn.Conv2d):
        return math.prod(output.shape[2:]) * layer.weight.numel()
    if isinstance(layer, BinaryLinear | nn.Linear):
        return math.prod(output.shape[1:-1]) * layer.weight.numel()
    return 0
