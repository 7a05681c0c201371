"""`bnnlab paper` and `bnnlab paper import`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bnnlab.cli.app import Json


def register(app: typer.Typer) -> None:
    group = typer.Typer(
        invoke_without_command=True, help="What was published, each figure with its source and status.",
        epilog="Example: bnnlab paper --table cifar10_ablation",
    )  # fmt: skip
    group.callback()(paper)
    group.command("import", epilog="Example: bnnlab paper import ../BMXNet-v2-wiki")(import_wiki)
    app.add_typer(group, name="paper")


def paper(
    context: typer.Context,
    table: Annotated[str | None, typer.Option(help="One table by its id; all if left out.", show_default=False)] = None,
    json: Json = False,
) -> None:
    """Show the published tables, each figure with its source and status."""
    if context.invoked_subcommand is not None:
        return
    from bnnlab.cli.output import print_json, say
    from bnnlab.cli.paper_tables import as_plain, show_table
    from bnnlab.paper.published import TABLES
    from bnnlab.sweep.mistakes import nearest

    if table is not None and table not in TABLES:
        close = nearest(table, list(TABLES))
        say(
            f"unknown table '{table}'.  allowed: {', '.join(TABLES)}" + (f".  Did you mean '{close}'?" if close else "")
        )
        raise typer.Exit(2)
    shown = [TABLES[table]] if table else list(TABLES.values())
    if json:
        print_json([as_plain(each) for each in shown])
        return
    for each in shown:
        show_table(each)


def import_wiki(
    path: Annotated[Path, typer.Argument(help="A local clone of the authors' results wiki.", show_default=False)],
    into: Annotated[str, typer.Option(help="The MLflow experiment: a study's name lays its curves over yours.")] = (
        "authors"
    ),
) -> None:
    """Log the authors' own runs beside yours, as reference runs."""
    from bnnlab.cli.output import say
    from bnnlab.paper.wiki import read_wiki
    from bnnlab.sweep.ledger import Ledger
    from bnnlab.sweep.project import find_project
    from bnnlab.tracking.references import log_references

    try:
        wiki = read_wiki(path)
    except FileNotFoundError as error:
        say(str(error))
        raise typer.Exit(2) from None
    for skipped in wiki.skipped:
        say(f"skipped {skipped.folder}: {skipped.reason}")
    for run in wiki.runs:
        for note in run.notes:
            say(f"{run.id}: {note}")
    project = find_project()
    Ledger(project.ledger).save_references(wiki.runs)
    logged = log_references(project, wiki.runs, into)
    say(f"{len(wiki.runs)} runs of the authors are in the ledger; {logged} are new in MLflow experiment '{into}'")
    if not wiki.runs:
        raise typer.Exit(1)
