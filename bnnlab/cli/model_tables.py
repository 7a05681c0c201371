"""Tables of networks for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from bnnlab.cli.tables import new_table


def model_table(rows: Sequence[Mapping[str, Any]], input_size: int, classes: int) -> None:
    """A row a network."""
    table = new_table(f"networks at {input_size}x{input_size} pixels, {classes} classes")
    for name in ("name", "parameters", "binary", "MiB", "MiB as float", "1-bit MACs", "float MACs", "operations"):
        table.add_column(name, justify="left" if name == "name" else "right", no_wrap=True)
    for row in rows:
        table.add_row(
            row["name"],
            f"{row['params']:,}",
            f"{row['params_binary']:,}",
            f"{row['size_mib']:.2f}",
            f"{row['float_size_mib']:.2f}",
            f"{row['macs_binary']:.3g}",
            f"{row['macs_fp']:.3g}",
            f"{row['ops_combined']:.3g}",
        )
    console = Console()
    console.print(table)
    console.print(
        "MiB: 1 bit a binary weight, 32 bits any other parameter.  MACs: convolutions and dense layers.  "
        "operations: convolutions, float + 1-bit / 64 (the authors' rule).",
        highlight=False,
    )


def layer_table(row: Mapping[str, Any], input_size: int, classes: int) -> None:
    """A row a layer of one network."""
    table = new_table(f"{row['name']} at {input_size}x{input_size} pixels, {classes} classes")
    for name in ("layer", "kind", "output", "binary", "float", "1-bit MACs", "float MACs"):
        table.add_column(name, justify="left" if name in ("layer", "kind") else "right", no_wrap=True)
    for layer in row["layers"]:
        table.add_row(
            layer["name"],
            layer["kind"],
            "x".join(str(size) for size in layer["output_shape"]),
            *(f"{layer[key]:,}" for key in ("params_binary", "params_fp", "macs_binary", "macs_fp")),
        )
    Console().print(table)
    model_table([row], input_size, classes)
