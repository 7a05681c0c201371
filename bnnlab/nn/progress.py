"""Training progress, for estimators that change while the training goes on."""

from __future__ import annotations

from torch import nn

from bnnlab.nn.layers import Sign


def set_progress(module: nn.Module, fraction: float) -> None:
    """Tell every scheduled estimator of a module which share of the training is done.

    The share is kept in buffers, so a checkpoint restores it. Without such estimators this does nothing.
    Raises: ValueError outside [0, 1].
    """
    if not 0 <= fraction <= 1:
        raise ValueError(f"progress {fraction} is no share of a training; it goes from 0 to 1")
    for layer in module.modules():
        if isinstance(layer, Sign) and layer.scheduled:
            layer.get_buffer("progress").fill_(fraction)
