"""What `training.channels_last` and `training.compile` do to a training step.

    python benchmarks/training_options.py [--repeats 5] [--only resnet_e18-cifar ...]

Milliseconds a step (forward, backward, Adam) of one thread, and the ratio to the plain network. Plain and option are
timed in turn within one repeat; ratios are taken pair by pair: median, and the range over the repeats. What the
compiler takes before its first step is told apart.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
import warnings
from collections.abc import Callable

import torch
from pydantic import TypeAdapter
from torch import Tensor, nn
from torch.nn import functional as F

from bnnlab.data.config import ImageShape
from bnnlab.experiment.lightning import compiled
from bnnlab.models.config import ModelConfig, build

SHAPES = {"cifar": (ImageShape(3, 32, 32), 10, 32), "imagenet": (ImageShape(3, 224, 224), 1000, 4)}
NETWORKS = ("resnet_e18", "binary_densenet28")
CASES = tuple(f"{network}-{shape}" for shape in SHAPES for network in NETWORKS)


def stepper(
    network: nn.Module, compute: Callable[[Tensor], Tensor], images: Tensor, labels: Tensor
) -> Callable[[], None]:
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4)

    def step() -> None:
        optimizer.zero_grad()
        F.cross_entropy(compute(images), labels).backward()
        optimizer.step()

    return step


def seconds(step: Callable[[], None]) -> float:
    started = time.perf_counter()
    step()
    return time.perf_counter() - started


def spread(values: list[float], form: str = "{:.2f}") -> str:
    middle, low, high = (form.format(f(values)) for f in (statistics.median, min, max))
    return f"{middle} [{low}, {high}]"


def measure(case: str, repeats: int) -> None:
    name, _, shape = case.partition("-")
    image, classes, batch = SHAPES[shape]
    torch.manual_seed(0)
    plain = build(TypeAdapter(ModelConfig).validate_python({"name": name}), image=image, num_classes=classes).train()
    images, labels = torch.randn(batch, *image), torch.randint(classes, (batch,))
    last, fused = copy.deepcopy(plain).to(memory_format=torch.channels_last), copy.deepcopy(plain)
    steps = {
        "plain": stepper(plain, plain, images, labels),
        "channels_last": stepper(last, last, images.contiguous(memory_format=torch.channels_last), labels),
        "compile": stepper(fused, compiled(fused), images, labels),
    }
    first = {option: seconds(step) for option, step in steps.items()}
    times: dict[str, list[float]] = {option: [] for option in steps}
    for _ in range(repeats):
        for option, step in steps.items():
            times[option].append(seconds(step))
    print(f"{case}, batch {batch}: plain {spread([t * 1e3 for t in times['plain']], '{:.0f}')} ms")
    for option in ("channels_last", "compile"):
        ratios = [ours / plain for ours, plain in zip(times[option], times["plain"], strict=True)]
        print(f"    {option:15s}{spread(ratios)} of that; the first step {first[option]:.1f} s", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=CASES, default=CASES)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    for case in chosen.only:
        measure(case, chosen.repeats)
