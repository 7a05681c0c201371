"""Broken searches: `broken_search/NAME.yaml`, and in `broken_search/NAME.txt` all that a user is told about it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from bnnlab.sweep.mistakes import SpecError
from bnnlab.sweep.plan import read_plan
from bnnlab.sweep.reading import read_spec

BROKEN = Path(__file__).parent / "broken_search"
VALID = """\
base:
  model: {name: binary_densenet_flex}
  data: {name: digits}
  training: {epochs: 2, batch_size: 64, optimizer: {name: adam}, schedule: {name: cosine}}
search:
  space:
    model.growth_rate: {int: [8, 64], step: 8}
  objectives: {val/top1: maximize}
  budget: {trials: 4}
profiles:
  small: {}
  large: {search: {space: {model.growth_rate: {int: [8, 256], step: 12}}}}
  strange: {search: {sampler: {name: Tpe}}, axes: {model.growth_rate: [8, 16]}}
"""


@pytest.mark.parametrize("spec", sorted(BROKEN.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_mistake_is_told_at_its_place(spec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(BROKEN)
    with pytest.raises(SpecError) as error:
        read_spec(Path(spec.name))
    assert f"{error.value}\n" == spec.with_suffix(".txt").read_text()


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("spec.yaml").write_text(VALID)
    return Path("spec.yaml")


def told(path: Path, **options: object) -> str:
    with pytest.raises(SpecError) as error:
        read_spec(path, **options)  # type: ignore[arg-type]
    return str(error.value)


def test_a_mistake_in_a_profile_is_told_where_the_profile_is_written(spec: Path) -> None:
    assert told(spec, profile="large") == (
        "spec.yaml:12:69: search.space, model.growth_rate.step: never hits 256: from 8 in steps of 12 the last is 248\n"
        "  12 |   large: {search: {space: {model.growth_rate: {int: [8, 256], step: 12}}}}\n"
        "     |                                                                     ^^"
    )


def test_a_profile_cannot_make_a_study_of_a_search(spec: Path) -> None:
    assert [line for line in told(spec, profile="strange").splitlines() if line.startswith("spec")] == [
        "spec.yaml:13:38: search.sampler.name: unknown name 'Tpe'",
        "spec.yaml:13:45: axes: belongs to a study; this is a search, as it has 'search'",
    ]


def test_a_setting_cannot_touch_what_is_searched(spec: Path) -> None:
    assert told(spec, settings=["model.growth_rate=16"]) == (
        "command line:1:7: 'model.growth_rate' is searched by parameter 'growth_rate'; edit the space instead\n"
        "  1 | --set model.growth_rate=16\n"
        "    |       ^^^^^^^^^^^^^^^^^"
    )


def test_a_sampler_whose_package_is_missing_names_it(spec: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    spec.write_text(VALID.replace("trials: 4}", "trials: 4}\n  sampler: {name: CmaEsSampler}"))
    assert told(spec).splitlines()[0] == (
        "spec.yaml:10:19: search.sampler.name: CmaEsSampler needs the package cmaes: pip install cmaes"
    )


def test_what_wants_a_plan_says_that_a_search_has_none(spec: Path) -> None:
    with pytest.raises(SpecError) as error:
        read_plan(spec)
    assert str(error.value).splitlines()[0] == (
        "spec.yaml:5:1: search: asks Optuna for its runs, one after the other; there is no plan of them "
        "(`search.spec` reads it)"
    )
