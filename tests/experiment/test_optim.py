"""Schedules against their formulas; optimizers that can be resumed."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from bnnlab.experiment.config import SGD, Adam, Bop, Constant, Cosine, OptimizerConfig, Polynomial, RAdam, Step
from bnnlab.experiment.optim import build_optimizer, learning_rate_factor
from bnnlab.nn.binarization import AUTHORS
from bnnlab.nn.layers import BinaryLinear

OPTIMIZERS: tuple[OptimizerConfig, ...] = (
    Adam(name="adam", lr=0.01),
    RAdam(name="radam", lr=0.01),
    SGD(name="sgd", lr=0.1),
    Bop(name="bop", lr=0.1, threshold=1e-6),
)


def test_a_step_schedule_drops_at_the_start_of_its_epochs() -> None:
    factor = learning_rate_factor(Step(name="step", milestones=(2, 3), factor=0.3), epochs=5, steps_per_epoch=10)
    assert [factor(step) for step in (0, 19, 20, 29, 30, 49)] == [1, 1, 0.3, 0.3, 0.3**2, 0.3**2]


def test_a_cosine_falls_to_zero_after_a_linear_warm_up() -> None:
    factor = learning_rate_factor(Cosine(name="cosine", warmup_epochs=2), epochs=10, steps_per_epoch=4)
    assert [factor(step) for step in range(8)] == [(step + 1) / 8 for step in range(8)]
    assert factor(8) == 1.0
    assert factor(24) == pytest.approx(0.5)
    assert factor(40) == pytest.approx(0.0)
    for step in range(8, 41):
        assert factor(step) == pytest.approx((1 + math.cos(math.pi * (step - 8) / 32)) / 2)


def test_a_polynomial_falls_to_zero_by_its_power() -> None:
    factor = learning_rate_factor(Polynomial(name="polynomial", power=2), epochs=1, steps_per_epoch=10)
    assert [factor(step) for step in (0, 5, 10)] == [1.0, 0.25, 0.0]


def test_a_constant_rate_stays_after_half_an_epoch_of_warm_up() -> None:
    factor = learning_rate_factor(Constant(name="constant", warmup_epochs=0.5), epochs=3, steps_per_epoch=4)
    assert [factor(step) for step in range(5)] == [0.5, 1, 1, 1, 1]


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), BinaryLinear(8, 8, binarization=AUTHORS), nn.BatchNorm1d(8), nn.Linear(8, 3))


def step(
    model: nn.Module, optimizer: torch.optim.Optimizer, schedule: torch.optim.lr_scheduler.LRScheduler, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(16, 4, generator=generator)
    labels = torch.randint(0, 3, (16,), generator=generator)

    def closure() -> float:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        return float(loss.detach())

    optimizer.step(closure)
    schedule.step()


@pytest.mark.parametrize("config", OPTIMIZERS, ids=lambda config: config.name)
def test_an_optimizer_goes_on_from_its_state_as_if_nothing_had_happened(config: OptimizerConfig) -> None:
    factor = learning_rate_factor(Cosine(name="cosine"), epochs=1, steps_per_epoch=8)
    model = network()
    optimizer = build_optimizer(config, model)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    for seed in range(3):
        step(model, optimizer, schedule, seed)
    weights, state, rates = (copy.deepcopy(x.state_dict()) for x in (model, optimizer, schedule))
    for seed in range(3, 6):
        step(model, optimizer, schedule, seed)

    again = network()
    resumed = build_optimizer(config, again)
    resumed_schedule = torch.optim.lr_scheduler.LambdaLR(resumed, factor)
    again.load_state_dict(weights)
    resumed.load_state_dict(state)
    resumed_schedule.load_state_dict(rates)
    for seed in range(3, 6):
        step(again, resumed, resumed_schedule, seed)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name


def test_bop_flips_binary_weights_and_its_rest_trains_the_others() -> None:
    model = network()
    optimizer = build_optimizer(Bop(name="bop", lr=0.5, threshold=0.0, rest=SGD(name="sgd", lr=0.1)), model)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: 1.0)
    before = copy.deepcopy(model.state_dict())
    for seed in range(4):
        step(model, optimizer, schedule, seed)
    binary = model.get_parameter("1.weight")
    assert binary.abs().eq(1).all()
    assert not torch.equal(model.get_parameter("0.weight"), before["0.weight"])
    assert [group["lr"] for group in optimizer.param_groups] == [0.5, 0.1]
