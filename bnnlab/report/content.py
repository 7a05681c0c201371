"""What a panel says, free of how it is shown: sections of texts, tables and figures. Renderers do the
rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class Cell:
    """One cell of a table."""

    text: str
    value: float | str | None = None
    """What a program reads, in the unit of records; None: the text."""
    tone: str = ""
    """A verdict or a state, for its colour."""
    note: str = ""
    """More, for who asks: a tool tip."""
    href: str | None = None


@dataclass(frozen=True)
class Column:
    """A column; its title ends in the unit where there is one."""

    title: str
    align: Literal["left", "right"] = "left"


@dataclass(frozen=True)
class Line:
    """One row of a table, and the runs that it was computed from."""

    cells: tuple[Cell, ...]
    run_keys: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """A table, with a name that its file gets."""

    name: str
    caption: str
    columns: tuple[Column, ...]
    lines: tuple[Line, ...]
    is_long: bool = False
    """Whether a page offers to filter it, and print drops what scrolls."""


@dataclass(frozen=True)
class Figure:
    """A chart in Vega-Lite, and in words for who cannot see it."""

    name: str
    title: str
    description: str
    spec: Mapping[str, Any] = field(hash=False)
    is_small: bool = False
    """One of many alike, explained together by the text before them."""


@dataclass(frozen=True)
class Text:
    """A paragraph; a warning stands out. Plain text: what looks like markup is shown as it is."""

    text: str
    tone: Literal["plain", "warning", "quote", "code"] = "plain"


Block = Text | Table | Figure


@dataclass(frozen=True)
class Section:
    """One panel of a report."""

    title: str
    blocks: tuple[Block, ...]

    @property
    def tables(self) -> tuple[Table, ...]:
        """The tables of this section, in order."""
        return tuple(block for block in self.blocks if isinstance(block, Table))
