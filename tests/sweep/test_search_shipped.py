"""The searches that are shipped: each profile reads, and is what the paper's networks ask for."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any, get_args

import optuna
import pytest

from bnnlab.experiment.config import RunConfig
from bnnlab.experiment.costs import predicted_costs
from bnnlab.models.summary import summary
from bnnlab.sweep.document import load_document
from bnnlab.sweep.reading import read_spec
from bnnlab.sweep.schema import spec_schema
from bnnlab.sweep.search.samplers import Front, PrunerConfig, SamplerConfig
from bnnlab.sweep.search.spec import Search
from bnnlab.sweep.spec import load_spec

SWEEPS = Path(__file__).parents[2] / "sweeps"
CASES = [(path, name) for path in sorted(SWEEPS.glob("*.yaml")) for name in load_spec(path).profiles]


@pytest.mark.parametrize(("path", "profile"), CASES, ids=[f"{path.stem}-{name}" for path, name in CASES])
def test_every_profile_of_every_shipped_search_reads(path: Path, profile: str) -> None:
    search = read_spec(path, profile=profile)
    assert isinstance(search, Search)
    assert search.study == path.stem
    assert search.enqueued
    assert search.notes == ()


def test_every_search_has_the_profiles_of_the_studies() -> None:
    for path in SWEEPS.glob("*.yaml"):
        assert list(load_spec(path).profiles) == ["digits", "fashion_mnist", "cifar10", "imagenet"]


def test_the_first_profile_is_for_a_laptop() -> None:
    for path in SWEEPS.glob("*.yaml"):
        search = read_spec(path)
        assert isinstance(search, Search)
        assert search.profile == "digits"
        assert search.budget.time is not None
        assert search.budget.time <= 240


@pytest.mark.parametrize("name", ["binary_densenet28", "binary_densenet37", "binary_densenet45"])
def test_the_papers_networks_are_points_of_the_space(name: str) -> None:
    search = read_spec(SWEEPS / "growth_and_depth.yaml", profile="imagenet")
    assert isinstance(search, Search)
    point = next(first.point for first in search.enqueued if first.name == name)
    config = search.config(point, 0)
    assert isinstance(config, RunConfig)
    costs, published = predicted_costs(config), summary(name)
    assert costs["model/params_binary"] == published["params_binary"]
    assert costs["model/params_fp"] == published["params_fp"]
    assert costs["model/size_mib"] == published["size_mib"]
    # Of the three only the one with 28 layers (4.04 MiB in the paper) is within 4.1 MiB.
    assert (costs["model/size_mib"] <= 4.1) == (name == "binary_densenet28")


def classes(annotation: Any) -> list[Any]:
    return [kind for kind in get_args(get_args(annotation)[0]) if kind is not Front]


@pytest.mark.parametrize("kind", [*classes(SamplerConfig), *classes(PrunerConfig)], ids=lambda kind: kind.__name__)
def test_every_argument_is_one_of_optunas(kind: Any) -> None:
    fields = dict(kind.model_fields)
    name = get_args(fields.pop("name").annotation)[0]
    theirs = getattr(optuna.samplers, name, None) or getattr(optuna.pruners, name)
    assert set(fields) <= set(inspect.signature(theirs.__init__).parameters)


@pytest.mark.parametrize("path", sorted(SWEEPS.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_editors_schema_accepts_every_shipped_search(path: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.validate(load_document(path).plain(), spec_schema())
    wrong = load_document(path).plain()
    wrong["search"]["sampler"]["n_startup"] = 3
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, spec_schema())
