"""How much of a known front a search finds, against plain Optuna with the same sampler and the same budget.

Three problems whose results are formulas, so that the whole front is known:

    smooth       two continuous parameters, no constraint: nothing to gain, the trials must be Optuna's own
    constrained  the width of a BinaryResNetE18 against its deployed size, at most 1.5 MiB
    coarse       a grid of 192 points, on which a sampler proposes the same point again and again

Prints the share of the whole front's hypervolume after each budget of completed trials, as the median over seeds, and
what a refused proposal costs. Plain Optuna trains what it is told is infeasible, and trains again what it has seen.

Run: python benchmarks/search_hypervolume.py [--seeds 5] [--trials 40]
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import optuna

from bnnlab.experiment.config import RunConfig
from bnnlab.experiment.costs import predicted_costs
from bnnlab.experiment.directory import Epoch, RunDirectory
from bnnlab.experiment.execution import Execution
from bnnlab.sweep.engine import Engine, Policy
from bnnlab.sweep.executor import Exit, Job
from bnnlab.sweep.ledger import Ledger
from bnnlab.sweep.reading import read_spec
from bnnlab.sweep.search.coordinator import Coordinator
from bnnlab.sweep.search.front import hypervolume
from bnnlab.sweep.search.journal import coordinating, search_folder
from bnnlab.sweep.search.results import search_results
from bnnlab.sweep.search.samplers import build_sampler
from bnnlab.sweep.search.spec import Search

BASE = """\
name: NAME
base:
  model: {name: resnet_e18, width: 16}
  data: {name: digits}
  training: {epochs: 1, batch_size: 64, optimizer: {name: adam}, schedule: {name: cosine}}
search:
  budget: {trials: TRIALS}
  sampler: {name: TPESampler, seed: SEED}
"""


@dataclass(frozen=True)
class Problem:
    """A space, two objectives that a formula gives (both small), and their worst values."""

    search: str
    formula: Callable[[RunConfig], tuple[float, float]]
    reference: tuple[float, float]


def smooth(config: RunConfig) -> tuple[float, float]:
    x = (math.log10(config.training.optimizer.lr) + 4) / 4
    y = (math.log10(config.training.optimizer.eps) + 9) / 6  # type: ignore[union-attr]
    g = 1 + 9 * y
    return x, g * (1 - math.sqrt(x / g))  # ZDT1 in two dimensions: its front is y = 0


def constrained(config: RunConfig) -> tuple[float, float]:
    accuracy = 1 - 8 / config.model.width - abs(config.training.batch_size - 40) / 640  # type: ignore[attr-defined]
    return 1 - accuracy, predicted_costs(config)["model/size_mib"]


def coarse(config: RunConfig) -> tuple[float, float]:
    epochs, batch = config.training.epochs, config.training.batch_size
    return abs(epochs - 6) / 12 + batch / 192, 1 - batch / 192


PROBLEMS = {
    "smooth": Problem(
        """\
  space:
    training.optimizer.lr: {float: [1e-4, 1], log: true}
    training.optimizer.eps: {float: [1e-9, 1e-3], log: true}
  objectives: {val/loss: minimize, train/loss: minimize}
""",
        smooth,
        (1.1, 10.1),
    ),
    "constrained": Problem(
        """\
  space:
    model.width: {int: [16, 128], step: 16}
    training.batch_size: {int: [8, 64], step: 8}
  objectives: {val/loss: minimize, model/size_mib: minimize}
  constraints: {model/size_mib: {at_most: 1.5}}
""",
        constrained,
        (0.6, 1.6),
    ),
    "coarse": Problem(
        """\
  space:
    training.epochs: {int: [1, 12]}
    training.batch_size: {int: [12, 192], step: 12}
  objectives: {val/loss: minimize, train/loss: minimize}
