"""Optuna's samplers and pruners by Optuna's names, with the arguments that a spec may give.

Every argument that matters has its default here and is always passed on: those of Optuna change between versions
(TPE's did in 5.0), and the search that a file describes must not change with them.
"""

from __future__ import annotations

import importlib.util
import warnings
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from bnnlab.values import Frozen

if TYPE_CHECKING:
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
NonNegative = Annotated[int, Field(ge=0)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]


class TPE(Frozen):
    """Tree-structured Parzen estimators; takes trials in flight into account (constant liar)."""

    name: Literal["TPESampler"] = "TPESampler"
    seed: Seed = 0
    n_startup_trials: NonNegative = 10
    n_ei_candidates: Count = 24
    multivariate: bool | None = None
    """Parameters together. None: for one objective; with several, each on its own."""
    group: bool = False
    """Parameters that always occur together are modelled together; for conditional spaces."""
    constant_liar: bool = True


class GP(Frozen):
    """A Gaussian process; the most careful choice, for budgets up to a few hundred trials."""

    name: Literal["GPSampler"]
    seed: Seed = 0
    n_startup_trials: NonNegative = 10
    deterministic_objective: bool = False


class NSGAII(Frozen):
    """A genetic algorithm for several objectives."""

    name: Literal["NSGAIISampler"]
    seed: Seed = 0
    population_size: Annotated[int, Field(ge=2)] = 50
    mutation_prob: Share | None = None
    crossover_prob: Share = 0.9
    swapping_prob: Share = 0.5


class NSGAIII(Frozen):
    """NSGA-II with reference points, for three objectives and more."""

    name: Literal["NSGAIIISampler"]
    seed: Seed = 0
    population_size: Annotated[int, Field(ge=2)] = 50
    mutation_prob: Share | None = None
    crossover_prob: Share = 0.9
    swapping_prob: Share = 0.5
    dividing_parameter: Count = 3


class CmaEs(Frozen):
    """CMA-ES, for one objective over numbers. Needs the package cmaes."""

    name: Literal["CmaEsSampler"]
    seed: Seed = 0
    n_startup_trials: NonNegative = 1
    sigma0: Annotated[float, Field(gt=0)] | None = None
    popsize: Annotated[int, Field(ge=2)] | None = None


class QMC(Frozen):
    """A quasi-random sequence, more even than random."""

    name: Literal["QMCSampler"]
    seed: Seed = 0
    qmc_type: Literal["sobol", "halton"] = "sobol"
    scramble: bool = True


class Random(Frozen):
    """Uniform."""

    name: Literal["RandomSampler"]
    seed: Seed = 0


SamplerConfig = Annotated[
    TPE | GP | NSGAII | NSGAIII | CmaEs | QMC | Random,
    Field(discriminator="name"),
]  # fmt: skip


class Nop(Frozen):
    """No trial is pruned."""

    name: Literal["NopPruner"] = "NopPruner"


class Median(Frozen):
    """Prunes a trial whose best value so far is worse than the median of the others at the same epoch."""

    name: Literal["MedianPruner"]
    n_startup_trials: NonNegative = 5
    n_warmup_steps: NonNegative = 0
    interval_steps: Count = 1
    n_min_trials: Count = 1


class Percentile(Frozen):
    """As the median, at another percentile: 25 keeps the best quarter."""

    name: Literal["PercentilePruner"]
    percentile: Annotated[float, Field(ge=0, le=100)]
    n_startup_trials: NonNegative = 5
    n_warmup_steps: NonNegative = 0
    interval_steps: Count = 1
    n_min_trials: Count = 1


class SuccessiveHalving(Frozen):
    """ASHA: at each rung only the best 1 in `reduction_factor` goes on."""

    name: Literal["SuccessiveHalvingPruner"]
    min_resource: Count = 1
    reduction_factor: Annotated[int, Field(ge=2)] = 4
    min_early_stopping_rate: NonNegative = 0
    bootstrap_count: NonNegative = 0


class Hyperband(Frozen):
    """Successive halving in brackets that begin at different rungs."""

    name: Literal["HyperbandPruner"]
    min_resource: Count = 1
    max_resource: Count | None = None
    """Epochs of a whole run; None: `training.epochs` of the base."""
    reduction_factor: Annotated[int, Field(ge=2)] = 3
    bootstrap_count: NonNegative = 0


class Threshold(Frozen):
    """Prunes a trial whose value leaves a range."""

    name: Literal["ThresholdPruner"]
    lower: float | None = None
    upper: float | None = None
    n_warmup_steps: NonNegative = 0
    interval_steps: Count = 1


class Wilcoxon(Frozen):
    """Compares a trial's seeds with the same seeds of the best trial; leaves out the rest of a worse one's."""

    name: Literal["WilcoxonPruner"]
    p_threshold: Share = 0.1
    n_startup_steps: Annotated[int, Field(ge=2)] = 2


class Front(Frozen):
    """For several objectives: prunes a trial that cannot reach the front any more (`front_pruner`)."""

    name: Literal["FrontPruner"]
    n_startup_trials: Count = 5
    min_epochs: Count = 1
    reduction_factor: Annotated[int, Field(ge=2)] = 2
    gain_quantile: Share = 1.0


PrunerConfig = Annotated[
    Nop | Median | Percentile | SuccessiveHalving | Hyperband | Threshold | Wilcoxon | Front,
    Field(discriminator="name"),
]

ONE_OBJECTIVE_ONLY = ("CmaEsSampler",)
SEED_IS_THE_SEQUENCE = ("QMCSampler", "CmaEsSampler")
"""Their place in the sequence is in the journal: the same seed goes on where another would begin anew."""
MISSING_PACKAGE = {"CmaEsSampler": "cmaes"}


def lacks(sampler: SamplerConfig) -> str | None:
    """The package that a sampler needs and this machine does not have."""
    package = MISSING_PACKAGE.get(sampler.name)
    return package if package and importlib.util.find_spec(package) is None else None


def build_sampler(config: SamplerConfig, *, objectives: int, seed: int | None = None) -> BaseSampler:
    """Optuna's sampler; `seed` takes the place of the configured one."""
    import optuna

    arguments = config.model_dump(exclude={"name"})
    if seed is not None and config.name not in SEED_IS_THE_SEQUENCE:
        arguments["seed"] = seed
    if isinstance(config, TPE) and config.multivariate is None:
        arguments["multivariate"] = config.group or objectives == 1
    return _made(getattr(optuna.samplers, config.name), arguments)  # type: ignore[no-any-return]


def build_pruner(config: PrunerConfig, *, epochs: int) -> BasePruner:
    """Optuna's pruner; our own rule for several objectives needs none of Optuna's."""
    import optuna

    if isinstance(config, Front):
        return optuna.pruners.NopPruner()
    arguments = config.model_dump(exclude={"name"})
    if isinstance(config, Hyperband) and config.max_resource is None:
        arguments["max_resource"] = epochs
    return _made(getattr(optuna.pruners, config.name), arguments)  # type: ignore[no-any-return]


def _made(kind: Any, arguments: dict[str, Any]) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a sampler is marked experimental is Optuna's business
        return kind(**arguments)
