"""`RunConfig`: everything that decides a run's result, and nothing else. Free of torch.

What does not change a result (workers, devices, threads, paths) is in `experiment.execution` instead, so
that the same experiment has the same run key on every machine.
"""

from __future__ import annotations

import hashlib
import json
import operator
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from bnnlab.data.config import DataConfig, image_shape
from bnnlab.models.config import ModelConfig, resolve
from bnnlab.values import Frozen

NUMERICS_VERSION = 1
"""Raised by whoever changes what a configuration computes: old results are then not mistaken for new ones."""


class Adam(Frozen):
    """Adam (Kingma & Ba 2015); the authors' choice in every run of 2018."""

    name: Literal["adam"]
    lr: float = Field(default=0.01, gt=0)
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = (0.9, 0.999)
    eps: float = Field(default=1e-8, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)


class RAdam(Frozen):
    """RAdam (Liu et al. 2020); the authors' choice in most runs of 2020."""

    name: Literal["radam"]
    lr: float = Field(default=0.01, gt=0)
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = (0.9, 0.999)
    eps: float = Field(default=1e-8, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)


class SGD(Frozen):
    """Stochastic gradient descent with momentum."""

    name: Literal["sgd"]
    lr: float = Field(default=0.1, gt=0)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    nesterov: bool = False
    weight_decay: float = Field(default=0.0, ge=0)


class Bop(Frozen):
    """Bop (Helwegen et al. 2019) flips the binary weights; another optimizer trains the rest."""

    name: Literal["bop"]
    lr: float = Field(default=1e-4, gt=0, le=1)
    """The adaptivity rate γ: the weight of a new gradient in the moving average."""
    threshold: float = Field(default=1e-8, ge=0)
    rest: Annotated[Adam | RAdam | SGD, Field(discriminator="name")] = Adam(name="adam")


OptimizerConfig = Annotated[Adam | RAdam | SGD | Bop, Field(discriminator="name")]


class Constant(Frozen):
    """The learning rate stays, after a linear warm-up from 0."""

    name: Literal["constant"]
    warmup_epochs: float = Field(default=0, ge=0)


class Step(Frozen):
    """The learning rate is multiplied by `factor` at the start of each zero-based epoch in `milestones`."""

    name: Literal["step"]
    milestones: tuple[Annotated[int, Field(ge=1)], ...]
    factor: float = Field(default=0.1, gt=0, lt=1)
    warmup_epochs: float = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _milestones_ascend(self) -> Step:
        if list(self.milestones) != sorted(set(self.milestones)):
            raise ValueError(f"milestones must ascend without repetition, not {list(self.milestones)}")
        return self


class Cosine(Frozen):
    """Half a cosine from the learning rate to 0, per step, after a linear warm-up from 0."""

    name: Literal["cosine"]
    warmup_epochs: float = Field(default=0, ge=0)


class Polynomial(Frozen):
    """(1 - progress)^power, from the learning rate to 0, per step, after a linear warm-up from 0."""

    name: Literal["polynomial"]
    power: float = Field(default=2.0, gt=0)
    warmup_epochs: float = Field(default=0, ge=0)


ScheduleConfig = Annotated[Constant | Step | Cosine | Polynomial, Field(discriminator="name")]


class TrainingConfig(Frozen):
    """How a network is trained."""

    epochs: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    optimizer: OptimizerConfig
    schedule: ScheduleConfig
    precision: Literal[32, "bf16-mixed", "16-mixed"] = 32
    """Arithmetic of the forward and backward pass; the latent weights are float32 in each."""
    channels_last: bool = Field(default=False, exclude_if=operator.not_)
    """Keep the channels of a pixel together in memory. Other kernels then sum in another order, and a sign that flips
    by that changes the run: it is part of the run key where it is true, and left out of it where it is not."""
    compile: bool = Field(default=False, exclude_if=operator.not_)
    """Train the network as torch.compile makes it. Fused operations round less often: in the run key likewise."""
    init_from: RunConfig | None = None
    """A run whose final weights this one starts from. In a spec: what differs from this run's own configuration."""


class RunConfig(Frozen):
    """One run, fully resolved. Equal configurations are the same run, in any study, on any machine."""

    model: ModelConfig
    data: DataConfig
    training: TrainingConfig
    evaluation: Literal["holdout", "paper"] = "holdout"
    """holdout: choose on a validation split, touch the test set once. paper: the authors' protocol, which
    validates on the test set every epoch and reports its best epoch."""
    seed: int = Field(ge=0, lt=2**32)

    @model_validator(mode="after")
    def _fully_resolved(self) -> RunConfig:
        # Past this point no "auto" is left: what a choice depends on must not hide from the run key.
        object.__setattr__(self, "model", resolve(self.model, image_shape(self.data)))
        return self

    @cached_property
    def run_key(self) -> str:
        """Sixteen hexadecimal digits that name this run; the numerics version is part of them."""
        before, after = self._around_seed
        return _digest(f'{before},"seed":{self.seed},{after}')

    @cached_property
    def cell_key(self) -> str:
        """The run key without the seed: replicates of one cell share it."""
        return _digest(",".join(self._around_seed))

    @cached_property
    def _around_seed(self) -> tuple[str, str]:
        """What comes before and after the seed in the canonical text: the same for all replicates of a cell."""
        before = {name: value for name, value in self._cell.items() if name < "seed"}
        after = {name: value for name, value in self._cell.items() if name > "seed"}
        return _canonical(before)[1:-1], _canonical(after)[1:-1]

    @cached_property
    def _cell(self) -> dict[str, Any]:
        """All but the seed, as plain data: one object for all replicates, and not to be changed."""
        return self.model_dump(mode="json", exclude={"seed"})

    def as_json(self) -> dict[str, Any]:
        """The whole configuration as plain data, for reading only."""
        return {**self._cell, "seed": self.seed}

    def with_seed(self, seed: int) -> RunConfig:
        """The same cell under another seed; where it starts from stays as it is. Raises ValueError for no seed."""
        if not 0 <= seed < 2**32:
            raise ValueError(f"a seed is an integer from 0 to {2**32 - 1}, not {seed!r}")
        again = self.model_copy(update={"seed": seed})  # all else has been validated and resolved
        again.__dict__.pop("run_key", None)
        return again

    def starting_from(self, start: RunConfig) -> RunConfig:
        """The same run, from the final weights of another."""
        training = self.training.model_copy(update={"init_from": start})
        return RunConfig(
            model=self.model, data=self.data, training=training, evaluation=self.evaluation, seed=self.seed
        )


TrainingConfig.model_rebuild()


def _digest(fields: str) -> str:
    canonical = f'{{"config":{{{fields}}},"numerics":{NUMERICS_VERSION}}}'
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def _canonical(value: dict[str, Any]) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
