"""From a valid spec to its runs."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bnnlab.experiment.config import NUMERICS_VERSION, RunConfig
from bnnlab.sweep.plan import Plan, read_plan
from bnnlab.sweep.spec import label_of

BASE = """\
base:
  model: {name: resnet_e18, width: 16}
  data: {name: digits}
  training: {epochs: 2, batch_size: 64, optimizer: {name: adam, lr: 1e-2}, schedule: {name: cosine}}
"""
STUDIES = Path(__file__).parents[2] / "studies"


def plan_of(tmp_path: Path, text: str, **options: object) -> Plan:
    path = tmp_path / "spec.yaml"
    path.write_text(text)
    return read_plan(path, **options)  # type: ignore[arg-type]


def keys(plan: Plan) -> set[str]:
    return {run.run_key for run in plan.runs}


def test_a_plan_is_the_product_of_axes_and_seeds(tmp_path: Path) -> None:
    text = (
        BASE + "axes:\n  model.binarization.scaling: [none, xnor]\n  model.downsampling: [fp, binary]\nseeds: [1, 5]\n"
    )
    plan = plan_of(tmp_path, text)
    assert [(run.axes["scaling"], run.axes["downsampling"], run.seed) for run in plan.runs] == [
        (scaling, downsampling, seed)
        for scaling in ("none", "xnor")
        for downsampling in ("fp", "binary")
        for seed in (1, 5)
    ]
    assert len(keys(plan)) == 8
    assert len({run.cell for run in plan.runs}) == 4
    assert plan.runs[-1].config.model.binarization.scaling == "xnor"


def test_named_levels_move_several_fields_together(tmp_path: Path) -> None:
    text = BASE + (
        "axes:\n  size:\n    small: {model.width: 16, training.epochs: 3}\n    large: {model.width: 32, training.epochs: 5}\n"
    )
    plan = plan_of(tmp_path, text)
    found = [(run.axes, run.config.model.width, run.config.training.epochs) for run in plan.runs]  # type: ignore[attr-defined]
    assert found == [({"size": "small"}, 16, 3), ({"size": "large"}, 32, 5)]


def test_blocks_are_a_union_without_duplicates(tmp_path: Path) -> None:
    text = BASE + "axes:\n  - model.width: [16, 32]\n  - {model.width: [16], model.downsampling: [fp, binary]}\n"
    plan = plan_of(tmp_path, text)
    assert len(plan.runs) == 3  # width 16 with fp, the default, is in both
    assert (plan.runs[0].axes, plan.runs[0].also) == ({"width": "16"}, ({"width": "16", "downsampling": "fp"},))


def test_exclusions_take_points_out(tmp_path: Path) -> None:
    text = BASE + (
        "axes:\n  model.width: [16, 32, 48]\n  model.downsampling: [fp, binary]\n"
        "exclude: [{width: [32, 48], downsampling: binary}]\n"
    )
    assert len(plan_of(tmp_path, text).runs) == 4


def test_a_profile_changes_what_it_names(tmp_path: Path) -> None:
    text = BASE + (
        "axes: {model.width: [16, 32]}\nseeds: [0, 1, 2]\n"
        "profiles:\n"
        "  small: {base: {training: {epochs: 1, schedule: {name: step, milestones: [1]}}}, seeds: [0]}\n"
        "  large: {axes: {model.width: [64]}}\n"
    )
    small = plan_of(tmp_path, text)
    assert (small.profile, len(small.runs), small.runs[0].config.training.epochs) == ("small", 2, 1)
    assert small.runs[0].config.training.optimizer.lr == 0.01
    large = plan_of(tmp_path, text, profile="large")
    assert [run.axes["width"] for run in large.runs] == ["64"] * 3


def test_a_mapping_whose_name_changes_is_replaced(tmp_path: Path) -> None:
    text = BASE + "profiles: {p: {base: {training: {optimizer: {name: sgd, momentum: 0.5}}}}}\n"
    assert plan_of(tmp_path, text).runs[0].config.training.optimizer.lr == 0.1  # sgd's default, not adam's 0.01


def test_comments_order_and_spelling_of_numbers_change_no_run(tmp_path: Path) -> None:
    one = BASE + "axes: {model.width: [16, 32]}\n"
    other = (
        "# a comment\naxes: {model.width: [32, 16]}\nbase:\n"
        "  training: {schedule: {name: cosine}, optimizer: {lr: 0.010, name: adam}, batch_size: 64, epochs: 2}\n"
        "  data: {name: digits}   # embedded\n  model: {width: 16, name: resnet_e18}\n"
    )
    assert keys(plan_of(tmp_path, one)) == keys(plan_of(tmp_path, other))


def test_a_setting_a_level_or_a_seed_changes_exactly_the_runs_that_it_makes_new(tmp_path: Path) -> None:
    text = BASE + "axes: {model.width: [16, 32]}\nseeds: [0, 1]\n"
    before = keys(plan_of(tmp_path, text))
    assert not before & keys(plan_of(tmp_path, text, settings=["training.epochs=3"]))
    assert len(keys(plan_of(tmp_path, text.replace("[16, 32]", "[16, 48]"))) - before) == 2
    assert len(keys(plan_of(tmp_path, text.replace("[0, 1]", "[0, 1, 2]"))) - before) == 2
    assert keys(plan_of(tmp_path, text, seeds=3)) > before


def test_what_is_left_to_the_image_is_resolved_in_the_configuration(tmp_path: Path) -> None:
    run = plan_of(tmp_path, BASE).runs[0]
    assert run.config.model.stem == "thumbnail"  # type: ignore[attr-defined]
    again = plan_of(tmp_path, BASE, settings=["model.stem=thumbnail"]).runs[0]
    assert again.run_key == run.run_key


def test_a_start_is_a_planned_run_trained_once_for_all_that_need_it(tmp_path: Path) -> None:
    text = BASE.replace("epochs: 2,", "epochs: 2, init_from: {model: {precision: full}, training: {epochs: 7}},") + (
        "axes:\n  training.optimizer.lr: [0.01, 0.1]\nseeds: [0, 1]\n"
    )
    pinned = text.replace("{epochs: 7}", "{epochs: 7, optimizer: {lr: 0.05}}")
    plan = plan_of(tmp_path, pinned)
    assert [(run.config.training.epochs, run.seed) for run in plan.starts] == [(7, 0), (7, 1)]
    assert [run.starts_from.run_key for run in plan.runs if run.starts_from] == [
        start.run_key for _ in range(2) for start in plan.starts
    ]
    assert len(plan_of(tmp_path, text).starts) == 4  # without a rate of its own, the start follows the axis
    one_seed = pinned.replace("init_from: {", "init_from: {seed: 9, ")
    assert [run.seed for run in plan_of(tmp_path, one_seed).starts] == [9]


def test_a_run_key_survives_the_way_through_json(tmp_path: Path) -> None:
    text = BASE.replace("epochs: 2,", "epochs: 2, init_from: {model: {precision: full}},")
    for run in plan_of(tmp_path, text).all_runs:
        again = RunConfig.model_validate_json(run.config.model_dump_json())
        assert again == run.config
        assert again.run_key == run.run_key


@settings(max_examples=30, deadline=None)
@given(
    rate=st.floats(1e-6, 1.0),
    seeds=st.lists(st.integers(0, 2**32 - 1), min_size=2, max_size=4, unique=True),
    start=st.sampled_from(["", "init_from: {model: {precision: full}}", "init_from: {seed: 3, training: {epochs: 7}}"]),
)
def test_keys_are_digests_of_the_whole_configuration(
    tmp_path_factory: pytest.TempPathFactory, rate: float, seeds: list[int], start: str
) -> None:
    """Replicates share the work of a key; it is still the digest of all fields, sorted, with the numerics version."""
    text = BASE.replace("epochs: 2,", f"epochs: 2, {start}, " if start else "epochs: 2,") + (
        f"axes:\n  training.optimizer.lr: [{rate!r}, 2.0]\nseeds: {seeds}\n"
    )
    for run in plan_of(tmp_path_factory.mktemp("plan"), text).all_runs:
        assert run.config.as_json() == run.config.model_dump(mode="json")
        assert run.run_key == digest({"config": run.config.as_json(), "numerics": NUMERICS_VERSION})
        cell = {name: value for name, value in run.config.as_json().items() if name != "seed"}
        assert run.cell == digest({"config": cell, "numerics": NUMERICS_VERSION})


def digest(value: object) -> str:
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


@settings(max_examples=40, deadline=None)
@given(
    widths=st.lists(st.sampled_from([16, 32, 48, 64]), min_size=1, unique=True),
    rates=st.lists(st.floats(1e-6, 1.0), min_size=1, max_size=4, unique=True),
    seeds=st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=3, unique=True),
)
def test_any_grid_has_as_many_runs_as_its_product(
    tmp_path_factory: pytest.TempPathFactory, widths: list[int], rates: list[float], seeds: list[int]
) -> None:
    text = BASE + f"axes: {{model.width: {widths}, training.optimizer.lr: {rates}}}\nseeds: {seeds}\n"
    plan = plan_of(tmp_path_factory.mktemp("grid"), text)
    assert len(keys(plan)) == len(plan.runs) == len(widths) * len(rates) * len(seeds)


@pytest.mark.parametrize(
    ("value", "label"),
    [("ste", "ste"), (True, "true"), (1.30, "1.3"), (1e-3, "0.001"), ([6, 6, 6, 5], "6-6-6-5"), (None, "null"),
     ({"name": "sgd"}, "sgd"), ({"name": "sgd", "lr": 0.1}, "sgd,lr=0.1")],
)  # fmt: skip
def test_a_level_has_one_label(value: object, label: str) -> None:
    assert label_of(value) == label


@pytest.mark.parametrize("spec", sorted(STUDIES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_study_can_be_planned_under_every_profile(spec: Path) -> None:
    from bnnlab.sweep.spec import load_spec

    profiles = load_spec(spec).profiles
    assert profiles[0] == "digits"
    for profile in profiles:
        assert read_plan(spec, profile=profile).runs
