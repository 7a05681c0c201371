"""A few steps of a run, to know what all of it would take. Nothing of them is kept."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import torch
from torch.nn import functional as F

from bnnlab.data.config import image_shape, num_classes
from bnnlab.data.loading import load
from bnnlab.experiment.config import RunConfig
from bnnlab.experiment.execution import Execution
from bnnlab.experiment.optim import build_optimizer
from bnnlab.models.config import build

WARM_UP = 2
"""Steps that are not timed: allocators, caches and the choice of kernels settle in them."""
OTHER_FILES = 24_576
"""Bytes of a finished run's directory beside its weights: configuration, metrics, result, log."""


@dataclass(frozen=True)
class Pilot:
    """What a run is expected to take."""

    epoch_s: float
    """Seconds an epoch, validation included."""
    setup_s: float
    """Seconds to load the data and to build the network."""
    size: int
    """Bytes of its directory once it is finished."""
    steps: int
    """Training steps that were timed."""


def measure(config: RunConfig, execution: Execution, *, seconds: float = 2.0) -> Pilot:
    """Train for about `seconds`, validate for a third of that. Raises DataError where the data set is not here."""
    torch.set_num_threads(execution.threads)
    device = ("cuda" if torch.cuda.is_available() else "cpu") if execution.device == "auto" else execution.device
    started = time.perf_counter()
    batch_size = config.training.batch_size
    dataset = load(
        config.data,
        evaluation=config.evaluation,
        batch_size=batch_size,
        seed=config.seed,
        device=device,
        root=execution.data_root,
    )
    torch.manual_seed(config.seed)
    network = build(config.model, image=image_shape(config.data), num_classes=num_classes(config.data)).to(device)
    optimizer = build_optimizer(config.training.optimizer, network)
    setup = time.perf_counter() - started

    def train(images: torch.Tensor, labels: torch.Tensor) -> None:
        loss = F.cross_entropy(network(images.to(device)), labels.to(device))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        loss.item()  # waits for the device

    @torch.no_grad()
    def validate(images: torch.Tensor, labels: torch.Tensor) -> None:
        F.cross_entropy(network(images.to(device)), labels.to(device)).item()

    steps, step_s = _timed(train, dataset.train_batches(0), seconds)
    network.eval()
    _, val_s = _timed(validate, dataset.val_batches(), seconds / 3)
    weights = io.BytesIO()
    torch.save(network.state_dict(), weights)
    epoch = step_s * len(dataset.train_batches(0)) + val_s * len(dataset.val_batches())
    return Pilot(epoch, setup, weights.tell() + OTHER_FILES, steps)


def _timed(act: Callable[[Any, Any], None], batches: Iterable[tuple[Any, Any]], seconds: float) -> tuple[int, float]:
    """How many batches were timed, and the mean seconds of one, reading included.

    Of a pass too short for more, the warm-up counts.
    """
    times: list[float] = []
    found = iter(batches)
    while sum(times[WARM_UP:]) < seconds:
        started = time.perf_counter()
        batch = next(found, None)
        if batch is None:
            break
        act(*batch)
        times.append(time.perf_counter() - started)
    timed = times[WARM_UP:] or times
    return len(timed), fmean(timed) if timed else 0.0
