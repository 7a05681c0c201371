"""`bnnlab data` and `bnnlab data fetch`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bnnlab.cli.app import Json

Root = Annotated[Path | None, typer.Option(help="Look here and nowhere else.", show_default=False)]


def register(app: typer.Typer) -> None:
    group = typer.Typer(
        invoke_without_command=True, help="The data sets: which are present, where, and how to get them.",
        epilog="Example: bnnlab data --json",
    )  # fmt: skip
    group.callback()(data)
    group.command(epilog="Example: bnnlab data fetch cifar10")(fetch)
    app.add_typer(group, name="data")


def data(context: typer.Context, root: Root = None, json: Json = False) -> None:
    """Show the data sets: which are present, where they are looked for, how to get them."""
    if context.invoked_subcommand is not None:
        return
    from dataclasses import asdict

    from rich.console import Console

    from bnnlab.cli.output import print_json
    from bnnlab.cli.tables import new_table
    from bnnlab.data.catalogue import availability

    found = availability(root)
    if json:
        print_json([asdict(each) for each in found])
        return
    table = new_table("data sets")
    for name in ("name", "present", "where, or how to get it"):
        table.add_column(name, overflow="fold")
    for each in found:
        table.add_row(each.name, "yes" if each.present else "no", each.location or "\n".join(each.how_to_get))
    console = Console()
    console.print(table)
    folders = next((each.looked_in for each in found if each.looked_in), [])
    console.print(f"looked in: {', '.join(folders)}; BNNLAB_DATA names further folders", highlight=False)


def fetch(
    name: Annotated[str, typer.Argument(help="cifar10, cifar100 or fashion_mnist.", show_default=False)],
    to: Annotated[Path | None, typer.Option(help="The folder that the files are put into.", show_default=False)] = None,
) -> None:
    """Download a data set that may be downloaded freely; what is there already is not fetched again."""
    from bnnlab.cli.fetching import fetch_with_progress

    raise typer.Exit(fetch_with_progress(name, to))
