"""Tables of networks for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from bnnlab.cli.tables import new_table, per_cent
from bnnlab.paper.published.imagenet import COMPARISON


def model_table(rows: Sequence[Mapping[str, Any]], input_size: int, classes: int) -> None:
    """A row a network."""
    table = new_table(f"networks at {input_size}x{input_size} pixels, {classes} classes")
    for name in (
        "name",
        "parameters",
        "binary",
        "MiB",
        "MiB as float",
        "1-bit MACs",
        "float MACs",
        "operations",
        "published",
    ):
        table.add_column(name, justify="left" if name == "name" else "right", no_wrap=True)
    for row in rows:
        best = _headline(row)
        table.add_row(
            row["name"],
            f"{row['params']:,}",
            f"{row['params_binary']:,}",
            f"{row['size_mib']:.2f}",
            f"{row['float_size_mib']:.2f}",
            f"{row['macs_binary']:.3g}",
            f"{row['macs_fp']:.3g}",
            f"{row['ops_combined']:.3g}",
            "–" if best is None else f"{per_cent(best['top1'])} ({best['status']})",
        )
    console = Console()
    console.print(table)
    console.print(
        "MiB: 1 bit a binary weight, 32 bits any other parameter.  MACs: convolutions and dense layers.  "
        "operations: convolutions, float + 1-bit / 64 (the authors' rule).  "
        "published: ImageNet top-1 in % and how surely it was read; `bnnlab paper` has sources and the rest.",
        highlight=False,
    )


def _headline(row: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The ImageNet figure to show where there is room for one: the paper's comparison, or else the highest; of this
    very stem, whose counts stand beside it."""
    figures = [f for f in row["published"] if f["dataset"] == "imagenet" and f["stem"] == row["stem"]]
    compared = [figure for figure in figures if figure["table"] == COMPARISON.id]
    return max(compared or figures, key=lambda figure: float(figure["top1"]), default=None)


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
