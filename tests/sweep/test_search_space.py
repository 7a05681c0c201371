"""Properties of spaces, fronts and hypervolumes, over whatever hypothesis draws."""

from __future__ import annotations

import itertools
from decimal import Decimal

import optuna
import pytest
from fake_training import spec_text
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import FloatDistribution

from bnnlab.experiment.config import RunConfig
from bnnlab.sweep.document import parse_value
from bnnlab.sweep.mistakes import Source
from bnnlab.sweep.reading import read_spec
from bnnlab.sweep.search.front import dominates, front, hypervolume
from bnnlab.sweep.search.front_pruner import Course, is_rung, out_of_reach
from bnnlab.sweep.search.objectives import Objective
from bnnlab.sweep.search.samplers import Front
from bnnlab.sweep.search.space import Parameter
from bnnlab.sweep.search.spec import Search, seconds

VECTORS = st.lists(st.tuples(*[st.integers(0, 9)] * 3), min_size=1, max_size=12)
LISTED = """\
  space:
    training.batch_size: {int: [8, 24], step: 8}
    optimizer:
      adam: {training.optimizer: {name: adam}}
      sgd: {training.optimizer: {name: sgd}}
    training.optimizer.momentum: {float: [0.5, 0.9], step: 0.1, when: {optimizer: sgd}}
  objectives: {val/top1: maximize}
  budget: {trials: 2}
"""


@pytest.fixture(scope="module")
def search(tmp_path_factory: pytest.TempPathFactory) -> Search:
    path = tmp_path_factory.mktemp("space") / "spec.yaml"
    path.write_text(spec_text(LISTED))
    found = read_spec(path)
    assert isinstance(found, Search)
    return found


def test_the_points_of_a_conditional_space_are_counted_under_their_parents(search: Search) -> None:
    points = list(search.space.points())
    assert len(points) == 3 * (1 + 5) == search.space.size(100)
    assert search.space.size(17) is None
    assert {tuple(point) for point in points} == {("batch_size", "optimizer"), ("batch_size", "optimizer", "momentum")}
    configs = [search.config(point, 0) for point in points]
    assert all(isinstance(config, RunConfig) for config in configs)
    assert len({config.cell_key for config in configs}) == 18  # type: ignore[union-attr]


def test_what_optuna_suggests_is_one_of_the_points(search: Search) -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    points = list(search.space.points())
    for _ in range(40):
        assert search.space.suggest(study.ask()) in points


@given(low=st.integers(0, 30), count=st.integers(1, 40), places=st.integers(1, 3))
def test_a_value_on_a_decimal_grid_has_one_spelling(low: int, count: int, places: int) -> None:
    step = Decimal(1).scaleb(-places)
    first, last = float(low * step), float((low + count) * step)
    parameter = Parameter("x", FloatDistribution(first, last, step=float(step)), parse_value("0", Source("")))
    assert parameter.values() == tuple(float((low + index) * step) for index in range(count + 1))
    assert all(parameter.exact(first + index * float(step)) in (parameter.values() or ()) for index in range(count + 1))


@given(VECTORS)
def test_a_front_dominates_all_the_rest_and_none_of_itself(vectors: list[tuple[int, ...]]) -> None:
    chosen = front(vectors)
    assert chosen
    for index, vector in enumerate(vectors):
        beaten = any(dominates(vectors[other], vector) for other in chosen)
        assert beaten == (index not in chosen)


@settings(max_examples=40)
@given(VECTORS)
def test_the_hypervolume_is_the_number_of_dominated_cells_of_a_grid(vectors: list[tuple[int, ...]]) -> None:
    cells = sum(
        any(all(v <= c for v, c in zip(vector, cell, strict=True)) for vector in vectors)
        for cell in itertools.product(range(10), repeat=3)
    )
    assert hypervolume(vectors, (10, 10, 10)) == cells


@pytest.mark.parametrize(
    ("text", "expected"), [("90 s", 90), ("5 min", 300), ("1.5h", 5400), (" 2 d ", 172_800)]
)  # fmt: skip
def test_times_have_a_unit(text: str, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "5", 5, "min", "-5 min", "0 s", "five min", "1e3 s", None])
def test_what_is_no_time_is_told(text: object) -> None:
    with pytest.raises(ValueError, match="must be a time such as '90 s'"):
        seconds(text)


RULE = Front(name="FrontPruner", n_startup_trials=2, min_epochs=2)
OBJECTIVES = (Objective("val/top1", "maximize"), Objective("model/size_mib", "minimize"))
DONE = (
    Course(0, {"val/top1": (0.2, 0.4, 0.5, 0.6)}, {"val/top1": 0.6, "model/size_mib": 1.0}),
    Course(1, {"val/top1": (0.3, 0.6, 0.7, 0.7)}, {"val/top1": 0.7, "model/size_mib": 2.0}),
)


@pytest.mark.parametrize(
    ("value", "size", "ended_by"),
    [
        (0.3, 1.5, 0),  # 0.3 and the largest gain, 0.2, make 0.5: trial 0 has 0.6 and is smaller
        (0.45, 1.5, None),  # 0.65 would be more than trial 0 has
        (0.45, 2.5, 1),  # but not more than trial 1
        (0.0, 0.5, None),  # the smallest network is on the front, whatever it learns
        (0.4, 1.0, None),  # as good as trial 0 is not worse
    ],
)
def test_a_trial_is_ended_when_its_best_hope_is_dominated(value: float, size: float, ended_by: int | None) -> None:
    found = out_of_reach(RULE, OBJECTIVES, {"val/top1": (0.1, value)}, {"model/size_mib": size}, 2, DONE)
    assert (found.number if found else None) == ended_by


def test_between_rungs_and_with_few_completed_trials_nobody_is_ended() -> None:
    curves, costs = {"val/top1": (0.0, 0.0, 0.0)}, {"model/size_mib": 9.0}
    assert [epochs for epochs in range(1, 17) if is_rung(RULE, epochs)] == [2, 4, 8, 16]
    assert out_of_reach(RULE, OBJECTIVES, curves, costs, 3, DONE) is None
    assert out_of_reach(RULE, OBJECTIVES, curves, costs, 2, DONE[:1]) is None
    assert out_of_reach(RULE, OBJECTIVES, curves, costs, 2, DONE) is not None


def test_a_trial_that_breaks_a_constraint_ends_nobody() -> None:
    broken = tuple(Course(c.number, c.curves, c.values, feasible=False) for c in DONE)
    assert out_of_reach(RULE, OBJECTIVES, {"val/top1": (0.0, 0.0)}, {"model/size_mib": 9.0}, 2, broken) is None


def test_a_smaller_quantile_of_the_gains_is_bolder() -> None:
    bold = RULE.model_copy(update={"gain_quantile": 0.5})  # the gains are 0.1 and 0.2: hope for 0.1
    curves, costs = {"val/top1": (0.1, 0.45)}, {"model/size_mib": 1.5}
    assert out_of_reach(RULE, OBJECTIVES, curves, costs, 2, DONE) is None
    assert out_of_reach(bold, OBJECTIVES, curves, costs, 2, DONE) == DONE[0]
