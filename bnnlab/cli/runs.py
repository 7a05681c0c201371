"""`bnnlab runs`."""

from __future__ import annotations

from typing import Annotated

import typer

from bnnlab.cli.app import Json


def register(app: typer.Typer) -> None:
    app.command(epilog="Example: bnnlab runs --state failed --where model.name=resnet_e18")(runs)


def runs(
    state: Annotated[
        str | None,
        typer.Option(help="Only those that are finished, failed, interrupted, running, ...", show_default=False),
    ] = None,
    study: Annotated[
        str | None, typer.Option(help="Only those that a plan of this study asks for.", show_default=False)
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(metavar="PATH=VALUE", help="Only those with this field; repeatable.", show_default=False),
    ] = None,
    json: Json = False,
) -> None:
    """List the runs of this project's ledger."""
    from bnnlab.cli.housekeeping import Filter, runs_as_json, runs_table
    from bnnlab.cli.output import print_json, say
    from bnnlab.sweep.housekeeping import all_records
    from bnnlab.sweep.ledger import Ledger
    from bnnlab.sweep.project import find_project

    ledger = Ledger(find_project().ledger)
    try:
        chosen = Filter.read(ledger, state, study, where or ())
    except ValueError as error:
        say(f"bnnlab runs: {error}")
        raise typer.Exit(2) from None
    records = [record for record in all_records(ledger) if chosen.admits(record)]
    if json:
        print_json(runs_as_json(records))
    else:
        runs_table(records)
