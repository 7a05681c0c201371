"""`bnnlab schema`."""

from __future__ import annotations

import typer


def register(app: typer.Typer) -> None:
    app.command(epilog="Example: bnnlab schema > spec.schema.json")(schema)


def schema() -> None:
    """Print the JSON Schema of spec files, for editors that complete and check YAML."""
    from bnnlab.cli.output import print_json
    from bnnlab.sweep.schema import spec_schema

    print_json(spec_schema())
