"""`bnnlab models`: what it prints is what was published."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bnnlab.cli import app
from bnnlab.sweep.mistakes import SpecError

COUNTS = Path(__file__).parents[1] / "models" / "published_counts.csv"
ROWS = list(csv.DictReader(COUNTS.read_text().splitlines()))
IMAGES = {"imagenet": ("224", "1000"), "cifar10": ("32", "10")}
LISTS = {"blocks", "reduction", "dilation"}


def options(row: dict[str, str]) -> list[str]:
    """A row's options, `name=value name=1,2,3`, as arguments."""
    found = []
    for setting in row["options"].split():
        name, _, value = setting.partition("=")
        found += ["--set", f"{name}=[{value}]" if name in LISTS else setting]
    return found


@pytest.mark.parametrize("row", ROWS, ids=lambda row: "-".join([row["name"], row["options"], row["data"]]))
def test_every_published_count_is_printed(row: dict[str, str]) -> None:
    pixels, classes = IMAGES[row["data"]]
    arguments = ["models", row["name"], "--input-size", pixels, "--classes", classes, "--json", *options(row)]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    (found,) = json.loads(done.stdout)
    assert (found["params"], found["params_binary"]) == (int(row["params"]), int(row["params_binary"]))
    assert (f"{found['size_mib']:.2f}", f"{found['float_size_mib']:.2f}") == (row["size_mib"], row["float_size_mib"])
    for key in ("ops_fp", "ops_binary", "ops_combined"):
        digits = len(row[key].partition("e")[0].replace(".", ""))
        assert f"{found[key]:.{digits - 1}e}" == f"{float(row[key]):.{digits - 1}e}", key


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("resnet_e34", "63.2 (confirmed)"),  # 63.7 is of the grouped stem
        ("meliusnet22", "62.9 (confirmed)"),  # 63.6 is of the grouped stem
        ("meliusnet42", "–"),  # published with the grouped stem alone
    ],
)
def test_a_published_accuracy_is_of_the_network_that_it_stands_beside(
    name: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "250")
    done = CliRunner().invoke(app, ["models"])
    assert done.exit_code == 0, done.output
    (line,) = (line for line in done.stdout.splitlines() if line.split()[:1] == [name])
    assert line.rstrip().endswith(f"  {shown}")


def test_an_unknown_option_names_the_nearest() -> None:
    done = CliRunner().invoke(app, ["models", "resnet_e18", "--set", "downsamplin=binary"])
    assert isinstance(done.exception, SpecError)
    assert str(done.exception).splitlines()[0] == "command line:1:7: downsamplin: unknown field 'downsamplin'"
    assert "Did you mean 'downsampling'?" in str(done.exception)


def test_options_are_those_of_one_network() -> None:
    assert CliRunner().invoke(app, ["models", "--set", "width=32"]).exit_code == 2
