"""`bnnlab why`."""

from __future__ import annotations

from typing import Annotated

import typer

from bnnlab.cli.app import Json


def register(app: typer.Typer) -> None:
    app.command(epilog="Example: bnnlab why 4a99a9cf")(why)


def why(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run key, or the beginning of one.", show_default=False)],
    json: Json = False,
) -> None:
    """Say what became of a run, whether it is reused and why, and what sets it apart from its nearest neighbour."""
    from bnnlab.cli.housekeeping import explain_run, print_explanation
    from bnnlab.cli.output import print_json, say
    from bnnlab.sweep.housekeeping import NoSuchRun, find_record
    from bnnlab.sweep.ledger import Ledger
    from bnnlab.sweep.project import find_project

    ledger = Ledger(find_project().ledger)
    try:
        record = find_record(ledger, run)
    except NoSuchRun as error:
        say(f"bnnlab why: {error}")
        raise typer.Exit(2) from None
    explanation = explain_run(ledger, record)
    if json:
        print_json(explanation)
    else:
        print_explanation(explanation)
