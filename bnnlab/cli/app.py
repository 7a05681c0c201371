"""The app that commands register with, and what all of them share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


@dataclass
class Settings:
    """Options that stand before the command."""

    debug: bool = False


settings = Settings()

SpecPath = Annotated[Path, typer.Argument(metavar="SPEC", help="A file of studies/ or sweeps/.", show_default=False)]
Profile = Annotated[
    str | None, typer.Option("--profile", help="A profile of the spec; the first one if left out.", show_default=False)
]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Change a field of the base; repeatable.", show_default=False),
]
Seeds = Annotated[
    int | None,
    typer.Option("--seeds", metavar="N", help="Use seeds 0 to N-1 instead of the spec's.", show_default=False),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout and nothing else.")]


def _version(wanted: bool) -> None:
    if wanted:
        from bnnlab import __version__

        print(f"bnnlab {__version__}")
        raise typer.Exit


@app.callback(epilog="Example: bnnlab sweep studies/scaling_ablation.yaml")
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Ask a question about binary neural networks, run the ablation, read an answer that holds up."""
    settings.debug = debug
