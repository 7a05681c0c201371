"""Bop, an optimizer that flips binary weights and needs no latent ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from bnnlab.nn.sign import hard_sign


class Bop(torch.optim.Optimizer):
    """Flip a binary weight when the moving average of its gradient is strong and consistently against it.

    m <- (1 - lr) m + lr * gradient; a weight w flips where |m| > threshold and sign(m) = sign(w).
    The learning rate is the paper's adaptivity rate γ, so that learning-rate schedules decay it. Made for the
    first list of `split_parameters`; Adam beside it trains the other. The weights become ±1 at once.
    Source: Helwegen et al. 2019 (arXiv:1906.02107), algorithm 1.
    Raises: ValueError unless 0 < lr <= 1 and threshold >= 0.
    """

    def __init__(self, params: Iterable[nn.Parameter], lr: float = 1e-4, threshold: float = 1e-8) -> None:
        if not 0 < lr <= 1:
            raise ValueError(f"lr {lr} of Bop is the weight of a new gradient in an average; it is in (0, 1]")
        if threshold < 0:
            raise ValueError(f"threshold {threshold} of Bop is compared with a magnitude; it is at least 0")
        super().__init__(params, {"lr": lr, "threshold": threshold})
        with torch.no_grad():
            for group in self.param_groups:
                for weight in group["params"]:
                    weight.copy_(hard_sign(weight))

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Update the averages, flip what they ask for; the loss of the closure, if there is one."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state: dict[str, Any] = self.state[weight]
                if not state:
                    state["average"] = torch.zeros_like(weight)
                average = state["average"].lerp_(weight.grad, group["lr"])
                # with w = ±1, m w > threshold says both: the magnitude and the equal signs
                flips = average * weight > group["threshold"]
                weight.copy_(torch.where(flips, -weight, weight))
        return loss