""",
        coarse,
        (2.0, 1.0),
    ),
}


class Formula:
    """An executor that writes what the formula says, at once."""

    slots = 1

    def __init__(self, problem: Problem, metrics: Sequence[str]) -> None:
        self.problem, self.metrics, self.trained = problem, metrics, 0

    def submit(self, path: Path, execution: Execution) -> Done:
        directory = RunDirectory(path)
        config = directory.config()
        self.trained += 1
        values = dict(zip(self.metrics, self.problem.formula(config), strict=True))
        for epoch in range(config.training.epochs):
            directory.add_epoch(Epoch(epoch, time.time(), 0.0, values))
        costs = predicted_costs(config) if "model/size_mib" in self.metrics else {}
        directory.set_result(costs, {"started": time.time(), "finished": time.time()})
        return Done()

    def wait(self, timeout_s: float) -> None:
        pass

    def lower(self, job: Job) -> str:
        return ""

    def close(self) -> None:
        pass


class Done:
    started = True

    def poll(self) -> Exit:
        return Exit(0)

    def cancel(self) -> None:
        pass


def ours(search: Search, problem: Problem) -> tuple[list[tuple[float, ...]], int, list[float]]:
    """Feasible values in order, how many runs were trained, and the seconds of each refused proposal."""
    refusals: list[float] = []

    class Timed(Coordinator):
        def _propose(self) -> None:
            before, started = len(self._flights), time.perf_counter()
            super()._propose()
            if len(self._flights) == before:
                refusals.append(time.perf_counter() - started)

    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder) / "runs")
        executor = Formula(problem, [o.metric for o in search.objectives])
        with coordinating(search_folder(ledger, search)):
            Engine(ledger, executor, Execution(), [], Policy()).run((), Timed(search, ledger))
        done = [trial for trial in search_results(search, ledger).completed if trial.is_feasible]
    return [tuple(trial.values.values()) for trial in done], executor.trained, refusals


def plain(search: Search, problem: Problem) -> list[tuple[float, ...]]:
    """`optuna.Study.optimize` with the same sampler."""
    study = optuna.create_study(
        directions=["minimize", "minimize"], sampler=build_sampler(search.sampler, objectives=2)
    )
    found = []

    def objective(trial: optuna.Trial) -> tuple[float, float]:
        config = search.config(search.space.suggest(trial), 0)
        assert isinstance(config, RunConfig)
        values = problem.formula(config)
        excesses = [c.excess(predicted_costs(config)[c.metric]) for c in search.constraints]
        for constraint, excess in zip(search.constraints, excesses, strict=True):
            trial.set_constraint(constraint.name, excess)
        if all(excess <= 0 for excess in excesses):
            found.append(values)
        return values

    study.optimize(objective, n_trials=search.budget.trials)
    return found


def read(name: str, problem: Problem, trials: int, seed: int) -> Search:
    text = BASE.replace("NAME", name).replace("TRIALS", str(trials)).replace("SEED", str(seed)) + problem.search
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "spec.yaml"
        path.write_text(text)
        search = read_spec(path)
    assert isinstance(search, Search)
    return search


def whole(search: Search, problem: Problem) -> float:
    """The hypervolume of the whole front."""
    if not search.space.is_finite:
        return hypervolume([(x / 2000, 1 - math.sqrt(x / 2000)) for x in range(2001)], problem.reference)
    configs = [search.config(point, 0) for point in search.space.points()]
    known = [config for config in configs if isinstance(config, RunConfig)]
    allowed = [
        config
        for config in known
        if all(c.excess(predicted_costs(config)[c.metric]) <= 0 for c in search.constraints)
    ]  # fmt: skip
    return hypervolume([problem.formula(config) for config in allowed], problem.reference)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--trials", type=int, default=40)
    options = parser.parse_args()
    refusals: list[float] = []
    print(f"{'problem':12} {'plain Optuna':>13} {'bnnlab':>8} {'never below':>12} {'trained':>8} {'told at once':>13}")
    for name, problem in PROBLEMS.items():
        shares, theirs, trained, told = [], [], [], []
        for seed in range(options.seeds):
            search = read(name, problem, options.trials, seed)
            total = whole(search, problem)
            values, count, refused = ours(search, problem)
            refusals += refused
            shares.append(hypervolume(values, problem.reference) / total)
            theirs.append(hypervolume(plain(search, problem), problem.reference) / total)
            trained.append(count)
            told.append(len(refused))
        never = all(a >= b - 1e-12 for a, b in zip(shares, theirs, strict=True))
        print(
            f"{name:12} {median(theirs):13.3f} {median(shares):8.3f} {'yes' if never else 'no':>12} "
            f"{median(trained):8.0f} {median(told):13.0f}"
        )
    if refusals:
        worst = sorted(refusals)[int(0.99 * (len(refusals) - 1))]
        print(f"a proposal told without training: median {1e3 * median(refusals):.0f} ms, 99 % under {1e3 * worst:.0f}")


if __name__ == "__main__":
    main()
