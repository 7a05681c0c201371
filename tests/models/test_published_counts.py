"""Every count that the authors published or that follows from their code, reproduced to the digit.

Source of the rows: hpi-xnor/BMXNet-v2-wiki (run logs and CurrentBestResults.md) where a run logged them, else
computed from the layer list of hpi-xnor/BMXNet-v2-examples with the counting rule of BMXNet-v2's
`visualization.py`. Operations are multiply-accumulates of convolutions, with as many digits as they have.
"""

from typing import Any, NamedTuple

import pytest

from bnnlab.models.summary import summary


class Row(NamedTuple):
    name: str
    options: dict[str, Any]
    dataset: str
    params: int
    params_binary: int
    float_size_mib: float
    size_mib: float
    ops_fp: str
    ops_binary: str
    ops_combined: str


FP: dict[str, Any] = {"downsampling": "fp"}
BIN: dict[str, Any] = {"downsampling": "binary"}
E2: dict[str, Any] = {"variant": "e2"}
GROUPED: dict[str, Any] = {"stem": "grouped"}

RESNET_E = [
    Row(
        "resnet_e18", FP, "imagenet", 11_689_646, 10_985_472, 44.59, 4.00, "1.3728e8", "1.6763e9", "1.6347e8"
    ),
    Row(
        "resnet_e18", BIN, "imagenet", 11_689_646, 11_157_504, 44.59, 3.36, "1.1801e8", "1.6955e9", "1.4451e8"
    ),
    Row(
        "resnet_e18",
        GROUPED,
        "imagenet",
        11_685_838,
        10_985_472,
        44.58,
        3.98,
        "8.791e7",
        "1.6763e9",
        "1.1410e8",
    ),
    Row(
        "resnet_e34", FP, "imagenet", 21_797_806, 21_086_208, 83.15, 5.23, "1.3728e8", "3.5260e9", "1.9237e8"
    ),
    Row(
        "resnet_e34", BIN, "imagenet", 21_797_806, 21_258_240, 83.15, 4.59, "1.1801e8", "3.5452e9", "1.7341e8"
    ),
    Row(
        "resnet_e34",
        GROUPED,
        "imagenet",
        21_793_998,
        21_086_208,
        83.14,
        5.21,
        "8.791e7",
        "3.5260e9",
        "1.4300e8",
    ),
    Row(
        "resnet_e18",
        E2 | FP,
        "imagenet",
        11_687_854,
        10_985_472,
        44.59,
        3.99,
        "1.3728e8",
        "1.6763e9",
        "1.6347e8",
    ),
    Row(
        "resnet_e18",
        E2 | BIN,
        "imagenet",
        11_687_854,
        11_157_504,
        44.59,
        3.35,
        "1.1801e8",
        "1.6955e9",
        "1.4451e8",
    ),
    Row(
        "resnet_e18",
        E2 | FP,
        "cifar10",
        11_172_176,
        10_985_472,
        42.62,
        2.02,
        "8.061e6",
        "5.4736e8",
        "1.6613e7",
    ),
    Row(
        "resnet_e18",
        E2 | BIN,
        "cifar10",
        11_172_176,
        11_157_504,
        42.62,
        1.39,
        "1.769e6",
        "5.5365e8",
        "1.0420e7",
    ),
    Row("resnet_e18", FP, "cifar10", 11_173_968, 10_985_472, 42.63, 2.03, "8.061e6", "5.4736e8", "1.6613e7"),
    Row("resnet_e18", BIN, "cifar10", 11_173_968, 11_157_504, 42.63, 1.39, "1.769e6", "5.5365e8", "1.0420e7"),
]

IMAGES = {"imagenet": (224, 1000), "cifar10": (32, 10)}  # pixels, classes


def _label(row: Row) -> str:
    return "-".join([row.name, *map(str, row.options.values()), row.dataset])


@pytest.mark.parametrize("row", RESNET_E, ids=_label)
def test_counts_are_the_published_ones(row: Row) -> None:
    input_size, classes = IMAGES[row.dataset]

    found = summary(row.name, input_size=input_size, classes=classes, options=row.options)

    assert found["params"] == row.params
    assert found["params_binary"] == row.params_binary
    assert found["params_fp"] == row.params - row.params_binary
    assert round(found["float_size_mib"], 2) == row.float_size_mib
    assert round(found["size_mib"], 2) == row.size_mib
    for operations in ("ops_fp", "ops_binary", "ops_combined"):
        published: str = getattr(row, operations)
        decimals = len(published.partition("e")[0]) - 2
        assert f"{found[operations]:.{decimals}e}" == f"{float(published):.{decimals}e}", operations
