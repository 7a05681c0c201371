"""`bnnlab doctor`."""

from __future__ import annotations

import typer

from bnnlab.cli.app import Json


def register(app: typer.Typer) -> None:
    app.command(epilog="Example: bnnlab doctor")(doctor)


def doctor(json: Json = False) -> None:
    """Show what is installed, which accelerators there are, where things are stored, and what is wrong."""
    from bnnlab.cli.checkup import examine
    from bnnlab.cli.output import print_json

    findings = examine()
    if json:
        print_json([vars(finding) for finding in findings])
    else:
        width = max(len(finding.subject) for finding in findings)
        for finding in findings:
            print(f"{'ok  ' if finding.ok else 'BAD '} {finding.subject:<{width}}  {finding.found}")
            if finding.mend:
                print(f"     {'':<{width}}  -> {finding.mend}")
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)
