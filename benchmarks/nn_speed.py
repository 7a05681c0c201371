"""What a simulated binary convolution costs in training, beside PyTorch's float convolution.

Each line is forward and backward of one layer for a batch, one thread, interleaved rounds, medians:
milliseconds for the float convolution, then the ratio to it of each binary layer. bitorch and brevitas are
measured where they are installed. The last line is whole training steps of a ResNetE18 on 8x8 images.

Example: OMP_NUM_THREADS=1 python benchmarks/nn_speed.py
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import time
import warnings
from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import nn

from bnnlab.models.config import OPTIONS, build
from bnnlab.nn.binarization import Binarization
from bnnlab.nn.layers import BinaryConv2d

SHAPES = [  # batch, channels, pixels: the stages of the small study, then of CIFAR-10 and ImageNet
    (64, 16, 8),
    (64, 32, 4),
    (64, 64, 2),
    (64, 128, 1),
    (32, 64, 32),
    (8, 64, 56),
    (8, 256, 14),
]


def medians(steps: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of each step; the steps take turns, so that noise of the machine meets all of them."""
    times: dict[str, list[float]] = {name: [] for name in steps}
    for round_ in range(rounds + 3):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            if round_ >= 3:
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def layers(channels: int) -> dict[str, nn.Module]:
    """A 3x3 convolution of each kind; the float one comes first."""
    made: dict[str, nn.Module] = {"float": nn.Conv2d(channels, channels, 3, padding=1, bias=False)}
    for name, choices in {
        "ste": {},
        "padding 0": {"padding_value": 0, "output": "signed"},
        "approx_sign": {"estimator": "approx_sign"},
        "xnor": {"scaling": "xnor"},
    }.items():
        binarization = Binarization.model_validate(choices)
        made[name] = BinaryConv2d(channels, channels, 3, padding=1, binarization=binarization)
    if importlib.util.find_spec("bitorch"):
        from bitorch.layers import QConv2d

        made["bitorch"] = QConv2d(
            channels, channels, 3, padding=1, input_quantization="sign", weight_quantization="sign"
        )
    if importlib.util.find_spec("brevitas"):
        from brevitas.nn import QuantConv2d
        from brevitas.quant import SignedBinaryActPerTensorConst, SignedBinaryWeightPerTensorConst

        made["brevitas"] = QuantConv2d(
            channels,
            channels,
            3,
            padding=1,
            bias=False,
            input_quant=SignedBinaryActPerTensorConst,
            weight_quant=SignedBinaryWeightPerTensorConst,
        )
    return made


def layer_step(layer: nn.Module, batch: int, channels: int, pixels: int) -> Callable[[], object]:
    """Forward and backward of a layer."""
    x = torch.randn(batch, channels, pixels, pixels, requires_grad=True)
    dy = torch.randn_like(x)
    return lambda: layer(x).backward(dy)


def training_step(precision: str, **binarization: object) -> Callable[[], object]:
    """One step of a ResNetE18 of width 16 on 64 images of 8x8 pixels."""
    options = {"width": 16, "precision": precision, "binarization": binarization}
    network = build(OPTIONS["resnet_e18"].model_validate(options), image=(1, 8, 8), num_classes=10)
    optimizer = torch.optim.Adam(network.parameters(), fused=True)
    x, y = torch.randn(64, 1, 8, 8), torch.arange(64) % 10

    def step() -> None:
        optimizer.zero_grad()
        F.cross_entropy(network(x), y).backward()
        optimizer.step()

    return step


def report(label: str, times: dict[str, float]) -> None:
    """One line: the first entry in milliseconds, the others as ratios to it."""
    (first, base), *others = times.items()
    ratios = "  ".join(f"{name} {seconds / base:5.2f}" for name, seconds in others)
    print(f"{label:24} {first} {base * 1e3:8.3f} ms   {ratios}")


def main() -> None:
    """Print a line for each shape and one for whole training steps."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    rounds = parser.parse_args().rounds
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    for batch, channels, pixels in SHAPES:
        steps = {name: layer_step(layer, batch, channels, pixels) for name, layer in layers(channels).items()}
        report(f"{batch} x {channels} x {pixels} x {pixels}", medians(steps, rounds))
    steps = {
        "full precision": training_step("full"),
        "ste": training_step("binary"),
        "approx_sign": training_step("binary", estimator="approx_sign"),
        "xnor": training_step("binary", scaling="xnor"),
    }
    report("training step", medians(steps, rounds))


if __name__ == "__main__":
    main()
