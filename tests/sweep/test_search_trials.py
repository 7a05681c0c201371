"""What is asked, trained, refused and told: searches over formulas in place of training."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest
from fake_training import Failed, FakeExecutor, run_search, spec_text
from optuna.trial import TrialState

from bnnlab.experiment.config import RunConfig
from bnnlab.experiment.record import RunState
from bnnlab.sweep.engine import Policy
from bnnlab.sweep.ledger import Ledger
from bnnlab.sweep.plan import read_plan
from bnnlab.sweep.reading import read_spec
from bnnlab.sweep.search.best import write_best
from bnnlab.sweep.search.results import SearchResults, search_results
from bnnlab.sweep.search.spec import Search

CONTINUOUS = """\
  space:
    training.optimizer.lr: {float: [1e-4, 1], log: true}
    training.optimizer.eps: {float: [1e-9, 1e-3], log: true}
  objectives: {val/top1: maximize}
  budget: {trials: 20}
"""
SIZES = """\
  space:
    model.width: {int: [16, 128], step: 16}
    training.batch_size: {int: [8, 64], step: 8}
  objectives: {val/top1: maximize, model/size_mib: minimize}
  constraints: {model/size_mib: {at_most: 1.5}}
  budget: {trials: 20}
  enqueue: {small: {width: 16, batch_size: 32}, large: {width: 128, batch_size: 32}}
