"""Every count that the authors published or that follows from their code, reproduced to the digit.

published_counts.csv names the source of each row: a run logged in hpi-xnor/BMXNet-v2-wiki, the size of its
tables, Larq's zoo, or "computed" from the layer list of hpi-xnor/BMXNet-v2-examples with the counting rule of
BMXNet-v2's `visualization.py`. Operations are multiply-accumulates of convolutions.
"""

import csv
import math
from pathlib import Path
from typing import Any

import pytest

from bnnlab.models.summary import summary

ROWS = list(csv.DictReader(Path(__file__).with_name("published_counts.csv").read_text().splitlines()))

IMAGES = {"imagenet": (224, 1000), "cifar10": (32, 10)}  # pixels, classes


def _options(row: dict[str, str]) -> dict[str, Any]:
    """The options of a row, written `name=value name=1,2,3`."""
    options: dict[str, Any] = {}
    for assignment in row["options"].split():
        name, _, value = assignment.partition("=")
        options[name] = value.split(",") if "," in value else value
    return options


def _same_digits(found: float, published: str) -> bool:
    """Whether a number agrees with a published one in every digit that was published."""
    mantissa, _, exponent = published.partition("e")
    decimals = len(mantissa.partition(".")[2])
    return math.isclose(found, float(published), rel_tol=0, abs_tol=0.50001 * 10 ** (int(exponent or 0) - decimals))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: "-".join([row["name"], row["options"], row["data"]]))
def test_counts_are_the_published_ones(row: dict[str, str]) -> None:
    input_size, classes = IMAGES[row["data"]]

    found = summary(row["name"], input_size=input_size, classes=classes, options=_options(row))

    assert found["params"] == int(row["params"])
    assert found["params_binary"] == int(row["params_binary"])
    assert found["params_fp"] == found["params"] - found["params_binary"]
    for key in ("float_size_mib", "size_mib", "ops_fp", "ops_binary", "ops_combined"):
        assert _same_digits(found[key], row[key]), f"{key}: {found[key]} is not {row[key]}"


def test_a_full_precision_twin_has_the_same_layers_and_no_binary_ones() -> None:
    binary = summary("resnet_e18", input_size=32, classes=10)
    twin = summary("resnet_e18", input_size=32, classes=10, options={"precision": "full"})

    assert twin["params"] == binary["params"]
    assert twin["params_binary"] == 0
    assert twin["size_mib"] == twin["float_size_mib"] == binary["float_size_mib"]
    assert twin["macs_fp"] == binary["macs_fp"] + binary["macs_binary"]
    assert twin["macs_binary"] == 0


def test_macs_count_the_dense_layer_and_operations_leave_it_out() -> None:
    found = summary("resnet_e18", input_size=32, classes=10)

    assert found["macs_fp"] - found["ops_fp"] == 512 * 10
    assert found["macs_binary"] == found["ops_binary"]
    assert found["ops_combined"] == found["ops_fp"] + found["ops_binary"] / 64


def test_the_layer_table_adds_up() -> None:
    found = summary("meliusnet_a", input_size=32, classes=10)

    for key in ("params_binary", "params_fp", "macs_binary", "macs_fp"):
        assert sum(layer[key] for layer in found["layers"]) == found[key]
    assert found["family"] == "meliusnet"


@pytest.mark.parametrize(
    ("name", "channels"),  # Larq zoo, tests/models_test.py
    [("binary_densenet28", 576), ("binary_densenet37", 640), ("binary_densenet45", 800)],
)
def test_channels_before_the_pool_are_those_of_larq(name: str, channels: int) -> None:
    assert summary(name)["layers"][-1]["input_shape"] == (channels,)
