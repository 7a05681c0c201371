"""The Typer app, one file per command: parse, call one function, print. Imports every room, inside functions."""

from __future__ import annotations

import sys

from bnnlab.cli import clean, data, doctor, models, paper, plan, report, runs, schema, status, sweep, sync, ui, why
from bnnlab.cli.app import app, settings

__all__ = ["app", "main"]

for command in (sweep, plan, status, report, runs, why, clean, sync, models, data, paper, schema, ui, doctor):
    command.register(app)


def main() -> None:
    """Run the command line; a mistake of the user's never shows a traceback."""
    try:
        app()
    except Exception as error:
        if settings.debug:
            raise
        from bnnlab.sweep.executor import NoExecutor
        from bnnlab.sweep.mistakes import SpecError

        if isinstance(error, SpecError):
            print(error, file=sys.stderr)
            count = len(error.mistakes)
            print(f"{count} mistake{'s' if count > 1 else ''}; nothing was started.", file=sys.stderr)
            sys.exit(2)
        if isinstance(error, NoExecutor):
            print(f"{error}\nnothing was started.", file=sys.stderr)
            sys.exit(2)
        message = str(error).strip() or type(error).__name__
        print(f"bnnlab: {message}", file=sys.stderr)
        print("This looks like a fault of bnnlab or of this machine; --debug shows where.", file=sys.stderr)
        sys.exit(1)
