"""`bnnlab clean`."""

from __future__ import annotations

from typing import Annotated

import typer

from bnnlab.cli.app import Json


def register(app: typer.Typer) -> None:
    app.command(epilog="Example: bnnlab clean --yes")(clean)


def clean(
    yes: Annotated[bool, typer.Option("--yes", help="Delete; without this, only say what would be deleted.")] = False,
    orphans: Annotated[
        bool,
        typer.Option(
            "--orphans", help="Also whole runs of older numerics, which no study can ask for; results and all."
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Delete what no result needs: checkpoints of finished runs, halves of files, runs put aside by --rerun."""
    from bnnlab.cli.output import print_json, say
    from bnnlab.sweep.housekeeping import delete, leftovers
    from bnnlab.sweep.ledger import Ledger
    from bnnlab.sweep.project import find_project

    ledger = Ledger(find_project().ledger)
    found = list(leftovers(ledger, orphans=orphans))
    gone = [item for item in found if yes and delete(ledger, item)]
    if json:
        items = [{"path": str(i.path), "why": i.why, "bytes": i.size, "deleted": i in gone} for i in found]
        print_json(items)
        return
    for item in found:
        print(f"{item.size / 2**20:10.2f} MiB  {item.path.relative_to(ledger.root)}  ({item.why})")
    size = sum(item.size for item in found) / 2**20
    if not found:
        say("nothing to delete")
    elif yes:
        say(f"deleted {len(gone)} of {len(found)}; the others belong to runs that are being trained")
    else:
        say(f"{len(found)} things, {size:.2f} MiB; to delete them:  bnnlab clean{' --orphans' * orphans} --yes")
