"""The published tables: what they say, how surely, and which runs may be compared with them."""

from __future__ import annotations

import pytest
from ledgers import observe
from pydantic import TypeAdapter

from bnnlab.experiment.config import RunConfig
from bnnlab.paper.claims import Claim
from bnnlab.paper.matching import match, paper_metrics, published_for_model, why_not_comparable
from bnnlab.paper.published import SOURCES, TABLES, OneOf

ROWS = [(table, row) for table in TABLES.values() for row in table.rows]
ROW_IDS = [f"{table.id}: {row.label}" for table, row in ROWS]

CIFAR10_2018 = {
    "model": {"name": "resnet_e18", "variant": "e2", "stem": "thumbnail"},
    "data": {"name": "cifar10", "augmentation": "level3", "normalization": "none"},
    "training": {
        "epochs": 150,
        "batch_size": 128,
        "optimizer": {"name": "adam", "lr": 0.01},
        "schedule": {"name": "step", "milestones": [75, 100, 125], "factor": 0.3},
    },
    "evaluation": "paper",
    "seed": 0,
}


def config(**changes):
    """The paper's best CIFAR-10 run, changed by dotted path ("__" for ".")."""
    run = RunConfig.model_validate(CIFAR10_2018).model_dump(mode="json")
    for path, value in changes.items():
        *parents, last = path.split("__")
        at = run
        for parent in parents:
            at = at[parent]
        at[last] = value
    return RunConfig.model_validate(run)


@pytest.mark.parametrize(("table", "row"), ROWS, ids=ROW_IDS)
def test_every_figure_has_a_source_and_a_status_that_fit_each_other(table, row):
    assert row.sources
    assert set(row.sources) <= SOURCES.keys()
    assert (row.sources == ("recalled",)) == (row.status == "recalled")
    for figure in (row.top1, row.top5, row.map):
        assert figure is None or 0.3 < figure < 1
    assert row.top1 is None or row.top5 is None or row.top5 > row.top1


@pytest.mark.parametrize(("table", "row"), ROWS, ids=ROW_IDS)
def test_every_row_states_what_tells_it_apart_in_its_table(table, row):
    if row.config:
        twins = [
            other
            for other in table.rows
            if all(other.config.get(path) == row.config.get(path) for path in ("model.name", *table.identity))
        ]
        assert twins == [row]


def _config_of(row):
    """A run that follows a row to the letter, with the library's defaults where the row is silent."""
    run = {"training": {"epochs": 1, "batch_size": 1, "optimizer": {"name": "adam"}}, "seed": 0}
    run["training"]["schedule"] = {"name": "constant"}
    for path, value in row.config.items():
        *parents, last = path.split(".")
        at = run
        for parent in parents:
            at = at.setdefault(parent, {})
        if at.get("name") == "constant" and last == "name":
            at.clear()
        at[last] = value.values[-1] if isinstance(value, OneOf) else value
    return RunConfig.model_validate(run)


FOLLOWABLE = [
    (table, row)
    for table, row in ROWS
    if row.config
    and row.schedule_known
    and table.id != "larq"
    and "epochs 12 to" not in row.config["data.augmentation"]
]


@pytest.mark.parametrize(("table", "row"), FOLLOWABLE, ids=[f"{table.id}: {row.label}" for table, row in FOLLOWABLE])
def test_a_run_that_follows_a_row_is_comparable_with_it(table, row):
    found = match(_config_of(row), table.id)
    assert found.row == row
    assert found.reasons == ()


def test_the_ablation_is_the_authors_log_rounded_to_a_tenth_of_a_point():
    logged = {row.run_id: row for row in TABLES["cifar10_grid"].rows}
    for row in TABLES["cifar10_ablation"].rows:
        assert row.top1 == pytest.approx(logged[row.run_id].top1, abs=0.0005001)
        assert row.top5 == pytest.approx(logged[row.run_id].top5, abs=0.0005001)


def test_abstract_gains_agree_with_the_comparison():
    # "18.6 % above XNOR-Net and 7.6 % above Bi-Real Net, relative": abstract of arXiv 1906.08637.
    top1 = {row.label: row.top1 for row in TABLES["imagenet_sota"].rows}
    assert top1["BinaryDenseNet28"] / top1["XNOR-Net ResNet18"] == pytest.approx(1.186, abs=0.0005)
    assert top1["BinaryDenseNet28"] / top1["Bi-Real Net 18"] == pytest.approx(1.076, abs=0.0005)


