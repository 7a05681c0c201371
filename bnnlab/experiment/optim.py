"""Optimizers, and learning-rate schedules as plain functions of the step."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch
from torch import nn

from bnnlab.experiment.config import Adam, Constant, Cosine, OptimizerConfig, RAdam, ScheduleConfig, Step


def build_optimizer(config: OptimizerConfig, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """The optimizer that `config` names, over `parameters`."""
    # foreach: one kernel launch for all tensors; the same arithmetic as the loop, about three times faster here.
    match config:
        case Adam():
            return torch.optim.Adam(
                parameters, lr=config.lr, betas=config.betas, eps=config.eps,
                weight_decay=config.weight_decay, foreach=True,
            )  # fmt: skip
        case RAdam():
            return torch.optim.RAdam(
                parameters, lr=config.lr, betas=config.betas, eps=config.eps,
                weight_decay=config.weight_decay, foreach=True,
            )  # fmt: skip
        case _:
            return torch.optim.SGD(
                parameters, lr=config.lr, momentum=config.momentum, nesterov=config.nesterov,
                weight_decay=config.weight_decay, foreach=True,
            )  # fmt: skip


def learning_rate_factor(config: ScheduleConfig, *, epochs: int, steps_per_epoch: int) -> Callable[[int], float]:
    """What the learning rate is multiplied with, as a function of the zero-based step.

    Warm-up rises linearly and reaches 1 at its last step. A step schedule drops at the start of each zero-based
    epoch of its milestones (the authors' code of 2018 drops one epoch later: architectures facts, section 7).
    A cosine falls from the end of the warm-up to 0 at the end of training.
    """
    warmup = round(config.warmup_epochs * steps_per_epoch)
    total = epochs * steps_per_epoch

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        match config:
            case Constant():
                return 1.0
            case Step():
                passed = sum(step >= milestone * steps_per_epoch for milestone in config.milestones)
                return float(config.factor**passed)
            case Cosine():
                progress = (step - warmup) / max(1, total - warmup)
                return 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))

    return factor