"""


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda file: None)  # Optuna's journal asks for one with each of its lines


def by_lr(config: RunConfig, epoch: int) -> float:
    optimizer = config.training.optimizer
    distance = (math.log10(optimizer.lr) + 2) ** 2 + (math.log10(optimizer.eps) + 6) ** 2  # type: ignore[union-attr]
    return (1 - 0.5**epoch) / (1 + distance)


def by_width(config: RunConfig, epoch: int) -> float:
    return 1 - 8 / config.model.width - abs(config.training.batch_size - 32) / 640  # type: ignore[attr-defined]


def by_batch(config: RunConfig, epoch: int) -> float:
    return 1 / config.training.batch_size


def read(folder: Path, search: str, *, seeds: str = "[0]", epochs: int = 1) -> tuple[Search, Ledger]:
    (folder / "spec.yaml").write_text(spec_text(search, seeds=seeds, epochs=epochs))
    found = read_spec(folder / "spec.yaml")
    assert isinstance(found, Search)
    return found, Ledger(folder / "runs")


def results(search: Search, ledger: Ledger) -> SearchResults:
    return search_results(search, ledger)


def test_one_worker_and_one_seed_decide_every_trial(tmp_path: Path) -> None:
    found = []
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        search, ledger = read(tmp_path / name, CONTINUOUS)
        run_search(search, ledger, FakeExecutor(by_lr))
        found.append([(trial.point, trial.values) for trial in results(search, ledger).trials])
    assert found[0] == found[1]
    assert len(found[0]) == 20


def test_n_workers_keep_n_trials_in_flight(tmp_path: Path) -> None:
    search, ledger = read(tmp_path, CONTINUOUS, epochs=3)
    executor = FakeExecutor(by_lr, 4)
    run_search(search, ledger, executor)
    assert {running for handed, running in executor.in_flight if handed < 20} == {4}
    assert results(search, ledger).counts() == {"completed": 20}


def test_too_large_a_network_is_refused_without_training(tmp_path: Path) -> None:
    search, ledger = read(tmp_path, SIZES)
    executor = FakeExecutor(by_width, 2, with_costs=True)
    run_search(search, ledger, executor)
    found = results(search, ledger)
    large = next(trial for trial in found.trials if trial.name == "large")
    assert (large.state, large.values, large.run_keys) == ("refused", {}, ())
    assert large.why == "model/size_mib is 7.98, not ≤ 1.5"
    assert large.constraints["model/size_mib ≤ 1.5"] == pytest.approx(6.48, abs=0.005)
    assert len(found.completed) == 20
    assert all(trial.metrics["model/size_mib"] <= 1.5 for trial in found.completed)
    assert len(executor.trained) == len(set(executor.trained)) == 20
    cells = [trial.cell for trial in found.completed]
    assert len(set(cells)) == 20  # what is proposed again is told so, and does not count


def test_the_front_is_what_nothing_dominates(tmp_path: Path) -> None:
    search, ledger = read(tmp_path, SIZES)
    run_search(search, ledger, FakeExecutor(by_width, with_costs=True))
    found = results(search, ledger)
    values = [(-t.values["val/top1"], t.values["model/size_mib"]) for t in found.completed]
    expected = [
        trial.number
        for trial, (loss, size) in zip(found.completed, values, strict=True)
        if not any(a <= loss and b <= size and (a, b) != (loss, size) for a, b in values)
    ]
    assert list(found.front) == expected
    assert [value for _, value in found.history] == sorted(value for _, value in found.history)
    assert set(found.importances) == {"val/top1", "model/size_mib"}
    assert found.importances["model/size_mib"]["width"] > found.importances["model/size_mib"]["batch_size"]


def test_what_the_ledger_has_is_not_trained_again(tmp_path: Path) -> None:
    search, ledger = read(tmp_path, SIZES)
    run_search(search, ledger, FakeExecutor(by_width, with_costs=True))
    other, _ = read(tmp_path, SIZES.replace("at_most: 1.5", "at_most: 1.4"))
    assert other.search_id != search.search_id
    executor = FakeExecutor(by_width, with_costs=True)
    _, outcome = run_search(other, ledger, executor)
    assert outcome.reused
    assert len(executor.trained) + len(outcome.reused) == 20
    assert len(results(other, ledger).completed) == 20


def test_a_small_space_is_tried_point_by_point(tmp_path: Path) -> None:
    space = "  space:\n    training.batch_size: {int: [8, 64], step: 8}\n    model.downsampling: [fp, binary]\n"
    search, ledger = read(tmp_path, space + "  objectives: {val/top1: maximize}\n  budget: {trials: 30}\n")
    executor = FakeExecutor(by_batch)
    coordinator, _ = run_search(search, ledger, executor)
    assert coordinator.enumerated
    assert coordinator.ended == "every point of the space has been tried, with 16 trials completed"
    points = [tuple(sorted(trial.point.items())) for trial in results(search, ledger).completed]
    assert sorted(points) == sorted(tuple(sorted(point.items())) for point in search.space.points())
    assert len(executor.trained) == 16


def test_a_space_larger_than_the_budget_is_exhausted_where_little_of_it_is_allowed(tmp_path: Path) -> None:
    search, ledger = read(tmp_path, SIZES.replace("at_most: 1.5", "at_most: 0.3").replace("trials: 20", "trials: 60"))
    coordinator, _ = run_search(search, ledger, FakeExecutor(by_width, with_costs=True))
    found = results(search, ledger)
    assert coordinator.ended.startswith("every point of the space has been tried")
    assert {trial.point["width"] for trial in found.completed} < {trial.point["width"] for trial in found.trials}
    assert len(found.completed) == 8 * len({trial.point["width"] for trial in found.completed})


def test_the_objective_is_the_mean_over_the_seeds(tmp_path: Path) -> None:
    search, ledger = read(tmp_path, CONTINUOUS, seeds="[3, 5]")
    run_search(search, ledger, FakeExecutor(lambda config, epoch: config.seed / 10, 3))
    found = results(search, ledger)
    assert {trial.values["val/top1"] for trial in found.completed} == {0.4}
    assert {len(trial.run_keys) for trial in found.completed} == {2}


def test_a_parameter_is_only_there_under_its_parent(tmp_path: Path) -> None:
    search, ledger = read(
        tmp_path,
        """\
  space:
    optimizer:
      adam: {training.optimizer: {name: adam}}
      sgd: {training.optimizer: {name: sgd}}
    training.optimizer.momentum: {float: [0.5, 0.9], when: {optimizer: sgd}}
    training.optimizer.lr: {float: [1e-3, 1e-1], log: true}
  objectives: {val/top1: maximize}
  budget: {trials: 15}
