"""Published tables for the terminal and for scripts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console

from bnnlab.cli.tables import new_table, per_cent

if TYPE_CHECKING:
    from bnnlab.paper.published import Row, Table


def show_table(table: Table) -> None:
    """One published table; a figure that is only recalled is marked so."""
    shown = new_table(f"{table.id}: {table.title}")
    for name in ("row", "top-1 %", "top-5 %", "MiB", "operations", "status"):
        shown.add_column(name, justify="left" if name in ("row", "status") else "right")
    for row in table.rows:
        shown.add_row(
            row.label,
            per_cent(row.top1),
            per_cent(row.top5) + ("" if row.top5_status in (None, row.status) else f" ({row.top5_status})"),
            "–" if row.size_mib is None else f"{row.size_mib:.2f}",
            "–" if row.ops is None else f"{row.ops:.3g}",
            row.status,
        )
    console = Console()
    console.print(shown)
    for source in dict.fromkeys(row.source for row in table.rows if row.source):
        console.print(f"  {source}", highlight=False, markup=False)
    if table.note:
        console.print(f"  {table.note}", highlight=False, markup=False)
    console.print()


def as_plain(table: Table) -> dict[str, Any]:
    """One published table as plain data; accuracies as fractions, sizes in MiB."""
    return {"id": table.id, "title": table.title, "note": table.note, "rows": [_row(row) for row in table.rows]}


def _row(row: Row) -> dict[str, Any]:
    return {
        "label": row.label,
        "config": {path: getattr(value, "values", value) for path, value in row.config.items()},
        "top1": row.top1,
        "top5": row.top5,
        "map": row.map,
        "size_mib": row.size_mib,
        "ops_combined": row.ops,
        "status": row.status,
        "top5_status": row.top5_status or row.status,
        "source": row.source,
        "run_id": row.run_id,
        "note": row.note,
    }