def test_combined_operations_are_the_logged_ones():
    # flops_combined in the log of run c04facb1: 2.5796e8.
    row = next(row for row in TABLES["authors_2020"].rows if row.run_id == "c04facb1")
    assert row.ops == pytest.approx(2.5796e8, rel=1e-4)


def test_a_run_is_matched_to_the_row_of_its_network_and_method():
    found = match(config(), "cifar10_ablation")
    assert (found.row.top1, found.comparable) == (0.876, True)
    found = match(config(model__downsampling="binary"), "cifar10_ablation")
    assert (found.row.top1, found.comparable) == (0.872, True)
    scaled = config(model__binarization__scaling="xnor", model__binarization__output="signed")
    assert match(scaled, "cifar10_ablation").row.top1 == 0.847
    assert match(scaled, "cifar10_ablation").comparable


@pytest.mark.parametrize(
    ("changes", "reasons"),
    [
        ({"training__epochs": 30}, ("epochs is 30, not 150",)),
        ({"model__width": 32}, ("width is 32, not 64",)),
        ({"model__variant": "e1"}, ("variant is e1, not e2",)),
        ({"data__augmentation": "pad4_mirror"}, ("augmentation is pad4_mirror, not level3",)),
        ({"evaluation": "holdout"}, ("evaluation is holdout, not paper",)),
        ({"data": {"name": "digits"}}, ("data is digits, not cifar10",)),
        ({"training__schedule": {"name": "cosine"}}, ("schedule is cosine, not step",)),
        ({"training__schedule__milestones": [76, 101, 126]}, ()),
        (
            {"training__schedule__milestones": [50]},
            ("milestones is 50, not 75, 100, 125 or 76, 101, 126",),
        ),
        (
            {"model__binarization__estimator": "approx_sign"},
            ("weight estimator is ste, not approx_sign",),
        ),
        (
            {"training__optimizer": {"name": "radam", "lr": 0.5}, "training__batch_size": 64},
            ("batch size is 64, not 128", "optimizer is radam, not adam"),
        ),
    ],
)
def test_a_protocol_that_differs_is_named_and_not_compared(changes, reasons):
    found = match(config(**changes), "cifar10_ablation")
    assert found.reasons == reasons
    assert found.comparable == (not reasons)


def test_the_seed_is_no_difference():
    assert match(config(seed=7), "cifar10_ablation").comparable


def test_without_a_table_the_closest_row_is_found():
    assert match(config(model__variant="e1")).table.id == "cifar10_grid"
    assert match(config(model__variant="e1")).comparable


def test_a_network_without_a_row_has_no_match():
    assert match(config(model={"name": "resnet_v2_34"})) is None


def test_metrics_of_the_paper_are_there_only_for_comparable_runs():
    metrics = {"test/top1": 0.86, "test/top1_best": 0.88}
    assert paper_metrics(config(), metrics) == pytest.approx({"paper/top1": 0.876, "paper/delta": 0.004})
    assert paper_metrics(config(training__epochs=3), metrics) == {}


def test_published_figures_of_a_network():
    found = published_for_model("binary_densenet28")
    assert [(entry["table"], entry["top1"], entry["status"]) for entry in found] == [
        ("imagenet_sota", 0.607, "confirmed"),
        ("authors_2020", 0.617, "confirmed"),
        ("authors_2020", 0.626, "confirmed"),
        ("larq", 0.6091, "confirmed"),
    ]
    assert found[0].keys() == {"table", "dataset", "stem", "top1", "top5", "source", "status", "note"}
    assert [entry["top1"] for entry in published_for_model("binary_densenet28", {"stem": "grouped"})] == [0.626]
    assert published_for_model("binary_densenet28", {"growth_rate": 32}) == []


def test_what_sets_a_claim_apart_is_said_once():
    claim = TypeAdapter(Claim).validate_python(
        {
            "id": "a",
            "text": "t",
            "axis": "downsampling",
            "treatment": "fp",
            "control": "binary",
            "within": {"scaling": "none"},
            "expect": {"direction": "increase"},
        }
    )
    runs = [
        observe({"downsampling": level, "scaling": scaling}, seed, config=config(model__downsampling=level, **change))
        for level in ("fp", "binary")
        for seed in range(2)
        for scaling, change in (("none", {"training__epochs": 3}), ("xnor", {"training__epochs": 4}))
    ]
    assert why_not_comparable(claim, runs, "cifar10_ablation") == ("epochs is 3, not 150",)
