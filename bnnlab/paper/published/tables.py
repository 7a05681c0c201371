"""What a published table is made of. Figures are fractions and MiB, as in records; each has a source and a
status."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bnnlab.paper.claims import Status

SOURCES: dict[str, str] = {
    "paper": "Bethge et al. 2019, arXiv 1906.08637",
    "log": "the authors' results wiki, hpi-xnor/BMXNet-v2-wiki: Binary-Network-Results.md and the runs' logs",
    "log2020": "the authors' results wiki, hpi-xnor/BMXNet-v2-wiki: CurrentBestResults.md and the runs' logs",
    "recipe": "the authors' results wiki, hpi-xnor/BMXNet-v2-wiki: hyperparameters.md and its two plots",
    "abstract": "abstract of arXiv 1906.08637: 18.6 % above XNOR-Net and 7.6 % above Bi-Real Net, relative",
    "review": "paperium.net, review of arXiv 1906.08637",
    "fda_bnn": "Xu et al. 2021 (FDA-BNN, NeurIPS), Table 5",
    "bireal": "liuzechun/Bi-Real-net: README.md",
    "tbn": "Wan et al. 2018 (TBN, ECCV): abstract",
    "larq": "larq/zoo: larq_zoo/literature; larq/docs: docs/zoo/index.md",
    "larq_pr59": "larq/zoo: pull request 59",
    "recalled": "recalled from the paper, no text of it could be read",
    "computed": "computed from the layers by the authors' counting rule",
}
"""Where figures were read."""


@dataclass(frozen=True)
class OneOf:
    """A setting that the sources give in several readings; each of them counts as the published one."""

    values: tuple[Any, ...]


@dataclass(frozen=True)
class Row:
    """One published result: of which configuration, how high, and how surely it was read."""

    label: str
    config: Mapping[str, Any] = field(default_factory=dict)
    """What is known of the configuration, by dotted path in `RunConfig`; empty for a network that bnnlab does
    not have."""
    top1: float | None = None
    top5: float | None = None
    map: float | None = None
    """Mean average precision, of detection."""
    size_mib: float | None = None
    macs_binary: float | None = None
    macs_fp: float | None = None
    """Convolutions only: the authors leave the dense layer out."""
    status: Status = "recalled"
    """confirmed: read in the source; partly: its value was read, its place in this table is recalled, or the
    other way round; recalled: from memory only."""
    top5_status: Status | None = None
    """Where top-5 stands otherwise than top-1."""
    sources: tuple[str, ...] = ()
    """Keys of `SOURCES`."""
    note: str = ""
    run_id: str | None = None
    """The authors' logged run of this row."""
    schedule_known: bool = True
    """Whether the training was published; without it no run can claim the same protocol."""

    @property
    def ops(self) -> float | None:
        """Combined operations, full-precision MACs + binary MACs / 64, the paper's measure."""
        if self.macs_fp is None or self.macs_binary is None:
            return None
        return self.macs_fp + self.macs_binary / 64

    @property
    def source(self) -> str:
        """The citations of this row, in one line."""
        return "; ".join(SOURCES[key] for key in self.sources)


@dataclass(frozen=True)
class Table:
    """A published table."""

    id: str
    title: str
    identity: tuple[str, ...]
    """The settings that tell its rows apart, beside the network's name; all other settings are protocol."""
    rows: tuple[Row, ...]
    number: int | None = None
    """In the paper, by recollection; tables are named by their id."""
    note: str = ""


@dataclass(frozen=True)
class MethodCost:
    """What a convolution as an n x k by k x m matrix product costs by method."""

    method: str
    inputs: str
    weights: str
    macs: str
    binary_operations: str
    speed_up: int
    status: Status