""",
    )
    run_search(search, ledger, FakeExecutor(by_batch))
    for trial in results(search, ledger).completed:
        config = search.config(trial.point, 0)
        assert isinstance(config, RunConfig)
        assert config.training.optimizer.name == trial.point["optimizer"]
        assert config.training.optimizer.lr == trial.point["lr"]
        assert ("momentum" in trial.point) == (trial.point["optimizer"] == "sgd")
        assert getattr(config.training.optimizer, "momentum", None) == trial.point.get("momentum")


def test_a_trial_that_diverges_is_told_and_does_not_count(tmp_path: Path) -> None:
    def formula(config: RunConfig, epoch: int) -> float:
        if config.training.optimizer.lr > 0.1:
            raise Failed("diverged", "the loss is nan")
        return by_lr(config, epoch)

    search, ledger = read(tmp_path, CONTINUOUS)
    coordinator, _ = run_search(search, ledger, FakeExecutor(formula))
    counts = results(search, ledger).counts()
    assert counts["completed"] == 20
    assert counts["diverged"] > 0
    pruned = coordinator.study.get_trials(states=(TrialState.PRUNED,))
    assert {trial.user_attrs["outcome"] for trial in pruned} == {"diverged"}


def test_failures_in_a_row_end_the_search_and_can_be_tried_again(tmp_path: Path) -> None:
    broken = True

    def formula(config: RunConfig, epoch: int) -> float:
        if broken:
            raise Failed("data", f"batch size {config.training.batch_size} is cursed")
        return by_lr(config, epoch)

    search, ledger = read(tmp_path, CONTINUOUS)
    policy = Policy(stop_after=0, retries=0)
    coordinator, _ = run_search(search, ledger, FakeExecutor(formula), policy=policy)
    assert coordinator.ended == "5 trials in a row failed"
    assert results(search, ledger).counts() == {"failed": 5}
    broken = False
    run_search(search, ledger, FakeExecutor(formula), policy=Policy(retry_failed=True))
    found = results(search, ledger)
    assert found.counts() == {"failed": 5, "completed": 20}
    again = {tuple(trial.point.values()) for trial in found.trials if trial.state == "failed"}
    assert again <= {tuple(trial.point.values()) for trial in found.completed}


def test_time_that_is_up_starts_nothing_more(tmp_path: Path) -> None:
    search, ledger = read(tmp_path, CONTINUOUS.replace("trials: 20", "trials: 20, time: 0.001 s"))
    coordinator, _ = run_search(search, ledger, FakeExecutor(by_lr))
    assert coordinator.ended.startswith("its time is up, with ")


def test_the_best_trials_are_studies_that_train_the_same_cells(tmp_path: Path) -> None:
    search, ledger = read(tmp_path, SIZES)
    run_search(search, ledger, FakeExecutor(by_width, with_costs=True))
    found = results(search, ledger)
    written = write_best(search, found, tmp_path / "best")
    assert [path.name for path in written[:-1]] == [f"trial_{trial.number:03}.yaml" for trial in found.best]
    assert sorted(trial.number for trial in found.best) == list(found.front)
    for path, trial in zip(written[:-1], found.best, strict=True):
        runs = read_plan(path).runs
        assert {run.cell for run in runs} == {trial.cell}
        assert len(runs) == 5
    assert written[-1].name == "front.yaml"
    assert {run.cell for run in read_plan(written[-1]).runs} == {found.trial(number).cell for number in found.front}


def test_pruned_runs_are_kept_and_go_on_when_somebody_asks_for_them(tmp_path: Path) -> None:
    pruned = CONTINUOUS + "  pruner: {name: MedianPruner, n_startup_trials: 4}\n"
    search, ledger = read(tmp_path, pruned, epochs=8)
    run_search(search, ledger, FakeExecutor(by_lr))
    found = results(search, ledger)
    ended = [trial for trial in found.trials if trial.state == "pruned"]
    assert ended
    directory = ledger.directory(ended[0].run_keys[0])
    assert directory.state() is RunState.PRUNED
    assert 1 <= len(directory.epochs()) < 8
    assert ended[0].why.startswith(f"MedianPruner ended it after epoch {len(directory.epochs())} of 8")
    before = directory.epochs()
    point = ", ".join(f"{name}: {value!r}" for name, value in ended[0].point.items())
    again = CONTINUOUS.replace("trials: 20", "trials: 1") + f"  enqueue: {{again: {{{point}}}}}\n"
    other, _ = read(tmp_path, again, epochs=8)
    run_search(other, ledger, FakeExecutor(by_lr))
    assert directory.state() is RunState.FINISHED
    assert directory.epochs()[: len(before)] == before
    assert directory.pruned() is None


@pytest.mark.parametrize("seeds", ["[0]", "[0, 1]"])
@pytest.mark.parametrize(
    "pruner",
    [
        "{name: MedianPruner, n_startup_trials: 4}",
        "{name: PercentilePruner, percentile: 40, n_startup_trials: 4}",
        "{name: SuccessiveHalvingPruner, reduction_factor: 2}",
        "{name: HyperbandPruner, reduction_factor: 2}",
        "{name: ThresholdPruner, lower: 0.05}",
    ],
)
def test_pruners_save_epochs_and_the_budget_stays_exact(tmp_path: Path, pruner: str, seeds: str) -> None:
    search, ledger = read(tmp_path, CONTINUOUS + f"  pruner: {pruner}\n", seeds=seeds, epochs=6)
    run_search(search, ledger, FakeExecutor(by_lr))
    found = results(search, ledger)
    assert found.counts()["completed"] == 20
    assert found.counts()["pruned"] > 0
    trained = sum(len(ledger.directory(key).epochs()) for trial in found.trials for key in trial.run_keys)
    assert trained < 6 * len(search.seeds) * len([t for t in found.trials if t.run_keys])
    for trial in found.trials:
        if trial.state == "pruned":  # only the first seed has begun: the others wait for the pruner's verdict
            assert [ledger.state(key) for key in trial.run_keys[1:]] == [RunState.PENDING] * (len(search.seeds) - 1)


def test_wilcoxon_leaves_out_the_rest_of_the_seeds_of_a_worse_trial(tmp_path: Path) -> None:
    pruner = "  pruner: {name: WilcoxonPruner, p_threshold: 0.3, n_startup_steps: 2}\n"
    few = CONTINUOUS.replace("trials: 20", "trials: 5")
    search, ledger = read(tmp_path, few + pruner, seeds="[0, 1, 2, 3]")
    executor = FakeExecutor(lambda config, epoch: by_lr(config, epoch) + config.seed / 1000)
    run_search(search, ledger, executor)
    found = results(search, ledger)
    ended = [trial for trial in found.trials if trial.state == "pruned"]
    assert ended
    best = max(trial.values["val/top1"] for trial in found.completed)
    for trial in ended:
        states = [ledger.state(key) for key in trial.run_keys]
        finished = states.count(RunState.FINISHED)
        assert states == [RunState.FINISHED] * finished + [RunState.PENDING] * (4 - finished)
        assert by_lr(search.config(trial.point, 0), 1) < best  # type: ignore[arg-type]


def test_with_several_objectives_a_trial_ends_when_it_cannot_reach_the_front(tmp_path: Path) -> None:
    def formula(config: RunConfig, epoch: int) -> float:
        return by_width(config, epoch) * (1 - 0.5**epoch)

    pruner = "  pruner: {name: FrontPruner, n_startup_trials: 4, min_epochs: 2}\n"
    search, ledger = read(tmp_path, SIZES + pruner, epochs=8)
    run_search(search, ledger, FakeExecutor(formula, 2, with_costs=True))
    found = results(search, ledger)
    ended = [trial for trial in found.trials if trial.state == "pruned"]
    assert ended
    for trial in ended:
        assert len(ledger.directory(trial.run_keys[0]).epochs()) >= 2
        config = search.config(trial.point, 0)
        assert isinstance(config, RunConfig)
        final = formula(config, 8)
        # What it would have come to, had it gone on, is dominated: nothing was lost.
        assert any(
            other.values["val/top1"] >= final and other.point["width"] <= trial.point["width"]
            for other in found.completed
        )
