"""Sections as rich renderables, for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rich import box
from rich.console import RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table as RichTable
from rich.text import Text as RichText

from bnnlab.report.content import Cell, Figure, Section, Table, Text

TONES = {
    "replicated": "bold green",
    "finished": "green",
    "completed": "green",
    "direction only": "bold yellow",
    "running": "yellow",
    "contradicted": "bold red",
    "failed": "red",
    "diverged": "red",
    "inconclusive": "dim",
    "incomplete": "dim",
    "not comparable": "cyan",
}
MAX_LINES = 40
"""Lines of a long table that a terminal gets; the page has them all."""


def render_terminal(
    question: str, tiles: Iterable[tuple[str, str]], sections: Sequence[Section]
) -> Iterator[RenderableType]:
    """The question and the tiles, then every section's texts and tables; figures are on the page."""
    yield RichText(question, style="bold")
    yield RichText(" · ".join(f"{label} {value}" for label, value in tiles), style="dim")
    for section in sections:
        shown = [block for block in section.blocks if not isinstance(block, Figure)]
        if not shown:
            continue
        yield Rule(section.title, align="left")
        for block in shown:
            match block:
                case Text(tone="code"):
                    continue  # the specification: the reader has just named its file
                case Text():
                    yield Padding(RichText(block.text, style="yellow" if block.tone == "warning" else ""), (0, 0, 1, 0))
                case Table():
                    yield from _table(block)


def _table(table: Table) -> Iterator[RenderableType]:
    # Columns that hold nothing anywhere only squeeze the others.
    kept = [at for at in range(len(table.columns)) if any(line.cells[at].text not in ("–", "") for line in table.lines)]
    grid = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for at in kept:
        column = table.columns[at]
        grid.add_column(
            column.title, justify=column.align, overflow="fold", no_wrap=column.align == "right", min_width=6
        )
    lines = table.lines[:MAX_LINES] if table.is_long else table.lines
    for line in lines:
        grid.add_row(*(_cell(line.cells[at]) for at in kept))
    yield grid
    if len(lines) < len(table.lines):
        yield RichText(f"… and {len(table.lines) - len(lines):,} more on the page", style="dim")
    yield Padding(RichText(table.caption, style="dim"), (0, 0, 1, 0))


def _cell(cell: Cell) -> RichText:
    return RichText(cell.text, style=TONES.get(cell.tone, ""))
